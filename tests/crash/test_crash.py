"""Processes are killed at named points, and the database server stopped at once; what was answered stays true."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.__main__ import ENGINES, run, table

SEED = 1
KILLS = 12
MANY = 500


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_a_dozen_kills_lose_and_double_nothing(engine: str, tmp_path: Path) -> None:
    result = run(engine, KILLS, SEED, folder=tmp_path, whole=False)

    assert result.violations == []
    assert result.tally.kills.total() >= KILLS
    assert sum(one.in_force for one in result.evidence.sent) > KILLS


@pytest.mark.slow
def test_five_hundred_kills_lose_and_double_nothing_and_every_point_is_met(tmp_path: Path) -> None:
    results = [run(engine, MANY // len(ENGINES), SEED, folder=tmp_path) for engine in ENGINES]
    print("\n".join(table(results)))

    assert [one.violations for one in results] == [[], []]
    assert sum(one.tally.kills.total() for one in results) >= MANY
    assert [one.unmet for one in results] == [[], []]
