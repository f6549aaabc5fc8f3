"""How SQLite counts what the phases are judged by: along indexes that hold little else, however many hubs there are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine

from sr_engine.domain.phases import PhasePlan, RegionPhase
from sr_engine.store import phases
from tests.store.test_plans import engine, plans_of

__all__ = ["engine"]  # a fixture

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
PLAN = PhasePlan(None, None, timedelta(0), automatic_gate=True, failure_percent=10, minimum_sample=50)
HERE = RegionPhase("release", "Central", "Open", PLAN, general_open=False)


@pytest.mark.parametrize(
    ("work", "index"),
    [
        (lambda one: phases.pilot_counts(one, HERE, NOW), "ix_attempts_pilot (release_id=? AND region=?)"),
        (
            lambda one: phases.outcomes_to_judge(one, HERE),
            "ix_attempts_outcomes (release_id=? AND region=? AND outcome=? AND outcome_at>?)",
        ),
        (lambda one: phases.anything_waiting(one, HERE), "ix_attempts_under_way (release_id=? AND region=?)"),
        (
            lambda one: phases.waiting(one, HERE, after=0, limit=10),
            "ix_attempts_under_way (release_id=? AND region=? AND rowid>?)",
        ),
    ],
    ids=["pilot", "outcomes", "anything waiting", "what waits"],
)
def test_the_counts_of_a_region_are_found_by_an_index_of_their_own(
    engine: Engine, work: Callable[[Connection], object], index: str
) -> None:
    plans = plans_of(engine, work)

    assert plans
    for plan in plans:
        assert index in plan
        assert "FOR ORDER BY" not in plan
