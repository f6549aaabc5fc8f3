"""Many hubs in one report: what becomes of each is what a report of its own would have brought about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import ColumnElement, Connection, select

from sr_engine.domain.changes import HubEvent
from sr_engine.instance import SupplierSeed
from sr_engine.messages.model import ReportEntry, ReportStatus, UpgradeReport
from sr_engine.store import counters, inventory, registrations, suppliers, tidings
from sr_engine.store.audit import UNLINKED
from sr_engine.store.reading import Reading
from sr_engine.store.suppliers import Responsibility
from sr_engine.store.tables import attempts, audit, devices, schedule_hubs
from sr_engine.store.units_of_work import UnitOfWork
from tests.regions.conftest import HOUR, Nights
from tests.world import NOW, A, B, TestHub, World, eui, make_world

HUBS = [
    *(TestHub(number, A.name, A.name) for number in range(1, 4)),
    *(TestHub(number, A.name, B.name) for number in range(4, 7)),
    TestHub(7, B.name, None),
    TestHub(8, None, A.name),
]
Said = tuple[int, ReportStatus, int, bool]

ENTRIES = st.tuples(
    st.integers(0, len(HUBS)), st.sampled_from(ReportStatus), st.integers(0, 3), st.sampled_from([False, False, True])
)
"""A hub of the list or one that is not on it, what is said of it, hours ago, and whether a version is named."""


def left_to_tell(connection: Connection) -> list[HubEvent]:
    """What Suppliers are still to be told."""
    return [
        event
        for organisation in tidings.whom(connection)
        for portion in tidings.oldest(connection, organisation, at_least=1_000)
        for event in portion.events
    ]


def listed(folder: Path) -> Nights:
    """All hubs stand on one list; one was refused by its CSP, and its attempt goes on."""
    world = make_world(folder / "instance")
    world.add_hubs(HUBS)
    world.open_release()
    nights = Nights(world, world.instance.configuration.regions["Central"])
    for supplier in (A, B):
        mine = [hub for hub in HUBS if supplier.name in (hub.electricity, hub.gas)]
        nights.schedule(mine, supplier)
    assert nights.cut() == len(HUBS)
    (list_id,) = nights.list_ids()
    nights.acknowledge(list_id, HUBS[1:], {"no power": HUBS[:1]})
    world.clock.set(nights.period().end)
    return nights


def entry(nights: Nights, said: Said) -> ReportEntry:
    place, status, ago, names_version = said
    hub_id = TestHub(99).chf if place == len(HUBS) else HUBS[place].chf
    version = "9002" if names_version else None
    reason = "no power" if status is ReportStatus.FAILED else None
    return ReportEntry(hub_id, status, nights.world.clock.now() - ago * HOUR, reason, version)


def what_becomes(nights: Nights, reports: list[list[ReportEntry]]) -> dict[str, object]:
    """Attempts, inventory, schedules, who is to be told what, and each hub's transitions on record; all taken back."""
    now, list_id = nights.world.clock.now(), nights.list_ids()[0]
    with nights.world.instance.engine.connect() as connection:
        for entries in reports:
            message = UpgradeReport(nights.message_id(), now, list_id, "Central", tuple(entries))
            nights.outcomes.report(UnitOfWork(connection, now), message)

        def all_of(*columns: ColumnElement[Any]) -> list[tuple[Any, ...]]:
            return sorted((tuple(row) for row in connection.execute(select(*columns))), key=repr)

        recorded: Counter[tuple[object, ...]] = Counter()
        for row in connection.execute(select(audit).where(audit.c.hubs.is_not(None))):
            for hub_id in row.hubs.split(","):
                recorded[hub_id, row.action, row.from_state, row.to_state, row.attempt_number, row.detail] += 1
        to_be_told = Counter(left_to_tell(connection))
        found: dict[str, object] = {
            "attempts": all_of(*attempts.columns),
            "firmware": all_of(devices.c.device_id, devices.c.firmware_version),
            "schedules": all_of(schedule_hubs.c.hub_id, schedule_hubs.c.in_force, schedule_hubs.c.done),
            "told": to_be_told,
            "audit": recorded,
        }
        connection.info.pop(UNLINKED, None)
        connection.rollback()
    return found


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    nights = listed(tmp_path_factory.mktemp("moving"))
    yield nights
    nights.world.close()


@given(said=st.lists(ENTRIES, max_size=14))
@settings(max_examples=60, deadline=None)
def test_a_report_of_many_hubs_does_what_a_report_of_each_would(nights: Nights, said: list[Said]) -> None:
    entries = [entry(nights, one) for one in said]
    of_each: dict[str, list[ReportEntry]] = {}
    for one in entries:
        of_each.setdefault(one.device_id, []).append(one)

    assert what_becomes(nights, [entries]) == what_becomes(nights, list(of_each.values()))


def test_the_hubs_of_a_report_come_to_different_ends_side_by_side(nights: Nights) -> None:
    """What the property above compares is not nothing."""
    said: list[Said] = [
        (0, ReportStatus.ACTIVATED, 1, False),
        (1, ReportStatus.DELIVERED, 1, False),
        (2, ReportStatus.FAILED, 1, False),
        (3, ReportStatus.ACTIVATED, 1, False),
    ]

    found = what_becomes(nights, [[entry(nights, one) for one in said]])

    told = found["told"]
    assert isinstance(told, Counter)
    assert sorted((one.hub_id, one.event.value, one.organisation) for one in told) == [
        (HUBS[0].chf, "hub_activated", A.name),
        (HUBS[1].chf, "hub_delivered", A.name),
        (HUBS[2].chf, "hub_failed", A.name),
        (HUBS[3].chf, "hub_activated", A.name),
        (HUBS[3].chf, "hub_activated", B.name),
    ]


