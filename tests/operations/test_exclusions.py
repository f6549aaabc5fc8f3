"""What an operator confirms about exclusions, and what a compulsory upgrade then does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sr_engine.bootstrap import list_cutter
from sr_engine.messages.model import (
    ExclusionAction,
    Firmware,
    Period,
    Phase,
    ScheduleCommsHubFirmware,
    UpdateCommsHubFirmwareExclusion,
)
from sr_engine.operations.exclusions import confirm_exclusions
from sr_engine.operations.releases import ReleaseRefused
from sr_engine.regions.calendar import cut_time, open_periods
from sr_engine.store import audit, exclusions
from sr_engine.store.exclusions import RegionExclusions
from sr_engine.store.tables import releases
from sr_engine.store.units_of_work import UnitOfWork
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, World

CENTRAL, SPLIT, SOUTH = TestHub(1), TestHub(2, gas=B.name), TestHub(3, region="South")
OTHER_MODEL, UPGRADED = TestHub(4, model="OTHER"), TestHub(5, version="9002")
HOMES = [CENTRAL, SPLIT, SOUTH, OTHER_MODEL, UPGRADED]


@pytest.fixture
def excluded(world: World) -> World:
    """Homes that A excludes, one of them B too, and one for two days only."""
    world.add_hubs(HOMES)
    world.open_release()
    everything = tuple(hub.chf for hub in HOMES)
    for supplier, hub_ids, until in (
        (A, everything, None),
        (B, (SPLIT.chf,), None),
        (A, (SOUTH.chf,), NOW + timedelta(days=2)),
    ):
        body = UpdateCommsHubFirmwareExclusion(ExclusionAction.EXCLUDE, hub_ids, until)
        assert world.send(supplier, body, "11.9").code == "I99"
    return world


def _counted(world: World) -> list[RegionExclusions]:
    with world.instance.reading_engine.connect() as connection:
        return exclusions.by_region(connection, world.clock.now())


def test_excluded_hubs_are_counted_once_region_by_region_while_they_are_excluded(excluded: World) -> None:
    before = _counted(excluded)
    excluded.clock.advance(timedelta(days=2))

    assert before == [RegionExclusions("Central", 4, 0), RegionExclusions("South", 1, 0)]
    assert _counted(excluded) == [RegionExclusions("Central", 4, 0)]


def test_only_the_hubs_that_the_release_can_be_installed_on_are_confirmed(excluded: World) -> None:
    confirmed = excluded.run(lambda uow: confirm_exclusions(uow, FIRMWARE))

    assert confirmed == {"Central": (CENTRAL.chf, SPLIT.chf), "South": (SOUTH.chf,)}
    assert _counted(excluded) == [RegionExclusions("Central", 4, 2), RegionExclusions("South", 1, 1)]
    assert excluded.run(lambda uow: confirm_exclusions(uow, FIRMWARE)) == {}, "they were confirmed before"


def test_one_region_may_be_confirmed_alone(excluded: World) -> None:
    assert excluded.run(lambda uow: confirm_exclusions(uow, FIRMWARE, "South")) == {"South": (SOUTH.chf,)}

    assert _counted(excluded) == [RegionExclusions("Central", 4, 0), RegionExclusions("South", 1, 1)]


def test_a_hub_is_confirmed_once_every_exclusion_of_it_is(excluded: World) -> None:
    excluded.run(lambda uow: confirm_exclusions(uow, FIRMWARE))
    again = UpdateCommsHubFirmwareExclusion(ExclusionAction.EXCLUDE, (SPLIT.chf,))
    lift = UpdateCommsHubFirmwareExclusion(ExclusionAction.INCLUDE, (SPLIT.chf,))
    assert [excluded.send(B, body, "11.9").code for body in (lift, again)] == ["I99", "I99"]

    assert _counted(excluded)[0] == RegionExclusions("Central", 4, 1)
    assert excluded.run(lambda uow: confirm_exclusions(uow, FIRMWARE)) == {"Central": (SPLIT.chf,)}


def test_a_confirmation_is_in_the_audit_trail_with_its_hubs(excluded: World) -> None:
    excluded.run(lambda uow: confirm_exclusions(uow, FIRMWARE))

    with excluded.instance.reading_engine.connect() as connection:
        south, central = audit.newest(connection, 2)
    assert {entry.actor for entry in (south, central)} == {"operator"}
    assert {entry.action for entry in (south, central)} == {"exclusion confirmed"}
    assert (central.detail, central.hubs) == ("Central", (CENTRAL.chf, SPLIT.chf))
    assert (south.detail, south.hubs) == ("South", (SOUTH.chf,))


@pytest.mark.parametrize(
    ("firmware", "region", "says"),
    [
        (Firmware("2B7E", "C1A20001", "9009"), None, "there is no release of firmware 2B7E C1A20001 9009"),
        (FIRMWARE, "4G North", "not released in region 4G North; its regions are Central, North, South"),
    ],
)
def test_what_is_not_released_cannot_be_confirmed(
    excluded: World, firmware: Firmware, region: str | None, says: str
) -> None:
    with pytest.raises(ReleaseRefused, match=says):
        excluded.run(lambda uow: confirm_exclusions(uow, firmware, region))


@pytest.mark.parametrize(
    ("compulsory", "confirmed", "listed"),
    [(True, True, 1), (True, False, 0), (False, True, 0)],
    ids=["compulsory and confirmed", "compulsory", "voluntary and confirmed"],
)
def test_only_a_compulsory_upgrade_passes_over_an_exclusion_and_only_once_it_is_confirmed(
    world: World, compulsory: bool, confirmed: bool, listed: int
) -> None:
    world.add_hubs([CENTRAL])
    world.open_release()
    schedule = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (CENTRAL.chf,))
    exclude = UpdateCommsHubFirmwareExclusion(ExclusionAction.EXCLUDE, (CENTRAL.chf,))
    assert [world.send(A, schedule, "11.5").code, world.send(A, exclude, "11.9").code] == ["I0", "I99"]
    if compulsory:
        terms = {"obligation": "Mandatory", "comply_by": NOW + timedelta(days=28), "compulsory_from": NOW}
        world.run(lambda uow: uow.connection.execute(releases.update().values(**terms)))
    if confirmed:
        world.run(lambda uow: confirm_exclusions(uow, FIRMWARE))

    assert _cut_first_night(world, WINDOW) == listed


def _cut_first_night(world: World, window: Period) -> int:
    region = world.instance.configuration.regions["Central"]
    night = next(open_periods(region, window))
    due = cut_time(region, night)
    world.clock.set(due)

    def cut(unit_of_work: UnitOfWork) -> int:
        return list_cutter(world.instance).run(unit_of_work, region, due, night).listed

    return world.run(cut)
