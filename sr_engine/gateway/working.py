"""What a process does by itself: triggers, delivery, held requests, and the leases under which it does them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sr_engine.claims import Claims
from sr_engine.regions.triggers import Ticker
from sr_engine.store.transactions import Transactions

log = logging.getLogger(__name__)

TELL_WITHIN_SECONDS = 10.0
"""Of being told to stop: what is still to be told then is left to other processes, or to the next start."""


class Role(StrEnum):
    """What a process is there for."""

    GATEWAY = "gateway"
    """It takes requests, and does nothing by itself."""
    WORKER = "worker"
    """It does what is due, and takes no requests."""
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Working:
    """The parts that work until the process is told to stop, started and stopped together."""

    claims: Claims
    ticker: Ticker
    parts: Sequence[Callable[[], Coroutine[Any, Any, None]]]
    """Each runs until cancelled."""
    transactions: Transactions

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work until the end of the block; then what is under way is finished, and other processes may take over."""
        tasks = [asyncio.create_task(part()) for part in (*self.parts, self.claims.run)]
        self.ticker.start()
        log.info("this is process %s; its leases stand under that id", self.claims.holder)
        try:
            yield
        finally:
            self.ticker.stop()
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
            await self.transactions.close(within=TELL_WITHIN_SECONDS)
            try:
                await self.claims.give_back()
            except Exception:
                log.exception("leases were not given back; they run out by themselves")

    def alive(self) -> str:
        """One line that says that the process is alive, and how much of the work is its own."""
        return f"alive: process {self.claims.holder}, {len(self.claims.held)} leases"
