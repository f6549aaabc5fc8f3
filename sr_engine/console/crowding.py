"""So many at a time: streams of pages that tell of news, and passwords that are hashed or wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from typing import TypeVar

from sr_engine.places import Places

T = TypeVar("T")


class Crowded(Exception):
    """There is no place just now; one may be free in `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"there is no place just now; one may be free in {retry_after} s")
        self.retry_after = retry_after


class Streams:
    """The streams of a process: so many at most, and so many of each account."""

    def __init__(self, most: int, of_one: int) -> None:
        self._places = Places(most, of_one)

    def place(self, account_id: int) -> AbstractContextManager[None]:
        """A place until the end of the block; raises Crowded if there is none."""
        return self._places.take(account_id, lambda _of_this_account: Crowded(retry_after=60))


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
