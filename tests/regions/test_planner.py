"""Which hubs get the places of one night, and the lists they are cut into."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_engine.messages.model import Period
from sr_engine.regions.planner import PARTS, Candidate, First, Group, ListDraft, Plan, cut, plan_groups, plan_period

NIGHT = Period(datetime(2026, 7, 10, 23, 30, tzinfo=UTC), datetime(2026, 7, 11, 4, 30, tzinfo=UTC))
MINUTE = timedelta(minutes=1)
WIDE = Period(NIGHT.start - timedelta(days=3), NIGHT.end + timedelta(days=3))


def hub_id(number: int) -> str:
    octets = f"{number:016X}"
    return "-".join(octets[i : i + 2] for i in range(0, 16, 2))


def hub(
    number: int,
    supplier: str = "Amber",
    *,
    remaining: int = 3,
    pilot: bool = False,
    release: str = "R1",
    compulsory: bool = False,
) -> Candidate:
    return Candidate(hub_id(number), release, supplier, WIDE, pilot, remaining, compulsory)


def plan(candidates: list[Candidate], capacity: int) -> Plan:
    return plan_period(candidates, period=NIGHT, capacity=capacity)


def numbers(candidates: tuple[Candidate, ...]) -> list[int]:
    return [int(candidate.hub_id.replace("-", ""), 16) for candidate in candidates]


def rank(candidate: Candidate) -> tuple[bool, int, bool]:
    return candidate.compulsory, candidate.remaining, not candidate.pilot


def compulsory_hubs(numbers: range, supplier: str = "Amber", *, remaining: int = 3) -> list[Candidate]:
    return [hub(number, supplier, remaining=remaining, compulsory=True) for number in numbers]


# --- examples ------------------------------------------------------------------------------------------------------


def test_the_hub_with_fewest_periods_remaining_goes_first() -> None:
    found = plan([hub(1, remaining=9), hub(2, remaining=0), hub(3, remaining=4)], 2)
    assert (numbers(found.chosen), numbers(found.left_out)) == ([2, 3], [1])


def test_pilot_goes_before_general_at_the_same_deadline_but_not_before_an_earlier_deadline() -> None:
    found = plan([hub(1), hub(2, pilot=True), hub(3, remaining=1), hub(4, remaining=4, pilot=True)], 2)
    assert (numbers(found.chosen), numbers(found.left_out)) == ([3, 2], [1, 4])


def test_a_window_must_hold_the_whole_period() -> None:
    exact = replace(hub(1), window=NIGHT)
    late = replace(hub(2), window=Period(NIGHT.start + MINUTE, WIDE.end))
    short = replace(hub(3), window=Period(WIDE.start, NIGHT.end - MINUTE))
    found = plan([exact, late, short], 10)
    assert found == Plan((exact,), ())


def test_places_are_shared_in_proportion_to_the_hubs_waiting() -> None:
    candidates = [hub(n, "Amber") for n in range(60)] + [hub(100 + n, "Blue") for n in range(30)]
    candidates += [hub(200 + n, "Coral") for n in range(10)]
    served = Counter(candidate.supplier for candidate in plan(candidates, 20).chosen)
    assert served == {"Amber": 12, "Blue": 6, "Coral": 2}


def test_the_last_places_go_to_the_largest_remainders() -> None:
    # Exact shares of 5 places are 2.5, 1.75 and 0.75: the last two places go to Blue and Coral.
    candidates = [hub(n, "Amber") for n in range(10)] + [hub(100 + n, "Blue") for n in range(7)]
    candidates += [hub(200 + n, "Coral") for n in range(3)]
    served = Counter(candidate.supplier for candidate in plan(candidates, 5).chosen)
    assert served == {"Amber": 2, "Blue": 2, "Coral": 1}


def test_at_equal_remainders_the_supplier_with_fewer_waiting_is_served() -> None:
    candidates = [hub(n, "Amber") for n in range(3)] + [hub(100, "Blue")]
    assert numbers(plan(candidates, 2).chosen) == [0, 100]


def test_suppliers_equal_in_everything_are_served_by_name_and_each_ones_hubs_by_id() -> None:
    candidates = [hub(1, "Blue"), hub(2, "Blue"), hub(3, "Amber"), hub(4, "Amber")]
    assert numbers(plan(candidates, 3).chosen) == [1, 3, 4]


@pytest.mark.parametrize(("waiting", "remaining", "tonight"), [(8, 3, 2), (9, 3, 3), (1, 9, 1), (5, 0, 5)])
def test_compulsory_hubs_are_spread_evenly_over_the_nights_left(waiting: int, remaining: int, tonight: int) -> None:
    found = plan(compulsory_hubs(range(waiting), remaining=remaining), 100)
    assert numbers(found.chosen) == list(range(tonight))
    assert numbers(found.left_out) == list(range(tonight, waiting))


def test_the_hubs_suppliers_have_agreed_on_go_before_compulsory_ones() -> None:
    found = plan([*compulsory_hubs(range(4), remaining=0), hub(10, remaining=20), hub(11, remaining=30)], 3)
    assert (numbers(found.chosen), numbers(found.left_out)) == ([10, 11, 0], [1, 2, 3])


def test_each_release_is_spread_by_itself() -> None:
    other = [hub(100 + n, remaining=1, release="R2", compulsory=True) for n in range(4)]
    found = plan(compulsory_hubs(range(4)) + other, 100)
    assert numbers(found.chosen) == [100, 101, 0]


def test_the_compulsory_hubs_of_a_night_are_shared_between_suppliers_too() -> None:
    waiting = compulsory_hubs(range(30), "Amber", remaining=9) + compulsory_hubs(range(100, 110), "Blue", remaining=9)
    served = Counter(candidate.supplier for candidate in plan(waiting, 100).chosen)
    assert served == {"Amber": 3, "Blue": 1}


@given(st.integers(1, 60), st.integers(0, 12), st.integers(1, 60))
def test_all_compulsory_hubs_have_their_night_in_time_if_capacity_allows(
    hubs: int, remaining: int, capacity: int
) -> None:
    waiting, nights = compulsory_hubs(range(hubs)), []
    for left in range(remaining, -1, -1):
        found = plan([replace(one, remaining=left) for one in waiting], capacity)
        nights.append(len(found.chosen))
        waiting = list(found.left_out)
    assert len(waiting) == max(hubs - capacity * (remaining + 1), 0)
    assert max(nights) == min(capacity, -(-hubs // (remaining + 1)))
    assert nights == sorted(nights, reverse=True)


@pytest.mark.parametrize("capacity", [0, -5])
def test_a_night_without_places_leaves_everyone_out(capacity: int) -> None:
    assert plan([hub(1), hub(2)], capacity) == Plan((), (hub(1), hub(2)))


def test_a_hub_that_is_a_candidate_twice_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=f"hub {hub_id(7)} is a candidate twice"):
        plan([hub(7, release="R1"), hub(8), hub(7, release="R2")], 3)


def test_lists_hold_one_release_each_and_no_more_than_the_list_size() -> None:
    chosen = [hub(5), hub(1, release="R2"), hub(3), hub(4), hub(2)]
    assert cut(chosen, list_size=3) == (
        ListDraft("R1", (hub_id(2), hub_id(3), hub_id(4))),
        ListDraft("R1", (hub_id(5),)),
        ListDraft("R2", (hub_id(1),)),
    )


def test_nobody_chosen_means_no_list() -> None:
    assert cut([], list_size=3) == ()


@pytest.mark.parametrize("size", [0, -1])
def test_a_list_size_below_one_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"the list size is {size}"):
        cut([hub(1)], list_size=size)


@pytest.mark.slow
def test_a_million_candidates_are_planned_and_cut_within_seconds() -> None:
    suppliers = [f"Supplier {n}" for n in range(40)]
    candidates = [
        Candidate(hub_id(n * 7919 % 1_000_003), f"R{n % 3}", suppliers[n * n % 40], WIDE, n % 50 == 0, n % 30)
        for n in range(1_000_000)
    ]
    started = time.process_time()
    found = plan(candidates, 300_000)
    lists = cut(found.chosen, list_size=5_000)
    assert time.process_time() - started < 20  # of this process; about 2
    assert len(found.chosen) == 300_000
    assert sum(len(draft.hub_ids) for draft in lists) == 300_000


# --- rules over all candidates ---------------------------------------------------------------------------------------

SUPPLIERS = ["Amber", "Blue", "Coral", "Dun"]
edges = st.sampled_from([-MINUTE * 60, -MINUTE, MINUTE * 0, MINUTE, MINUTE * 60])
windows = st.builds(lambda before, after: Period(NIGHT.start + before, NIGHT.end + after), edges, edges)
candidate_lists = st.lists(
    st.builds(
        Candidate,
        hub_id=st.integers(0, 2**64 - 1).map(hub_id),
        release_id=st.sampled_from(["R1", "R2", "R3"]),
        supplier=st.sampled_from(SUPPLIERS),
        window=st.just(WIDE) | windows,
        pilot=st.booleans(),
        remaining=st.integers(0, 2),
        compulsory=st.booleans(),
    ),
    max_size=60,
    unique_by=lambda candidate: candidate.hub_id,
)
capacities = st.integers(0, 70)


def alike(candidate: Candidate) -> tuple[object, ...]:
    """Compulsory hubs are spread release by release."""
    return candidate.supplier, rank(candidate), candidate.release_id if candidate.compulsory else None


def holds_the_night(candidate: Candidate) -> bool:
    return candidate.window.start <= NIGHT.start and NIGHT.end <= candidate.window.end


@given(candidate_lists, capacities)
def test_every_candidate_whose_window_holds_the_period_is_chosen_or_left_out_and_nobody_else(
    candidates: list[Candidate], capacity: int
) -> None:
    found = plan(candidates, capacity)
    assert Counter(found.chosen + found.left_out) == Counter(filter(holds_the_night, candidates))


@given(candidate_lists, capacities)
def test_no_place_is_given_twice_and_none_is_wasted(candidates: list[Candidate], capacity: int) -> None:
    found = plan(candidates, capacity)
    spread: Counter[tuple[str, int]] = Counter()
    agreed = 0
    for candidate in filter(holds_the_night, candidates):
        agreed += not candidate.compulsory
        spread[candidate.release_id, candidate.remaining] += candidate.compulsory
    compulsory = sum(-(-waiting // (remaining + 1)) for (_, remaining), waiting in spread.items())
    assert len(found.chosen) == min(capacity, agreed + compulsory)


@given(candidate_lists, capacities)
def test_nobody_left_out_has_an_earlier_deadline_or_is_pilot_at_the_same_one(
    candidates: list[Candidate], capacity: int
) -> None:
    found = plan(candidates, capacity)
    agreed_left_out = [candidate for candidate in found.left_out if not candidate.compulsory]
    if found.chosen and agreed_left_out:
        assert max(map(rank, found.chosen)) <= min(map(rank, agreed_left_out))


@settings(max_examples=200)
@given(candidate_lists, capacities)
def test_every_suppliers_share_is_less_than_one_hub_from_its_exact_proportion(
    candidates: list[Candidate], capacity: int
) -> None:
    found = plan([replace(candidate, compulsory=False) for candidate in candidates], capacity)
    for deadline in set(map(rank, found.chosen)):
        served = Counter(c.supplier for c in found.chosen if rank(c) == deadline)
        waiting = served + Counter(c.supplier for c in found.left_out if rank(c) == deadline)
        for supplier, number in waiting.items():
            exact = Fraction(served.total() * number, waiting.total())
            assert abs(served[supplier] - exact) < 1


@given(candidate_lists, capacities)
def test_of_one_suppliers_equal_hubs_the_lowest_ids_are_chosen(candidates: list[Candidate], capacity: int) -> None:
    found = plan(candidates, capacity)
    lowest_left: dict[tuple[object, ...], str] = {}
    for candidate in reversed(found.left_out):
        lowest_left[alike(candidate)] = candidate.hub_id
    for candidate in found.chosen:
        assert candidate.hub_id < lowest_left.get(alike(candidate), "~")


@given(candidate_lists, capacities)
def test_each_part_of_a_plan_is_by_deadline_then_pilot_then_hub_id(candidates: list[Candidate], capacity: int) -> None:
    found = plan(candidates, capacity)
    for part in (found.chosen, found.left_out):
        assert list(part) == sorted(part, key=lambda candidate: (*rank(candidate), candidate.hub_id))


@given(candidate_lists.flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))), capacities)
def test_the_plan_does_not_depend_on_the_order_of_the_candidates(
    orders: tuple[list[Candidate], list[Candidate]], capacity: int
) -> None:
    first, second = orders
    assert plan(first, capacity) == plan(second, capacity)


@given(candidate_lists, st.integers(1, 12))
def test_the_lists_hold_each_chosen_hub_once_with_its_release_ascending_and_as_few_lists_as_fit(
    chosen: list[Candidate], size: int
) -> None:
    drafts = cut(chosen, list_size=size)
    listed = [(draft.release_id, hub) for draft in drafts for hub in draft.hub_ids]
    assert listed == sorted((candidate.release_id, candidate.hub_id) for candidate in chosen)
    assert all(1 <= len(draft.hub_ids) <= size for draft in drafts)
    per_release = Counter(candidate.release_id for candidate in chosen)
    assert Counter(draft.release_id for draft in drafts) == {r: -(-n // size) for r, n in per_release.items()}


# --- the same from numbers alone -------------------------------------------------------------------------------------


def first(candidates: Iterable[Candidate], hubs: int) -> list[Candidate]:
    return sorted(candidates, key=lambda candidate: candidate.hub_id)[:hubs]


def chosen_by_numbers(
    candidates: list[Candidate], capacity: int, owed: Mapping[str, int]
) -> tuple[list[Candidate], Mapping[str, int]]:
    """Whom the quotas of groups of alike hubs choose, and what is owed then; a window splits what is else alike."""
    members: dict[tuple[object, ...], list[Candidate]] = defaultdict(list)
    for candidate in filter(holds_the_night, candidates):
        members[(*alike(candidate), candidate.release_id, candidate.window.end)].append(candidate)
    known = list(members.values())
    groups = [
        Group(one.release_id, one.supplier, one.pilot, one.remaining, one.compulsory, len(some))
        for some in known
        for one in some[:1]
    ]

    def part(of: First) -> list[Candidate]:
        return first((one for place in of.groups for one in known[place]), of.hubs)

    quotas, balance = plan_groups(groups, capacity=capacity, owed=owed)
    chosen = [one for quota in quotas for one in first((one for of in quota.parts for one in part(of)), quota.hubs)]
    return chosen, balance


def due(owed: Mapping[str, int]) -> dict[str, int]:
    return {supplier: parts for supplier, parts in owed.items() if parts}


@given(candidate_lists, capacities, st.dictionaries(st.sampled_from(SUPPLIERS), st.integers(-2 * PARTS, 2 * PARTS)))
def test_numbers_alone_choose_the_same_hubs(candidates: list[Candidate], capacity: int, owed: dict[str, int]) -> None:
    candidates = [replace(one, pilot=one.pilot and not one.compulsory) for one in candidates]
    by_numbers, balance = chosen_by_numbers(candidates, capacity, owed)
    expected = plan_period(candidates, period=NIGHT, capacity=capacity, owed=owed)
    assert Counter(by_numbers) == Counter(expected.chosen)
    assert due(balance) == due(expected.owed)
