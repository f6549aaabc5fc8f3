"""Pruning as an operator does it, beside what workers prune every day by themselves; and once more in the end."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from sqlalchemy import func, select

from sr_engine.bootstrap import Instance
from sr_engine.configuration import SETTINGS_FILE
from sr_engine.store import tables
from tests.crash.processes import Nursery
from tests.world import edit

KEPT_DAYS = 62
"""The least that can be told; three minutes here."""
_LATER = timedelta(days=KEPT_DAYS + 10)
_IN_USE = "another process writes into"


@dataclass
class Pruner:
    """Says `sr-engine prune` to an instance."""

    instance: Instance
    directory: Path
    nursery: Nursery
    used: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    async def run(self, pause: float, stopped: asyncio.Event) -> None:
        """Every so many seconds, until `stopped`."""
        while not stopped.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await stopped.wait()
                    return
            await self._prune()

    async def finish(self) -> None:
        """After all processes have ended: prune as it would be done more than two months later."""
        before = self._lines()
        self.used["lines pruned meanwhile"] = before
        settings, clock = self.directory / SETTINGS_FILE, self.instance.settings.clock
        assert clock is not None
        later = f"starts_at = {(clock.starts_at + _LATER).isoformat()}"
        edit(settings, f"starts_at = {clock.starts_at.isoformat()}", later)
        await self._prune()
        self.used["lines pruned afterwards"] = self._lines() - before

    async def _prune(self) -> None:
        log = self.directory / "prune.log"
        log.unlink(missing_ok=True)
        status = await self.nursery.end_of(await self.nursery.start(["prune", "--dir", str(self.directory)], {}, log))
        said = log.read_text(encoding="utf-8")
        if status == 0:
            self.used["runs of sr-engine prune"] += 1
        elif _IN_USE in said:
            self.used["runs of sr-engine prune that met another"] += 1
        else:
            self.wrong.append(f"sr-engine prune ended with {status}: {said[-500:]}")

    def _lines(self) -> int:
        with self.instance.reading_engine.connect() as connection:
            return int(connection.scalar(select(func.sum(tables.archives.c.line_count))) or 0)
