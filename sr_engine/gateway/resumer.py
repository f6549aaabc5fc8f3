"""Takes up held requests as soon as they wait no more, one after the other, and after their answers have left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from sr_engine.claims import Claims, Fenced, LeaseLost
from sr_engine.clock import Clock
from sr_engine.pipeline.resuming import Resuming
from sr_engine.store import held
from sr_engine.store.reading import Reading
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import NO_HUBS, UnitOfWork

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
WAIT_SECONDS = 60.0
"""After a failure, before the same request is tried again."""
MOST_TRIES = 5
"""A request that cannot be carried out so often is refused."""
LEASE = "held requests"
"""What the process holds that takes them up."""


@dataclass(slots=True)
class _Failure:
    tries: int
    again_at: float
    """By the clock that only goes forward."""


class Resumer:
    """Runs what is due of an instance."""

    def __init__(
        self,
        *,
        resuming: Resuming,
        transactions: Transactions,
        reading: Reading,
        clock: Clock,
        monotonic: Callable[[], float],
        grace: timedelta,
        after_work: Callable[[], None],
        claims: Claims,
    ) -> None:
        """`monotonic` tells the seconds between tries, and `grace` is how long an answer takes to be taken in.

        `after_work` is called when messages may have been queued.
        """
        self._claims = claims
        self._grace = grace
        self._monotonic = monotonic
        self._resuming = resuming
        self._transactions = transactions
        self._reading = reading
        self._clock = clock
        self._after_work = after_work
        self._wake = asyncio.Event()
        self._failures: dict[int, _Failure] = {}

    async def answer_left(self, message_key: str, command_variant: int) -> None:
        """The answer to a held request has left: once its sender has taken it in, a Response may follow."""
        await asyncio.sleep(self._grace.total_seconds())

        def note(unit_of_work: UnitOfWork) -> None:
            held.answer_left(unit_of_work.connection, message_key, command_variant, unit_of_work.now)

        await self._transactions.run(note, hubs=NO_HUBS)
        self._wake.set()

    def wake(self) -> None:
        """Look now rather than at the next poll."""
        self._wake.set()

    async def run(self) -> None:
        """Carry out what is due until cancelled."""
        while True:
            self._wake.clear()
            try:
                await self._look()
            except LeaseLost as lost:
                log.warning("held requests are left to another process: %s", lost)
            except Exception:
                log.exception("held requests cannot be looked through; it is tried again")
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()

    async def _look(self) -> None:
        while due := await asyncio.to_thread(self._due):
            lease = await self._claims.claim(LEASE)
            if lease is None:
                return
            for held_id in due:
                await self._resume(held_id, self._claims.fenced(lease))
            self._after_work()

    def _due(self) -> list[int]:
        now = self._monotonic()
        put_off = [held_id for held_id, failure in self._failures.items() if failure.again_at > now]
        return self._resuming.due(self._reading, self._clock.now(), put_off)

    async def _resume(self, held_id: int, transactions: Fenced) -> None:
        try:
            found = await asyncio.to_thread(self._reading, lambda connection: held.find(connection, held_id))
            if found is None:
                return
            # What takes long is done before the database is held for it.
            prepared = await asyncio.to_thread(self._resuming.prepare, found)
            await transactions.run(
                lambda unit_of_work: self._resuming.resume(unit_of_work, held_id, prepared), heavy=True
            )
            self._failures.pop(held_id, None)
        except LeaseLost:
            raise
        except Exception as error:
            log.exception("held request %d could not be carried out", held_id)
            await self._put_off(held_id, error, transactions)

    async def _put_off(self, held_id: int, error: Exception, transactions: Fenced) -> None:
        """The others go on; this one is tried again later, and refused in the end."""
        known = self._failures.get(held_id)
        tries = 1 if known is None else known.tries + 1
        self._failures[held_id] = _Failure(tries, self._monotonic() + WAIT_SECONDS)
        if tries < MOST_TRIES:
            return
        why = type(error).__name__
        await transactions.run(lambda unit_of_work: self._resuming.give_up(unit_of_work, held_id, why), heavy=True)
        del self._failures[held_id]
