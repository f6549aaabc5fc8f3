"""11.9: a Supplier excludes hubs and includes them again; nobody else sees it, and no upgrade is changed by it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sr_engine.instance import SupplierSeed
from sr_engine.messages.model import (
    CommsHubFirmwareResult,
    Decision,
    ExclusionAction,
    Firmware,
    RefusalReason,
    UpdateCommsHubFirmwareExclusion,
)
from sr_engine.operations.exclusions import confirm_exclusions
from sr_engine.store import audit, inventory, overlays
from tests.requests.conftest import SOLE, SPLIT, Suppliers, refused
from tests.world import FIRMWARE, NOW, A, B, TestHub, World, eui

ONE, TWO = TestHub(31), TestHub(32)
UNKNOWN = eui(0xC0, 99)
SIDES = pytest.mark.parametrize(("one", "other"), [(A, B), (B, A)], ids=["electricity", "gas"])


@SIDES
def test_an_exclusion_is_laid_over_the_upgrade_and_only_its_owner_sees_it(
    suppliers: Suppliers, one: SupplierSeed, other: SupplierSeed
) -> None:
    suppliers.schedule(A)
    suppliers.decide(B, Decision.APPROVE)
    before = suppliers.view(one), suppliers.view(other)
    rows, told = suppliers.world.snapshot(), (suppliers.alerts(A), suppliers.alerts(B))

    answer = suppliers.exclude(one, SPLIT.gpf.lower())

    assert (answer.code, answer.result) == ("I99", None)
    assert suppliers.view(one).status == "Excluded"
    assert suppliers.view(other) == before[1], "not so much as a time has changed for the other side"
    changed = {name for name, now in suppliers.world.snapshot().items() if now != rows[name]}
    assert changed == {"exclusions", "exchanges"}
    assert (suppliers.alerts(A), suppliers.alerts(B)) == told

    assert suppliers.include(one, SPLIT.chf).code == "I99"
    assert (suppliers.view(one), suppliers.view(other)) == before


def test_what_lies_below_an_exclusion_goes_on_meanwhile(suppliers: Suppliers) -> None:
    suppliers.schedule(A)
    suppliers.exclude(A)

    suppliers.decide(B, Decision.APPROVE)

    assert (suppliers.view(A).status, suppliers.view(B).status) == ("Excluded", "Scheduled")
    suppliers.include(A)
    assert suppliers.view(A).status == "Scheduled"


def test_an_exclusion_ends_by_itself_at_its_time(suppliers: Suppliers) -> None:
    suppliers.exclude(A, SOLE.chf, until_days=2)
    excluded = suppliers.view(A, SOLE.chf).status
    suppliers.pass_days(2)

    assert (excluded, suppliers.view(A, SOLE.chf).status) == ("Excluded", "NotScheduled")
    assert suppliers.include(A, SOLE.chf).code == "E110909", "there is nothing left to lift"


def test_excluding_again_sets_the_end_anew(suppliers: Suppliers) -> None:
    suppliers.exclude(A, SOLE.chf, until_days=2)
    suppliers.exclude(A, SOLE.chf)
    suppliers.pass_days(100)
    assert suppliers.view(A, SOLE.chf).status == "Excluded"

    suppliers.exclude(A, SOLE.chf, until_days=1)
    suppliers.pass_days(1)

    assert suppliers.view(A, SOLE.chf).status == "NotScheduled"


@SIDES
def test_only_the_supplier_that_excluded_a_hub_may_include_it(
    suppliers: Suppliers, one: SupplierSeed, other: SupplierSeed
) -> None:
    suppliers.exclude(one)

    answer = suppliers.include(other)

    assert (answer.code, refused(answer)) == ("E110909", {RefusalReason.NOT_AVAILABLE: (SPLIT.chf,)})
    assert suppliers.view(one).status == "Excluded"
    suppliers.exclude(other)
    assert suppliers.include(one).code == "I99"
    assert [suppliers.view(supplier).status for supplier in (one, other)] == ["NotScheduled", "Excluded"]


def test_an_include_tells_nobody_whether_the_other_side_excludes(suppliers: Suppliers) -> None:
    without = suppliers.include(B)
    suppliers.exclude(A)

    answer = suppliers.include(B)

    assert (answer.code, answer.result) == (without.code, without.result)
    assert answer.code == "E110909"


@pytest.mark.parametrize(
    ("action", "until", "execution"),
    [
        (ExclusionAction.EXCLUDE, NOW, None),
        (ExclusionAction.EXCLUDE, NOW - timedelta(days=1), None),
        (ExclusionAction.INCLUDE, NOW + timedelta(days=1), None),
        (ExclusionAction.EXCLUDE, None, NOW - timedelta(days=1)),
        (ExclusionAction.INCLUDE, None, NOW + timedelta(days=31)),
    ],
    ids=["until now", "until yesterday", "include until", "exclude yesterday", "include in 31 days"],
)
def test_a_date_that_is_out_of_place_refuses_the_request_as_a_whole(
    suppliers: Suppliers, action: ExclusionAction, until: object, execution: object
) -> None:
    suppliers.exclude(A, SOLE.chf)
    body = UpdateCommsHubFirmwareExclusion(action, (SOLE.chf, UNKNOWN), until, execution)  # type: ignore[arg-type]  # times or None

    answer = suppliers.world.send(A, body, "11.9")

    assert (answer.code, answer.result) == ("E110905", None)
    assert suppliers.view(A, SOLE.chf).status == "Excluded"


def test_each_hub_that_is_not_excluded_stands_in_the_answer_with_the_reason(suppliers: Suppliers) -> None:
    others, listed, meter = TestHub(41, electricity=B.name, gas=B.name), TestHub(42), eui(0xE0, SOLE.number)
    suppliers.world.add_hubs([others, listed, ONE])
    suppliers.schedule(A, listed.chf)
    assert suppliers.cut_lists() == 1

    answer = suppliers.exclude(A, UNKNOWN, meter, others.chf, listed.gpf, ONE.chf)

    assert answer.code == "W110901"
    assert refused(answer) == {
        RefusalReason.INVALID: (UNKNOWN, meter),
        RefusalReason.NOT_RESPONSIBLE: (others.chf,),
        RefusalReason.OTHER_REQUEST_IN_PROGRESS: (listed.gpf,),
    }
    assert isinstance(answer.result, CommsHubFirmwareResult)
    assert answer.result.accepted_device_count == 1
    assert [suppliers.view(A, hub.chf).status for hub in (ONE, listed)] == ["Excluded", "Listed"]


def test_each_hub_that_is_not_included_stands_in_the_answer_with_the_reason(suppliers: Suppliers) -> None:
    suppliers.world.add_hubs([ONE, TWO])
    suppliers.exclude(A, ONE.chf)

    answer = suppliers.include(A, UNKNOWN, ONE.chf, TWO.gpf)

    assert answer.code == "W110901"
    assert refused(answer) == {RefusalReason.INVALID: (UNKNOWN,), RefusalReason.NOT_AVAILABLE: (TWO.gpf,)}
    assert suppliers.view(A, ONE.chf).status == "NotScheduled"


def test_a_list_of_which_no_hub_can_be_excluded_is_refused(suppliers: Suppliers) -> None:
    others = TestHub(41, electricity=B.name, gas=B.name)
    suppliers.world.add_hubs([others])

    for answer in (suppliers.exclude(A, UNKNOWN, others.chf), suppliers.include(A, UNKNOWN, others.chf)):
        assert answer.code == "E110903"
        assert refused(answer) == {RefusalReason.INVALID: (UNKNOWN,), RefusalReason.NOT_RESPONSIBLE: (others.chf,)}


def test_what_is_with_the_csp_for_whichever_release_can_be_excluded_no_more(suppliers: Suppliers) -> None:
    suppliers.schedule(A, SOLE.chf)
    assert suppliers.cut_lists() == 1
    suppliers.world.open_release(Firmware(FIRMWARE.manufacturer, FIRMWARE.model, "9003"))

    for answer in (suppliers.exclude(A, SOLE.chf), suppliers.include(A, SOLE.chf)):
        assert answer.code == "E110908"
        assert refused(answer) == {RefusalReason.OTHER_REQUEST_IN_PROGRESS: (SOLE.chf,)}


def test_a_hub_that_no_release_is_for_can_be_excluded(world: World) -> None:
    hub = TestHub(1, status="Suspended", region="SMETS1", model="OTHER")
    world.add_hubs([hub])

    assert Suppliers(world).exclude(A, hub.chf).code == "I99"


def test_the_audit_trail_says_what_was_set_and_lifted_and_never_why(suppliers: Suppliers) -> None:
    set_by = suppliers.exclude(A, SOLE.chf, SPLIT.chf, until_days=2)
    lifted_by = suppliers.include(A, SOLE.chf)

    with suppliers.world.instance.reading_engine.connect() as connection:
        entries = [entry for entry in audit.newest(connection, 10) if entry.action.startswith("exclusion")]
    lifted, was_set = entries
    assert set_by.request_id is not None
    assert lifted_by.request_id is not None
    assert (was_set.action, was_set.from_state, was_set.to_state) == ("exclusion set", None, "Excluded")
    assert was_set.detail == f"{A.name}, until 2026-11-25T09:00:00.000000Z"
    assert (was_set.hubs, was_set.message_key) == ((SPLIT.chf, SOLE.chf), set_by.request_id.key)
    assert (lifted.action, lifted.from_state, lifted.to_state) == ("exclusion lifted", "Excluded", None)
    assert (lifted.hubs, lifted.detail, lifted.message_key) == ((SOLE.chf,), A.name, lifted_by.request_id.key)
    assert was_set.actor == lifted.actor == f"user:{A.eui}"


def test_what_the_operator_confirmed_stays_confirmed_while_the_exclusion_runs(suppliers: Suppliers) -> None:
    def overridden() -> bool:
        with suppliers.world.instance.reading_engine.connect() as connection:
            (one,) = overlays.exclusions_of(connection, [SOLE.chf], suppliers.world.clock.now())[SOLE.chf]
        return one.overridden

    suppliers.exclude(A, SOLE.chf)
    suppliers.world.run(lambda uow: confirm_exclusions(uow, FIRMWARE))
    suppliers.exclude(A, SOLE.chf, until_days=1)
    still = overridden()
    suppliers.pass_days(1)
    suppliers.exclude(A, SOLE.chf)

    assert (still, overridden()) == (True, False)


@pytest.mark.parametrize("by", ["gainer", "stayer"])
def test_a_supplier_that_left_excludes_until_the_one_that_followed_it_sets_its_own(world: World, by: str) -> None:
    world.add_hubs([SPLIT])
    suppliers = Suppliers(world)
    suppliers.exclude(A)
    # B supplies the gas already; the electricity goes to B, or to nobody that B has followed.
    suppliers.pass_days(1)
    _register(world, SPLIT.mpan, "IS", B if by == "gainer" else None)

    assert suppliers.include(B).code == "E110909", "it is not B's to lift"
    assert suppliers.exclude(B, until_days=1).code == "I99"

    with world.instance.reading_engine.connect() as connection:
        running = overlays.exclusions_of(connection, [SPLIT.chf], world.clock.now())[SPLIT.chf]
    assert [one.organisation for one in running] == ([B.name] if by == "gainer" else [A.name, B.name])


def _register(world: World, mpxn: str, role: str, supplier: SupplierSeed | None) -> None:
    row: dict[str, object] = {
        "mpxn": mpxn,
        "role": role,
        "effective_from": world.clock.now(),
        "organisation": None if supplier is None else supplier.name,
    }
    world.run(lambda uow: inventory.put_registrations(uow.connection, [row]))
