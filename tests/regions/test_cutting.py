"""Lists cut one by one from a plan made in sets: the same as if all were planned at once, whatever comes in between."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update

from sr_engine.bootstrap import quiet_days_of, supplier_changes_of
from sr_engine.messages.model import Decision, ReportStatus
from sr_engine.operations.registrations import LOOK_AGAIN
from sr_engine.operations.releases import open_release
from sr_engine.regions.lists import Portion
from sr_engine.regions.planner import ListDraft, Plan
from sr_engine.regions.triggers import RegionTriggers
from sr_engine.store import inventory, scheduled
from sr_engine.store.releases import add_paths, remove_paths
from sr_engine.store.tables import (
    attempts,
    changed_hubs,
    decisions,
    due_registrations,
    exclusions,
    list_runs,
    metadata,
    registrations,
    release_han_models,
    release_regions,
    releases,
    schedule_hubs,
    scheduled_hubs,
    schedules,
    trigger_runs,
    upgrade_lists,
)
from sr_engine.store.units_of_work import UnitOfWork
from sr_engine.store.waiting import DUE_SOON, MANY
from tests.regions.conftest import HOUR, Nights, hubs
from tests.regions.oracle import Oracle, drafts, planned
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, bound, change_record, make_world, on_connection

DAY = timedelta(days=1)
HAN = ("AAAA", "DISPLAY")
OTHER = replace(FIRMWARE, model="C1A20002")


def in_steps(nights: Nights, number: int = 0, *, keep_plan: Sequence[bool] = (), few: int = 1) -> list[int]:
    """Cut a night in the smallest portions; after those that keep no plan somebody else goes on. Hubs of each."""
    due, period = nights.due(number), nights.period(number)
    nights.world.clock.set(due)
    cutter = replace(nights.cutter, listed_at_once=1, few=few)
    keeps = iter(keep_plan)
    portion, listed = Portion(0, more=True), []
    while portion.more:
        plan = portion.plan if next(keeps, True) else None
        portion = nights.world.run(bound(cutter.run, nights.region, due, period, plan))
        listed.append(portion.listed)
    return listed


def lists_cut(nights: Nights) -> tuple[ListDraft, ...]:
    """Release and hubs of each list, by release and hub."""
    with nights.world.instance.reading_engine.connect() as connection:
        found = connection.execute(
            select(attempts.c.list_id, attempts.c.release_id, attempts.c.hub_id)
            .join(upgrade_lists, upgrade_lists.c.list_id == attempts.c.list_id)
            .order_by(attempts.c.hub_id)
        ).all()
    by_list: dict[tuple[str, str], list[str]] = {}
    for list_id, release_id, hub_id in found:
        by_list.setdefault((list_id, release_id), []).append(hub_id)
    return tuple(
        sorted(
            (ListDraft(release_id, tuple(some)) for (_, release_id), some in by_list.items()),
            key=lambda one: (one.release_id, one.hub_ids),
        )
    )


def expected(nights: Nights, number: int = 0) -> Plan:
    instance = nights.world.instance
    with instance.reading_engine.connect() as connection:
        loaded = instance.configuration
        oracle = Oracle(nights.region, loaded.lifecycle, quiet_days_of(loaded.policy))
        return planned(connection, oracle, nights.period(number), nights.due(number))


# --- any world -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Drawn:
    """A hub that was Scheduled, and what has come about since."""

    split: bool
    by_gas: bool
    other_scheduled: bool
    release: int
    ends_after: int
    pilot: bool
    compulsory: bool
    number: int
    since: str


SINCE = (
    *("nothing",) * 8,
    "excluded",
    "excluded until before",
    "excluded and overridden",
    "leaves now",
    "left long ago",
    "left lately",
    "leaves in the night",
    "not commissioned",
    "other version",
    "other region",
    "han",
    "han accepted",
)
GONE = ("leaves now", "left long ago")


def drawn_hubs(chance: Random) -> list[Drawn]:
    return [
        Drawn(
            split=chance.random() < 0.5,
            by_gas=chance.random() < 0.5,
            other_scheduled=chance.random() < 0.5,
            release=chance.randint(0, 1),
            ends_after=chance.choice([2, 2, 4, 9]),
            pilot=chance.random() < 0.3,
            compulsory=chance.random() < 0.5,
            number=chance.choice([1, 1, 1, 2]),
            since=chance.choice(SINCE),
        )
        for _ in range(chance.randint(5, 40))
    ]


class AnyWorld:
    """One instance, filled anew for each example."""

    def __init__(self, nights: Nights, release_ids: tuple[str, str]) -> None:
        self.nights = nights
        self.release_ids = release_ids

    def fill(self, drawn: Sequence[Drawn], terms: Mapping[str, object], *, general_open: bool) -> None:
        world = self.nights.world
        world.clock.set(NOW)
        kept = {"audit", "audit_links", "audit_chains", "releases", "release_regions", "release_paths", "counters"}

        def start_anew(uow: UnitOfWork) -> None:
            for table in reversed(metadata.sorted_tables):
                if table.name not in kept:
                    uow.connection.execute(delete(table))
            none = {"obligation": "Voluntary", "comply_by": None, "compulsory_from": None}
            uow.connection.execute(update(releases).values(none))
            mine = releases.c.release_id == self.release_ids[0]
            uow.connection.execute(update(releases).where(mine).values(dict(terms)) if terms else select(1))
            uow.connection.execute(update(release_regions).values(general_open=general_open))
            uow.connection.execute(
                insert(release_han_models),
                [{"release_id": one, "manufacturer": HAN[0], "model": HAN[1]} for one in self.release_ids],
            )
            for number, one in enumerate(drawn, start=1):
                self._put(uow, number, one, compelled=bool(terms) and one.compulsory and one.release == 0)

        world.run(start_anew)
        world.settle()

    def _put(self, uow: UnitOfWork, number: int, one: Drawn, *, compelled: bool) -> None:
        connection = uow.connection
        other = B.name if one.split else A.name
        hub = TestHub(
            number,
            electricity=A.name,
            gas=other,
            model=(FIRMWARE, OTHER)[one.release].model,
            han=HAN if one.since.startswith("han") else None,
        )
        inventory.put_devices(connection, hub.rows())
        connection.execute(insert(registrations), hub.registrations())
        window = {"window_start": WINDOW.start, "window_end": WINDOW.start + one.ends_after * DAY}
        release_id = self.release_ids[one.release]
        first = other if one.by_gas and one.split else A.name
        second = A.name if first != A.name else other
        by_both = one.other_scheduled and second != first
        by_schedule = [first, second] if by_both else [first]
        organisation = A.name if A.name in by_schedule else first
        phase = "Pilot" if one.pilot else "General"
        for place, name in enumerate(() if compelled else dict.fromkeys((first, second))):
            schedule_id = number * 10 + place if name in by_schedule else None
            if schedule_id is not None:
                # The wider window of the other one does not matter.
                wider = {} if place == 0 else {"window_end": WINDOW.end}
                row = {"schedule_id": schedule_id, "organisation": name, "release_id": release_id, "phase": phase}
                row |= {"request_id": "r", "accept_han_impact": False, "created_at": NOW}
                connection.execute(insert(schedules), {**row, **window, **wider})
                member = {"schedule_id": schedule_id, "hub_id": hub.chf, "in_force": True, "done": False}
                connection.execute(insert(schedule_hubs), member)
            answer: dict[str, Any] = {"hub_id": hub.chf, "release_id": release_id, "organisation": name}
            answer |= {"approval": "Approved", "defer_until": None, "schedule_id": schedule_id, "request_id": "r"}
            answer |= {"accept_han_impact": one.since == "han accepted", "decided_at": NOW}
            connection.execute(insert(decisions), answer)
        attempt = {"hub_id": hub.chf, "release_id": release_id, "number": one.number, "state": "Scheduled"}
        attempt |= {"is_open": True, "region": "Central", "state_at": NOW, "compulsory": compelled}
        attempt |= {"organisation": A.name if compelled else organisation, "pilot": one.pilot and not compelled}
        if compelled:
            window = {"window_start": NOW, "window_end": WINDOW.start + 6 * DAY}
        connection.execute(insert(attempts), {**attempt, **window})
        scheduled.enter(connection, [hub.chf])
        self._happen(uow, hub, one.since)

    def _happen(self, uow: UnitOfWork, hub: TestHub, since: str) -> None:
        connection, night = uow.connection, self.nights.period()
        excluded: dict[str, object] = {"hub_id": hub.chf, "organisation": B.name, "set_at": NOW}
        register = {"mpxn": hub.mprn, "role": "GS", "organisation": B.name if hub.gas == A.name else A.name}
        match since:
            case "excluded":
                connection.execute(insert(exclusions), excluded)
            case "excluded until before":
                connection.execute(insert(exclusions), {**excluded, "until": night.start})
            case "excluded and overridden":
                connection.execute(insert(exclusions), {**excluded, "overridden_at": NOW})
            case "leaves now":
                inventory.put_registrations(connection, [register | {"effective_from": self.nights.due() - HOUR}])
            case "left long ago":
                # Nobody has looked at it yet.
                inventory.put_registrations(connection, [register | {"effective_from": NOW - 60 * DAY}])
            case "left lately":
                # It has come back to whoever answered, and that was carried out.
                back = register | {"organisation": hub.gas, "effective_from": self.nights.due() - HOUR}
                away = register | {"effective_from": self.nights.due() - 2 * HOUR}
                connection.execute(insert(registrations), [away, back])
            case "leaves in the night":
                inventory.put_registrations(connection, [register | {"effective_from": night.start + HOUR}])
            case "not commissioned":
                change_record(connection, hub.chf, device_status="Decommissioned")
            case "other version":
                change_record(connection, hub.chf, firmware_version="1234")
            case "other region":
                change_record(connection, hub.chf, csp_region="South")


@pytest.fixture(scope="module")
def any_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnyWorld]:
    world = make_world(tmp_path_factory.mktemp("any") / "instance")
    first = world.open_release()
    second, _ = world.run(
        lambda uow: open_release(
            uow,
            configuration=world.instance.configuration,
            alerts=world.instance.alerts,
            draw_id=world.instance.draw_id,
            firmware=OTHER,
            image_hash="CD" * 32,
            regions=("Central",),
            reachable_from=("9001",),
        )
    )
    yield AnyWorld(Nights(world, world.instance.configuration.regions["Central"]), (first, second.release_id))
    world.close()


COMPULSORY = {"obligation": "Mandatory", "compulsory_from": NOW, "comply_by": WINDOW.start + 6 * DAY}


@dataclass(frozen=True)
class Night:
    """How much room there is, what is in force, and after which portions somebody else goes on."""

    capacity: int
    list_size: int
    general_open: bool
    compulsory: bool
    keep_plan: list[bool]
    few: int


def drawn_night(chance: Random) -> Night:
    return Night(
        capacity=chance.choice([2, 5, 10, 30]),
        list_size=chance.randint(1, 5),
        general_open=chance.random() < 0.8,
        compulsory=chance.random() < 0.5,
        keep_plan=[chance.random() < 0.5 for _ in range(8)],
        few=chance.choice([1, 1, 3]),
    )


@settings(max_examples=30, deadline=None, derandomize=True, phases=[Phase.generate])
@given(st.integers(0, 2**32))
def test_lists_cut_one_by_one_from_sets_are_those_planned_at_once_hub_by_hub_whoever_goes_on(
    any_world: AnyWorld, seed: int
) -> None:
    chance = Random(seed)
    drawn, night = drawn_hubs(chance), drawn_night(chance)
    nights = any_world.nights
    nights.change(hubs_per_night=night.capacity, list_size=night.list_size)
    any_world.fill(drawn, COMPULSORY if night.compulsory else {}, general_open=night.general_open)
    wanted = expected(nights)

    listed = in_steps(nights, keep_plan=night.keep_plan, few=night.few)

    assert lists_cut(nights) == drafts(wanted, nights.region)
    assert sum(listed) == len(wanted.chosen)
    if wanted.chosen:
        assert nights.said("cut")[-1].endswith(
            f"{len(wanted.chosen)} hubs listed, {len(wanted.left_out)} left for later"
        )
    chosen = {one.hub_id for one in wanted.chosen}
    concerned = [
        (TestHub(number).chf, name)
        for number, one in enumerate(drawn, start=1)
        if TestHub(number).chf in chosen
        # Whoever had the gas has left, and somebody else has come.
        for name in {A.name, B.name if one.split is not (one.since in GONE) else A.name}
    ]
    assert nights.told("hub_listed") == sorted(concerned)


# --- what comes in between -------------------------------------------------------------------------------------------


def waiting(nights: Nights, number: int) -> list[TestHub]:
    some = hubs(number)
    nights.world.add_hubs(some)
    nights.schedule(some)
    return some


def test_each_list_is_cut_in_a_transaction_of_its_own(central: Nights) -> None:
    some = waiting(central, 7)
    central.change(list_size=3)

    assert in_steps(central) == [3, 3, 1]

    assert central.states(some) == ["Listed"] * 7
    assert central.said("cut") == [
        "Central: lists for 2026-11-29T22:00Z to 2026-11-30T06:00Z cut in time: 7 hubs listed, 0 left for later"
    ]


def test_a_place_that_is_lost_before_its_list_is_cut_goes_to_the_next(central: Nights) -> None:
    some = waiting(central, 8)
    central.change(list_size=2, hubs_per_night=6)
    due, period = central.due(), central.period()
    central.world.clock.set(due)
    cutter = replace(central.cutter, listed_at_once=1, few=1)
    first = central.world.run(lambda uow: cutter.run(uow, central.region, due, period))
    central.decide(some[3:5], A, Decision.DECLINE)

    portion, listed = first, 2
    while portion.more:
        plan = portion.plan
        portion = central.world.run(bound(cutter.run, central.region, due, period, plan))
        listed += portion.listed

    assert listed == 6
    assert [hub.number for hub in some if central.attempt(hub).state == "Listed"] == [1, 2, 3, 6, 7, 8]
    assert len(central.told("hub_listed")) == 6


@pytest.mark.parametrize("few", [1, 10])
def test_a_window_that_is_changed_in_between_is_kept(central: Nights, few: int) -> None:
    some = waiting(central, 6)
    central.change(list_size=2)
    due, period = central.due(), central.period()
    central.world.clock.set(due)
    cutter = replace(central.cutter, listed_at_once=1, few=few)
    first = central.world.run(lambda uow: cutter.run(uow, central.region, due, period))
    later = replace(WINDOW, start=period.end)

    def change(uow: UnitOfWork) -> None:
        scheduled.leave(uow.connection, [some[3].chf])
        values = {"window_start": later.start, "window_end": later.end}
        uow.connection.execute(update(attempts).where(attempts.c.hub_id == some[3].chf).values(values))
        scheduled.enter(uow.connection, [some[3].chf])

    central.world.run(change)

    portion, listed = first, 2
    while portion.more:
        plan = portion.plan
        portion = central.world.run(bound(cutter.run, central.region, due, period, plan))
        listed += portion.listed

    assert listed == 5
    assert some[3].chf not in {hub for one in lists_cut(central) for hub in one.hub_ids}


def test_an_exclusion_that_comes_in_between_is_heeded(central: Nights) -> None:
    some = waiting(central, 4)
    central.change(list_size=2)
    due, period = central.due(), central.period()
    central.world.clock.set(due)
    cutter = replace(central.cutter, listed_at_once=1, few=1)
    first = central.world.run(lambda uow: cutter.run(uow, central.region, due, period))
    row = {"hub_id": some[2].chf, "organisation": A.name, "set_at": due}
    central.world.run(lambda uow: uow.connection.execute(insert(exclusions), row))

    central.world.run(lambda uow: cutter.run(uow, central.region, due, period, first.plan))

    assert central.states(some) == ["Listed", "Listed", "Scheduled", "Listed"]


def test_a_hub_whose_record_changes_in_between_is_not_listed(central: Nights) -> None:
    some = waiting(central, 4)
    central.change(list_size=2)
    due, period = central.due(), central.period()
    central.world.clock.set(due)
    cutter = replace(central.cutter, listed_at_once=1, few=1)
    first = central.world.run(lambda uow: cutter.run(uow, central.region, due, period))
    central.world.run(lambda uow: change_record(uow.connection, some[2].chf, device_status="Decommissioned"))

    central.world.run(lambda uow: cutter.run(uow, central.region, due, period, first.plan))

    assert central.states(some) == ["Listed", "Listed", "Scheduled", "Listed"]


def test_a_hub_whose_record_suits_again_is_listed(central: Nights) -> None:
    (hub, *rest) = waiting(central, 3)
    for status in ("Suspended", "Decommissioned", "Commissioned"):
        central.world.run(on_connection(change_record, hub.chf, device_status=status))

    assert in_steps(central) == [3]
    assert central.states([hub, *rest]) == ["Listed"] * 3


def test_a_record_that_changed_before_the_hub_was_agreed_is_looked_at_when_it_is(central: Nights) -> None:
    hub, *rest = some = [replace(hub, gas=B.name) for hub in hubs(3)]
    central.world.add_hubs(some)
    central.schedule(some)
    central.world.run(lambda uow: change_record(uow.connection, hub.chf, firmware_version="1234"))
    gas = {"role": "GS", "organisation": A.name, "effective_from": NOW + HOUR}
    rows = [gas | {"mpxn": hub.mprn} for hub in some]
    central.world.run(lambda uow: inventory.put_registrations(uow.connection, rows))
    central.world.clock.set(NOW + HOUR)
    while central.world.run(supplier_changes_of(central.world.instance)):
        pass
    # Late enough for nothing else to have it looked at.
    night = 9
    assert central.states(some) == ["Scheduled"] * 3

    in_steps(central, night)

    assert central.states([hub, *rest]) == ["Scheduled", "Listed", "Listed"]


def test_hubs_that_run_a_version_from_which_nobody_may_come_any_more_are_not_listed(central: Nights) -> None:
    older, *_ = some = waiting(central, 3)
    with central.world.instance.reading_engine.connect() as connection:
        (release_id,) = connection.scalars(select(releases.c.release_id))
    for run in (
        lambda uow: add_paths(uow.connection, release_id, ["9000"]),
        lambda uow: change_record(uow.connection, older.chf, firmware_version="9000"),
        lambda uow: uow.connection.execute(delete(changed_hubs)),
        lambda uow: remove_paths(uow.connection, release_id, ["9000"]),
    ):
        central.world.run(run)

    in_steps(central)

    assert central.states(some) == ["Scheduled", "Listed", "Listed"]


def test_hubs_of_which_nothing_is_under_way_are_not_kept_in_mind(central: Nights) -> None:
    hub, *_ = some = waiting(central, 3)
    central.change(hubs_per_night=2)
    for status in ("Decommissioned", "Commissioned"):
        central.world.run(on_connection(change_record, hub.chf, device_status=status))
    in_steps(central)
    central.report(central.list_ids()[0], central.saw(hub, ReportStatus.ACTIVATED))

    in_steps(central, 1)

    with central.world.instance.reading_engine.connect() as connection:
        assert connection.scalars(select(changed_hubs.c.hub_id)).all() == []
    assert central.states(some) == ["Activated", "Listed", "Listed"]


def test_a_release_that_is_halted_in_between_is_listed_no_further(central: Nights) -> None:
    some = waiting(central, 4)
    central.change(list_size=2)
    due, period = central.due(), central.period()
    central.world.clock.set(due)
    cutter = replace(central.cutter, listed_at_once=1, few=1)
    first = central.world.run(lambda uow: cutter.run(uow, central.region, due, period))
    central.world.run(lambda uow: uow.connection.execute(update(release_regions).values(halted_at=due)))

    last = central.world.run(lambda uow: cutter.run(uow, central.region, due, period, first.plan))

    assert (last.listed, last.more) == (0, False)
    assert central.states(some) == ["Listed", "Listed", "Scheduled", "Scheduled"]


def test_nobody_is_listed_any_more_once_the_period_has_begun(central: Nights) -> None:
    waiting(central, 4)
    central.change(list_size=2)
    due, period = central.due(), central.period()
    central.world.clock.set(due)
    cutter = replace(central.cutter, listed_at_once=1, few=1)
    first = central.world.run(lambda uow: cutter.run(uow, central.region, due, period))
    central.world.clock.set(period.start)

    last = central.world.run(lambda uow: cutter.run(uow, central.region, due, period, first.plan))

    assert (first.more, last.more) == (True, False)
    (said,) = central.said("cut")
    assert said.endswith("cut 2880 min late: 2 hubs listed, no more, for the period has begun")


def test_a_hub_that_was_scheduled_after_the_plan_does_not_take_a_place_after_a_stop(central: Nights) -> None:
    late, *some = hubs(5)
    central.world.add_hubs([late, *some])
    central.schedule(some)
    central.change(list_size=2, hubs_per_night=4)
    due, period = central.due(), central.period()
    central.world.clock.set(due)
    cutter = replace(central.cutter, listed_at_once=1, few=1)
    central.world.run(lambda uow: cutter.run(uow, central.region, due, period))
    central.world.clock.set(due + HOUR)
    central.schedule([late], window=replace(WINDOW, start=period.start - HOUR))

    central.world.run(lambda uow: cutter.run(uow, central.region, due, period))

    assert central.states([late, *some]) == ["Scheduled", *["Listed"] * 4]


def test_of_two_that_hold_the_same_plan_only_one_goes_on_with_it(central: Nights) -> None:
    waiting(central, 6)
    central.change(list_size=2)
    due, period = central.due(), central.period()
    central.world.clock.set(due)
    cutter = replace(central.cutter, listed_at_once=1, few=1)

    def look() -> Any:
        return cutter.look(central.region, due, period, due)

    mine, others = look(), look()
    listed = Counter[str]()
    for who, plan in (("me", mine), ("other", others), ("me", mine), ("other", others), ("me", mine)):
        portion = central.world.run(bound(cutter.run, central.region, due, period, plan))
        listed[who] += portion.listed

    assert listed.total() == 6
    counted = Counter(hub for one in lists_cut(central) for hub in one.hub_ids)
    assert set(counted.values()) == {1}
    assert len(counted) == 6


def test_a_list_that_cannot_be_signed_is_cut_at_the_next_look_and_none_before_it_twice(central: Nights) -> None:
    some = waiting(central, 6)
    central.change(list_size=2)
    due, period = central.due(), central.period()
    central.world.clock.set(due)
    cutter = replace(central.cutter, listed_at_once=1, few=1)
    first = central.world.run(lambda uow: cutter.run(uow, central.region, due, period))

    def no_id() -> str:
        raise OSError("nothing to draw from")

    broken = replace(cutter, draw_id=no_id)
    with pytest.raises(OSError, match="nothing to draw from"):
        central.world.run(lambda uow: broken.run(uow, central.region, due, period, first.plan))
    assert central.states(some) == ["Listed"] * 2 + ["Scheduled"] * 4

    assert in_steps(central, keep_plan=[False]) == [2, 2]
    assert [one.hub_ids for one in lists_cut(central)] == [
        tuple(hub.chf for hub in some[start : start + 2]) for start in (0, 2, 4)
    ]


def test_a_hub_that_the_csp_refused_meanwhile_is_not_listed_for_the_same_night_again(central: Nights) -> None:
    some = waiting(central, 4)
    central.change(list_size=2)
    due, period = central.due(), central.period()
    central.world.clock.set(due)
    cutter = replace(central.cutter, listed_at_once=1, few=1)
    central.world.run(lambda uow: cutter.run(uow, central.region, due, period))
    central.acknowledge(central.list_ids()[0], refused={"no radio link": some[:1]})

    assert in_steps(central, keep_plan=[False]) == [2]

    assert central.states(some) == ["Scheduled", "Listed", "Listed", "Listed"]


def test_a_change_of_supplier_that_nobody_has_looked_at_yet_is_heeded(central: Nights) -> None:
    some = waiting(central, 3)
    gained = {"mpxn": some[1].mprn, "role": "GS", "organisation": B.name, "effective_from": NOW - 60 * DAY}
    central.world.run(lambda uow: inventory.put_registrations(uow.connection, [gained]))

    assert central.cut() == 2

    assert central.states(some) == ["Listed", "AwaitingApproval", "Listed"]


def test_while_very_many_changes_of_supplier_wait_each_hub_is_judged_by_itself(central: Nights) -> None:
    some = waiting(central, 3)
    gained = {"mpxn": some[1].mprn, "role": "GS", "organisation": B.name, "effective_from": NOW - 60 * DAY}
    central.world.run(lambda uow: inventory.put_registrations(uow.connection, [gained]))
    others = [{"due_at": NOW - 61 * DAY, "mpxn": f"{number:013}", "role": "IS"} for number in range(MANY + 1)]
    central.world.run(lambda uow: uow.connection.execute(insert(due_registrations), others))

    assert central.cut() == 2

    assert central.states(some) == ["Listed", "AwaitingApproval", "Listed"]


def test_what_was_put_off_is_due_again_while_it_still_counts_as_due() -> None:
    assert LOOK_AGAIN < DUE_SOON


def test_an_unfinished_night_is_due_again_after_a_stop(central: Nights) -> None:
    some = waiting(central, 5)
    central.change(list_size=2)
    due, period = central.due(), central.period()
    central.world.clock.set(due)
    cutter = replace(central.cutter, listed_at_once=1, few=1)
    central.world.run(lambda uow: cutter.run(uow, central.region, due, period))

    trigger = RegionTriggers(
        central.region, central.world.instance.transactions, central.cutter, central.outcomes, lambda: None
    )
    # It looks for the first time, and finds what is not done.
    earlier = {"region": "Central", "trigger": "cut", "period_start": due - DAY, "done_at": due - DAY}
    central.world.run(lambda uow: uow.connection.execute(insert(trigger_runs), earlier))
    asyncio.run(trigger.tick())

    assert central.states(some) == ["Listed"] * 5
    assert len(central.list_ids()) == 3


LATE = 9
"""A night late enough for no registration to be of late."""


def no_longer_peculiar(nights: Nights) -> None:
    """Have everything looked at that is due: hubs whose registrations are new are listed one by one."""
    while nights.world.run(supplier_changes_of(nights.world.instance)):
        pass


def test_hubs_that_an_older_program_has_scheduled_are_listed_with_the_others(central: Nights) -> None:
    some = waiting(central, 4)
    no_longer_peculiar(central)
    older = [hub.chf for hub in some[1::2]]
    # It knows nothing of the number of the row.
    central.world.run(
        lambda uow: uow.connection.execute(
            update(scheduled_hubs).where(scheduled_hubs.c.hub_id.in_(older)).values(attempt_id=None)
        )
    )

    in_steps(central, LATE)

    assert central.states(some) == ["Listed"] * 4


def test_of_hubs_that_are_listed_together_all_who_have_agreed_are_told_and_nobody_else(central: Nights) -> None:
    alone, shared = hubs(3), [TestHub(number, gas=B.name) for number in (4, 5, 6)]
    central.world.add_hubs([*alone, *shared])
    central.schedule([*alone, *shared], A)
    central.decide(shared, B, Decision.APPROVE)
    no_longer_peculiar(central)

    in_steps(central, LATE)

    of_a, of_b = [(hub.chf, A.name) for hub in (*alone, *shared)], [(hub.chf, B.name) for hub in shared]
    assert sorted(central.told("hub_listed")) == sorted([*of_a, *of_b])


def test_small_requests_pass_in_between_the_lists(central: Nights) -> None:
    waiting(central, 6)
    central.change(list_size=1)
    due = central.due()
    central.world.clock.set(due)
    transactions = central.world.instance.transactions
    cutter = replace(central.cutter, listed_at_once=1, few=1)
    trigger = RegionTriggers(central.region, transactions, cutter, central.outcomes, lambda: None)
    listed_then: list[int] = []

    def request(unit_of_work: UnitOfWork) -> None:
        row = unit_of_work.connection.execute(select(list_runs.c.hubs)).one_or_none()
        listed_then.append(row.hubs if row else 0)

    async def run() -> None:
        cutting = asyncio.create_task(trigger.tick())
        while not cutting.done():
            await transactions.run(request)
        await cutting
        await transactions.close()

    earlier = {"region": "Central", "trigger": "cut", "period_start": due - DAY, "done_at": due - DAY}
    central.world.run(lambda uow: uow.connection.execute(insert(trigger_runs), earlier))
    asyncio.run(run())

    assert {1, 2, 3, 4, 5} <= set(listed_then)
