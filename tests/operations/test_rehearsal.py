"""What would come of something, counted per region and Supplier role, with nothing changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from sr_engine.bootstrap import quiet_days_of
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision, Phase, ScheduleCommsHubFirmware
from sr_engine.operations.phases import open_gate
from sr_engine.operations.rehearsal import LISTABLE, NOT_LISTABLE, HubChange, Rehearsed, rehearse
from sr_engine.operations.releases import set_cpl_status
from sr_engine.regions.compulsion import Enlisting
from sr_engine.store import audit
from sr_engine.store.tables import exclusions, release_han_models, releases
from sr_engine.store.units_of_work import UnitOfWork
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, World, make_world

SOLE = TestHub(1)
SPLIT = TestHub(2, gas=B.name)
NORTH = TestHub(3, gas=None, region="North")
NOBODYS = TestHub(4, None, None)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Hubs in two regions, all but the split one Scheduled."""
    world = make_world(tmp_path / "instance")
    world.open_release(general_open=False)
    world.add_hubs([SOLE, SPLIT, NORTH, NOBODYS])
    schedule = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (SOLE.chf, SPLIT.chf, NORTH.chf))
    assert world.send(A, schedule, "11.5").code == "I0"
    yield world
    world.close()


def rehearsed(world: World, *work: object) -> Rehearsed[object]:
    """What becomes of the last of some operations, each on what the ones before have done."""
    *before, last = work
    for one in before:
        world.run(one)  # type: ignore[arg-type]  # each takes a unit of work
    return rehearse(world.instance.transactions, last)  # type: ignore[arg-type]  # see above


def gate(unit_of_work: UnitOfWork) -> bool:
    return open_gate(unit_of_work, FIRMWARE, "Central") | open_gate(unit_of_work, FIRMWARE, "North")


def test_a_rehearsal_returns_what_the_operation_did_and_changes_nothing(world: World) -> None:
    before = world.snapshot()
    with world.instance.reading_engine.connect() as connection:
        records = audit.newest(connection, 100)

    found = rehearse(world.instance.transactions, gate)

    assert found.result is True
    assert world.snapshot() == before
    with world.instance.reading_engine.connect() as connection:
        assert audit.newest(connection, 100) == records
    assert world.run(gate)


def test_a_refusal_is_raised_as_it_would_be(world: World) -> None:
    from sr_engine.operations.releases import ReleaseRefused

    with pytest.raises(ReleaseRefused):
        rehearse(world.instance.transactions, lambda uow: open_gate(uow, replace(FIRMWARE, version="1"), "Central"))


def test_changes_of_attempts_are_counted_under_each_role_by_region_from_and_to(world: World) -> None:
    terms = {"obligation": "Mandatory", "compulsory_from": NOW, "comply_by": WINDOW.end}
    instance = world.instance

    def make_compulsory(unit_of_work: UnitOfWork) -> None:
        unit_of_work.connection.execute(update(releases).values(terms))
        region = instance.configuration.regions["Central"]
        quiet_days = quiet_days_of(instance.configuration.policy)
        chore = Enlisting(region, instance.alerts, instance.configuration.lifecycle, quiet_days)
        while chore(unit_of_work):
            # As if each portion were committed.
            unit_of_work.once_committed.pop()()

    found = rehearse(instance.transactions, make_compulsory)

    assert found.changes == (
        HubChange("Central", "GS", "AwaitingApproval", "Scheduled", 1),
        HubChange("Central", "IS", "AwaitingApproval", "Scheduled", 1),
        HubChange("Central", "none", "nothing", "Scheduled", 1),
    )
    # The closed gate keeps back nobody any more: one that was Scheduled before.
    assert found.listing == (
        HubChange("Central", "GS", NOT_LISTABLE, LISTABLE, 1),
        HubChange("Central", "IS", NOT_LISTABLE, LISTABLE, 1),
        HubChange("North", "IS", NOT_LISTABLE, LISTABLE, 1),
    )


def test_an_opened_gate_frees_the_scheduled_hubs_of_its_region(world: World) -> None:
    found = rehearsed(world, lambda uow: open_gate(uow, FIRMWARE, "North"))

    assert found.changes == ()
    assert found.listing == (HubChange("North", "IS", NOT_LISTABLE, LISTABLE, 1),)


def test_a_version_off_the_certified_products_list_keeps_scheduled_hubs_off_lists(world: World) -> None:
    found = rehearsed(world, gate, lambda uow: set_cpl_status(uow, FIRMWARE, "Removed"))

    assert found.listing == (
        HubChange("Central", "GS", LISTABLE, NOT_LISTABLE, 1),
        HubChange("Central", "IS", LISTABLE, NOT_LISTABLE, 1),
        HubChange("North", "IS", LISTABLE, NOT_LISTABLE, 1),
    )


def test_an_exclusion_counts_and_confirming_it_only_once_the_upgrade_is_compulsory(world: World) -> None:
    def exclude(uow: UnitOfWork) -> None:
        uow.connection.execute(insert(exclusions).values(hub_id=NORTH.chf, organisation=A.name, set_at=NOW))

    def confirm(uow: UnitOfWork) -> None:
        uow.connection.execute(update(exclusions).values(overridden_at=NOW))

    def compel(uow: UnitOfWork) -> None:
        terms = {"obligation": "Mandatory", "compulsory_from": NOW, "comply_by": WINDOW.end}
        uow.connection.execute(update(releases).values(terms))

    excluded = (HubChange("North", "IS", LISTABLE, NOT_LISTABLE, 1),)
    included = (HubChange("North", "IS", NOT_LISTABLE, LISTABLE, 1),)
    assert rehearsed(world, gate, exclude).listing == excluded
    assert rehearsed(world, exclude, confirm).listing == ()
    assert rehearsed(world, compel, confirm).listing == included


def test_han_models_and_versions_decide_too(world: World, tmp_path: Path) -> None:
    display = ("1234", "DISPLAY")
    hub = TestHub(9, han=display, gas=None)
    world.add_hubs([hub])
    schedule = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.PILOT, (hub.chf,))
    assert world.send(A, schedule, "11.5").code == "I0"
    release_id = _release_id(world)

    def may_break(uow: UnitOfWork) -> None:
        row = {"release_id": release_id, "manufacturer": display[0], "model": display[1]}
        uow.connection.execute(insert(release_han_models).values(row))

    def accept(_uow: UnitOfWork) -> None:
        approve = ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (hub.chf,), accept_han_impact=True)
        world.send(A, approve, "11.6")

    assert rehearsed(world, may_break).listing == (HubChange("Central", "IS", LISTABLE, NOT_LISTABLE, 1),)
    accept(None)  # type: ignore[arg-type]  # it runs in a transaction of its own
    assert rehearsed(world, may_break).listing == ()


def _release_id(world: World) -> str:
    from sr_engine.store import releases as store

    with world.instance.reading_engine.connect() as connection:
        found = store.by_firmware(connection, FIRMWARE)
    assert found is not None
    return found.release_id
