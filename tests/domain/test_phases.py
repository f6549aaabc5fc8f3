"""The decisions about phases, from counts alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sr_engine.domain.phases import (
    OutcomeCounts,
    PhasePlan,
    PilotCounts,
    activations_that_matter,
    gate_opens_at,
    pilot_shares,
    soak_start,
    too_many_failures,
)

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
CLOSES = NOW + timedelta(days=30)
PLAN = PhasePlan(
    pilot_limit=100,
    pilot_closes=CLOSES,
    soak=timedelta(hours=72),
    automatic_gate=True,
    failure_percent=10,
    minimum_sample=50,
)
NOBODY = PilotCounts(0, 0, None)
COUNTS = st.builds(OutcomeCounts, *(st.integers(0, 200) for _ in range(3)))
PLANS = st.builds(
    lambda percent, sample: replace(PLAN, failure_percent=percent, minimum_sample=sample),
    st.integers(0, 100),
    st.integers(1, 200),
)
PORTFOLIOS = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(0, 2_000), max_size=12)


def test_the_soak_starts_at_the_last_outcome_once_no_pilot_hub_waits() -> None:
    assert soak_start(PLAN, PilotCounts(1, 4, NOW)) is None
    assert soak_start(PLAN, PilotCounts(0, 5, NOW)) == NOW


def test_where_nobody_named_a_hub_the_soak_starts_when_the_pilot_closes() -> None:
    assert soak_start(PLAN, NOBODY) == CLOSES
    assert soak_start(replace(PLAN, pilot_closes=None), NOBODY) is None


def test_the_gate_opens_by_itself_only_where_that_was_decided() -> None:
    pilot = PilotCounts(0, 5, NOW)

    assert gate_opens_at(PLAN, pilot) == NOW + timedelta(hours=72)
    assert gate_opens_at(replace(PLAN, automatic_gate=False), pilot) is None


@given(
    waiting=st.integers(0, 3),
    ended=st.integers(0, 3),
    hours=st.integers(-1000, 1000),
    soak=st.integers(0, 500),
    closes=st.booleans(),
)
def test_the_gate_never_opens_before_the_soak_or_while_a_pilot_hub_waits(
    *, waiting: int, ended: int, hours: int, soak: int, closes: bool
) -> None:
    last = NOW + timedelta(hours=hours) if ended else None
    plan = replace(PLAN, soak=timedelta(hours=soak), pilot_closes=CLOSES if closes else None)

    opens_at = gate_opens_at(plan, PilotCounts(waiting, ended, last))

    if waiting or (last is None and not closes):
        assert opens_at is None
    else:
        assert opens_at is not None
        assert opens_at - plan.soak == (last or CLOSES)


@pytest.mark.parametrize(
    ("counts", "halted"),
    [
        (OutcomeCounts(45, 5, 0), False),
        (OutcomeCounts(44, 3, 3), True),
        (OutcomeCounts(44, 5, 0), False),
        (OutcomeCounts(0, 49, 0), False),
        (OutcomeCounts(0, 0, 50), True),
        (OutcomeCounts(0, 0, 0), False),
    ],
    ids=["exactly at it", "above it", "sample too small", "all failed, too few", "all missed", "nothing yet"],
)
def test_a_region_is_halted_strictly_above_the_threshold_with_a_sample_that_suffices(
    counts: OutcomeCounts, *, halted: bool
) -> None:
    assert too_many_failures(PLAN, counts) is halted


@given(plan=PLANS, counts=COUNTS)
def test_it_is_judged_by_the_share_of_failures(plan: PhasePlan, counts: OutcomeCounts) -> None:
    sample = counts.activated + counts.failed + counts.missed
    above = sample > 0 and Fraction(counts.failed + counts.missed, sample) > Fraction(plan.failure_percent, 100)

    assert too_many_failures(plan, counts) is (above and sample >= plan.minimum_sample)


@given(plan=PLANS, counts=COUNTS)
def test_activations_beyond_those_that_matter_do_not(plan: PhasePlan, counts: OutcomeCounts) -> None:
    most = activations_that_matter(plan, counts.failures)
    counted = replace(counts, activated=min(counts.activated, most))

    assert too_many_failures(plan, counted) is too_many_failures(plan, counts)


@given(limit=st.integers(1, 500), hubs=PORTFOLIOS)
def test_all_places_of_a_pilot_are_given_out_and_only_to_suppliers_with_hubs(limit: int, hubs: dict[str, int]) -> None:
    shares = pilot_shares(limit, hubs)

    assert shares.keys() == hubs.keys()
    assert sum(shares.values()) == (limit if any(hubs.values()) else 0)
    assert all(hubs[name] > 0 for name, places in shares.items() if places)


@given(limit=st.integers(1, 500), hubs=PORTFOLIOS)
def test_each_supplier_with_hubs_has_a_place_where_there_are_enough(limit: int, hubs: dict[str, int]) -> None:
    shares = pilot_shares(limit, hubs)
    with_hubs = [name for name, count in hubs.items() if count]

    assert sum(shares[name] > 0 for name in with_hubs) == min(limit, len(with_hubs))


@given(limit=st.integers(1, 500), hubs=PORTFOLIOS)
def test_places_follow_the_number_of_hubs(limit: int, hubs: dict[str, int]) -> None:
    shares = pilot_shares(limit, hubs)

    by_hubs = [shares[name] for name in sorted(hubs, key=lambda name: (hubs[name], shares[name]))]
    assert by_hubs == sorted(by_hubs)


@given(limit=st.integers(12, 500), hubs=PORTFOLIOS)
def test_each_share_is_within_one_of_its_proportion_but_for_single_places(limit: int, hubs: dict[str, int]) -> None:
    shares = pilot_shares(limit, hubs)
    # Those that have one place may have it by grace; the others share what these leave.
    others = {name: count for name, count in hubs.items() if shares[name] > 1}
    left = sum(shares[name] for name in others)

    for name, count in others.items():
        assert abs(shares[name] - Fraction(left * count, sum(others.values()))) < 1
    for name, count in hubs.items():
        if count:
            assert shares[name] <= max(Fraction(1), Fraction(limit * count, sum(hubs.values())) + 1)


def test_the_split_of_a_pilot_is_what_one_would_expect() -> None:
    assert pilot_shares(100, {"a": 700, "b": 299, "c": 1}) == {"a": 69, "b": 30, "c": 1}
    assert pilot_shares(10, {"a": 5, "b": 5, "c": 5}) == {"a": 4, "b": 3, "c": 3}
    assert pilot_shares(2, {"a": 1, "b": 9, "c": 5}) == {"a": 0, "b": 1, "c": 1}
    assert pilot_shares(5, {}) == {}
