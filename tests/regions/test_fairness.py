"""Suppliers share the places of the nights within the bound that `docs/fairness.md` states."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sr_engine.messages.model import Period
from sr_engine.regions.planner import PARTS, Candidate, plan_period

NIGHT = Period(datetime(2026, 7, 10, 23, 30, tzinfo=UTC), datetime(2026, 7, 11, 4, 30, tzinfo=UTC))
WINDOW = Period(NIGHT.start - timedelta(days=30), NIGHT.end + timedelta(days=30))


def waiting(numbers: Mapping[str, int], *, compulsory: bool = False, remaining: int = 3) -> Iterator[Candidate]:
    """So many hubs of each Supplier, all alike."""
    for supplier, number in numbers.items():
        for one in range(number):
            yield Candidate(f"{supplier}{one:04}", "R1", supplier, WINDOW, False, remaining, compulsory)


def served(numbers: Mapping[str, int], places: int, owed: dict[str, int]) -> Counter[str]:
    """Share the places of one night; brings `owed` on."""
    plan = plan_period(waiting(numbers), period=NIGHT, capacity=places, owed=owed)
    owed.clear()
    owed.update(plan.owed)
    return Counter(candidate.supplier for candidate in plan.chosen)


nights = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from("ABCDEF"), st.integers(1, 12), min_size=1),
        st.integers(0, 40),
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(nights)
@example([({"A": 2, "B": 1}, 1)] * 60)
@example([({"A": 1, "B": 1, "C": 1}, 1)] * 60)
@example([({"A": 9, "B": 1, "C": 1, "D": 1}, 1)] * 60)
def test_over_many_nights_nobody_is_further_from_its_proportion_than_the_bound(
    nights: list[tuple[dict[str, int], int]],
) -> None:
    owed: dict[str, int] = {}
    got: Counter[str] = Counter()
    exact: Counter[str] = Counter()
    shared: set[str] = set()
    for numbers, places in nights:
        tonight = served(numbers, places, owed)
        total = sum(numbers.values())
        if places < total:
            shared |= numbers.keys() if places else set()
            for supplier, number in numbers.items():
                proportion = Fraction(places * number, total)
                assert abs(tonight[supplier] - proportion) < 1
                exact[supplier] += proportion  # type: ignore[assignment]  # a Counter counts in fractions as well
                got[supplier] += tonight[supplier]
        else:
            assert tonight == numbers
        for supplier in shared:
            slack = Fraction(len(nights), PARTS)
            assert abs(got[supplier] - exact[supplier]) <= len(shared) - 1 + slack
            assert abs(exact[supplier] - got[supplier] - Fraction(owed.get(supplier, 0), PARTS)) <= slack


def test_rounding_favours_each_in_turn() -> None:
    owed: dict[str, int] = {}
    turns = [next(iter(served({"A": 10, "B": 10}, 1, owed))) for _ in range(8)]
    assert turns == ["A", "B"] * 4


def test_one_place_a_night_is_shared_over_the_nights_as_many_places_are_in_one() -> None:
    owed: dict[str, int] = {}
    left, got = Counter({"A": 60, "B": 30, "C": 10}), Counter[str]()
    for night in range(1, 101):
        tonight = served(left, 1, owed)
        left -= tonight
        got += tonight
        # What waits stays in proportion too: within a hub and a half of it, whenever one looks.
        assert all(abs(got[name] - Fraction(night * share, 100)) < Fraction(3, 2) for name, share in SHARES)
    assert got == {"A": 60, "B": 30, "C": 10}


SHARES = (("A", 60), ("B", 30), ("C", 10))


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from("ABCD"), st.integers(1, 30), min_size=2), st.integers(1, 25))
def test_the_turns_of_compulsory_hubs_are_shared_within_the_bound_too(numbers: dict[str, int], last: int) -> None:
    owed: dict[str, int] = {}
    left = list(waiting(numbers, compulsory=True, remaining=last))
    got: Counter[str] = Counter()
    exact: Counter[str] = Counter()
    for remaining in range(last, -1, -1):
        left = [Candidate(c.hub_id, "R1", c.supplier, WINDOW, False, remaining, True) for c in left]
        numbers_left = Counter(candidate.supplier for candidate in left)
        plan = plan_period(left, period=NIGHT, capacity=1000, owed=owed)
        owed = dict(plan.owed)
        for supplier, number in numbers_left.items():
            exact[supplier] += Fraction(len(plan.chosen) * number, len(left))  # type: ignore[assignment]  # as above
        got += Counter(candidate.supplier for candidate in plan.chosen)
        left = list(plan.left_out)
        for supplier in numbers:
            assert abs(got[supplier] - exact[supplier]) <= len(numbers) - 1 + Fraction(last + 1, PARTS)
    assert got == numbers


@pytest.mark.parametrize("places", [10, 11, 100])
def test_a_night_that_has_room_for_all_leaves_what_is_owed_as_it_is(places: int) -> None:
    owed = {"A": PARTS // 2, "B": -PARTS // 2}
    assert served({"A": 7, "B": 3}, places, owed) == {"A": 7, "B": 3}
    assert owed == {"A": PARTS // 2, "B": -PARTS // 2}


def test_turns_that_no_place_is_left_for_are_not_counted() -> None:
    agreed = list(waiting({"Z": 5}, remaining=9))
    plan = plan_period([*agreed, *waiting({"A": 3, "B": 2}, compulsory=True)], period=NIGHT, capacity=5)
    assert {candidate.supplier for candidate in plan.chosen} == {"Z"}
    assert len(plan.left_out) == 5
    assert not plan.owed
