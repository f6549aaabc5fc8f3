"""11.8: a Supplier takes a schedule back, all of it or in part, and what then becomes of the hubs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from sr_engine.bootstrap import outcomes_of
from sr_engine.instance import SAMPLE_SUPPLIERS, SupplierSeed
from sr_engine.messages.model import CommsHubFirmwareResult, Decision, Phase, RefusalReason
from sr_engine.store import audit, inventory
from sr_engine.store.tables import releases
from tests.requests.conftest import ANSWER_CHANGED, CANCELLED, SOLE, SPLIT, Suppliers, days, refused, schedule_id
from tests.world import NOW, WINDOW, A, B, TestHub, World, eui, make_world

ONE, TWO, THREE = (TestHub(number) for number in (31, 32, 33))
UNKNOWN = eui(0xC0, 99)


def test_a_schedule_is_taken_back_as_a_whole(suppliers: Suppliers) -> None:
    suppliers.world.add_hubs([ONE])
    number = schedule_id(suppliers.schedule(A, SOLE.chf, ONE.chf))

    answer = suppliers.delete(A, number)

    assert (answer.code, answer.result) == ("I99", None)
    for hub in (SOLE, ONE):
        shown = suppliers.view(A, hub.chf)
        assert (shown.status, shown.own_approval) == ("Cancelled", "Pending")
        assert (shown.schedule_id, shown.window) == (None, None)
        assert (CANCELLED, hub.chf) in suppliers.alerts(A)
    assert suppliers.cut_lists() == 0


def test_of_a_list_only_the_hubs_named_are_taken_back_also_by_their_gpf(suppliers: Suppliers) -> None:
    suppliers.world.add_hubs([ONE, TWO])
    number = schedule_id(suppliers.schedule(A, SOLE.chf, ONE.chf, TWO.chf))

    answer = suppliers.delete(A, number, ONE.gpf.lower(), TWO.chf, TWO.gpf)

    assert (answer.code, answer.result) == ("I99", None)
    views = [suppliers.view(A, hub.chf) for hub in (SOLE, ONE, TWO)]
    assert [view.status for view in views] == ["Scheduled", "Cancelled", "Cancelled"]
    assert [view.schedule_id for view in views] == [number, None, None]


@pytest.mark.parametrize("first", [A, B], ids=["electricity", "gas"])
def test_what_the_other_side_has_scheduled_waits_for_a_new_answer(suppliers: Suppliers, first: SupplierSeed) -> None:
    other = B if first is A else A
    number = schedule_id(suppliers.schedule(first, window=days(5, 20)))
    kept = schedule_id(suppliers.schedule(other, window=days(10, 30)))

    assert suppliers.delete(first, number).code == "I99"

    mine, theirs = suppliers.view(first), suppliers.view(other)
    assert (mine.status, mine.own_approval, mine.other_approval) == ("AwaitingApproval", "Pending", "Approved")
    assert (theirs.status, theirs.own_approval, theirs.other_approval) == ("AwaitingApproval", "Approved", "Pending")
    assert (mine.window, theirs.window, theirs.schedule_id) == (None, days(10, 30), kept)
    assert suppliers.alerts(other)[-1] == (ANSWER_CHANGED, SPLIT.chf)
    suppliers.decide(first, Decision.APPROVE)
    assert (suppliers.view(first).status, suppliers.view(first).attempt) == ("Scheduled", 1)


def test_what_the_other_side_has_only_approved_is_cancelled_and_it_is_told(suppliers: Suppliers) -> None:
    number = schedule_id(suppliers.schedule(A))
    suppliers.decide(B, Decision.APPROVE)

    assert suppliers.delete(A, number).code == "I99"

    shown = suppliers.view(B)
    assert (shown.status, shown.own_approval, shown.other_approval) == ("AwaitingApproval", "Approved", "Pending")
    assert (CANCELLED, SPLIT.chf) in suppliers.alerts(B)


def test_a_new_schedule_after_that_opens_the_next_attempt(suppliers: Suppliers) -> None:
    number = schedule_id(suppliers.schedule(A, SOLE.chf))
    suppliers.delete(A, number)

    again = schedule_id(suppliers.schedule(A, SOLE.chf))

    shown = suppliers.view(A, SOLE.chf)
    assert (shown.status, shown.attempt, shown.schedule_id) == ("Scheduled", 2, again)
    assert again != number


def test_another_suppliers_schedule_is_as_unknown_as_one_that_does_not_exist(suppliers: Suppliers) -> None:
    number = schedule_id(suppliers.schedule(A))
    before = suppliers.world.snapshot()

    others = suppliers.delete(B, number, SPLIT.chf)
    nobodys = suppliers.delete(B, number + 1, SPLIT.chf)

    assert (others.code, others.result) == (nobodys.code, nobodys.result) == ("E110807", None)
    assert _without_exchanges(suppliers.world.snapshot()) == _without_exchanges(before)


def test_each_hub_that_is_not_taken_back_stands_in_the_answer_with_the_reason(suppliers: Suppliers) -> None:
    lost, listed, done = (TestHub(number) for number in (41, 42, 43))
    suppliers.world.add_hubs([lost, listed, done, ONE])
    number = schedule_id(suppliers.schedule(A, lost.chf, listed.chf, done.chf, ONE.chf))
    assert suppliers.delete(A, number, done.chf).code == "I99"
    # Excluded hubs are not listed.
    assert suppliers.exclude(A, lost.chf, ONE.chf).code == "I99"
    assert suppliers.cut_lists() == 1
    _move_to_b(suppliers.world, lost)

    named = (UNKNOWN, SOLE.chf, lost.gpf, listed.chf.lower(), done.chf, ONE.chf)
    answer = suppliers.delete(A, number, *named)

    assert answer.code == "W110801"
    assert refused(answer) == {
        RefusalReason.INVALID: (UNKNOWN, SOLE.chf),
        RefusalReason.NOT_RESPONSIBLE: (lost.gpf,),
        RefusalReason.OTHER_REQUEST_IN_PROGRESS: (listed.chf.lower(),),
        RefusalReason.NOT_AVAILABLE: (done.chf,),
    }
    assert isinstance(answer.result, CommsHubFirmwareResult)
    assert answer.result.accepted_device_count == 1
    assert suppliers.view(A, listed.chf).status == "Listed"
    assert suppliers.view(A, ONE.chf).own_approval == "Pending"


def test_without_a_list_what_is_with_the_csp_or_somebody_elses_now_is_left_and_said(suppliers: Suppliers) -> None:
    lost, listed = TestHub(41), TestHub(42)
    suppliers.world.add_hubs([lost, listed, ONE, TWO])
    number = schedule_id(suppliers.schedule(A, *(hub.chf for hub in (lost, listed, ONE, TWO))))
    suppliers.delete(A, number, TWO.chf)
    suppliers.exclude(A, lost.chf, ONE.chf)
    assert suppliers.cut_lists() == 1
    _move_to_b(suppliers.world, lost)

    answer = suppliers.delete(A, number)

    assert answer.code == "W110801"
    assert refused(answer) == {
        RefusalReason.NOT_RESPONSIBLE: (lost.chf,),
        RefusalReason.OTHER_REQUEST_IN_PROGRESS: (listed.chf,),
    }


@pytest.mark.parametrize("named", [(), (SOLE.gpf,)], ids=["all", "by list"])
def test_what_is_all_with_the_csp_cannot_be_taken_back(suppliers: Suppliers, named: tuple[str, ...]) -> None:
    number = schedule_id(suppliers.schedule(A, SOLE.chf))
    assert suppliers.cut_lists() == 1

    answer = suppliers.delete(A, number, *named)

    assert answer.code == "E110808"
    assert refused(answer) == {RefusalReason.OTHER_REQUEST_IN_PROGRESS: named or (SOLE.chf,)}
    assert suppliers.view(A, SOLE.chf).status == "Listed"


@pytest.mark.parametrize("ended", ["deleted", "declined", "replaced", "missed"])
def test_a_schedule_in_force_for_no_hub_any_more_cannot_be_taken_back(suppliers: Suppliers, ended: str) -> None:
    number = schedule_id(suppliers.schedule(A, SOLE.chf))
    match ended:
        case "deleted":
            suppliers.delete(A, number)
        case "declined":
            suppliers.decide(A, Decision.DECLINE, SOLE.chf)
        case "replaced":
            suppliers.schedule(A, SOLE.chf, window=days(7, 9), replaces=number)
        case "missed":
            _let_the_window_pass(suppliers.world)
    before = suppliers.view(A, SOLE.chf)

    whole, named = suppliers.delete(A, number), suppliers.delete(A, number, SOLE.chf, UNKNOWN)

    assert (whole.code, whole.result) == ("E110809", CommsHubFirmwareResult(0))
    assert named.code == "E110809"
    assert refused(named) == {RefusalReason.INVALID: (UNKNOWN,), RefusalReason.NOT_AVAILABLE: (SOLE.chf,)}
    assert suppliers.view(A, SOLE.chf) == before


def test_a_list_of_which_no_hub_is_in_the_schedule_is_refused(suppliers: Suppliers) -> None:
    suppliers.world.add_hubs([ONE])
    number = schedule_id(suppliers.schedule(A, SOLE.chf))
    other = schedule_id(suppliers.schedule(A, ONE.chf))

    answer = suppliers.delete(A, number, ONE.chf, UNKNOWN)

    assert answer.code == "E110803"
    assert refused(answer) == {RefusalReason.INVALID: (ONE.chf, UNKNOWN)}
    assert [suppliers.view(A, hub.chf).schedule_id for hub in (SOLE, ONE)] == [number, other]


@pytest.mark.parametrize(
    "changed",
    [{"status": "Closed"}, {"status": "Withdrawn"}, {"cpl_status": "Expired"}, {"management": "DCCManaged"}],
    ids=["closed", "withdrawn", "off the CPL", "the DCC's"],
)
def test_a_schedule_may_be_taken_back_whatever_has_become_of_its_release(
    suppliers: Suppliers, changed: dict[str, str]
) -> None:
    number = schedule_id(suppliers.schedule(A, SOLE.chf))
    suppliers.world.run(lambda uow: uow.connection.execute(releases.update().values(**changed)))

    assert suppliers.delete(A, number).code == "I99"


def test_while_the_release_is_compulsory_the_processor_plans_the_hub_by_itself(suppliers: Suppliers) -> None:
    number = schedule_id(suppliers.schedule(A, SOLE.chf))
    comply_by = NOW + timedelta(days=25)
    terms = {"obligation": "Mandatory", "comply_by": comply_by, "compulsory_from": NOW}
    suppliers.world.run(lambda uow: uow.connection.execute(releases.update().values(**terms)))

    assert suppliers.delete(A, number).code == "I99"

    shown = suppliers.view(A, SOLE.chf)
    assert (shown.status, shown.own_approval, shown.schedule_id) == ("Scheduled", "Pending", None)
    assert (shown.window, shown.attempt) == (days(0, 25), 1)
    assert CANCELLED not in {event for event, _ in suppliers.alerts(A)}


def test_a_user_takes_back_in_its_own_roles_only(tmp_path: Path) -> None:
    gas_only = SupplierSeed("gas-only", "00-00-5E-EF-10-00-00-A3", "http://127.0.0.1:8093/duis", roles=("GS",))
    world = make_world(tmp_path, suppliers=(*SAMPLE_SUPPLIERS, gas_only))
    hub = TestHub(1, electricity=A.name, gas=gas_only.name)
    world.add_hubs([hub])
    world.open_release()
    suppliers = Suppliers(world)
    number = schedule_id(suppliers.schedule(gas_only, hub.chf))
    _register(world, hub, "IS", gas_only)
    _register(world, hub, "GS", A)

    answer = suppliers.delete(gas_only, number)

    assert (answer.code, refused(answer)) == ("E110803", {RefusalReason.NOT_RESPONSIBLE: (hub.chf,)})
    world.close()


def test_what_a_replacement_leaves_out_and_is_somebody_elses_now_is_not_answered_for(suppliers: Suppliers) -> None:
    suppliers.world.add_hubs([ONE])
    number = schedule_id(suppliers.schedule(A, SOLE.chf, ONE.chf))
    _move_to_b(suppliers.world, ONE)

    assert suppliers.schedule(A, SOLE.chf, window=days(7, 9), replaces=number).code == "I0"

    with suppliers.world.instance.reading_engine.connect() as connection:
        answered = [entry for entry in audit.newest(connection, 10) if entry.action == "answer"]
    assert all(ONE.chf not in entry.hubs for entry in answered if entry.to_state == "Pending")


def test_the_audit_trail_says_which_hubs_and_by_which_request(suppliers: Suppliers) -> None:
    number = schedule_id(suppliers.schedule(A, SOLE.chf, phase=Phase.GENERAL))

    answer = suppliers.delete(A, number)

    with suppliers.world.instance.reading_engine.connect() as connection:
        entries = audit.newest(connection, 3)
    assert answer.request_id is not None
    assert {entry.message_key for entry in entries} == {answer.request_id.key}
    assert {(entry.action, entry.from_state, entry.to_state) for entry in entries} == {
        ("request", None, None),
        ("answer", None, "Pending"),
        ("attempt taken_back", "Scheduled", "Cancelled"),
    }


def test_a_hub_named_in_either_way_counts_once(suppliers: Suppliers) -> None:
    number = schedule_id(suppliers.schedule(A, SOLE.chf))

    answer = suppliers.delete(A, number, SOLE.gpf, SOLE.chf, UNKNOWN)

    assert answer.code == "W110801"
    assert answer.result == CommsHubFirmwareResult(1, refused={RefusalReason.INVALID: (UNKNOWN,)})


def _without_exchanges(snapshot: dict[str, list[tuple[object, ...]]]) -> dict[str, list[tuple[object, ...]]]:
    return {name: rows for name, rows in snapshot.items() if name != "exchanges"}


def _move_to_b(world: World, hub: TestHub) -> None:
    """B takes both meters of a home over, as of now."""
    _register(world, hub, "IS", B)
    _register(world, hub, "GS", B)


def _register(world: World, hub: TestHub, role: str, supplier: SupplierSeed) -> None:
    row: dict[str, object] = {
        "mpxn": hub.mpan if role == "IS" else hub.mprn,
        "role": role,
        "effective_from": world.clock.now(),
        "organisation": supplier.name,
    }
    world.run(lambda uow: inventory.put_registrations(uow.connection, [row]))


def _let_the_window_pass(world: World) -> None:
    region = world.instance.configuration.regions["Central"]
    world.clock.set(WINDOW.end + region.completion_sla + timedelta(hours=1))
    assert world.run(lambda uow: outcomes_of(world.instance).time_out(uow, region)) == 1