def test_of_two_meters_of_a_type_that_which_was_registered_last_says_who_is_responsible(world: World) -> None:
    """Whoever asks for one hub and whoever asks for many gets the same answer."""
    hub, other = TestHub(1, A.name, A.name), TestHub(2, B.name, None)
    world.add_hubs([hub, other])
    second = next(row for row in hub.rows() if row["device_type"] == "ESME")
    second = {**second, "device_id": eui(0xE1, 1), "import_mpxn": "1999999999999"}
    later = NOW - timedelta(days=10)
    registered = {"mpxn": "1999999999999", "role": "IS", "effective_from": later, "organisation": B.name}
    world.run(lambda uow: inventory.put_devices(uow.connection, [second]))
    world.run(lambda uow: inventory.put_registrations(uow.connection, [registered]))
    hub_ids = [hub.chf, other.chf]

    with world.instance.reading_engine.connect() as connection:
        by_supplier = suppliers.of_hubs(connection, hub_ids, NOW)
        one_by_one = inventory.hubs(connection, hub_ids, NOW, with_han=False)

    assert by_supplier == {A.name: [hub.chf], B.name: hub_ids}
    assert {one: set(found.responsible) for one, found in one_by_one.items()} == {
        hub.chf: {A.name, B.name},
        other.chf: {B.name},
    }


@pytest.mark.parametrize(("mpxn", "expected"), [("0000000000001", A), ("9999999999999", B)])
def test_of_two_meters_registered_at_the_same_time_the_greater_mpxn_says_who_is_responsible(
    world: World, mpxn: str, expected: SupplierSeed
) -> None:
    """The same for decisions, for reports and for changes of Supplier, in whatever order the meters came."""
    hub = TestHub(1, A.name, None)
    world.add_hubs([hub])
    first = next(row for row in hub.rows() if row["device_type"] == "ESME")
    at = NOW - timedelta(days=10)
    both = [
        {"mpxn": hub.mpan, "role": "IS", "effective_from": at, "organisation": A.name},
        {"mpxn": mpxn, "role": "IS", "effective_from": at, "organisation": B.name},
    ]
    second = {**first, "device_id": eui(0xE1, 1), "import_mpxn": mpxn}
    world.run(lambda uow: inventory.put_devices(uow.connection, [second]))
    world.run(lambda uow: inventory.put_registrations(uow.connection, both))

    with world.instance.reading_engine.connect() as connection:
        decided = inventory.hubs(connection, [hub.chf], NOW, with_han=False)[hub.chf].responsible
        reported = suppliers.of_hubs(connection, [hub.chf], NOW)
        known = registrations.histories(connection, [hub.mpan, mpxn])

    assert decided == (expected.name,)
    assert reported == {expected.name: [hub.chf]}
    for points in ([(hub.mpan, "IS"), (mpxn, "IS")], [(mpxn, "IS"), (hub.mpan, "IS")]):
        current = known.line(points).current(NOW)
        assert current is not None
        assert current.organisation == expected.name


@pytest.mark.parametrize("how", ["nothing happens", "it is written", "it becomes effective", "a meter is taken away"])
def test_who_is_told_is_who_is_responsible_when_a_report_is_taken_though_that_was_looked_up_before(
    nights: Nights, how: str
) -> None:
    instance, hub = nights.world.instance, HUBS[1]
    hub_ids = {one.chf for one in HUBS[1:3]}
    now = nights.world.clock.now()
    change = {"mpxn": hub.mprn, "role": "GS", "organisation": B.name}
    with instance.engine.connect() as connection:
        if how == "it becomes effective":
            soon = {**change, "effective_from": now + timedelta(seconds=1)}
            inventory.put_registrations(connection, [soon])
        written = counters.given_out(connection, inventory.RESPONSIBILITIES)
        foreseen = Responsibility(hub_ids, now, written, suppliers.of_hubs(connection, hub_ids, now))
        if how == "it is written":
            inventory.put_registrations(connection, [{**change, "effective_from": now - timedelta(days=1)}])
        if how == "a meter is taken away":
            meter = next(row for row in hub.rows() if row["device_type"] == "GSME")
            inventory.put_devices(connection, [{**meter, "device_status": "Decommissioned"}])
        later = now + timedelta(seconds=2)
        entries = tuple(ReportEntry(one, ReportStatus.ACTIVATED, now) for one in sorted(hub_ids))
        message = UpgradeReport(nights.message_id(), now, nights.list_ids()[0], "Central", entries)
        nights.outcomes.report(UnitOfWork(connection, later), message, foreseen)
        told = {(event.organisation, event.hub_id) for event in left_to_tell(connection)}
        connection.info.pop(UNLINKED, None)
        connection.rollback()

    both = {(A.name, hub_id) for hub_id in hub_ids}
    assert told == both | ({(B.name, hub.chf)} if how in {"it is written", "it becomes effective"} else set())


def test_who_is_responsible_is_not_looked_up_twice_if_nothing_happens_between(nights: Nights) -> None:
    hub_ids = [hub.chf for hub in HUBS[1:3]]
    reading = Reading(nights.world.instance.reading_engine)
    now = nights.world.clock.now()

    foreseen = suppliers.foresee(reading, hub_ids, now)

    assert foreseen is not None
    assert reading(lambda one: suppliers.as_foreseen(one, foreseen, hub_ids, now)) is foreseen.by_supplier
    assert reading(lambda one: suppliers.as_foreseen(one, foreseen, hub_ids[:1], now)) == {A.name: hub_ids[:1]}
    assert reading(lambda one: suppliers.as_foreseen(one, None, hub_ids, now)) == {A.name: hub_ids}
