"""11.5: which hubs are accepted, why the others are not, and what replacing a schedule does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sr_engine.instance import SAMPLE_SUPPLIERS, SupplierSeed
from sr_engine.messages.model import CommsHubFirmwareResult, Decision, Firmware, Phase, RefusalReason
from sr_engine.store.tables import releases
from tests.requests.conftest import SCHEDULE, SOLE, SPLIT, Suppliers, days, refused, schedule_id
from tests.world import FIRMWARE, WINDOW, A, B, TestHub, World, eui, make_world

GAS_ONLY = SupplierSeed("gas-only", "00-00-5E-EF-10-00-00-A3", "http://127.0.0.1:8093/duis", roles=("GS",))
IHD = ("0F0F", "IHD9000")


def test_every_reason_stands_in_one_answer_each_hub_under_the_first_that_applies(suppliers: Suppliers) -> None:
    suppliers.world.open_release(Firmware("2B7E", "C1A20001", "9003"), han_models=[IHD])
    suppliers.world.open_release(Firmware("2B7E", "C1A20001", "9004"), han_models=[IHD])
    hubs = {
        RefusalReason.NOT_RESPONSIBLE: TestHub(11, electricity=B.name, gas=B.name, status="Pending", model="other"),
        RefusalReason.NOT_COMMISSIONED: TestHub(12, status="Pending", model="other", han=IHD),
        RefusalReason.NOT_APPLICABLE_FIRMWARE: TestHub(13, version="8999", han=IHD),
        RefusalReason.OTHER_REQUEST_IN_PROGRESS: TestHub(14, han=IHD, region="North"),
        RefusalReason.HAN_INCOMPATIBLE: TestHub(15, han=IHD, region="North"),
        RefusalReason.WINDOW_NOT_AVAILABLE: TestHub(16, region="North"),
    }
    good, unknown = TestHub(17), eui(0xC0, 99)
    suppliers.world.add_hubs([*hubs.values(), good])
    in_progress = hubs[RefusalReason.OTHER_REQUEST_IN_PROGRESS].chf
    body = replace(SCHEDULE, firmware=Firmware("2B7E", "C1A20001", "9004"))
    first = suppliers.world.send(A, replace(body, device_ids=(in_progress,), accept_han_impact=True), "11.5")
    assert first.code == "I0"
    # A Thursday afternoon to Friday: Central opens that night, North does not.
    window = days(10.2, 11.2)
    listed = (unknown, *(hub.chf for hub in hubs.values()), good.chf)

    answer = suppliers.world.send(A, replace(body, window=window, device_ids=listed), "11.5")

    assert answer.code == "W110501"
    assert refused(answer) == {RefusalReason.INVALID: (unknown,)} | {reason: (hub.chf,) for reason, hub in hubs.items()}
    assert isinstance(answer.result, CommsHubFirmwareResult)
    assert answer.result.accepted_device_count == 1
    assert [row[1] for row in suppliers.world.snapshot()["schedule_hubs"]].count(good.chf) == 1


@pytest.mark.parametrize("region", ["4G North", "Unknown", "SMETS1"])
def test_a_hub_in_a_region_the_release_is_not_for_cannot_have_the_firmware(suppliers: Suppliers, region: str) -> None:
    hub = TestHub(20, region=region)
    suppliers.world.add_hubs([hub])

    answer = suppliers.schedule(A, hub.chf)

    assert (answer.code, refused(answer)) == ("E110503", {RefusalReason.NOT_APPLICABLE_FIRMWARE: (hub.chf,)})


@pytest.mark.parametrize(
    ("status", "taken"),
    [
        ("Commissioned", True),
        ("Suspended", True),
        ("Recovered", True),
        *((status, False) for status in ("Pending", "Whitelisted", "InstalledNotCommissioned", "Recovery")),
        *((status, False) for status in ("Decommissioned", "Withdrawn")),
    ],
)
def test_the_status_of_the_chf_decides(suppliers: Suppliers, status: str, taken: bool) -> None:
    hub = TestHub(20, status=status)
    suppliers.world.add_hubs([hub])

    answer = suppliers.schedule(A, hub.chf)

    if status in {"Decommissioned", "Withdrawn"}:
        # The meters of this home carry the same status: nobody is responsible for it any more.
        assert refused(answer) == {RefusalReason.NOT_RESPONSIBLE: (hub.chf,)}
    elif taken:
        assert answer.code == "I0"
    else:
        assert refused(answer) == {RefusalReason.NOT_COMMISSIONED: (hub.chf,)}


def test_a_user_acts_for_its_organisation_in_its_own_roles_only(tmp_path: Path) -> None:
    world = make_world(tmp_path, suppliers=(*SAMPLE_SUPPLIERS, GAS_ONLY))
    electricity = TestHub(1, electricity=GAS_ONLY.name, gas=A.name)
    gas = TestHub(2, electricity=A.name, gas=GAS_ONLY.name)
    world.add_hubs([electricity, gas])
    world.open_release()

    answer = Suppliers(world).schedule(GAS_ONLY, electricity.chf, gas.chf)

    assert answer.code == "W110501"
    assert refused(answer) == {RefusalReason.NOT_RESPONSIBLE: (electricity.chf,)}
    world.close()


def test_a_hub_without_meters_is_nobodys(suppliers: Suppliers) -> None:
    hub = TestHub(20, electricity=None, gas=None)
    suppliers.world.add_hubs([hub])

    assert refused(suppliers.schedule(A, hub.chf)) == {RefusalReason.NOT_RESPONSIBLE: (hub.chf,)}


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"status": "Withdrawn"}, "01"),
        ({"cpl_status": "Expired"}, "01"),
        ({"cpl_status": "Withdrawn"}, "01"),
        ({"management": "DCCManaged"}, "06"),
        ({"status": "Withdrawn", "management": "DCCManaged"}, "01"),
    ],
)
def test_a_release_that_is_closed_off_the_cpl_or_the_dccs_is_refused_as_a_whole(
    suppliers: Suppliers, changed: dict[str, str], code: str
) -> None:
    suppliers.world.run(lambda uow: uow.connection.execute(releases.update().values(**changed)))

    assert suppliers.schedule(A).code == f"E1105{code}"
    assert suppliers.decide(A, Decision.APPROVE).code == f"E1106{code}"


def test_an_own_open_schedule_is_in_the_way_until_it_is_named(suppliers: Suppliers) -> None:
    first = suppliers.schedule(A, SOLE.chf)

    again = suppliers.schedule(A, SOLE.chf, window=days(7, 9))
    replaced = suppliers.schedule(A, SOLE.chf, window=days(7, 9), replaces=schedule_id(first))

    assert (again.code, refused(again)) == ("E110503", {RefusalReason.OTHER_REQUEST_IN_PROGRESS: (SOLE.chf,)})
    assert replaced.code == "I0"
    shown = suppliers.view(A, SOLE.chf)
    assert (shown.status, shown.schedule_id, shown.window) == ("Scheduled", schedule_id(replaced), days(7, 9))
    assert shown.attempt == 1


def test_the_others_schedule_is_not_in_the_way(suppliers: Suppliers) -> None:
    assert suppliers.schedule(A).code == "I0"
    assert suppliers.schedule(B).code == "I0"


def test_an_open_upgrade_to_another_release_is_in_the_way_of_both_suppliers(suppliers: Suppliers) -> None:
    newer = Firmware("2B7E", "C1A20001", "9003")
    suppliers.world.open_release(newer)
    suppliers.schedule(A)

    for supplier in (A, B):
        answer = suppliers.world.send(supplier, replace(SCHEDULE, firmware=newer), "11.5")

        assert refused(answer) == {RefusalReason.OTHER_REQUEST_IN_PROGRESS: (SPLIT.chf,)}


def test_after_a_partly_accepted_replacement_left_out_hubs_are_cancelled_and_refused_ones_keep_the_old(
    suppliers: Suppliers,
) -> None:
    kept, moved, dropped = (TestHub(number) for number in (31, 32, 33))
    suppliers.world.add_hubs([kept, moved, dropped])
    old = schedule_id(suppliers.schedule(A, kept.chf, moved.chf, dropped.chf))
    suppliers.world.add_hubs([replace(kept, status="Pending")])

    answer = suppliers.schedule(A, kept.gpf.lower(), moved.gpf, window=days(7, 9), replaces=old)

    assert answer.code == "W110501"
    assert refused(answer) == {RefusalReason.NOT_COMMISSIONED: (kept.gpf.lower(),)}
    views = [suppliers.view(A, hub.chf) for hub in (kept, moved, dropped)]
    assert [(view.status, view.own_approval) for view in views] == [
        ("Scheduled", "Approved"),
        ("Scheduled", "Approved"),
        ("Cancelled", "Pending"),
    ]
    assert [view.schedule_id for view in views] == [old, schedule_id(answer), None]
    assert [view.window for view in views] == [WINDOW, days(7, 9), None]


def test_a_replacement_of_which_no_hub_is_accepted_changes_nothing(suppliers: Suppliers) -> None:
    old = schedule_id(suppliers.schedule(A, SOLE.chf))
    before = suppliers.world.snapshot()

    answer = suppliers.schedule(A, eui(0xC0, 99), replaces=old)

    assert answer.code == "E110503"
    assert {name: rows for name, rows in suppliers.world.snapshot().items() if name != "exchanges"} == {
        name: rows for name, rows in before.items() if name != "exchanges"
    }


def test_only_an_own_schedule_of_the_same_release_can_be_replaced(suppliers: Suppliers) -> None:
    newer = Firmware("2B7E", "C1A20001", "9003")
    suppliers.world.open_release(newer)
    own, others = schedule_id(suppliers.schedule(A, SOLE.chf)), schedule_id(suppliers.schedule(B))

    other_release = suppliers.world.send(A, replace(SCHEDULE, firmware=newer, replaces_schedule_id=own), "11.5")

    assert other_release.code == "E110507"
    assert suppliers.schedule(A, replaces=others).code == "E110507"
    assert suppliers.schedule(A, replaces=own + 1).code == "E110507"


def test_what_stands_on_a_list_can_be_changed_no_more(suppliers: Suppliers) -> None:
    old = schedule_id(suppliers.schedule(A, SOLE.chf))
    assert suppliers.cut_lists() == 1

    replaced = suppliers.schedule(A, SOLE.chf, window=days(12, 19), replaces=old)
    mixed = suppliers.schedule(A, SOLE.chf, SPLIT.chf, window=days(12, 19), replaces=old)

    assert replaced.code == "E110508"
    assert suppliers.decide(A, Decision.DECLINE, SOLE.chf).code == "E110608"
    assert mixed.code == "W110501"
    assert refused(mixed) == {RefusalReason.OTHER_REQUEST_IN_PROGRESS: (SOLE.chf,)}
    assert suppliers.view(A, SOLE.chf).status == "Listed"


def test_a_listed_hub_left_out_of_a_replacement_stays_listed(suppliers: Suppliers) -> None:
    old = schedule_id(suppliers.schedule(A, SOLE.chf))
    suppliers.cut_lists()

    assert suppliers.schedule(A, SPLIT.chf, window=days(12, 19), replaces=old).code == "I0"

    assert suppliers.view(A, SOLE.chf).status == "Listed"


def test_that_somebody_elses_hub_is_listed_is_not_told(suppliers: Suppliers) -> None:
    suppliers.schedule(A, SOLE.chf)
    suppliers.cut_lists()

    assert suppliers.schedule(B, SOLE.chf, window=days(12, 19)).code == "E110503"
    assert suppliers.decide(B, Decision.DECLINE, SOLE.chf).code == "E110603"


def test_all_otherwise_acceptable_hubs_without_a_night_is_04_even_beside_others(suppliers: Suppliers) -> None:
    answer = suppliers.schedule(A, eui(0xC0, 99), SOLE.chf, window=days(7, 7.2))

    assert answer.code == "E110504"
    assert refused(answer) == {
        RefusalReason.INVALID: (eui(0xC0, 99),),
        RefusalReason.WINDOW_NOT_AVAILABLE: (SOLE.chf,),
    }


def test_a_window_may_reach_to_the_horizon_and_begin_in_the_past(suppliers: Suppliers) -> None:
    assert suppliers.schedule(A, SOLE.chf, window=days(-10, 180)).code == "I0"


def test_han_devices_that_may_break_need_a_yes(world: World) -> None:
    hub, safe = TestHub(1, han=IHD), TestHub(2, han=("0F0F", "IHD9001"))
    world.add_hubs([hub, safe])
    world.open_release(han_models=[IHD])
    suppliers = Suppliers(world)

    assert refused(suppliers.schedule(A, hub.chf, safe.chf)) == {RefusalReason.HAN_INCOMPATIBLE: (hub.chf,)}
    assert suppliers.schedule(A, hub.chf, accept=True).code == "I0"


def test_a_new_schedule_after_a_cancelled_one_opens_the_next_attempt(suppliers: Suppliers) -> None:
    suppliers.schedule(A, SOLE.chf)
    suppliers.decide(A, Decision.DECLINE, SOLE.chf)

    suppliers.schedule(A, SOLE.chf)

    shown = suppliers.view(A, SOLE.chf)
    assert (shown.attempt, shown.status, shown.own_approval) == (2, "Scheduled", "Approved")


@pytest.mark.parametrize(
    ("phase", "gate_open", "listed"),
    [
        (Phase.PILOT, False, 1),
        (Phase.PILOT, True, 1),
        (Phase.GENERAL, False, 0),
        (Phase.GENERAL, True, 1),
    ],
)
def test_a_general_hub_waits_at_the_gate_and_a_pilot_hub_does_not(
    world: World, phase: Phase, gate_open: bool, listed: int
) -> None:
    world.add_hubs([SOLE])
    world.open_release(general_open=gate_open)
    suppliers = Suppliers(world)

    assert suppliers.schedule(A, SOLE.chf, phase=phase).code == "I0"

    assert suppliers.view(A, SOLE.chf).status == "Scheduled"
    assert suppliers.cut_lists() == listed


def test_one_supplier_saying_pilot_makes_the_hub_a_pilot_once_both_have_approved(world: World) -> None:
    world.add_hubs([SPLIT])
    world.open_release(general_open=False)
    suppliers = Suppliers(world)
    suppliers.schedule(A, phase=Phase.GENERAL)
    suppliers.schedule(B, phase=Phase.PILOT)

    assert suppliers.cut_lists() == 1


def test_five_thousand_hubs_are_one_request(suppliers: Suppliers) -> None:
    hubs = [TestHub(number) for number in range(100, 5_100)]
    suppliers.world.add_hubs(hubs)

    answer = suppliers.schedule(A, *(hub.chf for hub in hubs))

    assert answer.code == "I0"
    assert isinstance(answer.result, CommsHubFirmwareResult)
    assert answer.result.accepted_device_count == 5_000
    assert FIRMWARE.version == suppliers.view(A, hubs[-1].gpf).firmware.version
