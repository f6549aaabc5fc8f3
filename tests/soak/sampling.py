"""Looks at processes and their database every few seconds."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select

from sr_engine.bootstrap import Instance
from sr_engine.store import tables
from sr_engine.store.dialects import SQLITE
from sr_engine.store.outbox import PENDING
from tests.soak.growth import Sample

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Store:
    """The database at one moment: its size in bytes, and how many messages wait to be sent."""

    seconds: float
    size: int
    waiting: int


@dataclass
class Sampler:
    """Takes samples until cancelled."""

    instance: Instance
    processes: Callable[[], dict[str, int]]
    """Ids of those that live, by name."""
    exchanges: Callable[[], int]
    every: float
    """Seconds."""
    began: float = field(default_factory=time.monotonic)
    samples: list[Sample] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)

    async def run(self) -> None:
        while True:
            seconds, exchanges = time.monotonic() - self.began, self.exchanges()
            for name, process in self.processes().items():
                found = look_at(name, process, seconds, exchanges)
                if found is not None:
                    self.samples.append(found)
            self.stores.append(await asyncio.to_thread(self._store, seconds))
            await asyncio.sleep(self.every)

    def _store(self, seconds: float) -> Store:
        waiting = select(func.count()).where(tables.outbox.c.state == PENDING)
        with self.instance.reading_engine.connect() as connection:
            pending = connection.scalar(waiting) or 0
            url = self.instance.engine.url
            if self.instance.engine.dialect.name == SQLITE:
                files = [Path(f"{url.database}{more}") for more in ("", "-wal")]
                return Store(seconds, sum(one.stat().st_size for one in files if one.exists()), pending)
            return Store(seconds, connection.scalar(select(func.pg_database_size(url.database))) or 0, pending)


def look_at(name: str, process: int, seconds: float, exchanges: int) -> Sample | None:
    """A process as the system sees it; None if it is not there any more."""
    place = Path("/proc") / str(process)
    try:
        resident = int((place / "statm").read_text(encoding="ascii").split()[1])
        threads = len(list((place / "task").iterdir()))
        files = len(list((place / "fd").iterdir()))
    except OSError:
        return None
    # One that was killed and is not yet buried has no memory.
    return Sample(name, seconds, exchanges, resident * _PAGE, files, threads) if resident else None
