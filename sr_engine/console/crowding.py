"""So many at a time: streams of pages that tell of news, and passwords that are hashed or wait for it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Crowded(Exception):
    """There is no place just now; one may be free in `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"there is no place just now; one may be free in {retry_after} s")
        self.retry_after = retry_after


class Streams:
    """The streams of a process: so many at most, and so many of each account."""

    def __init__(self, most: int, of_one: int) -> None:
        self._most = most
        self._of_one = of_one
        self._held: Counter[int] = Counter()

    @contextmanager
    def place(self, account_id: int) -> Iterator[None]:
        """A place until the end of the block; raises Crowded if there is none."""
        if self._held.total() >= self._most or self._held[account_id] >= self._of_one:
            raise Crowded(retry_after=60)
        self._held[account_id] += 1
        try:
            yield
        finally:
            self._held[account_id] -= 1
            if not self._held[account_id]:
                del self._held[account_id]


class Hashing:
    """Threads of its own for passwords, and a queue before them that does not grow without end.

    Whoever has no account can have passwords verified too, and each takes megabytes and time.
    """

    def __init__(self, threads: Executor, most: int) -> None:
        """`most` is how many are worked on or wait at a time."""
        self._threads = threads
        self._most = most
        self._under_way = 0

    async def __call__(self, work: Callable[[], T]) -> T:
        """Return what `work` returned; raises Crowded, at once, if too many wait already."""
        if self._under_way >= self._most:
            raise Crowded(retry_after=2)
        self._under_way += 1
        done = asyncio.get_running_loop().run_in_executor(self._threads, work)
        done.add_done_callback(self._ended)
        # Whoever goes away leaves a thread at work, which counts until it is free again.
        return await asyncio.shield(done)

    def _ended(self, _done: object) -> None:
        self._under_way -= 1
