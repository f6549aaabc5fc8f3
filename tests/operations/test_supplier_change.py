"""Changes of Supplier from the registration to what everybody is told and sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from sr_engine.bootstrap import supplier_changes_of
from sr_engine.domain.supplier_change import VOID
from sr_engine.instance import SAMPLE_SUPPLIERS, SupplierSeed
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    CommsHubUpgrade,
    Decision,
    DeleteCommsHubFirmwareSchedule,
    DeviceChangeOfSupplier,
    ExclusionAction,
    Period,
    ReadCommsHubFirmwareSchedule,
    ReportStatus,
    ScheduleRead,
    UpdateCommsHubFirmwareExclusion,
    UpgradeStatus,
)
from sr_engine.operations import registrations as operations
from sr_engine.operations.imports import import_devices, import_registrations
from sr_engine.regions.deferrals import DeferralsRunOut
from sr_engine.store import registrations
from sr_engine.store.tables import (
    decisions,
    due_registrations,
    exclusions,
    outbox,
    schedule_hubs,
    settled_registrations,
)
from tests.regions.conftest import Nights
from tests.requests.conftest import Suppliers, days, schedule_id
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, World, edit, eui, make_world

C = SupplierSeed("supplier-c", "00-00-5E-EF-10-00-00-A3", "http://127.0.0.1:8093/smartdcc/duis")
SPLIT = TestHub(1, electricity=A.name, gas=B.name)
SOLE = TestHub(2)


@dataclass
class Market:
    """A world in which customers move."""

    world: World

    @property
    def nights(self) -> Nights:
        return Nights(self.world, self.world.instance.configuration.regions["Central"])

    @property
    def suppliers(self) -> Suppliers:
        return Suppliers(self.world)

    def register(
        self, hub: TestHub, role: str, to: SupplierSeed | None, at: datetime = NOW, *, cancelled: bool = False
    ) -> None:
        """What the registration feed says; carried out is nothing yet."""
        row = {
            "mpxn": hub.mpan if role == "IS" else hub.mprn,
            "role": role,
            "effective_from": at,
            "organisation": None if to is None else to.name,
            "cancelled": cancelled,
        }
        self.world.run(lambda uow: import_registrations(uow, [row], "feed"))

    def look(self, at: datetime | None = None) -> None:
        """Let the chore do all that is due."""
        if at is not None:
            self.world.clock.set(at)
        chore = supplier_changes_of(self.world.instance)
        while self.world.run(chore):
            pass

    def move(self, hub: TestHub, role: str, to: SupplierSeed | None, at: datetime | None = None) -> None:
        self.register(hub, role, to, at or self.world.clock.now())
        self.look(at)

    def frozen(self, supplier: SupplierSeed, number: int) -> list[CommsHubUpgrade]:
        """What a Supplier sees of its own schedule."""
        return list(self.suppliers.read(supplier, ReadCommsHubFirmwareSchedule(schedule_id=number)).upgrades)

    def told(self, supplier: SupplierSeed) -> list[str]:
        """Events of the hub alerts to a Supplier, in their order."""
        return [event for event, _ in self.suppliers.alerts(supplier)]

    def welcomes(self, supplier: SupplierSeed) -> list[DeviceChangeOfSupplier]:
        """The ChangeOfSupplier alerts to a Supplier, as it decodes them."""
        found = [self.suppliers.decoded_alert(body).alert for body in self.suppliers.alert_bodies(supplier)]
        return [alert for alert in found if isinstance(alert, DeviceChangeOfSupplier)]

    def answers(self, hub: TestHub) -> set[str]:
        with self.world.instance.reading_engine.connect() as connection:
            return set(connection.scalars(select(decisions.c.organisation).where(decisions.c.hub_id == hub.chf)))

    def listed(self, hub: TestHub, number: int = 0) -> str:
        """Let the hub be listed; returns the list."""
        assert self.nights.cut(number) == 1
        return self.nights.list_ids()[-1]


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    world = make_world(tmp_path / "instance", suppliers=(*SAMPLE_SUPPLIERS, C))
    world.add_hubs([SPLIT, SOLE])
    world.open_release()
    yield Market(world)
    world.close()


# --- Not listed: void -------------------------------------------------------------------------------------------------


def test_what_the_one_that_left_had_scheduled_is_void_and_all_are_told_their_part(market: Market) -> None:
    number = schedule_id(market.suppliers.schedule(B))
    market.suppliers.decide(A, Decision.APPROVE)
    before = market.suppliers.view(B)

    market.move(SPLIT, "GS", C)

    stayer = market.suppliers.view(A)
    assert (stayer.status, stayer.own_approval, stayer.other_approval) == ("AwaitingApproval", "Approved", "Pending")
    assert market.nights.attempt(SPLIT).state == "Voided"
    gainer = market.suppliers.view(C)
    assert (gainer.status, gainer.own_approval, gainer.other_approval) == ("NotScheduled", "Pending", "Approved")
    assert (gainer.attempt, gainer.status_at, gainer.window) == (None, None, None)
    (left,) = market.frozen(B, number)
    assert (left.status, left.status_at, left.status_reason) == ("Voided", NOW, VOID)
    assert (left.own_approval, left.other_approval) == (before.own_approval, before.other_approval)
    assert (left.attempt, left.window, left.period) == (1, WINDOW, None)
    assert market.told(B)[-1] == "hub_voided"
    assert market.told(A)[-2:] == ["other_supplier_answer_changed", "hub_cancelled"]
    assert market.told(C) == []
    assert market.welcomes(C) == [DeviceChangeOfSupplier(eui(0xF0, 1), "GSME", SPLIT.mprn)]
    assert market.welcomes(A) == market.welcomes(B) == []
    assert market.answers(SPLIT) == {A.name}
    assert market.world.send(B, ReadCommsHubFirmwareSchedule(device_id=SPLIT.chf), "11.7").code == "E4"


def test_with_the_stayers_own_schedule_the_hub_waits_for_the_one_that_has_come(market: Market) -> None:
    market.suppliers.schedule(A)
    market.suppliers.decide(B, Decision.APPROVE)

    market.move(SPLIT, "GS", C)

    assert market.suppliers.view(A).status == "AwaitingApproval"
    seen = market.suppliers.view(C)
    assert (seen.status, seen.attempt, seen.other_approval) == ("AwaitingApproval", 1, "Approved")
    assert seen.status_at == NOW
    market.suppliers.decide(C, Decision.APPROVE)
    assert market.suppliers.view(A).status == market.suppliers.view(C).status == "Scheduled"


def test_a_hub_whose_hold_out_leaves_for_nobody_is_settled_by_the_one_that_stays(market: Market) -> None:
    market.suppliers.schedule(A)

    market.move(SPLIT, "GS", None)

    shown = market.suppliers.view(A)
    assert (shown.status, shown.other_approval) == ("Scheduled", "None")
    assert market.told(B) == ["other_supplier_answer_changed"], "when the other side had scheduled"
    assert "hub_scheduled" in market.told(A)


def test_a_move_to_the_supplier_that_has_the_other_fuel_leaves_it_its_answer(market: Market) -> None:
    market.suppliers.schedule(A)
    market.suppliers.decide(B, Decision.DECLINE)

    market.move(SPLIT, "GS", A)

    assert market.suppliers.view(A).status == "Scheduled"
    assert market.told(B)[-1] == "hub_voided"
    assert [one.import_mpxn for one in market.welcomes(A)] == [SPLIT.mprn]


def test_one_that_keeps_the_other_fuel_keeps_what_it_decided(market: Market) -> None:
    number = schedule_id(market.suppliers.schedule(A, SOLE.chf))

    market.move(SOLE, "GS", B)

    assert market.suppliers.view(A, SOLE.chf).status == "AwaitingApproval"
    assert "hub_voided" not in market.told(A)
    market.move(SOLE, "IS", B, NOW + timedelta(days=1))
    assert [one.status_at for one in market.frozen(A, number)] == [NOW + timedelta(days=1)]
    assert market.told(A).count("hub_voided") == 1
    assert sorted(one.device_type for one in market.welcomes(B)) == ["ESME", "GSME"]


@pytest.mark.parametrize("announced", [NOW - timedelta(days=3), NOW, NOW + timedelta(days=3)])
def test_a_change_is_carried_out_once_whatever_its_date(market: Market, announced: datetime) -> None:
    number = schedule_id(market.suppliers.schedule(A, SOLE.chf))
    for role in ("IS", "GS"):
        market.register(SOLE, role, B, announced)

    market.look()
    early = market.told(A).count("hub_voided")
    market.look(max(announced, NOW))
    after = market.world.snapshot()
    for role in ("IS", "GS"):
        market.register(SOLE, role, B, announced)
    market.look()

    assert market.world.snapshot() == after
    assert early == (0 if announced > NOW else 1)
    assert [(one.status, one.status_at) for one in market.frozen(A, number)] == [("Voided", announced)]
    assert len(market.welcomes(B)) == 2


def test_a_change_to_come_that_is_cancelled_never_happens(market: Market) -> None:
    market.suppliers.schedule(A, SOLE.chf)
    market.register(SOLE, "IS", B, NOW + timedelta(days=1))
    market.register(SOLE, "IS", B, NOW + timedelta(days=1), cancelled=True)

    market.look(NOW + timedelta(days=2))

    assert market.suppliers.view(A, SOLE.chf).status == "Scheduled"
    assert market.welcomes(B) == []


def test_a_change_that_is_cancelled_after_it_was_carried_out_brings_the_old_supplier_back(market: Market) -> None:
    number = schedule_id(market.suppliers.schedule(A, SOLE.chf))
    for role in ("IS", "GS"):
        market.move(SOLE, role, B)
    market.suppliers.schedule(B, SOLE.chf)
    later = NOW + timedelta(hours=5)
    market.world.clock.set(later)

    for role in ("IS", "GS"):
        market.register(SOLE, role, B, NOW, cancelled=True)
    market.look()

    back = market.suppliers.view(A, SOLE.chf)
    assert (back.status, back.own_approval, back.attempt) == ("NotScheduled", "Pending", None)
    assert [one.status for one in market.frozen(A, number)] == ["NotScheduled"]
    assert market.told(B)[-1] == "hub_voided"
    assert len(market.welcomes(A)) == 2
    market.suppliers.schedule(A, SOLE.chf)
    again = market.suppliers.view(A, SOLE.chf)
    assert (again.status, again.attempt) == ("Scheduled", 1)


def test_a_registration_taken_back_with_none_before_it_leaves_nobody(market: Market) -> None:
    market.suppliers.schedule(A)
    for _ in range(2):
        market.register(SPLIT, "IS", A, NOW - timedelta(days=400), cancelled=True)
        market.look()

    assert market.answers(SPLIT) == set()
    assert market.told(A)[-1] == "hub_voided"
    shown = market.suppliers.view(B)
    assert (shown.status, shown.other_approval) == ("Cancelled", "None")
    with market.world.instance.reading_engine.connect() as connection:
        settled = connection.execute(
            select(settled_registrations).where(settled_registrations.c.mpxn == SPLIT.mpan)
        ).one()
        assert connection.execute(select(due_registrations).where(due_registrations.c.due_at <= NOW)).all() == []
    assert settled.organisation is None


@pytest.mark.parametrize("at_once", [True, False])
def test_two_changes_in_one_week_are_the_same_whether_found_at_once_or_one_by_one(
    market: Market, *, at_once: bool
) -> None:
    number = schedule_id(market.suppliers.schedule(A, SOLE.chf))
    first, second = NOW + timedelta(days=1), NOW + timedelta(days=3)
    for role in ("IS", "GS"):
        market.register(SOLE, role, B, first)
        market.register(SOLE, role, C, second)
    if not at_once:
        market.look(first)

    market.look(second)

    assert [(one.status, one.status_at) for one in market.frozen(A, number)] == [("Voided", first)]
    assert market.told(A).count("hub_voided") == 1
    assert market.told(B) == []
    assert len(market.welcomes(C)) == 2
    assert len(market.welcomes(B)) == (0 if at_once else 2)
    assert market.suppliers.view(C, SOLE.chf).attempt is None


def test_one_that_left_and_came_back_in_the_same_week_has_to_decide_again(market: Market) -> None:
    market.suppliers.schedule(A, SOLE.chf)
    for role in ("IS", "GS"):
        market.register(SOLE, role, B, NOW + timedelta(days=1))
        market.register(SOLE, role, A, NOW + timedelta(days=3))

    market.look(NOW + timedelta(days=4))

    shown = market.suppliers.view(A, SOLE.chf)
    assert (shown.status, shown.own_approval, shown.attempt) == ("NotScheduled", "Pending", None)
    assert market.told(A)[-1] == "hub_voided"
    assert len(market.welcomes(A)) == 2


def test_what_was_decided_after_coming_back_stands(market: Market) -> None:
    for role in ("IS", "GS"):
        market.register(SOLE, role, B, NOW + timedelta(days=1))
        market.register(SOLE, role, A, NOW + timedelta(days=3))
    market.world.clock.set(NOW + timedelta(days=4))
    market.suppliers.schedule(A, SOLE.chf, window=days(10, 20))

    market.look()

    assert market.suppliers.view(A, SOLE.chf).status == "Scheduled"


def test_electricity_and_gas_that_move_on_different_days_are_two_changes(market: Market) -> None:
    market.suppliers.schedule(A)
    market.suppliers.decide(B, Decision.APPROVE)
    market.register(SPLIT, "IS", C, NOW + timedelta(days=1))
    market.register(SPLIT, "GS", C, NOW + timedelta(days=2))

    market.look(NOW + timedelta(days=1))
    between = market.suppliers.view(C)
    market.look(NOW + timedelta(days=2))

    assert (between.own_approval, between.other_approval) == ("Pending", "Approved")
    assert market.suppliers.view(C).other_approval == "None"
    assert (market.told(A)[-1], market.told(B)[-1]) == ("hub_voided", "hub_voided")
    assert sorted(one.device_type for one in market.welcomes(C)) == ["ESME", "GSME"]


def test_a_supplier_without_a_decision_is_told_nothing_when_it_leaves(market: Market) -> None:
    market.move(SPLIT, "GS", C)

    assert market.told(B) == market.told(A) == []
    assert len(market.welcomes(C)) == 1


def test_that_an_answer_had_run_out_is_not_told_again_by_a_change_of_supplier(market: Market) -> None:
    market.suppliers.decide(B, Decision.DEFER, until_days=1)
    market.world.clock.set(NOW + timedelta(days=2))
    market.world.run(DeferralsRunOut(market.world.instance.alerts, market.world.instance.configuration.lifecycle))
    before = market.told(A)
    assert before.count("other_supplier_answer_changed") == 2

    market.move(SPLIT, "GS", A)

    assert market.told(A) == before


def test_nobody_is_welcomed_where_no_release_is_open_for_the_hub(market: Market) -> None:
    done = TestHub(3, version="9002")
    market.world.add_hubs([done])

    market.move(done, "IS", C)

    assert market.welcomes(C) == []


def test_a_first_registration_is_no_change_of_supplier(market: Market) -> None:
    new = TestHub(3)
    rows = new.rows()
    market.world.run(lambda uow: import_devices(uow, rows, "hubs.csv"))
    market.move(new, "IS", C)

    assert market.welcomes(C) == []
    assert market.suppliers.view(C, new.chf).status == "NotScheduled"


@pytest.mark.parametrize("portion", [2, 1_000])
def test_first_registrations_are_settled_many_at_once_as_if_each_had_been_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portion: int
) -> None:
    at_once = registrations.settle_first_due
    found = []
    for name, settle in (
        ("one by one", lambda connection, now, limit: 0),
        ("at once", at_once),
    ):
        monkeypatch.setattr(registrations, "settle_first_due", settle)
        monkeypatch.setattr(operations, "FIRST_AT_ONCE", portion)
        world = make_world(tmp_path / name, suppliers=(*SAMPLE_SUPPLIERS, C))
        found.append(_after_first_registrations(Market(world)))
        world.close()
    assert found[0] == found[1]
    settled, due, told = found[0]
    assert (len(settled), len(due)) == (8, 1)
    assert ["hub_voided" in events for events in told] == [False, True, False]


def _after_first_registrations(market: Market) -> tuple[list[Any], list[Any], list[list[str]]]:
    """Hubs 3 and 5 have changed hands before anybody looked, 4 will; for 6 two have answered, of which one has left."""
    hubs = [TestHub(number, gas=B.name) for number in range(3, 7)]
    market.world.run(lambda uow: import_devices(uow, [row for hub in hubs for row in hub.rows()], "hubs.csv"))
    market.world.open_release()
    long_ago, yesterday = NOW - timedelta(days=400), NOW - timedelta(days=1)
    market.register(hubs[3], "IS", A, long_ago)
    market.register(hubs[3], "GS", B, long_ago)
    market.look()
    market.suppliers.schedule(B, hubs[3].chf)
    market.register(hubs[3], "GS", C, yesterday)
    for hub in hubs[:3]:
        market.register(hub, "IS", A, long_ago)
        market.register(hub, "GS", B, long_ago)
    market.register(hubs[0], "IS", C, yesterday)
    market.register(hubs[1], "GS", C, NOW + timedelta(days=1))
    market.register(hubs[2], "IS", None, yesterday)
    market.look()
    with market.world.instance.reading_engine.connect() as connection:
        settled = [tuple(row) for row in connection.execute(select(settled_registrations))]
        due = [tuple(row) for row in connection.execute(select(due_registrations))]
    return sorted(settled), due, [market.told(one) for one in (A, B, C)]


# --- With the CSP: goes on --------------------------------------------------------------------------------------------


def test_what_is_listed_goes_on_and_the_outcome_goes_to_the_one_that_has_come(market: Market) -> None:
    number = schedule_id(market.suppliers.schedule(B))
    market.suppliers.decide(A, Decision.APPROVE)
    list_id = market.listed(SPLIT)
    before, told_before = market.suppliers.view(A), market.told(A)

    market.move(SPLIT, "GS", C)

    assert market.suppliers.view(A) == before
    assert market.told(A) == told_before
    gained = market.suppliers.view(C)
    assert (gained.status, gained.attempt, gained.own_approval) == ("Listed", 1, "Pending")
    (left,) = market.frozen(B, number)
    assert (left.status, left.period, left.own_approval) == ("Listed", before.period, "Approved")
    market.nights.acknowledge(list_id, [SPLIT])
    market.world.clock.advance(timedelta(days=4))
    market.nights.report(list_id, market.nights.saw(SPLIT, ReportStatus.ACTIVATED))
    market.look()
    assert [one.status for one in market.frozen(B, number)] == ["Activated"]
    assert market.suppliers.view(C).status == "Activated"
    assert "hub_voided" not in market.told(B)
    activated = market.nights.told("hub_activated")
    assert activated == [(SPLIT.chf, A.name), (SPLIT.chf, C.name)]
    # No request could have taken the answer back since, so the one that stays goes on to see it.
    assert market.suppliers.view(A).other_approval == "Approved"
    assert "other_supplier_answer_changed" not in market.told(A)[len(told_before) :]


def test_the_one_that_stays_sees_the_answer_gone_once_the_csp_has_failed(market: Market) -> None:
    market.suppliers.schedule(B)
    market.suppliers.decide(A, Decision.APPROVE)
    list_id = market.listed(SPLIT)
    market.move(SPLIT, "GS", C)
    market.nights.report(list_id, market.nights.saw(SPLIT, ReportStatus.FAILED, "no power"))
    failed = market.suppliers.view(A)

    market.look(market.world.clock.now() + operations.LOOK_AGAIN)

    assert (failed.status, failed.other_approval) == ("Failed", "Approved")
    assert market.suppliers.view(A).other_approval == "Pending"
    assert market.told(A)[-1] == "other_supplier_answer_changed"
    assert market.answers(SPLIT) == {A.name}


def test_a_hub_that_the_csp_refused_is_void_to_the_one_that_left_and_planned_no_more_for_it(market: Market) -> None:
    number = schedule_id(market.suppliers.schedule(B))
    market.suppliers.decide(A, Decision.APPROVE)
    list_id = market.listed(SPLIT)
    at = market.world.clock.now()
    market.move(SPLIT, "GS", C)
    market.nights.acknowledge(list_id, refused={"busy": [SPLIT]})

    market.look(at + operations.LOOK_AGAIN)
    (left,) = market.frozen(B, number)

    assert (left.status, left.status_at, left.period) == ("Voided", at, None)
    assert market.suppliers.view(A).status == "AwaitingApproval"
    assert market.nights.attempt(SPLIT).state == "Voided"
    # The one that has come takes its own way, of which the one that left sees nothing.
    market.suppliers.schedule(C, window=Period(at + timedelta(days=5), at + timedelta(days=25)))
    assert market.suppliers.view(A).status == "Scheduled"
    assert market.frozen(B, number) == [left]


def test_nothing_is_hidden_or_told_twice_if_a_hub_is_looked_at_while_the_csp_works(market: Market) -> None:
    market.suppliers.schedule(A, SOLE.chf)
    market.listed(SOLE)
    for role in ("IS", "GS"):
        market.move(SOLE, role, B)
    welcomes = market.welcomes(B)
    shown = market.suppliers.view(B, SOLE.chf)

    for _ in range(3):
        market.look(market.world.clock.now() + operations.LOOK_AGAIN)

    assert (market.welcomes(B), market.suppliers.view(B, SOLE.chf)) == (welcomes, shown)


# --- What the one that stays can tell ---------------------------------------------------------------------------------


def _seen_by_a(directory: Path, *, leaves: bool, own_schedule: bool, own_answer: bool) -> list[object]:
    """All that A sees and is told when B takes its schedule back, or when its customer moves."""
    world = make_world(directory, suppliers=(*SAMPLE_SUPPLIERS, C))
    world.add_hubs([SPLIT])
    world.open_release()
    market = Market(world)
    number = schedule_id(market.suppliers.schedule(B))
    if own_schedule:
        market.suppliers.schedule(A)
    elif own_answer:
        market.suppliers.decide(A, Decision.APPROVE)
    world.clock.advance(timedelta(hours=1))
    if leaves:
        market.move(SPLIT, "GS", C)
    else:
        assert world.send(B, DeleteCommsHubFirmwareSchedule(number), "11.8").code == "I99"
    first = market.suppliers.view(A)
    alerts = market.told(A)
    if not own_schedule:
        market.suppliers.schedule(A)
    seen = [first, alerts, replace_number(market.suppliers.view(A)), market.told(A)]
    world.close()
    return seen


def replace_number(shown: CommsHubUpgrade) -> tuple[object, ...]:
    """All but the random number of the schedule."""
    return (shown.status, shown.own_approval, shown.other_approval, shown.attempt, shown.window, shown.status_at)


@pytest.mark.parametrize(("own_schedule", "own_answer"), [(True, True), (False, True), (False, False)])
def test_a_change_of_supplier_looks_to_the_other_side_like_an_answer_taken_back(
    tmp_path: Path, *, own_schedule: bool, own_answer: bool
) -> None:
    moved, taken_back = (
        _seen_by_a(tmp_path / name, leaves=leaves, own_schedule=own_schedule, own_answer=own_answer)
        for name, leaves in (("moved", True), ("back", False))
    )
    if own_schedule:
        moved[0], taken_back[0] = (replace_number(seen[0]) for seen in (moved, taken_back))  # type: ignore[arg-type]

    assert moved == taken_back


# --- Views, exclusions, scale -----------------------------------------------------------------------------------------


def test_hubs_that_were_left_keep_their_place_in_the_pages(market: Market) -> None:
    hubs = [TestHub(number) for number in range(1_000, 1_250)]
    market.world.add_hubs(hubs)
    number = schedule_id(market.suppliers.schedule(A, *(hub.chf for hub in hubs)))
    for hub in hubs[100:230]:
        for role in ("IS", "GS"):
            market.register(hub, role, B)
    market.look()

    first = market.suppliers.read(A, ReadCommsHubFirmwareSchedule(schedule_id=number))
    after = first.upgrades[-1].device_id
    second = market.suppliers.read(A, ReadCommsHubFirmwareSchedule(number, start_after_device_id=after))

    assert isinstance(first, ScheduleRead)
    assert (len(first.upgrades), first.more_devices, len(second.upgrades), second.more_devices) == (
        200,
        True,
        50,
        False,
    )
    shown = [*first.upgrades, *second.upgrades]
    assert [one.device_id for one in shown] == [hub.chf for hub in hubs]
    assert [one.status for one in shown] == ["Scheduled"] * 100 + ["Voided"] * 130 + ["Scheduled"] * 20


def test_one_that_comes_sees_no_attempt_from_before_and_counts_from_its_own_beginning(market: Market) -> None:
    market.suppliers.schedule(A, SOLE.chf)
    list_id = market.listed(SOLE)
    market.nights.report(list_id, market.nights.saw(SOLE, ReportStatus.FAILED, "no power"))
    for role in ("IS", "GS"):
        market.move(SOLE, role, B)

    before = market.suppliers.view(B, SOLE.chf)
    now = market.world.clock.now()
    window = Period(now + timedelta(days=5), now + timedelta(days=25))
    market.suppliers.schedule(B, SOLE.chf, window=window)

    assert (before.status, before.attempt, before.status_at, before.status_reason) == ("NotScheduled", None, None, None)
    assert market.suppliers.view(B, SOLE.chf).attempt == 1
    assert market.nights.attempt(SOLE).number == 2


def test_the_exclusion_of_the_one_that_left_ends_after_the_days_of_the_policy(market: Market) -> None:
    exclude = UpdateCommsHubFirmwareExclusion(ExclusionAction.EXCLUDE, (SOLE.chf,))
    assert market.world.send(A, exclude, "11.9").code == "I99"
    for role in ("IS", "GS"):
        market.move(SOLE, role, B)

    with market.world.instance.reading_engine.connect() as connection:
        (kept,) = connection.execute(select(exclusions)).all()
        schedules = connection.execute(select(schedule_hubs)).all()

    assert (kept.organisation, kept.until, kept.limited_until) == (A.name, None, NOW + timedelta(days=30))
    assert schedules == []


def test_an_exclusion_runs_on_when_a_wrong_change_of_supplier_is_taken_back(market: Market) -> None:
    exclude = UpdateCommsHubFirmwareExclusion(ExclusionAction.EXCLUDE, (SOLE.chf,))
    market.world.send(A, exclude, "11.9")
    for role in ("IS", "GS"):
        market.move(SOLE, role, B)
    for role in ("IS", "GS"):
        market.move(SOLE, role, A)
    market.world.clock.advance(timedelta(days=40))

    assert market.suppliers.view(A, SOLE.chf).status == "Excluded"


def test_many_changes_are_carried_out_in_portions(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "AT_ONCE", 3)
    hubs = [TestHub(number) for number in range(100, 108)]
    market.world.add_hubs(hubs)
    number = schedule_id(market.suppliers.schedule(A, *(hub.chf for hub in hubs)))
    for hub in hubs:
        for role in ("IS", "GS"):
            market.register(hub, role, B)

    chore = supplier_changes_of(market.world.instance)
    more = market.world.run(chore)
    some = [one.status for one in market.frozen(A, number)]
    market.look()

    assert more
    assert 0 < some.count(UpgradeStatus.VOIDED) < 8
    assert [one.status for one in market.frozen(A, number)] == ["Voided"] * 8
    assert len(market.welcomes(B)) == 16


def test_a_chore_that_fails_has_done_nothing_and_is_done_again(market: Market) -> None:
    market.suppliers.schedule(A, SOLE.chf)
    for role in ("IS", "GS"):
        market.register(SOLE, role, B)
    before = market.world.snapshot()
    chore = supplier_changes_of(market.world.instance)

    def fails(unit_of_work: object) -> None:
        chore(unit_of_work)  # type: ignore[arg-type]  # what a transaction hands in
        raise RuntimeError

    with pytest.raises(RuntimeError):
        market.world.run(fails)

    assert market.world.snapshot() == before
    market.look()
    assert market.told(A)[-1] == "hub_voided"


def test_the_approval_of_one_that_has_left_is_worth_nothing_before_the_change_is_carried_out(market: Market) -> None:
    market.suppliers.schedule(A)
    body = ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (SPLIT.chf,))
    market.register(SPLIT, "GS", C)

    assert market.world.send(B, body, "11.6").code == "E110603"
    assert market.nights.cut() == 0


def test_that_a_gas_only_hub_is_void_goes_to_the_gas_user_of_the_one_that_left(tmp_path: Path) -> None:
    def two_users(directory: Path) -> None:
        """A's own user is for gas; electricity has another one."""
        users = directory / "users.toml"
        edit(users, f'eui = "{A.eui}"\nroles = ["IS", "GS"]\n', f'eui = "{A.eui}"\nroles = ["GS"]\n')
        power = '[[organisation.user]]\neui = "00-00-5E-EF-10-00-00-A9"\nroles = ["IS"]\n'
        power += 'receiving_url = "http://127.0.0.1:8094/power"\nduis_version = 5.4\nstatus = "Active"\n\n'
        following = '[[organisation]]\nid = "supplier-b"'
        edit(users, following, power + following)

    world = make_world(tmp_path / "two", suppliers=(*SAMPLE_SUPPLIERS, C), prepare=two_users)
    hub = TestHub(1, electricity=B.name, gas=A.name)
    world.add_hubs([hub])
    world.open_release()
    market = Market(world)
    assert market.suppliers.schedule(A, hub.chf).code == "I0"

    market.move(hub, "GS", C)
    world.settle()

    with world.instance.reading_engine.connect() as connection:
        voided = connection.scalars(select(outbox.c.destination).where(outbox.c.event == "hub_voided")).all()
    assert voided == [f"user:{A.eui}"]
    world.close()


def test_one_that_leaves_a_hub_that_had_failed_goes_on_to_see_that_it_failed(market: Market) -> None:
    number = schedule_id(market.suppliers.schedule(A, SOLE.chf))
    list_id = market.listed(SOLE)
    market.nights.report(list_id, market.nights.saw(SOLE, ReportStatus.FAILED, "no power"))
    before = market.frozen(A, number)
    market.world.clock.advance(timedelta(days=3))

    for role in ("IS", "GS"):
        market.register(SOLE, role, B, market.world.clock.now())
    market.look()

    assert [one.status for one in before] == ["Failed"]
    assert market.frozen(A, number) == before
