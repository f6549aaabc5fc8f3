"""Looks that take long say the same as the uses they are made of, and how far they are."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from sr_engine.apart import Apart
from sr_engine.console.operator import looks
from sr_engine.console.operator.looks import Place
from sr_engine.domain.sla import Month
from tests.operations.test_releases import central
from tests.world import NOW, TestHub, World, make_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path / "instance")
    yield world
    world.close()


@pytest.fixture
def place(world: World) -> Place:
    settings = world.instance.settings
    return Place(settings.database_url, settings.config_directory, settings.signing.certificate)


def test_the_plan_is_foreseen_for_every_region(world: World, place: Place) -> None:
    world.add_hubs([TestHub(1)])
    release_id = world.open_release()
    central(world).schedule([TestHub(1)])
    said = list[str]()

    found = looks.plan(said.append, place=place, now=NOW, nights=14)

    assert [one.preview.region for one in found] == list(world.instance.configuration.regions)
    assert said[0].startswith("region 1 of 6: ")
    of_central = next(one for one in found if one.preview.region == "Central")
    assert sum(night.listed for night in of_central.preview.nights) == 1
    assert pickle.loads(pickle.dumps(found)) == found
    assert of_central.releases.keys() == {release_id}


@pytest.mark.slow
def test_each_can_be_made_by_another_process(world: World, place: Place) -> None:
    world.add_hubs([TestHub(1)])
    release_id = world.open_release()
    apart = Apart()

    intact = apart(partial(looks.trail, place=place), print).intact
    foreseen = apart(partial(looks.plan, place=place, now=NOW, nights=2), print)

    assert intact
    assert foreseen == looks.plan(print, place=place, now=NOW, nights=2)
    assert foreseen[0].releases.keys() == {release_id}


def test_the_levels_of_a_month_are_measured_region_by_region(place: Place) -> None:
    found = looks.levels(print, place=place, now=NOW, month=Month(2026, 11))

    assert {region: one.completion.hubs for region, one in found.items()} == dict.fromkeys(found, 0)
    assert "Central" in found


def test_the_hubs_of_a_release_are_counted(world: World, place: Place) -> None:
    world.add_hubs([TestHub(1)])
    release_id = world.open_release()

    found = looks.release(print, place=place, now=NOW, release_id=release_id)

    assert {region.region: region.hubs for region in found.regions} == {"Central": 1, "North": 0, "South": 0}
