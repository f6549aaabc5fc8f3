"""Compulsory upgrades: hubs that the processor plans by itself, spread over the nights before ComplyBy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from sr_engine.bootstrap import chores, phases_of, quiet_days_of
from sr_engine.domain.states import AttemptState
from sr_engine.domain.terms import Obligation
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Decision,
    Period,
    Phase,
    ReportStatus,
    ScheduleCommsHubFirmware,
)
from sr_engine.operations.releases import withdraw
from sr_engine.operations.terms import Wanted, announce
from sr_engine.regions import compulsion
from sr_engine.regions.calendar import cut_time, open_periods
from sr_engine.regions.compulsion import Enlisting
from sr_engine.regions.lists import Portion
from sr_engine.store import compulsion as store
from sr_engine.store import inventory
from sr_engine.store.tables import attempts, exclusions, release_regions, releases, schedule_hubs, schedules
from tests.regions.conftest import Nights, commit_refused, hubs
from tests.world import FIRMWARE, NOW, OLD_VERSION, WINDOW, A, B, TestHub, World, bound

DAY = timedelta(days=1)
COMPLY_BY = NOW + 15 * DAY
COMPULSORY = Period(NOW, COMPLY_BY)


def make_compulsory(nights: Nights, window: Period = COMPULSORY, **values: object) -> None:
    terms = {"obligation": "Mandatory", "compulsory_from": window.start, "comply_by": window.end, **values}
    nights.world.run(lambda uow: uow.connection.execute(update(releases).values(terms)))


def lift(nights: Nights) -> None:
    make_compulsory(nights, obligation="Voluntary", compulsory_from=None, comply_by=None)


def chore_of(nights: Nights) -> Enlisting:
    instance = nights.world.instance
    quiet_days = quiet_days_of(instance.configuration.policy)
    return Enlisting(nights.region, instance.alerts, instance.configuration.lifecycle, quiet_days)


def enlist(nights: Nights) -> int:
    """One look through all hubs of the region; returns how many transactions it took."""
    chore = chore_of(nights)
    times = 1
    while nights.world.run(chore):
        times += 1
    return times


def exclude(nights: Nights, hub: TestHub, until: datetime | None = None, *, confirmed: bool = False) -> None:
    row = {"hub_id": hub.chf, "organisation": A.name, "set_at": NOW, "until": until}
    row["overridden_at"] = NOW if confirmed else None
    nights.world.run(lambda uow: uow.connection.execute(insert(exclusions).values(row)))


def cut_night(nights: Nights, number: int) -> int:
    """Cut for one of the nights of the compulsory time that can still be listed, counted from 0."""
    earliest = NOW + nights.region.lead_time
    night = next(islice(open_periods(nights.region, Period(earliest, COMPLY_BY)), number, None))
    due = cut_time(nights.region, night)
    nights.world.clock.set(due)
    return nights.cut_for(due, night)


def nights_left(nights: Nights) -> int:
    return len(list(open_periods(nights.region, Period(NOW + nights.region.lead_time, COMPLY_BY))))


# --- which hubs are planned ------------------------------------------------------------------------------------------


def test_all_remaining_hubs_are_planned_whatever_their_suppliers_have_answered(central: Nights) -> None:
    silent, declined, approved = hubs(3)
    nobodys, waiting = TestHub(4, None, None), TestHub(5, gas=B.name)
    central.world.add_hubs([silent, declined, approved, nobodys, waiting])
    central.decide([declined], A, Decision.DECLINE)
    central.decide([approved], A, Decision.APPROVE)
    central.schedule([waiting], A)
    make_compulsory(central)

    enlist(central)

    everyone = [silent, declined, approved, nobodys, waiting]
    assert central.states(everyone) == ["Scheduled"] * 5
    assert {central.attempt(hub).window for hub in everyone} == {COMPULSORY}
    assert all(central.attempt(hub).compulsory for hub in everyone)
    assert central.attempt(waiting).number == 1
    assert central.told("hub_scheduled") == [
        *((hub.chf, A.name) for hub in (silent, declined, approved)),
        (waiting.chf, A.name),
        (waiting.chf, B.name),
    ]


def test_what_was_agreed_stays_as_agreed(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub])
    before = central.attempt(hub)
    make_compulsory(central)

    enlist(central)

    assert central.attempt(hub) == before


@pytest.mark.parametrize(
    "values",
    [
        {"version": FIRMWARE.version},
        {"version": "8000"},
        {"status": "Decommissioned"},
        {"region": "South"},
        {"model": "OTHER"},
    ],
    ids=str,
)
def test_a_hub_the_firmware_cannot_be_installed_on_here_is_not_planned(
    central: Nights, values: dict[str, object]
) -> None:
    (hub,) = hubs(1, **values)
    central.world.add_hubs([hub])
    make_compulsory(central)

    enlist(central)

    assert central.attempts(hub) == []


@pytest.mark.parametrize("values", [{"status": "Closed"}, {"status": "Withdrawn"}, {"cpl_status": "Removed"}])
def test_nothing_is_planned_of_a_release_that_is_not_open_or_off_the_list(
    central: Nights, values: dict[str, Any]
) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    make_compulsory(central, **values)

    enlist(central)

    assert central.attempts(hub) == []


@pytest.mark.parametrize("at", [NOW - timedelta(seconds=1), COMPLY_BY - DAY, COMPLY_BY, COMPLY_BY + DAY])
def test_nothing_is_planned_before_its_time_or_when_no_night_before_comply_by_is_left(
    central: Nights, at: datetime
) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    make_compulsory(central)
    central.world.clock.set(at)

    enlist(central)

    assert central.attempts(hub) == []


def test_nothing_is_planned_in_a_halted_region_until_it_is_resumed(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    make_compulsory(central)
    halted = update(release_regions).where(release_regions.c.region == "Central")
    central.world.run(lambda uow: uow.connection.execute(halted.values(halted_at=NOW)))
    enlist(central)
    assert central.attempts(hub) == []

    central.world.run(lambda uow: uow.connection.execute(halted.values(halted_at=None)))
    enlist(central)
    assert central.states([hub]) == ["Scheduled"]


def test_an_excluded_hub_is_planned_once_the_operator_confirms_or_when_its_exclusion_ends_in_time(
    central: Nights,
) -> None:
    for_ever, long, confirmed, short = hubs(4)
    central.world.add_hubs([for_ever, long, confirmed, short])
    exclude(central, for_ever)
    exclude(central, long, COMPLY_BY)
    exclude(central, confirmed, confirmed=True)
    exclude(central, short, NOW + 9 * DAY)
    make_compulsory(central)

    enlist(central)

    assert [central.attempts(hub) for hub in (for_ever, long)] == [[], []]
    assert central.states([confirmed, short]) == ["Scheduled", "Scheduled"]
    listed = [night for night in range(nights_left(central)) if cut_night(central, night)]
    assert central.states([confirmed, short]) == ["Listed", "Listed"]
    period = central.attempt(short).period
    assert period is not None
    assert period.start >= NOW + 9 * DAY
    assert listed[0] == 0


def test_a_hub_with_another_upgrade_under_way_is_planned_afterwards(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    other = central.world.open_release(replace(FIRMWARE, version="9003"))
    row = {"hub_id": hub.chf, "release_id": other, "number": 1, "state": "Listed", "is_open": True}
    row |= {"region": "Central", "organisation": A.name, "pilot": False, "compulsory": False, "state_at": NOW}
    row |= {"window_start": WINDOW.start, "window_end": WINDOW.end}
    central.world.run(lambda uow: uow.connection.execute(insert(attempts).values(row)))
    ours = update(releases).where(releases.c.release_id != other)
    terms = {"obligation": "Mandatory", "compulsory_from": NOW, "comply_by": COMPLY_BY}
    central.world.run(lambda uow: uow.connection.execute(ours.values(terms)))

    enlist(central)

    assert len(central.attempts(hub)) == 1


def schedule_elsewhere(nights: Nights, hub: TestHub, window: Period) -> str:
    """The hub is scheduled for another release, and then the first one becomes compulsory."""
    other = replace(FIRMWARE, version="9003")
    release_id = nights.world.open_release(other)
    body = ScheduleCommsHubFirmware(other, window, Phase.GENERAL, (hub.chf,))
    assert nights.world.send(A, body, "11.5").code == "I0"
    ours = update(releases).where(releases.c.release_id != release_id)
    terms = {"obligation": "Mandatory", "compulsory_from": NOW, "comply_by": COMPLY_BY}
    nights.world.run(lambda uow: uow.connection.execute(ours.values(terms)))
    return release_id


@pytest.mark.parametrize(
    ("hub", "window"),
    [(TestHub(1), Period(NOW + 5 * DAY, COMPLY_BY + DAY)), (TestHub(1, gas=B.name), Period(NOW + 5 * DAY, COMPLY_BY))],
    ids=["agreed, perhaps for later", "not agreed"],
)
def test_a_compulsory_release_comes_before_an_upgrade_to_another_that_may_not_be_over_in_time(
    central: Nights, hub: TestHub, window: Period
) -> None:
    central.world.add_hubs([hub])
    other = schedule_elsewhere(central, hub, window)

    enlist(central)

    overruled, compelled = central.attempts(hub)
    assert (overruled.state, compelled.state) == (AttemptState.CANCELLED, AttemptState.SCHEDULED)
    assert overruled.reason == f"the upgrade to firmware {FIRMWARE.version} is compulsory and comes first"
    assert compelled.compulsory
    suppliers = {A.name, B.name} if hub.gas == B.name else {A.name}
    assert central.told("hub_cancelled") == [(hub.chf, name) for name in sorted(suppliers)]
    with central.world.instance.reading_engine.connect() as connection:
        in_force = connection.scalars(
            select(schedule_hubs.c.in_force).join(schedules).where(schedules.c.release_id == other)
        )
        assert set(in_force) == {False}
    before = central.world.snapshot()
    enlist(central)
    assert central.world.snapshot() == before


def test_an_upgrade_to_another_release_that_is_agreed_for_a_night_in_time_stays(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    schedule_elsewhere(central, hub, Period(NOW + 5 * DAY, COMPLY_BY))

    enlist(central)

    assert [one.state for one in central.attempts(hub)] == [AttemptState.SCHEDULED]


def test_an_agreed_upgrade_stays_where_the_compulsory_one_has_no_night_for_the_hub(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    schedule_elsewhere(central, hub, Period(NOW + 5 * DAY, COMPLY_BY + 5 * DAY))
    exclude(central, hub, COMPLY_BY - timedelta(hours=3))

    enlist(central)

    assert [one.state for one in central.attempts(hub)] == [AttemptState.SCHEDULED]


def compel_both(nights: Nights, first: datetime, second: datetime) -> None:
    """Two releases for the same hubs are compulsory, each by a date of its own."""
    newer = nights.world.open_release(replace(FIRMWARE, version="9003"))
    for is_newer, comply_by in ((False, first), (True, second)):
        chosen = update(releases).where((releases.c.release_id == newer) == is_newer)
        terms = {"obligation": "Mandatory", "compulsory_from": NOW, "comply_by": comply_by}
        nights.world.execute(chosen.values(terms))


@pytest.mark.parametrize(("first", "second"), [(15, 60), (60, 15)])
def test_of_two_compulsory_releases_the_one_to_comply_with_first_comes_first(
    central: Nights, first: int, second: int
) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    compel_both(central, NOW + first * DAY, NOW + second * DAY)

    enlist(central)
    central.world.clock.set(NOW + timedelta(hours=2))
    enlist(central)

    assert [one.window.end for one in central.attempts(hub)] == [NOW + 15 * DAY]


def test_what_is_compelled_by_a_later_date_gives_way_to_an_earlier_one_announced_since(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    make_compulsory(central, Period(NOW, NOW + 60 * DAY))
    enlist(central)
    compel_both(central, NOW + 60 * DAY, NOW + 15 * DAY)
    central.world.clock.set(NOW + timedelta(hours=2))

    enlist(central)

    assert [(one.state, one.window.end) for one in central.attempts(hub)] == [
        (AttemptState.CANCELLED, NOW + 60 * DAY),
        (AttemptState.SCHEDULED, NOW + 15 * DAY),
    ]


def test_an_agreed_upgrade_to_a_release_with_an_earlier_date_of_its_own_is_not_overruled(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub], window=Period(NOW + 5 * DAY, NOW + 90 * DAY))
    compel_both(central, NOW + 15 * DAY, NOW + 60 * DAY)

    enlist(central)

    (attempt,) = central.attempts(hub)
    assert (attempt.state, attempt.compulsory) == (AttemptState.SCHEDULED, False)


# --- once, in portions -----------------------------------------------------------------------------------------------


def test_looking_twice_changes_nothing_more(central: Nights) -> None:
    central.world.add_hubs(hubs(3))
    make_compulsory(central)
    enlist(central)
    before = central.world.snapshot()

    enlist(central)

    assert central.world.snapshot() == before


def test_hubs_are_looked_through_in_portions_and_again_after_an_hour(
    central: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compulsion, "PLANNED_AT_ONCE", 2)
    seven = hubs(7)
    central.world.add_hubs(seven)
    make_compulsory(central)
    chore = chore_of(central)
    states = []
    while central.world.run(chore):
        states.append(sum(bool(central.attempts(hub)) for hub in seven))
    # What is no longer compelled is looked for first.
    assert states == [0, 2, 4, 6]
    assert central.states(seven) == ["Scheduled"] * 7

    late = TestHub(8)
    central.world.add_hubs([late])
    assert not central.world.run(chore)
    assert central.attempts(late) == []
    central.world.clock.advance(compulsion.LOOK_EVERY)
    while central.world.run(chore):
        pass
    assert central.states([late]) == ["Scheduled"]


def test_a_portion_that_was_not_committed_is_looked_at_again_at_once(
    central: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compulsion, "PLANNED_AT_ONCE", 2)
    five = hubs(5)
    central.world.add_hubs(five)
    make_compulsory(central)
    chore, more = chore_of(central), True

    while more:
        with commit_refused(central.world):
            central.world.run(chore)
        more = central.world.run(chore)

    assert central.states(five) == ["Scheduled"] * 5


def test_no_hub_is_passed_over_where_few_of_many_devices_are_to_be_planned(
    central: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_CANDIDATES", _with_pages_of(3, store._candidates))
    monkeypatch.setattr(store, "_PAGE_END", _with_pages_of(3, store._page_end))
    monkeypatch.setattr(store, "EXAMINED_AT_ONCE", 3)
    old = [TestHub(number) for number in (1, 6, 11)]
    new = [TestHub(number, version=FIRMWARE.version) for number in (2, 3, 4, 5, 7, 8, 9, 10)]
    central.world.add_hubs([*old, *new])
    make_compulsory(central)

    assert enlist(central) > 4

    assert central.states(old) == ["Scheduled"] * 3


def _with_pages_of(size: int, build: object) -> object:
    before, store.EXAMINED_AT_ONCE = store.EXAMINED_AT_ONCE, size
    try:
        return build()  # type: ignore[operator]  # one of the store's statements
    finally:
        store.EXAMINED_AT_ONCE = before


def test_after_a_failure_the_next_attempt_begins_once_the_night_is_over(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    make_compulsory(central)
    enlist(central)
    for night in range(nights_left(central)):
        if cut_night(central, night):
            break
    central.report(central.list_ids()[0], central.saw(hub, ReportStatus.FAILED, "no radio link"))
    period = central.attempt(hub).period
    assert period is not None

    enlist(central)
    assert central.states([hub]) == ["Failed"]
    central.world.clock.set(period.end)
    enlist(central)
    enlist(central)

    assert [one.state for one in central.attempts(hub)] == [AttemptState.FAILED, AttemptState.SCHEDULED]


# --- coming and going ------------------------------------------------------------------------------------------------


def test_when_the_terms_are_lifted_the_answers_decide_again(central: Nights) -> None:
    silent, waiting = TestHub(1), TestHub(2, gas=B.name)
    central.world.add_hubs([silent, waiting])
    central.schedule([waiting], A)
    make_compulsory(central)
    enlist(central)
    lift(central)

    enlist(central)

    assert central.states([silent, waiting]) == ["Cancelled", "AwaitingApproval"]
    assert central.attempt(waiting).window == WINDOW
    before = central.world.snapshot()
    enlist(central)
    assert central.world.snapshot() == before


def test_terms_are_lifted_for_all_hubs_however_many_are_planned_by_other_releases(
    central: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compulsion, "PLANNED_AT_ONCE", 2)
    managed, lifted = hubs(5), [TestHub(number, model="OTHER") for number in range(11, 16)]
    central.world.add_hubs([*managed, *lifted])
    # The DCC manages the first release, whose ComplyBy has passed: it plans month by month.
    make_compulsory(central, Period(NOW - 9 * DAY, NOW - DAY), management="DCCManaged")
    other = central.world.open_release(replace(FIRMWARE, model="OTHER"))
    terms = {"obligation": "Mandatory", "compulsory_from": NOW, "comply_by": COMPLY_BY}
    of_other = update(releases).where(releases.c.release_id == other)
    central.world.run(lambda uow: uow.connection.execute(of_other.values(terms)))
    enlist(central)
    assert central.states([*managed, *lifted]) == ["Scheduled"] * 10

    nothing = {"obligation": "Voluntary", "compulsory_from": None, "comply_by": None}
    central.world.run(lambda uow: uow.connection.execute(of_other.values(nothing)))
    enlist(central)

    assert central.states(managed) == ["Scheduled"] * 5
    assert central.states(lifted) == ["Cancelled"] * 5


def test_hubs_follow_a_comply_by_that_is_moved(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    make_compulsory(central)
    enlist(central)
    moved = Period(NOW, COMPLY_BY + 10 * DAY)
    make_compulsory(central, moved)

    enlist(central)

    assert [(one.number, one.window) for one in central.attempts(hub)] == [(1, moved)]


def test_a_supplier_may_still_agree_to_a_window_of_its_own(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    make_compulsory(central)
    enlist(central)

    central.schedule([hub], window=Period(NOW + 5 * DAY, NOW + 9 * DAY))

    attempt = central.attempt(hub)
    assert (attempt.compulsory, attempt.window.end) == (False, NOW + 9 * DAY)


def test_what_was_planned_goes_on_when_the_release_is_closed(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    make_compulsory(central)
    enlist(central)
    make_compulsory(central, status="Closed")

    assert sum(cut_night(central, night) for night in range(nights_left(central))) == 1


# --- at the cut ------------------------------------------------------------------------------------------------------


def test_hubs_are_spread_evenly_over_the_nights_before_comply_by(central: Nights) -> None:
    nights = nights_left(central)
    many = hubs(2 * nights + 1)
    central.world.add_hubs(many)
    make_compulsory(central)
    enlist(central)

    listed = [cut_night(central, night) for night in range(nights)]

    assert listed == [3, *[2] * (nights - 1)]
    assert Counter(central.states(many)) == {"Listed": len(many)}


def test_an_agreed_window_beyond_comply_by_does_not_make_a_hub_wait_for_what_comes_after_it(central: Nights) -> None:
    inside, beyond = hubs(2)
    central.world.add_hubs([inside, beyond])
    central.schedule([inside], window=COMPULSORY)
    central.schedule([beyond], window=Period(NOW, COMPLY_BY + 30 * DAY), phase=Phase.PILOT)
    make_compulsory(central)
    central.change(hubs_per_night=1)

    assert cut_night(central, nights_left(central) - 2) == 1

    # Both have one more night; among equals pilot hubs go first.
    assert central.states([inside, beyond]) == ["Scheduled", "Listed"]


def test_capacity_is_never_exceeded_and_agreed_hubs_go_first(central: Nights) -> None:
    many = hubs(40)
    central.world.add_hubs(many)
    central.schedule(many[:4], window=COMPULSORY)
    make_compulsory(central)
    enlist(central)
    central.change(hubs_per_night=3)

    assert cut_night(central, 0) == 3
    assert [hub.chf for hub in many if central.attempt(hub).state is AttemptState.LISTED] == [
        hub.chf for hub in many[:3]
    ]
    assert cut_night(central, 1) == 3


def test_a_compulsory_upgrade_heeds_neither_han_devices_nor_the_gate(world: World) -> None:
    display = ("1234", "DISPLAY")
    world.open_release(han_models=[display], general_open=False)
    central = Nights(world, world.instance.configuration.regions["Central"])
    (hub,) = hubs(1, han=display)
    agreed = TestHub(2)
    world.add_hubs([hub, agreed])
    central.schedule([agreed], window=COMPULSORY, phase=Phase.GENERAL)
    make_compulsory(central)
    enlist(central)

    assert sum(cut_night(central, night) for night in range(nights_left(central))) == 2
    assert central.states([hub, agreed]) == ["Listed", "Listed"]


def test_quiet_days_around_a_change_of_supplier_are_kept(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    make_compulsory(central)
    enlist(central)
    change = {"mpxn": hub.mprn, "role": "GS", "effective_from": NOW + 4 * DAY, "organisation": B.name}
    central.world.run(lambda uow: inventory.put_registrations(uow.connection, [change]))

    for night in range(nights_left(central)):
        cut_night(central, night)

    period = central.attempt(hub).period
    assert period is not None
    assert period.start >= NOW + 7 * DAY


def test_a_hub_that_was_not_listed_by_comply_by_is_missed_and_not_planned_again(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    make_compulsory(central)
    enlist(central)

    central.time_out(COMPLY_BY)
    enlist(central)

    assert [one.state for one in central.attempts(hub)] == [AttemptState.MISSED]


def test_a_hub_of_which_nothing_is_heard_after_its_night_gets_another_night_before_comply_by(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    make_compulsory(central)
    enlist(central)
    cut_night(central, 0)
    period = central.attempt(hub).period
    assert period is not None
    overdue = period.end + central.region.completion_sla
    assert central.time_out(overdue - timedelta(seconds=1)) == 0

    assert central.time_out(overdue) == 1
    assert central.time_out(overdue) == 0
    enlist(central)

    assert [one.state for one in central.attempts(hub)] == [AttemptState.MISSED, AttemptState.SCHEDULED]
    assert central.told("hub_missed") == [(hub.chf, A.name)]


def cut_while(nights: Nights, change: Callable[[], object]) -> None:
    """Cut the lists of one hub each of the first night; after the first of them something changes."""
    nights.change(list_size=1)
    due, period = nights.due(), nights.period()
    nights.world.clock.set(due)
    cutter, portion = replace(nights.cutter, listed_at_once=1), Portion(0, more=True)
    while portion.more:
        plan, before = portion.plan, portion.listed
        portion = nights.world.run(bound(cutter.run, nights.region, due, period, plan))
        if not before:
            change()


def test_a_hub_that_is_compelled_between_the_plan_and_its_list_is_missed_after_its_night(central: Nights) -> None:
    first, second = hubs(2)
    central.world.add_hubs([first, second])
    central.schedule([first, second])
    make_compulsory(central)

    cut_while(central, lambda: central.decide([second], A, Decision.DECLINE))
    assert (central.attempt(second).state, central.attempt(second).compulsory) == (AttemptState.LISTED, True)

    assert central.time_out(central.period().end + central.region.completion_sla) == 1
    assert central.states([first, second]) == ["Listed", "Missed"]


def test_a_hub_that_is_agreed_between_the_plan_and_its_list_has_the_time_that_was_agreed(central: Nights) -> None:
    # Of many that are left some are listed in each night.
    some = hubs(2 * nights_left(central))
    central.world.add_hubs(some)
    make_compulsory(central)
    enlist(central)
    second = some[1]

    cut_while(central, lambda: central.schedule([second]))
    assert (central.attempt(second).state, central.attempt(second).compulsory) == (AttemptState.LISTED, False)

    central.time_out(central.period().end + central.region.completion_sla)
    assert central.states(some[:2]) == ["Missed", "Listed"]


def test_where_no_night_before_comply_by_is_left_what_suppliers_agree_for_afterwards_stands(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    make_compulsory(central)
    central.world.clock.set(COMPLY_BY - timedelta(hours=1))

    central.schedule([hub], window=Period(COMPLY_BY - timedelta(minutes=30), COMPLY_BY + 20 * DAY))

    attempt = central.attempt(hub)
    assert (attempt.state, attempt.compulsory) == (AttemptState.SCHEDULED, False)


def test_a_change_of_mind_does_not_take_a_hub_out_of_the_plan(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub])
    make_compulsory(central)
    enlist(central)

    decline = ApproveCommsHubFirmware(FIRMWARE, Decision.DECLINE, (hub.chf,))
    assert central.world.send(A, decline, "11.6").code == "I99"

    attempt = central.attempt(hub)
    assert (attempt.state, attempt.compulsory, attempt.window) == (AttemptState.SCHEDULED, True, COMPULSORY)
    assert central.version(hub.chf) == OLD_VERSION


def test_what_the_dcc_manages_goes_on_being_planned_after_comply_by(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    free = COMPLY_BY + timedelta(hours=1)
    exclude(central, hub, free)
    make_compulsory(central, obligation="Voluntary", management="DCCManaged")
    enlist(central)
    assert central.attempts(hub) == []

    central.world.clock.set(free)
    enlist(central)

    attempt = central.attempt(hub)
    assert (attempt.state, attempt.compulsory) == (AttemptState.SCHEDULED, True)
    assert attempt.window.end > free + central.region.lead_time


def test_terms_announced_for_a_release_that_is_withdrawn_since_never_take_effect_and_tell_nobody(
    central: Nights,
) -> None:
    (hub,) = hubs(1)
    world, instance = central.world, central.world.instance
    world.add_hubs([hub])
    policy = instance.configuration.policy.compulsion
    comply_by = NOW + 190 * DAY
    wanted = Wanted(Obligation.MANDATORY, None, comply_by, None, "DCC-2026-17", date(2026, 10, 30))
    world.run(lambda uow: announce(uow, firmware=FIRMWARE, wanted=wanted, policy=policy, alerts=instance.alerts))
    world.run(lambda uow: withdraw(uow, phases_of(instance), FIRMWARE))
    before = world.snapshot()["outbox"]

    for at in (NOW + 91 * DAY, comply_by - policy.lead, comply_by):
        world.clock.set(at)
        for chore in chores(instance):
            while world.run(chore):
                pass
        enlist(central)

    with instance.reading_engine.connect() as connection:
        assert connection.scalars(select(releases.c.obligation)).all() == ["Voluntary"]
    assert world.snapshot()["outbox"] == before
    assert central.attempts(hub) == []
