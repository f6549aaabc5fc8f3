"""How PostgreSQL finds what requests need where it knows nothing of its tables yet: by keys, however full they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import Connection, Engine

from sr_engine.store import exchanges, inventory, prepared, sharing, upgrades
from sr_engine.store.database import create_tables, open_engine
from tests.databases import empty_url
from tests.store.test_supplier_plans import RELEASE
from tests.world import NOW

HUBS = ["00-00-5E-EF-C0-00-00-01", "00-00-5E-EF-C0-00-00-02"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder: Path = tmp_path_factory.mktemp("plans")
    engine = open_engine(empty_url(folder, "postgresql"))
    create_tables(engine)
    yield engine
    engine.dispose()


def _answered_before(connection: Connection) -> None:
    with sharing.shared_by(connection) as shared:
        exchanges.ask_ahead(connection, shared, "DUIS", [("K1", 8), ("K2", 8)])()


def _hubs(connection: Connection) -> None:
    inventory.hubs(connection, HUBS, NOW, with_han=False)


def _upgrades(connection: Connection) -> None:
    upgrades.load(connection, HUBS, RELEASE, NOW)


@pytest.mark.parametrize(
    ("table", "key", "work"),
    [
        ("exchanges", "message_key", _answered_before),
        ("devices", "device_id", _hubs),
        ("decisions", "hub_id", _upgrades),
    ],
)
def test_what_requests_need_is_found_by_its_key(
    engine: Engine, table: str, key: str, work: Callable[[Connection], None]
) -> None:
    plans: list[str] = []
    execute = prepared._executed

    def explain(connection: Connection, sql: str, how: str, values: Any) -> Any:
        plans.append(" ".join(line for (line,) in execute(connection, f"EXPLAIN {sql}", how, values).fetchall()))
        return execute(connection, sql, how, values)

    with engine.begin() as connection, patch.object(prepared, "_executed", explain):
        work(connection)

    (plan,) = [one for one in plans if f" on {table} " in one.partition("Index Cond")[0]]
    condition = plan.partition("Index Cond: ")[2].partition("InitPlan")[0]
    assert f"(({key})::text = ANY (" in condition
