"""Units of work: what is submitted while a transaction runs shares the next one, and its one commit.

A unit of work that fails takes back what it did itself and nothing else; none is answered before the commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine

from sr_engine.clock import Clock
from sr_engine.store.database import in_transaction

T = TypeVar("T")

GROUP_LIMIT = 256
"""Units of work that share a commit, at most."""


@dataclass(frozen=True, slots=True)
class UnitOfWork:
    """One business transaction: the connection to work through, and the time it happens at."""

    connection: Connection
    now: datetime


Work = Callable[[UnitOfWork], T]


@dataclass(slots=True)
class _Submitted(Generic[T]):
    work: Work[T]
    heavy: bool
    done: asyncio.Future[T]


class Transactions:
    """Runs units of work one after another, those in flight at the same time in one transaction.

    Light ones run in the event loop (a thread switch costs more than they do), heavy ones in a worker thread.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._waiting: list[_Submitted[Any]] = []
        self._running: asyncio.Task[None] | None = None
        self._was_heavy = False

    async def run(self, work: Work[T], *, heavy: bool = False) -> T:
        """Return what `work` returned, once it is committed; raises what it raised, or what the commit did."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Submitted(work, heavy, done))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._drain())
        # A caller that goes away does not undo what others share with it.
        return await asyncio.shield(done)

    async def _drain(self) -> None:
        while self._waiting:
            # Whatever became ready in this turn of the event loop joins.
            await asyncio.sleep(0)
            group = self._next_group()
            if any(one.heavy for one in group):
                results = await asyncio.to_thread(self._run_group, group)
            else:
                results = self._run_group(group)
            for one, result in zip(group, results, strict=True):
                if one.done.cancelled():
                    continue
                if isinstance(result, _Failed):
                    one.done.set_exception(result.error)
                else:
                    one.done.set_result(result)

    def _next_group(self) -> list[_Submitted[Any]]:
        """A heavy one goes alone, when its turn comes; light ones that wait go together, after each heavy one."""
        light = [one for one in self._waiting if not one.heavy][:GROUP_LIMIT]
        first = self._waiting[0]
        self._was_heavy = first.heavy and not (self._was_heavy and light)
        group = [first] if self._was_heavy else light
        chosen = set(map(id, group))
        self._waiting = [one for one in self._waiting if id(one) not in chosen]
        return group

    def _run_group(self, group: list[_Submitted[Any]]) -> list[Any]:
        results: list[Any] = []
        try:
            with self._engine.begin() as connection:
                unit_of_work = UnitOfWork(connection, self._clock.now())
                if len(group) == 1:
                    # What it takes back is the transaction itself.
                    return [group[0].work(unit_of_work)]
                results.extend(_attempt(one.work, unit_of_work) for one in group)
        except Exception as error:
            return [_Failed(error) for _ in group]
        return results

    def run_now(self, work: Work[T]) -> T:
        """Run one unit of work in a transaction of its own, outside an event loop (command line, start-up)."""
        with self._engine.begin() as connection:
            return work(UnitOfWork(connection, self._clock.now()))

    async def close(self) -> None:
        """Wait for what is under way."""
        while self._running is not None and not self._running.done():
            await asyncio.shield(self._running)


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


def _attempt(work: Work[Any], unit_of_work: UnitOfWork) -> Any:
    try:
        with unit_of_work.connection.begin_nested():
            return work(unit_of_work)
    except Exception as error:
        if not in_transaction(unit_of_work.connection):
            # The database has taken back all of it: what the others did is gone too.
            raise
        return _Failed(error)
