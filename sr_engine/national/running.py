"""How a simulation runs: work where it is asked for, how far it has come, and processor time by kind of work."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

Say = Callable[[str], None]
"""Tells who waits how far it has come."""

EVERY_REGION = "every region"
"""The trigger that looks after what concerns no region in particular."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class AtOnce(ThreadPoolExecutor):
    """Runs work where it is asked for: nobody waits meanwhile, and nothing can come out in another order."""

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Run it, and return what came of it."""
        future: Future[_T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@dataclass(slots=True)
class Forecast:
    """How long something will still take, if it goes on as it has since the first of it was done.

    What comes before the first, as requests before upgrades, says nothing of what follows.
    """

    now: Callable[[], float] = time.perf_counter
    """In seconds from any moment."""
    _first: tuple[float, int] | None = None

    def __call__(self, done: int, of: int) -> str:
        """In words that follow others; empty while too little is done to tell."""
        if self._first is None:
            self._first = (self.now(), done) if done * 50 >= of else None
            return ""
        began, before = self._first
        if done <= before:
            return ""
        left = (self.now() - began) * max(of - done, 0) / (done - before)
        return f"; about {left / 60:.0f} min left" if left >= 90 else f"; about {left:.0f} s left"


@dataclass(slots=True)
class Stopwatch:
    """Adds the processor time of a block to that of its kind; what an inner one counts the outer does not."""

    spent: dict[str, float]
    kind: str
    _started: float = 0.0
    _inner: float = 0.0

    def __enter__(self) -> None:
        self._inner = sum(self.spent.values())
        self._started = time.process_time()

    def __exit__(self, *_: object) -> None:
        took = time.process_time() - self._started
        inner = sum(self.spent.values()) - self._inner
        self.spent[self.kind] = self.spent.get(self.kind, 0.0) + took - inner
