"""What hubs run, as CSPs read it from them, and what becomes of it where the inventory says something else."""

from __future__ import annotations

from itertools import permutations

import pytest
from sqlalchemy import delete, update

from sr_engine.messages.model import (
    DCCAlertVersionMismatch,
    Decision,
    DUISVersionMismatch,
    FirmwareVersionMismatch,
    ReportEntry,
    ReportStatus,
)
from sr_engine.store.tables import devices
from tests.regions.conftest import HOUR, Nights, hubs
from tests.world import OLD_VERSION, A, B, TestHub, reopen

DELIVERED, ACTIVATED, FAILED = ReportStatus.DELIVERED, ReportStatus.ACTIVATED, ReportStatus.FAILED
NEW = "9002"
MISMATCH = "firmware_version_mismatch"


def listed(nights: Nights, *, gas: str = A.name) -> tuple[TestHub, str]:
    (hub,) = hubs(1, gas=gas)
    nights.world.add_hubs([hub])
    nights.schedule([hub])
    if gas != A.name:
        nights.decide([hub], B, Decision.APPROVE)
    assert nights.cut() == 1
    nights.world.clock.advance(60 * HOUR)
    return hub, nights.list_ids()[-1]


def read(nights: Nights, hub: TestHub, status: ReportStatus, version: str | None, hours_ago: int = 0) -> ReportEntry:
    at = nights.world.clock.now() - hours_ago * HOUR
    return ReportEntry(hub.chf, status, at, None, version)


def mismatches(nights: Nights) -> list[FirmwareVersionMismatch]:
    """What A was sent."""
    nights.world.settle()
    bodies = [decoded.alert for decoded in nights.world.sent(A, "alert")]
    return [body for body in bodies if isinstance(body, FirmwareVersionMismatch)]


def test_a_hub_said_to_be_activated_that_runs_something_else_has_failed_and_every_supplier_is_told_both(
    central: Nights,
) -> None:
    hub, list_id = listed(central, gas=B.name)

    said = central.report(list_id, read(central, hub, ACTIVATED, "9000"))

    assert said == "1 hubs brought forward; 1 run another version than the inventory said"
    attempt = central.attempt(hub)
    assert attempt.state == "Failed"
    assert attempt.reason == "reported as activated, but the hub runs 9000 and not 9002"
    assert central.version(hub.chf) == central.version(hub.gpf) == "9000"
    both = [(hub.chf, A.name), (hub.chf, B.name)]
    assert [central.told(event) for event in ("hub_failed", "hub_activated", MISMATCH)] == [both, [], both]
    assert mismatches(central) == [FirmwareVersionMismatch(hub.chf, "CHF", OLD_VERSION, "9000")]
    assert central.said("firmware version mismatch") == ["the inventory said 9001, the CSP has read 9000"]


def test_a_hub_that_runs_what_the_list_asked_for_contradicts_nothing(central: Nights) -> None:
    hub, list_id = listed(central)
    central.report(list_id, read(central, hub, DELIVERED, OLD_VERSION))
    central.report(list_id, read(central, hub, ACTIVATED, NEW))
    assert (central.attempt(hub).state, central.version(hub.chf)) == ("Activated", NEW)
    assert central.told(MISMATCH) == []


@pytest.mark.parametrize("status", [DELIVERED, FAILED])
def test_what_a_hub_runs_that_is_not_activated_is_held_against_the_inventory_too(
    central: Nights, status: ReportStatus
) -> None:
    hub, list_id = listed(central)
    central.report(list_id, read(central, hub, status, "9000"))
    assert (central.attempt(hub).state, central.version(hub.gpf)) == (status, "9000")
    assert central.told(MISMATCH) == [(hub.chf, A.name)]


def test_a_hub_that_was_activated_stays_so_when_it_is_found_to_run_something_else(central: Nights) -> None:
    hub, list_id = listed(central)
    central.report(list_id, read(central, hub, ACTIVATED, NEW, hours_ago=2))

    central.report(list_id, read(central, hub, FAILED, OLD_VERSION))

    assert (central.attempt(hub).state, central.version(hub.chf)) == ("Activated", OLD_VERSION)
    assert mismatches(central) == [FirmwareVersionMismatch(hub.chf, "CHF", NEW, OLD_VERSION)]


def test_a_right_report_that_follows_raises_the_hub_to_activated(central: Nights) -> None:
    hub, list_id = listed(central)
    central.report(list_id, read(central, hub, ACTIVATED, "9000", hours_ago=2))
    central.report(list_id, read(central, hub, ACTIVATED, NEW))
    assert (central.attempt(hub).state, central.version(hub.chf)) == ("Activated", NEW)
    assert mismatches(central) == [FirmwareVersionMismatch(hub.chf, "CHF", OLD_VERSION, "9000")]


