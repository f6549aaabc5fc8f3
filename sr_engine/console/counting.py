"""Numbers that take long to count: counted beside the pages that show them, kept for a while, one count at a time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from sr_engine.configuration.console import Pages
from sr_engine.store.reading import Connection, Reading

T = TypeVar("T")

_KEPT = 512
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Counted(Generic[T]):
    """What was counted last, and how many seconds ago; None: nothing yet, it is being counted."""

    value: T | None
    age: float


class Counting:
    """Counts of a process, by what they are of."""

    def __init__(self, reading: Reading, rules: Pages, threads: Executor) -> None:
        """`rules` say how long a count is good, and how long a page waits for one."""
        self._threads = threads
        self._reading = reading
        self._keep = rules.counts_kept.total_seconds()
        self._wait = rules.wait.total_seconds()
        self._known: OrderedDict[Hashable, tuple[object, float]] = OrderedDict()
        self._running: dict[Hashable, asyncio.Task[None]] = {}
        self._places: asyncio.Semaphore | None = None
        self._finished: Counter[Hashable] = Counter()

    async def get(self, key: Hashable, look: Callable[[Connection], T]) -> Counted[T]:
        """The newest count under a key, which is begun anew once it is old."""
        known = self._known.get(key)
        if known is None or time.monotonic() - known[1] > self._keep:
            task = self._running.get(key)
            if task is None or task.done():
                task = self._running[key] = asyncio.create_task(self._count(key, look))
            await asyncio.wait({task}, timeout=self._wait)
            known = self._known.get(key)
        return self._counted(known)

    def known(self, key: Hashable) -> Counted[T]:
        """What is known under a key; nothing is counted."""
        return self._counted(self._known.get(key))

    def _counted(self, known: tuple[object, float] | None) -> Counted[T]:
        if known is None:
            return Counted(None, 0.0)
        return Counted(cast("T", known[0]), time.monotonic() - known[1])

    def finished(self, part: Hashable) -> int:
        """How many counts with keys that begin with this part have ended: what has not changed shows nothing new."""
        return self._finished[part]

    def forget(self, part: Hashable) -> None:
        """Forget the counts whose keys begin with this part, for what they count was changed."""
        for key in [key for key in self._known if isinstance(key, tuple) and key[0] == part]:
            del self._known[key]

    async def _count(self, key: Hashable, look: Callable[[Connection], T]) -> None:
        if self._places is None:
            self._places = asyncio.Semaphore(_AT_ONCE)
        try:
            async with self._places:
                value = await asyncio.get_running_loop().run_in_executor(self._threads, self._reading, look)
            self._known[key] = (value, time.monotonic())
            self._known.move_to_end(key)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        finally:
            self._running.pop(key, None)
            self._finished[key[0] if isinstance(key, tuple) else key] += 1
