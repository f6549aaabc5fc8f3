"""What the audit trail has of requests that were not authenticated: so many a minute one by one, the rest by number.

Whoever has no key can send them for ever, and each would be kept for as long as what Suppliers have done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sr_engine.clock import Clock
from sr_engine.pipeline.answer import Answer
from sr_engine.pipeline.process import Processor, Turned
from sr_engine.store import audit
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import NO_HUBS, UnitOfWork

log = logging.getLogger(__name__)

MINUTE_SECONDS = 60.0
_NOBODY = "nobody who is a User here"


@dataclass(slots=True)
class _Tally:
    """In the name of one User, or of all who are none."""

    began: float
    """The minute, by the clock that only goes forward."""
    written: int = 0
    """One by one, in this minute."""
    more: int = 0
    """Of which the trail says nothing yet."""
    first: datetime | None = None
    last: datetime | None = None


class Refusals:
    """Records requests that were turned away; there are as many numbers to remember as there are Users, and one."""

    def __init__(
        self,
        processor: Processor,
        transactions: Transactions,
        clock: Clock,
        monotonic: Callable[[], float],
    ) -> None:
        """`monotonic` tells the time in seconds."""
        self._processor = processor
        self._transactions = transactions
        self._clock = clock
        self._monotonic = monotonic
        self._most = processor.configuration.policy.overload.unauthenticated_recorded_per_minute
        self._tallies: dict[str, _Tally] = {}
        self._telling: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def record(self, turned: Turned) -> Answer:
        """Note that a request was refused, and why, before it is answered; or count it, and say so within a minute."""
        if turned.sender_eui or self._is_written(turned):
            return await self._transactions.run(lambda uow: self._processor.record_turned(uow, turned), hubs=NO_HUBS)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_each_minute())
        return turned.answer

    async def close(self) -> None:
        """Say what has been counted and not been said."""
        self._closing.set()
        if self._telling is not None:
            await self._telling

    def _is_written(self, turned: Turned) -> bool:
        originator, now = turned.request_key.partition(":")[0], self._monotonic()
        name = _NOBODY if self._processor.users.by_eui(originator) is None else originator
        tally = self._tallies.get(name)
        if tally is None:
            tally = self._tallies[name] = _Tally(now)
        elif now - tally.began >= MINUTE_SECONDS:
            tally.began, tally.written = now, 0
        if tally.written < self._most:
            tally.written += 1
            return True
        tally.more += 1
        tally.last = self._clock.now()
        tally.first = tally.first or tally.last
        return False

    async def _tell_each_minute(self) -> None:
        while any(one.more for one in self._tallies.values()):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), MINUTE_SECONDS)
            told = {name: one.more for name, one in self._tallies.items() if one.more}
            lines = [_line(name, tally) for name, tally in self._tallies.items() if tally.more]
            try:
                await self._transactions.run(partial(_record, lines=lines), hubs=NO_HUBS)
            except Exception:
                log.exception("requests that were refused are counted, and not in the audit trail yet")
                if self._closing.is_set():
                    return
                continue
            for name, number in told.items():
                tally = self._tallies[name]
                tally.more -= number
                tally.first = tally.last if tally.more else None


def _line(name: str, tally: _Tally) -> str:
    return (
        f"E100: {tally.more} more requests in the name of {name} that were not authenticated, "
        f"between {tally.first:%Y-%m-%d %H:%M:%S} and {tally.last:%Y-%m-%d %H:%M:%S} UTC"
    )


def _record(unit_of_work: UnitOfWork, lines: list[str]) -> None:
    entries = [audit.Entry(unit_of_work.now, "unauthenticated", "refused", line) for line in lines]
    audit.record(unit_of_work.connection, entries)
