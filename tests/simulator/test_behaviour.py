"""What a simulated CSP does to hubs and says of them: as its options ask, and the same for the same seed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sr_engine.messages.model import ListEntry, Period, ReportStatus
from sr_engine.simulator.behaviour import (
    NIGHT_OVER,
    NO_CAPACITY,
    NOT_REACHED,
    OTHER_VERSION,
    Again,
    Behaviour,
    Step,
    acknowledgement_is_lost,
    reply,
    steps,
)
from tests.world import eui

NIGHT = Period(datetime(2026, 11, 29, 22, tzinfo=UTC), datetime(2026, 11, 30, 4, tzinfo=UTC))
HUBS = tuple(eui(0xC0, number) for number in range(1, 401))
ENTRY = ListEntry(NIGHT, HUBS)
TWO_HOURS = timedelta(hours=2)
BEFORE = NIGHT.start - TWO_HOURS
"""When lists arrive that are in time."""


def told(found: list[Step]) -> list[tuple[datetime, str, ReportStatus]]:
    return [(step.at, entry.device_id, entry.status) for step in found for entry in step.entries]


def outcomes(found: list[Step]) -> Counter[ReportStatus]:
    return Counter(status for _, _, status in told(found))


def test_by_default_every_hub_is_accepted_delivered_after_a_third_and_active_after_two_thirds_of_its_night() -> None:
    answer = reply(Behaviour(), [ENTRY], Counter(), BEFORE)
    found = steps(Behaviour(), ENTRY, answer.accepted, BEFORE)

    assert (answer.accepted, answer.refused) == (HUBS, ())
    assert [step.at for step in found] == [NIGHT.start + TWO_HOURS, NIGHT.start + 2 * TWO_HOURS]
    assert outcomes(found) == {ReportStatus.DELIVERED: 400, ReportStatus.ACTIVATED: 400}
    assert {step.again for step in found} == {Again.NO}


def test_a_hub_that_runs_something_else_is_reported_activated_with_what_it_runs() -> None:
    found = [entry for step in steps(Behaviour(mismatch=20, fail=10), ENTRY, HUBS, BEFORE) for entry in step.entries]
    odd = [entry for entry in found if entry.version is not None]
    assert 40 < len(odd) < 115
    assert {(entry.status, entry.version) for entry in odd} == {(ReportStatus.ACTIVATED, OTHER_VERSION)}
    assert not [entry for entry in found if entry.status is ReportStatus.FAILED and entry in odd]


def test_capacity_is_that_of_a_night_over_all_its_lists() -> None:
    behaviour, taken = Behaviour(capacity=250), Counter[Period]()
    first = reply(behaviour, [ListEntry(NIGHT, HUBS[:200])], taken, BEFORE)
    second = reply(behaviour, [ListEntry(NIGHT, HUBS[200:])], taken, BEFORE)
    other = reply(behaviour, [ListEntry(Period(NIGHT.end, NIGHT.end + TWO_HOURS), HUBS[:10])], taken, BEFORE)

    assert [len(one.accepted) for one in (first, second, other)] == [200, 50, 10]
    assert [(one.reason, one.device_ids) for one in second.refused] == [(NO_CAPACITY, HUBS[250:])]


def test_shares_are_about_what_they_should_be_and_none_or_all_exactly() -> None:
    refused = reply(Behaviour(refuse=25), [ENTRY], Counter(), BEFORE).refused
    assert [one.reason for one in refused] == [NOT_REACHED]
    assert 60 < len(refused[0].device_ids) < 140

    found = outcomes(steps(Behaviour(fail=20, lose=10), ENTRY, HUBS, BEFORE))
    assert 45 < found[ReportStatus.FAILED] < 115
    assert 325 < found[ReportStatus.FAILED] + found[ReportStatus.ACTIVATED] < 395
    assert outcomes(steps(Behaviour(fail=100), ENTRY, HUBS, BEFORE))[ReportStatus.FAILED] == 400
    assert outcomes(steps(Behaviour(lose=100), ENTRY, HUBS, BEFORE)) == {ReportStatus.DELIVERED: 400}


def test_late_delayed_and_disordered_reports_say_when_it_happened() -> None:
    late = Behaviour(late=100, late_by=timedelta(days=2), delay=timedelta(minutes=5))
    delivered, activated = steps(late, ENTRY, HUBS[:1], BEFORE)
    assert delivered.at == NIGHT.start + TWO_HOURS + timedelta(minutes=5)
    assert activated.at == NIGHT.start + 2 * TWO_HOURS + timedelta(days=2, minutes=5)
    assert activated.entries[0].at == NIGHT.start + 2 * TWO_HOURS

    first, second = steps(Behaviour(out_of_order=100), ENTRY, HUBS[:1], BEFORE)
    assert (first.entries[0].status, second.entries[0].status) == (ReportStatus.ACTIVATED, ReportStatus.DELIVERED)
    assert second.entries[0].at < first.entries[0].at


def test_hubs_of_a_night_that_was_over_when_the_list_arrived_are_refused_and_take_no_places() -> None:
    taken, tomorrow = Counter[Period](), Period(NIGHT.start + timedelta(days=1), NIGHT.end + timedelta(days=1))
    entries = [ListEntry(NIGHT, HUBS[:10]), ListEntry(tomorrow, HUBS[10:20])]

    answer = reply(Behaviour(), entries, taken, NIGHT.end)

    assert (answer.accepted, taken) == (HUBS[10:20], {tomorrow: 10})
    assert [(one.reason, one.device_ids) for one in answer.refused] == [(NIGHT_OVER, HUBS[:10])]


def test_a_list_that_arrives_during_its_night_is_carried_out_in_what_is_left_of_it() -> None:
    arrived = NIGHT.start + timedelta(hours=3)
    assert reply(Behaviour(), [ENTRY], Counter(), arrived).accepted == HUBS

    found = steps(Behaviour(fail=20, seed=3), ENTRY, HUBS, arrived)

    hour = timedelta(hours=1)
    assert [step.at for step in found] == [arrived + hour, arrived + 2 * hour]
    assert {entry.at for step in found for entry in step.entries} == {arrived + hour, arrived + 2 * hour}
    # The seed, the hub and the night decide what becomes of it.
    in_time = steps(Behaviour(fail=20, seed=3), ENTRY, HUBS, BEFORE)
    assert [one[1:] for one in told(found)] == [one[1:] for one in told(in_time)]


def test_whether_an_acknowledgement_is_lost_is_drawn_for_each_list_and_anew_when_it_is_sent_again() -> None:
    lists = [[ListEntry(NIGHT, (hub,))] for hub in HUBS]
    half = Behaviour(lose_acknowledgement=50)
    first, second = ([acknowledgement_is_lost(half, one, before) for one in lists] for before in (0, 1))

    assert 140 < sum(first) < 260
    assert 60 < sum(a and b for a, b in zip(first, second, strict=True)) < 140
    assert not any(acknowledgement_is_lost(Behaviour(), one, 0) for one in lists)
    assert all(acknowledgement_is_lost(Behaviour(lose_acknowledgement=100), one, 3) for one in lists)


def test_reports_hold_no_more_hubs_than_they_may_and_some_are_sent_twice() -> None:
    found = steps(Behaviour(duplicate=60, report_size=10), ENTRY, HUBS, BEFORE)

    assert {len(step.entries) for step in found} == {10}
    assert {step.again for step in found} == set(Again)
    assert {step.again for step in steps(Behaviour(duplicate=100), ENTRY, HUBS, BEFORE)} <= {
        Again.SAME_BYTES,
        Again.SAME_CONTENT,
    }


@pytest.mark.parametrize("lists", [1, 4])
def test_the_seed_the_hub_and_the_night_decide_alone(lists: int) -> None:
    behaviour = Behaviour(refuse=10, fail=10, lose=10, late=10, out_of_order=10, seed=3)
    whole = sorted(told(steps(behaviour, ENTRY, reply(behaviour, [ENTRY], Counter(), BEFORE).accepted, BEFORE)))
    size = len(HUBS) // lists
    entries = [ListEntry(NIGHT, HUBS[start : start + size]) for start in range(0, len(HUBS), size)]
    parts = [
        one
        for entry in entries
        for one in told(steps(behaviour, entry, reply(behaviour, [entry], Counter(), BEFORE).accepted, BEFORE))
    ]

    assert sorted(parts) == whole
    other = steps(replace(behaviour, seed=4), ENTRY, HUBS, BEFORE)
    assert sorted(told(other)) != sorted(told(steps(behaviour, ENTRY, HUBS, BEFORE)))
