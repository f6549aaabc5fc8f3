from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sr_engine.clock import Clock, FixedClock, ScaledClock, SystemClock

REAL = datetime(2026, 3, 2, 9, tzinfo=UTC)
VIRTUAL = datetime(2026, 10, 24, 20, tzinfo=UTC)


def _at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    monkeypatch.setattr(time, "time", moment.timestamp)


def test_the_system_clock_tells_the_computers_time_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    _at(monkeypatch, REAL)
    now = SystemClock().now()
    assert now == REAL
    assert now.tzinfo is UTC


def test_a_scaled_clock_shows_its_anchor_at_its_anchor(monkeypatch: pytest.MonkeyPatch) -> None:
    _at(monkeypatch, REAL)
    now = ScaledClock(REAL, VIRTUAL, 600).now()
    assert now == VIRTUAL
    assert now.tzinfo is UTC


def test_a_scaled_clock_makes_a_night_of_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ScaledClock(REAL, VIRTUAL, 600)
    _at(monkeypatch, REAL + timedelta(minutes=1))
    assert clock.now() == VIRTUAL + timedelta(hours=10)


@given(
    elapsed=st.timedeltas(timedelta(days=-3), timedelta(days=30)),
    rate=st.floats(0.01, 10_000),
    offset=st.integers(-12, 14),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # each example sets the time anew
def test_scaled_clocks_with_the_same_anchors_agree(
    monkeypatch: pytest.MonkeyPatch, elapsed: timedelta, rate: float, offset: int
) -> None:
    zone = timezone(timedelta(hours=offset))
    here = ScaledClock(REAL, VIRTUAL, rate)
    there = ScaledClock(REAL.astimezone(zone), VIRTUAL.astimezone(zone), rate)
    _at(monkeypatch, REAL + elapsed)
    assert here.now() == there.now()
    assert abs(here.now() - VIRTUAL - elapsed * rate) <= timedelta(milliseconds=1) * max(rate, 1)


def test_a_fixed_clock_stands_still_until_it_is_moved() -> None:
    clock = FixedClock(REAL)
    assert clock.now() == clock.now() == REAL
    clock.advance(timedelta(hours=2))
    assert clock.now() == REAL + timedelta(hours=2)
    clock.set(VIRTUAL.astimezone(timezone(timedelta(hours=1))))
    assert clock.now() == VIRTUAL
    assert clock.now().tzinfo is UTC


def test_a_clock_refuses_a_time_without_a_zone() -> None:
    naive = datetime(2026, 3, 2, 9)  # noqa: DTZ001 - the mistake this test is about
    for make in (lambda: FixedClock(naive), lambda: FixedClock(REAL).set(naive), lambda: ScaledClock(naive, REAL, 1)):
        with pytest.raises(ValueError, match="a clock needs a moment with a time zone, not 2026-03-02T09:00:00"):
            make()


def test_a_clock_that_stands_or_runs_backwards_is_refused() -> None:
    with pytest.raises(ValueError, match="the rate of a clock must be above zero, not 0"):
        ScaledClock(REAL, VIRTUAL, 0)


def test_all_clocks_can_stand_in_for_each_other() -> None:
    clocks: list[Clock] = [SystemClock(), ScaledClock(REAL, VIRTUAL, 2.5), FixedClock(REAL)]
    assert all(clock.now().utcoffset() == timedelta(0) for clock in clocks)
