"""Failures to sign in are counted one by one, however many come at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from sr_engine.store import accounts
from tests.databases import new_url

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=24)
ANN = "account:ann"


@pytest.fixture
def without_turns() -> Iterator[Engine]:
    """A real PostgreSQL whose transactions do not wait for each other by themselves, as those of the product do."""
    engine = create_engine(new_url(Path(), "postgresql").replace("postgresql://", "postgresql+psycopg://"))
    yield engine
    engine.dispose()


def test_failures_add_up_until_they_are_forgotten_and_another_ends_a_lock(engine: Engine) -> None:
    with engine.begin() as connection:
        counts = [accounts.count_failure(connection, ANN, NOW, forgotten=LONG_AGO) for _ in range(3)]
        accounts.lock_tries(connection, ANN, NOW + timedelta(minutes=1))
        locked = accounts.tries(connection, ANN)
        counts.append(accounts.count_failure(connection, ANN, NOW, forgotten=LONG_AGO))
        again = accounts.tries(connection, ANN)
        much_later = accounts.count_failure(connection, ANN, NOW + timedelta(days=2), forgotten=NOW + timedelta(days=1))

    assert counts == [1, 2, 3, 4]
    assert locked == accounts.Tries(ANN, 3, NOW, NOW + timedelta(minutes=1))
    assert again == accounts.Tries(ANN, 4, NOW, None)
    assert much_later == 1


@pytest.mark.parametrize("known_before", [False, True])
def test_of_failures_that_are_counted_at_the_same_time_none_is_lost(
    without_turns: Engine, *, known_before: bool
) -> None:
    if known_before:
        with without_turns.begin() as connection:
            accounts.count_failure(connection, ANN, NOW, forgotten=LONG_AGO)
    begun = threading.Event()

    def other() -> int:
        with without_turns.begin() as connection:
            begun.set()
            return accounts.count_failure(connection, ANN, NOW, forgotten=LONG_AGO)

    with ThreadPoolExecutor(1) as threads:
        with without_turns.begin() as connection:
            first = accounts.count_failure(connection, ANN, NOW, forgotten=LONG_AGO)
            counted = threads.submit(other)
            assert begun.wait(60)
        second = counted.result(60)

    assert (first, second) == ((2, 3) if known_before else (1, 2))
