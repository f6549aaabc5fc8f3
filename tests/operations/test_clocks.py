"""Clocks that differ are found before leases suffer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from sr_engine.clock import FixedClock, SystemClock
from sr_engine.operations.clocks import clock_differences
from sr_engine.store import leases
from sr_engine.store.database import create_tables, open_engine
from tests.databases import KINDS, new_url
from tests.world import NOW

SECOND = timedelta(seconds=1)


def differences(
    engine: Engine, *, real: timedelta = 0 * SECOND, own: timedelta = 0 * SECOND, rate: float = 1.0
) -> Sequence[str]:
    """What is said where the computer's clock, and the instance's, differ by so much from what they should be."""
    real_clock = FixedClock(SystemClock().now() + real)
    with engine.connect() as connection:
        return clock_differences(connection, real=real_clock, own=FixedClock(NOW + own), rate=rate, allowed=2 * SECOND)


@pytest.fixture(params=KINDS)
def engine(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Engine]:
    engine = open_engine(new_url(tmp_path, request.param))
    create_tables(engine)
    with engine.begin() as connection:
        assert leases.claim(connection, "held requests", "other", NOW, 20 * SECOND) is not None
    yield engine
    engine.dispose()


def test_clocks_that_agree_are_not_spoken_of(engine: Engine) -> None:
    assert differences(engine) == []
    assert differences(engine, own=-2 * SECOND) == []
    assert differences(engine, own=timedelta(hours=1)) == []


def test_another_process_s_clock_that_is_ahead_is_named_with_the_process(engine: Engine) -> None:
    (said,) = differences(engine, own=-3 * SECOND)
    assert said.startswith("the clock of this process is 3.0 s behind that of process other: ")


def test_on_a_clock_that_runs_fast_the_difference_is_in_real_seconds(engine: Engine) -> None:
    assert differences(engine, own=-10 * SECOND, rate=5) == []
    (said,) = differences(engine, own=-15 * SECOND, rate=5)
    assert "3.0 s behind" in said


def test_what_was_given_back_says_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        leases.give_back(connection, "other", NOW)
    assert differences(engine, own=timedelta(hours=-1)) == []


@pytest.mark.parametrize(("real", "says"), [(60 * SECOND, "ahead of"), (-60 * SECOND, "behind")])
def test_the_clock_of_the_database_s_server_is_another_s(engine: Engine, real: timedelta, says: str) -> None:
    said = differences(engine, real=real)
    assert len(said) == (1 if engine.dialect.name == "postgresql" else 0)
    for line in said:
        assert f" s {says} that of the database's server: " in line
