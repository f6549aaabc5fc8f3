"""The plan of the kills: it follows from the seed, and leaves no point out."""

from __future__ import annotations

import pytest

from tests.crash.points import GATEWAY, WORKER, Plans, all_points, points_of


def first(role: str, seed: int, count: int) -> list[object]:
    plans = Plans(role, seed, with_server=True)
    return [plans.next() for _ in range(count)]


@pytest.mark.parametrize("role", [GATEWAY, WORKER])
def test_the_same_seed_has_the_same_plans_and_another_has_others(role: str) -> None:
    assert first(role, 1, 50) == first(role, 1, 50)
    assert first(role, 1, 50) != first(role, 2, 50)


@pytest.mark.parametrize("role", [GATEWAY, WORKER])
def test_every_point_comes_once_before_any_comes_again(role: str) -> None:
    known = points_of(role, with_server=True)
    plans = Plans(role, 1, with_server=True)

    for _ in range(2):
        assert {plans.next().point for _ in known} == set(known)


def test_a_point_that_was_missed_comes_again_soon_and_is_then_passed_once() -> None:
    plans = Plans(WORKER, 1, with_server=False)
    missed = plans.next()
    plans.missed(missed)

    again = next(one for one in (plans.next() for _ in range(3)) if one.point == missed.point)

    assert again.at_pass == 1


def test_both_roles_and_the_server_have_their_rows_in_the_table() -> None:
    rows = all_points(with_server=True)

    assert len(rows) == len(set(rows))
    assert set(all_points(with_server=False)) < set(rows)
    assert {"request: before commit", "lists cut: after commit", "server stopped, report: committed, unheard"} <= set(
        rows
    )
