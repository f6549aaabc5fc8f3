"""PostgreSQL looks again at what has grown, as soon as a long list was carried out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from sr_engine.store import statistics
from sr_engine.store.database import beside, create_tables, open_engine
from sr_engine.store.statistics import WORTH_A_LOOK
from tests.databases import empty_url

_REGISTER = text(
    "INSERT INTO registrations (mpxn, role, effective_from, organisation)"
    " SELECT n, 'IS', now(), 'A' FROM generate_series(CAST(:first AS INTEGER), :last) AS n"
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(empty_url(tmp_path, "postgresql"))
    create_tables(engine)
    yield engine
    engine.dispose()


def register(engine: Engine, first: int, last: int) -> None:
    with engine.connect() as connection:
        with connection.begin():
            connection.execute(_REGISTER, {"first": first, "last": last})
        with connection.begin():
            # Which else follows within a second.
            connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")


def taken_to_be(engine: Engine) -> int:
    """How many rows PostgreSQL takes the table to have."""
    with engine.connect() as connection:
        rows = connection.scalar(text("SELECT reltuples FROM pg_class WHERE relname = 'registrations'"))
    return int(rows or 0)


def test_what_has_grown_is_looked_at_again_and_nothing_else(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE registrations")
    assert taken_to_be(engine) == 0
    register(engine, 1, WORTH_A_LOOK - 1)
    assert statistics.look_again(engine) == []

    register(engine, WORTH_A_LOOK, WORTH_A_LOOK)
    assert statistics.look_again(engine) == ["registrations"]
    assert taken_to_be(engine) == WORTH_A_LOOK
    assert statistics.look_again(engine) == []

    with beside(engine).connect() as locking, locking.begin():
        register(engine, WORTH_A_LOOK + 1, 20 * WORTH_A_LOOK)
        locking.exec_driver_sql("LOCK TABLE registrations IN SHARE UPDATE EXCLUSIVE MODE")
        statistics.look_again(engine)
        assert taken_to_be(engine) == WORTH_A_LOOK, "that is left to whoever is at it"
    statistics.look_again(engine)
    assert taken_to_be(engine) == 20 * WORTH_A_LOOK