def test_the_same_report_again_tells_nothing_again(central: Nights) -> None:
    hub, list_id = listed(central)
    entry = read(central, hub, FAILED, "9000")
    central.report(list_id, entry)
    before = central.world.snapshot()
    central.report(list_id, entry)
    assert central.world.snapshot() == before


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_in_whatever_order_reports_come_the_inventory_says_what_was_read_last(
    central: Nights, order: tuple[int, ...]
) -> None:
    hub, list_id = listed(central)
    entries = [
        read(central, hub, DELIVERED, OLD_VERSION, hours_ago=5),
        read(central, hub, ACTIVATED, None, hours_ago=4),
        read(central, hub, FAILED, "9000", hours_ago=3),
    ]
    for number in order:
        central.report(list_id, entries[number])
    assert (central.attempt(hub).state, central.version(hub.chf)) == ("Activated", "9000")


@pytest.mark.parametrize("order", list(permutations(range(2))))
def test_in_whatever_order_reports_come_the_suppliers_learn_what_an_upgraded_hub_runs(
    central: Nights, order: tuple[int, ...]
) -> None:
    """Also if an activation is reported behind what was read later: nothing contradicted the inventory then."""
    hub, list_id = listed(central)
    entries = [read(central, hub, ACTIVATED, None, hours_ago=2), read(central, hub, FAILED, OLD_VERSION, hours_ago=1)]

    for number in (*order, *order):
        central.report(list_id, entries[number])

    assert (central.attempt(hub).state, central.version(hub.chf)) == ("Activated", OLD_VERSION)
    assert mismatches(central) == [FirmwareVersionMismatch(hub.chf, "CHF", NEW, OLD_VERSION)]
    assert central.said("firmware version mismatch") == ["the inventory said 9002, the CSP has read 9001"]


def test_of_a_hub_that_has_left_the_inventory_nobody_is_told_what_it_runs(central: Nights) -> None:
    hub, list_id = listed(central)
    central.report(list_id, read(central, hub, DELIVERED, OLD_VERSION, hours_ago=1))
    central.world.execute(delete(devices).where(devices.c.hub_id == hub.chf))

    assert central.report(list_id, read(central, hub, ACTIVATED, None, hours_ago=2)) == "1 hubs brought forward"

    assert (central.attempt(hub).state, central.told(MISMATCH)) == ("Activated", [])


def test_nothing_is_reported_that_was_before_the_list(central: Nights) -> None:
    """A CSP's clock may have stopped: what was read later still counts as later."""
    hub, list_id = listed(central)
    cut_at = central.due()

    central.report(list_id, read(central, hub, ACTIVATED, NEW, hours_ago=24 * 300))

    assert (central.attempt(hub).state, central.attempt(hub).state_at) == ("Activated", cut_at)
    assert central.version(hub.chf) == NEW


def test_of_several_readings_in_one_report_the_newest_counts(central: Nights) -> None:
    hub, list_id = listed(central)
    central.report(
        list_id,
        read(central, hub, ACTIVATED, NEW, hours_ago=1),
        read(central, hub, DELIVERED, "9000", hours_ago=2),
    )
    assert (central.attempt(hub).state, central.version(hub.chf)) == ("Activated", NEW)
    assert central.told(MISMATCH) == []


def test_where_the_inventory_says_nothing_there_is_nothing_to_contradict(central: Nights) -> None:
    hub, list_id = listed(central)
    empty = update(devices).where(devices.c.hub_id == hub.chf).values(firmware_version=None)
    central.world.run(lambda uow: uow.connection.execute(empty))
    central.report(list_id, read(central, hub, FAILED, OLD_VERSION))
    assert central.version(hub.chf) == OLD_VERSION
    assert central.told(MISMATCH) == []


def test_a_hub_that_is_not_on_the_list_is_not_corrected(central: Nights) -> None:
    _, list_id = listed(central)
    other = TestHub(2)
    central.world.add_hubs([other])
    central.report(list_id, read(central, other, ACTIVATED, "9000"))
    assert central.version(other.chf) == OLD_VERSION
    assert central.told(MISMATCH) == []


def test_a_user_whose_version_does_not_have_the_alert_is_told_that_there_is_one(central: Nights) -> None:
    alerts = central.world.directory / "config" / "alerts.toml"
    text = alerts.read_text(encoding="utf-8")
    alerts.write_text(
        text.replace('body = "FirmwareVersionMismatch"', 'body = "FirmwareVersionMismatch"\nsince = 9.9'),
        encoding="utf-8",
    )
    central.world = reopen(central.world)
    hub, list_id = listed(central)
    central.report(list_id, read(central, hub, FAILED, "9000"))
    central.world.settle()
    (told,) = (one.alert for one in central.world.sent(A, "alert") if isinstance(one.alert, DUISVersionMismatch))
    assert told.mismatch == DCCAlertVersionMismatch("N49", hub.chf, None)
    central.world.close()
