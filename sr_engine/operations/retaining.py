"""Pruning all that is old: by hand, and once a day by the process that holds the lease for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sr_engine import archive
from sr_engine.archive import ArchiveInUse
from sr_engine.claims import Claims, LeaseLost
from sr_engine.clock import Clock
from sr_engine.operations.audit_verification import ChainBroken
from sr_engine.operations.pruning import Pruning, record
from sr_engine.store import archives
from sr_engine.store.database import may_pass
from sr_engine.store.portions import ChangedMeanwhile, Kind
from sr_engine.store.units_of_work import Runs

log = logging.getLogger(__name__)

_TRIES = 5
"""How often a portion is chosen anew that changed while it was written."""


async def prune_all(pruning: Pruning, transactions: Runs, now: datetime, actor: str) -> Mapping[Kind, int]:
    """Prune all that is old by now, in short transactions; return how many lines have gone into the archive.

    Raises ArchiveInUse if another process writes into the archive, and ChainBroken, all else having been pruned, if the
    audit trail is not what was written.
    """
    with archive.alone_in(pruning.folder):
        aside = await asyncio.to_thread(pruning.set_aside)
        lines: dict[Kind, int] = {}
        broken: ChainBroken | None = None
        for kind in Kind:
            try:
                lines[kind] = await _prune(pruning, transactions, kind, now)
            except ChainBroken as found:
                broken = found
        await transactions.run(lambda unit_of_work: record(unit_of_work, actor, lines, aside))
        if broken is not None:
            raise broken
        return lines


async def _prune(pruning: Pruning, transactions: Runs, kind: Kind, now: datetime) -> int:
    lines, tries, reached = 0, 0, None
    while tries < _TRIES:
        prepared = await asyncio.to_thread(pruning.prepare, kind, now, reached)
        if prepared is None:
            break
        try:
            await transactions.run(partial(pruning.remove, prepared=prepared), heavy=True)
        except ChangedMeanwhile as changed:
            log.info("retention: %s; what was written is set aside, and it is chosen anew", changed)
            await asyncio.to_thread(pruning.set_aside)
            tries += 1
            continue
        except Exception as error:
            # What is tried again would leave one more file each time. A commit may be unknown to us, though.
            if not may_pass(error):
                await asyncio.to_thread(pruning.discard, prepared)
            raise
        tries, reached = 0, prepared.reached
        if prepared.written is not None:
            lines += prepared.written.lines
    return lines


@dataclass(frozen=True, slots=True)
class DailyPruning:
    """A trigger that prunes once a day, UTC, in the process that holds its lease."""

    pruning: Pruning
    claims: Claims
    clock: Clock
    name: str = "retention"
    """Also of its lease."""

    async def tick(self) -> None:
        """Prune, unless it was done today."""
        now = self.clock.now()
        done = await asyncio.to_thread(self.pruning.reading, archives.done_at)
        # One that a clock that was ahead has noted says nothing.
        if done is not None and now.date() <= done.date() <= (now + timedelta(days=1)).date():
            return
        lease = await self.claims.claim(self.name)
        if lease is None:
            return
        try:
            lines = await prune_all(self.pruning, self.claims.fenced(lease), now, "processor")
        except ArchiveInUse as in_use:
            log.info("retention waits: %s", in_use)
        except LeaseLost as lost:
            log.warning("retention stops: %s", lost)
        except ChainBroken as broken:
            log.warning("the audit trail is not pruned, for it is not what was written: %s", broken)
        else:
            if any(lines.values()):
                what = ", ".join(f"{number} lines of {kind}" for kind, number in lines.items() if number)
                log.info("retention: %s", what)
