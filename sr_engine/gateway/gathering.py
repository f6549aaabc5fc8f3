"""Requests that are there in the same turn of the event loop, checked together."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from sr_engine.pipeline.stages import Failed, Stages, together

T = TypeVar("T")

MOST = 32
"""Works that are done in one turn of the event loop; others that it serves come in between."""


class Gathering(Generic[T]):
    """Does what is given to it in one turn of the event loop together, in the next."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Stages[T], asyncio.Future[T]]] = []

    async def run(self, work: Stages[T]) -> T:
        """Return what a work returns; raises what it raises. One whose caller has gone away is not begun."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._turn)
        self._waiting.append((work, done))
        return await done

    def _turn(self) -> None:
        gathered, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._turn)
        wanted = [(work, done) for work, done in gathered if not done.done()]
        results = together([work for work, _ in wanted])
        for (_, done), result in zip(wanted, results, strict=True):
            if isinstance(result, Failed):
                done.set_exception(result.error)
            else:
                done.set_result(result)
