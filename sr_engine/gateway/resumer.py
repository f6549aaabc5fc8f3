"""Takes up held requests as soon as they wait no more, one after the other, and after their answers have left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from sr_engine.clock import Clock
from sr_engine.pipeline.resuming import Resuming
from sr_engine.store import held
from sr_engine.store.transactions import Transactions, UnitOfWork

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
TRIED_AGAIN_AFTER = 60
"""Looks after which a held request that could not be carried out is tried again."""


class Resumer:
    """Runs what is due of an instance."""

    def __init__(
        self, resuming: Resuming, transactions: Transactions, clock: Clock, after_work: Callable[[], None]
    ) -> None:
        """`after_work` is called when messages may have been queued."""
        self._resuming = resuming
        self._transactions = transactions
        self._clock = clock
        self._after_work = after_work
        self._wake = asyncio.Event()
        self._failed: dict[int, int] = {}

    async def answer_left(self, message_key: str, command_variant: int) -> None:
        """The answer to a held request has left: from now on a Response may follow."""

        def note(unit_of_work: UnitOfWork) -> None:
            held.answer_left(unit_of_work.connection, message_key, command_variant, unit_of_work.now)

        await self._transactions.run(note)
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
            except Exception:
                log.exception("held requests cannot be looked through; it is tried again")
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()

    async def _look(self) -> None:
        self._failed = {held_id: looks - 1 for held_id, looks in self._failed.items() if looks > 1}
        while due := [one for one in await self._transactions.run(self._resuming.due) if one not in self._failed]:
            for held_id in due:
                await self._resume(held_id)
            self._after_work()

    async def _resume(self, held_id: int) -> None:
        def work(unit_of_work: UnitOfWork) -> bool:
            return self._resuming.resume(unit_of_work, held_id)

        try:
            await self._transactions.run(work, heavy=True)
        except Exception:
            # The others go on; this one is still held.
            self._failed[held_id] = TRIED_AGAIN_AFTER
            log.exception("held request %d could not be carried out", held_id)
