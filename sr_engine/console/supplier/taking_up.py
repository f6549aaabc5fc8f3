"""Goes on with what was confirmed and left half done by a process that has ended, so that nobody has to see to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from sr_engine.background import in_background
from sr_engine.console.supplier.working_out import Proposing

log = logging.getLogger(__name__)

LOOK = timedelta(seconds=10)
STILL = timedelta(seconds=60)
"""For so long nothing moves before it is taken for left; a request of as many hubs as there may be takes less."""
_PARTS = 1_000


@dataclass(slots=True)
class TakingUp:
    """Looks now and then, in each process that has a console, for work that stands still.

    Of two processes that find the same, each does what the other has not: each request has a key, and is done once.
    """

    proposing: Proposing
    monotonic: Callable[[], float]
    randbelow: Callable[[int], int]
    _stood: dict[tuple[str, int], float] = field(default_factory=dict)
    """By proposal and how far it had come, until when it may stand there."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look until the end of the block."""
        async with in_background(self._run()):
            yield

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:
                log.exception("what was left half done in the console cannot be looked for; it is tried again")
            await asyncio.sleep(LOOK.total_seconds())

    async def look(self) -> None:
        """Take up what has stood still for long enough."""
        now, stood = self.monotonic(), {}
        for one in await self.proposing.left():
            place = one.proposal_id, one.acts_done
            # Not all processes at the same time: the others see that it moves.
            until = self._stood.get(place)
            stood[place] = (
                now + STILL.total_seconds() * (1 + self.randbelow(_PARTS) / _PARTS) if until is None else until
            )
            if now >= stood[place]:
                log.warning("proposal %s was left after %s of %s requests; it goes on", *place, one.acts)
                try:
                    await self.proposing.take_up(one)
                except Exception:
                    log.exception("proposal %s cannot go on; it is tried again, after the others", one.proposal_id)
        self._stood = stood
