"""Bringing in devices and registrations."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sr_engine.bootstrap import chores
from sr_engine.messages.model import Decision
from sr_engine.operations.imports import DevicesRefused, ImportedDevices, import_devices, import_registrations
from sr_engine.store import audit, inventory
from tests.regions.conftest import Nights
from tests.requests.conftest import Suppliers
from tests.world import NOW, A, B, TestHub, World, eui


def do_chores(world: World) -> None:
    for chore in chores(world.instance):
        while world.run(chore):
            pass


def test_devices_are_added_counted_and_recorded(world: World) -> None:
    rows = TestHub(1).rows() + TestHub(2).rows()

    done = world.run(lambda uow: import_devices(uow, rows, "hubs.csv"))

    assert done == ImportedDevices(devices=8, hubs=2, without_hub=0)
    with world.instance.reading_engine.connect() as connection:
        assert inventory.device_type(connection, eui(0xE0, 2)) == "ESME"
        (entry,) = audit.newest(connection, 1)
    assert (entry.at, entry.actor, entry.action) == (NOW, "operator", "devices imported")
    assert entry.detail == "hubs.csv: 8 devices, 2 of them hubs"


def test_devices_whose_hub_is_nowhere_are_counted(world: World) -> None:
    hub = TestHub(1)
    without_chf = [row for row in hub.rows() if row["device_type"] != "CHF"]

    first = world.run(lambda uow: import_devices(uow, without_chf, "meters.csv"))
    world.run(lambda uow: import_devices(uow, hub.rows()[:1], "hubs.csv"))
    second = world.run(lambda uow: import_devices(uow, without_chf, "meters.csv"))

    assert (first.without_hub, second.without_hub) == (3, 0)


@pytest.mark.parametrize("answered", [False, True])
def test_a_hub_with_answers_stays_a_hub_and_one_that_never_was_one_can_be_put_right(
    world: World, answered: bool
) -> None:
    hub = TestHub(1)
    world.add_hubs([hub])
    world.open_release()
    if answered:
        Nights(world, world.instance.configuration.regions["Central"]).schedule([hub])
    wrong = [{**row, "device_type": "ESME"} for row in hub.rows()[:1]]

    if answered:
        with pytest.raises(DevicesRefused, match=f"{hub.chf} is a hub .* it cannot become a ESME: nothing was"):
            world.run(lambda uow: import_devices(uow, [*TestHub(2).rows(), *wrong], "wrong.csv"))
    else:
        world.run(lambda uow: import_devices(uow, wrong, "right.csv"))

    with world.instance.reading_engine.connect() as connection:
        assert inventory.device_type(connection, hub.chf) == ("CHF" if answered else "ESME")
        assert inventory.device_type(connection, TestHub(2).chf) is None


def test_a_registration_decides_who_is_responsible_from_its_date_on(world: World) -> None:
    hub = TestHub(1, electricity="supplier-a", gas=None)
    world.add_hubs([hub])
    change = {"mpxn": hub.mpan, "role": "IS", "effective_from": NOW, "organisation": "supplier-b"}

    count = world.run(lambda uow: import_registrations(uow, [change], "changes.csv"))

    with world.instance.reading_engine.connect() as connection:
        found = inventory.hubs(connection, [hub.chf], NOW, with_han=False)[hub.chf]
        (entry,) = audit.newest(connection, 1)
    assert (count, found.electricity) == (1, "supplier-b")
    assert (entry.action, entry.detail) == ("registrations imported", "changes.csv: 1 registrations")


def test_a_meter_that_is_decommissioned_leaves_the_other_supplier_alone_responsible_and_its_approval_enough(
    world: World,
) -> None:
    hub = TestHub(1, electricity=A.name, gas=B.name)
    world.add_hubs([hub])
    world.open_release()
    suppliers = Suppliers(world)
    nights = Nights(world, world.instance.configuration.regions["Central"])
    # Nothing is left to be looked at but what the import brings.
    do_chores(world)
    suppliers.schedule(A, hub.chf)
    assert nights.states([hub]) == ["AwaitingApproval"]
    gas = [row | {"device_status": "Decommissioned"} for row in hub.rows() if row["device_type"] == "GSME"]

    world.run(lambda uow: import_devices(uow, gas, "meters.csv"))
    do_chores(world)

    with world.instance.reading_engine.connect() as connection:
        found = inventory.hubs(connection, [hub.chf], NOW, with_han=False)[hub.chf]
    assert found.responsible == (A.name,)
    assert suppliers.view(A, hub.chf).status == "Scheduled"
    # What was only shown so would not be listed.
    assert nights.states([hub]) == ["Scheduled"]


SEVERAL = 12
"""Hubs that are alike: so many are listed together, not one by one."""


def behind_others(old: Sequence[TestHub], new: Sequence[TestHub], *types: str) -> list[dict[str, object]]:
    """Meters of hubs as they stand in a file in which each is behind another hub."""
    pairs = zip(old, new, strict=True)
    return [row | {"hub_id": to.chf} for hub, to in pairs for row in hub.rows() if row["device_type"] in types]


@pytest.mark.parametrize("looked_at", [True, False])
def test_hubs_whose_meters_are_behind_others_now_are_nobodys_and_not_listed(world: World, looked_at: bool) -> None:
    old = [TestHub(number) for number in range(1, SEVERAL + 1)]
    new = [TestHub(100 + number, electricity=None, gas=None) for number in range(1, SEVERAL + 1)]
    world.add_hubs([*old, *new])
    world.open_release()
    nights = Nights(world, world.instance.configuration.regions["Central"])
    nights.schedule(old)
    do_chores(world)
    world.clock.set(nights.due())

    world.run(lambda uow: import_devices(uow, behind_others(old, new, "ESME", "GSME"), "exchanged.csv"))
    if looked_at:
        do_chores(world)

    assert nights.cut() == 0
    do_chores(world)
    assert set(nights.states(old)) == {"Voided"}
    assert nights.told("hub_voided") == [(hub.chf, A.name) for hub in old]


@pytest.mark.parametrize("looked_at", [True, False])
def test_a_supplier_whose_meters_are_behind_other_hubs_now_is_told_no_more_of_the_old(
    world: World, looked_at: bool
) -> None:
    old = [TestHub(number, A.name, B.name) for number in range(1, SEVERAL + 1)]
    new = [TestHub(100 + number, electricity=None, gas=None) for number in range(1, SEVERAL + 1)]
    world.add_hubs([*old, *new])
    world.open_release()
    nights = Nights(world, world.instance.configuration.regions["Central"])
    nights.schedule(old)
    nights.decide(old, B, Decision.APPROVE)
    do_chores(world)
    world.clock.set(nights.due())

    world.run(lambda uow: import_devices(uow, behind_others(old, new, "GSME"), "exchanged.csv"))
    if looked_at:
        do_chores(world)

    assert nights.cut() == SEVERAL
    assert nights.told("hub_listed") == [(hub.chf, A.name) for hub in old]
