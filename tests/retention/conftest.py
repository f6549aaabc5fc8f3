"""An instance in which much is over, something is under way, and time has passed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Select, Table, select

from sr_engine import archive
from sr_engine.bootstrap import pruning_of
from sr_engine.messages.model import Decision, ReportStatus
from sr_engine.operations.pruning import Pruning
from sr_engine.operations.releases import close
from sr_engine.operations.retaining import prune_all
from sr_engine.store import archives, observed
from sr_engine.store.portions import Kind
from sr_engine.store.tables import alerted_hubs, metadata, outbox
from sr_engine.store.transactions import Transactions
from tests.cli.conftest import run
from tests.databases import KIND, url_of_instance
from tests.regions.conftest import Nights
from tests.world import FIRMWARE, A, B, TestHub, World, make_world

__all__ = ["run"]

HUBS = [TestHub(number, A.name, B.name) for number in range(1, 7)]
YEARS = timedelta(days=900)
"""Longer than anything but the audit trail is kept."""
Rows = dict[str, set[str]]


class ToldIn(NamedTuple):
    """What a Supplier was told of a hub, and in which table it stands."""

    table: str
    hub_id: str
    event: str
    organisation: str
    occurrence: str
    message_id: str


@dataclass
class Aged:
    """A world, and what pruning it comes to."""

    world: World
    nights: Nights

    @property
    def pruning(self) -> Pruning:
        return pruning_of(self.world.instance)

    def prune(self, pruning: Pruning | None = None) -> Mapping[Kind, int]:
        """As the processor does once a day, now."""
        instance = self.world.instance
        transactions = Transactions(instance.engine, self.world.clock)
        return asyncio.run(prune_all(pruning or self.pruning, transactions, self.world.clock.now(), "operator"))

    def rows(self, table: Table) -> set[str]:
        """Every row of a table, as text."""
        with self.world.instance.reading_engine.connect() as connection:
            return {str(sorted(row._mapping.items())) for row in connection.execute(select(table))}

    def told(self) -> set[ToldIn]:
        """Everything that some Supplier was told."""
        return {
            ToldIn(table.name, row.hub_id, row.event, row.organisation, row.occurrence, row.message_id)
            for table in (alerted_hubs, outbox)
            for row in self._all(select(table).where(table.c.occurrence.is_not(None)))
        }

    def _all(self, statement: Select[Any]) -> Sequence[Any]:
        with self.world.instance.reading_engine.connect() as connection:
            return connection.execute(statement).all()

    def number_of(self, table: Table) -> int:
        return len(self.rows(table))

    def archived(self, *kinds: Kind) -> list[dict[str, object]]:
        """All lines of the files that count, but their headings."""
        with self.world.instance.reading_engine.connect() as connection:
            files = [one for one in archives.counted(connection) if not kinds or one.kind in kinds]
        lines = [line for one in files for line in archive.read(self.pruning.folder, one.name)]
        return [line for line in lines if "archive" not in line]

    def archived_from(self, table: Table) -> list[dict[str, object]]:
        return [line["row"] for line in self.archived() if line.get("table") == table.name]  # type: ignore[misc]

    def all_rows(self) -> dict[str, int]:
        return {table.name: self.number_of(table) for table in metadata.sorted_tables}

    def pass_time(self, by: timedelta = YEARS) -> datetime:
        self.world.clock.advance(by)
        return self.world.clock.now()


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """The engine: a test that is not about both of them takes that of all tests."""
    return str(getattr(request, "param", KIND))


@pytest.fixture
def aged(tmp_path: Path, kind: str) -> Iterator[Aged]:
    """A release that all hubs have been upgraded to and that is closed, and whose messages were delivered."""
    aged = make_aged(tmp_path / "instance", kind)
    yield aged
    aged.world.close()


def make_aged(directory: Path, kind: str) -> Aged:
    world = make_world(directory, database_url=url_of_instance(kind))
    nights = Nights(world, world.instance.configuration.regions["Central"])
    world.add_hubs(HUBS)
    world.open_release()
    nights.schedule(HUBS)
    nights.decide(HUBS, B, Decision.APPROVE)
    assert nights.cut() == len(HUBS)
    (list_id,) = nights.list_ids()
    world.clock.set(nights.period().end)
    nights.report(list_id, *(nights.saw(hub, ReportStatus.ACTIVATED) for hub in HUBS))
    world.settle()
    world.run(lambda uow: observed.take_all(uow.connection, uow.now))
    world.run(lambda uow: close(uow, FIRMWARE))
    return Aged(world, nights)
