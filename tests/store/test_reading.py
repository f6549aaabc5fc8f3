"""Looks beside the transactions that write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from sr_engine.store.reading import Reading


@pytest.fixture
def one_connection(tmp_path: Path) -> Iterator[Engine]:
    """An engine that has one connection, for which nobody waits."""
    engine = create_engine(
        f"sqlite:///{tmp_path}/some.db", poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0
    )
    yield engine
    engine.dispose()


def two(connection: Connection) -> int:
    return int(connection.scalar(text("SELECT 2")) or 0)


def test_a_look_that_can_be_done_without_is_not_taken_if_too_many_look_already(one_connection: Engine) -> None:
    reading = Reading(one_connection)

    with one_connection.connect():
        assert reading.if_possible(two) is None
        with pytest.raises(PoolTimeout):
            reading(two)

    assert reading.if_possible(two) == 2


def test_what_is_wrong_with_the_look_itself_is_told(one_connection: Engine) -> None:
    with pytest.raises(OperationalError, match="nowhere"):
        Reading(one_connection).if_possible(lambda connection: connection.execute(text("SELECT 1 FROM nowhere")).all())
