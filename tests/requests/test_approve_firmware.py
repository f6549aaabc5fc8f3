"""11.6: approving, declining and deferring, with and without a schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from sr_engine.bootstrap import phases_of
from sr_engine.messages.model import Decision, Firmware, RefusalReason
from sr_engine.operations.releases import close, set_cpl_status, withdraw
from tests.requests.conftest import (
    APPROVE,
    CANCELLED,
    SOLE,
    SPLIT,
    Suppliers,
    days,
    refused,
    schedule_id,
)
from tests.world import FIRMWARE, WINDOW, A, B, TestHub, World, eui

IHD = ("0F0F", "IHD9000")


@pytest.mark.parametrize("first", [A, B], ids=["electricity first", "gas first"])
def test_one_schedules_and_the_other_approves_in_either_order(suppliers: Suppliers, first: object) -> None:
    scheduling, approving = (A, B) if first is A else (B, A)

    suppliers.schedule(scheduling)
    before = suppliers.view(scheduling)
    suppliers.decide(approving, Decision.APPROVE)

    assert (before.status, before.own_approval, before.other_approval) == ("AwaitingApproval", "Approved", "Pending")
    for supplier in (A, B):
        shown = suppliers.view(supplier)
        assert (shown.status, shown.own_approval, shown.other_approval) == ("Scheduled", "Approved", "Approved")
        assert shown.window == WINDOW


@pytest.mark.parametrize("approving", [A, B], ids=["electricity approves", "gas approves"])
def test_an_approval_may_come_before_the_schedule(suppliers: Suppliers, approving: object) -> None:
    one, other = (A, B) if approving is A else (B, A)
    suppliers.decide(one, Decision.APPROVE)
    waiting = suppliers.view(one), suppliers.view(other)

    suppliers.schedule(other)

    assert [(view.status, view.own_approval, view.other_approval) for view in waiting] == [
        ("AwaitingApproval", "Approved", "Pending"),
        ("NotScheduled", "Pending", "Approved"),
    ]
    assert suppliers.view(one).status == "Scheduled"


def test_what_all_approve_and_nobody_schedules_is_not_scheduled(suppliers: Suppliers) -> None:
    suppliers.decide(A, Decision.APPROVE, SOLE.chf)
    suppliers.decide(A, Decision.APPROVE)
    suppliers.decide(B, Decision.APPROVE)

    assert suppliers.view(A, SOLE.chf).status == "NotScheduled"
    assert [suppliers.view(supplier).status for supplier in (A, B)] == ["NotScheduled", "NotScheduled"]


def test_declining_takes_back_an_approval_and_its_schedule(suppliers: Suppliers) -> None:
    suppliers.schedule(A, SOLE.chf)

    answer = suppliers.decide(A, Decision.DECLINE, SOLE.chf)

    shown = suppliers.view(A, SOLE.chf)
    assert (answer.code, answer.result) == ("I99", None)
    assert (shown.status, shown.own_approval, shown.schedule_id, shown.window) == ("Declined", "Declined", None, None)
    assert suppliers.alerts(A) == [(CANCELLED, SOLE.chf)]


def test_declining_after_both_approved_leaves_the_others_schedule_waiting(suppliers: Suppliers) -> None:
    suppliers.schedule(A)
    suppliers.decide(B, Decision.APPROVE)

    suppliers.decide(B, Decision.DECLINE)

    shown = suppliers.view(A)
    assert (shown.status, shown.own_approval, shown.other_approval) == ("AwaitingApproval", "Approved", "Declined")
    assert (shown.attempt, shown.window) == (1, WINDOW)
    assert suppliers.view(B).status == "Declined"
    assert suppliers.cut_lists() == 0
    assert CANCELLED not in {event for event, _ in suppliers.alerts(A)}


def test_the_one_who_scheduled_declining_cancels_though_the_other_still_approves(suppliers: Suppliers) -> None:
    suppliers.schedule(A)
    suppliers.decide(B, Decision.APPROVE)

    suppliers.decide(A, Decision.DECLINE)

    assert (suppliers.view(A).status, suppliers.view(B).status) == ("Declined", "AwaitingApproval")
    assert suppliers.view(B).other_approval == "Declined"
    assert (CANCELLED, SPLIT.chf) in suppliers.alerts(B)


def test_approving_again_keeps_the_own_schedule(suppliers: Suppliers) -> None:
    number = schedule_id(suppliers.schedule(A, SOLE.chf))

    assert suppliers.decide(A, Decision.APPROVE, SOLE.chf).code == "I99"

    shown = suppliers.view(A, SOLE.chf)
    assert (shown.status, shown.schedule_id, shown.attempt) == ("Scheduled", number, 1)


def test_a_deferral_is_pending_again_when_it_has_run_out(suppliers: Suppliers) -> None:
    suppliers.schedule(A)
    suppliers.decide(B, Decision.DEFER, until_days=2)
    deferred = suppliers.view(B)
    seen = suppliers.view(A)
    suppliers.pass_days(2)

    expired = suppliers.view(B)

    assert (deferred.status, deferred.own_approval) == ("Deferred", "Deferred")
    assert deferred.defer_until == days(2, 2).start
    assert (seen.status, seen.other_approval) == ("AwaitingApproval", "Deferred")
    assert (expired.status, expired.own_approval, expired.defer_until) == ("AwaitingApproval", "Pending", None)
    assert suppliers.view(A).other_approval == "Pending"
    suppliers.decide(B, Decision.APPROVE)
    assert suppliers.view(A).status == "Scheduled"


def test_deferring_takes_the_own_schedule_back_for_good(suppliers: Suppliers) -> None:
    suppliers.schedule(A, SOLE.chf)
    suppliers.decide(A, Decision.DEFER, SOLE.chf, until_days=1)
    suppliers.pass_days(1)

    shown = suppliers.view(A, SOLE.chf)

    assert (shown.status, shown.own_approval, shown.schedule_id) == ("Cancelled", "Pending", None)
    assert suppliers.decide(A, Decision.APPROVE, SOLE.chf).code == "I99"
    assert suppliers.cut_lists() == 0


def test_approving_needs_a_yes_where_han_devices_may_break_declining_does_not(world: World) -> None:
    hub = replace(SPLIT, han=IHD)
    world.add_hubs([hub])
    world.open_release(han_models=[IHD])
    suppliers = Suppliers(world)
    suppliers.schedule(A, accept=True)

    without = suppliers.decide(B, Decision.APPROVE)
    declined = suppliers.decide(B, Decision.DECLINE)
    deferred = suppliers.decide(B, Decision.DEFER, until_days=1)
    accepted = suppliers.decide(B, Decision.APPROVE, accept=True)

    assert (without.code, refused(without)) == ("E110603", {RefusalReason.HAN_INCOMPATIBLE: (hub.chf,)})
    assert [declined.code, deferred.code, accepted.code] == ["I99", "I99", "I99"]
    assert suppliers.view(A).status == "Scheduled"


def test_a_list_taken_in_part_says_which_hubs_were_not_and_takes_the_others(suppliers: Suppliers) -> None:
    gone = TestHub(20, status="Pending")
    suppliers.world.add_hubs([gone])
    stranger = eui(0xC0, 99).lower()

    answer = suppliers.decide(A, Decision.APPROVE, stranger, SPLIT.gpf.lower(), gone.chf)

    assert answer.code == "W110601"
    assert refused(answer) == {RefusalReason.INVALID: (stranger,), RefusalReason.NOT_COMMISSIONED: (gone.chf,)}
    assert suppliers.view(A).own_approval == "Approved"


def test_approving_is_not_possible_while_another_release_is_under_way_declining_is(suppliers: Suppliers) -> None:
    newer = Firmware("2B7E", "C1A20001", "9003")
    suppliers.world.open_release(newer)
    suppliers.schedule(A, SOLE.chf)
    body = replace(APPROVE, firmware=newer, device_ids=(SOLE.chf,))

    approved = suppliers.world.send(A, body, "11.6")
    declined = suppliers.world.send(A, replace(body, decision=Decision.DECLINE), "11.6")

    assert refused(approved) == {RefusalReason.OTHER_REQUEST_IN_PROGRESS: (SOLE.chf,)}
    assert declined.code == "I99"


def test_an_answer_given_after_the_window_holds_no_night_any_more_is_a_conflict_both_hear_of(
    suppliers: Suppliers,
) -> None:
    suppliers.schedule(A, window=days(3, 5))
    suppliers.pass_days(4)

    assert suppliers.decide(B, Decision.APPROVE).code == "I99"

    assert suppliers.view(A).status == "AwaitingApproval"
    for supplier in (A, B):
        assert ("window_conflict", SPLIT.chf) in suppliers.alerts(supplier)


def closed(world: World) -> None:
    world.run(lambda uow: close(uow, FIRMWARE))


def off_the_list(world: World) -> None:
    world.run(lambda uow: set_cpl_status(uow, FIRMWARE, "Removed"))


def withdrawn(world: World) -> None:
    world.run(lambda uow: withdraw(uow, phases_of(world.instance), FIRMWARE))


@pytest.mark.parametrize("comes", [closed, off_the_list])
def test_of_a_release_that_takes_nothing_new_an_approval_can_still_be_taken_back_but_not_given(
    suppliers: Suppliers, comes: Callable[[World], None]
) -> None:
    suppliers.schedule(A)
    suppliers.decide(B, Decision.APPROVE)
    comes(suppliers.world)

    deferred = suppliers.decide(B, Decision.DEFER, until_days=1)
    declined = suppliers.decide(B, Decision.DECLINE)
    approved = suppliers.decide(B, Decision.APPROVE)

    assert [deferred.code, declined.code, approved.code] == ["I99", "I99", "E110601"]
    assert suppliers.view(B).own_approval == "Declined"
    assert suppliers.view(A).status == "AwaitingApproval"


@pytest.mark.parametrize("decision", Decision)
def test_of_a_withdrawn_release_there_is_nothing_to_decide(suppliers: Suppliers, decision: Decision) -> None:
    suppliers.decide(A, Decision.APPROVE)
    withdrawn(suppliers.world)

    answer = suppliers.decide(A, decision, until_days=1 if decision is Decision.DEFER else None)

    assert answer.code == "E110601"
