"""An instance whose operator has the official schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from sr_engine.bootstrap import open_instance
from sr_engine.configuration import ConfigurationError
from sr_engine.messages.model import Phase, ReadInventory, ScheduleCommsHubFirmware
from tests.official import with_official
from tests.world import FIRMWARE, WINDOW, A, TestHub, World, make_world

HUB = TestHub(1)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path / "instance", prepare=with_official)
    world.add_hubs([HUB])
    yield world
    world.close()


def test_a_published_request_has_to_be_valid_by_it_too(world: World) -> None:
    answer = world.post(world.signed(A, ReadInventory(uprn=100_000_001), "8.2"))

    problem = {etree.QName(each).localname: each.text for each in etree.fromstring(answer.body)}
    assert (answer.status, answer.content_type) == (400, "application/problem+xml")
    assert (problem["line"], problem["path"]) == ("1", "/sr:Request/sr:Body/sr:ReadInventory/sr:UPRN")
    assert problem["detail"] == answer.detail
    assert "'UPRN': This element is not expected. Expected is ( DeviceID )." in answer.detail
    assert "(official DUIS schema 9.7)" in answer.detail
    assert world.send(A, ReadInventory(device_id=HUB.chf), "8.2").code == "I0"


def test_our_uplift_is_not_held_against_it(world: World) -> None:
    world.open_release()
    body = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (HUB.chf,))

    assert world.send(A, body, "11.5").code == "I0"


def test_without_it_our_own_schema_decides_alone(tmp_path: Path) -> None:
    world = make_world(tmp_path / "without")
    world.add_hubs([HUB])

    assert world.instance.official_schema is None
    assert world.send(A, ReadInventory(uprn=100_000_001), "8.2").code == "I0"
    world.close()


def test_one_that_is_not_usable_keeps_the_instance_from_opening(world: World) -> None:
    (world.directory / "official" / "dsig-core.xsd").unlink()

    with pytest.raises(ConfigurationError) as refused:
        open_instance(world.directory)
    (problem,) = refused.value.problems
    assert problem.startswith("sr-engine.toml: official_schema: ")
    assert "names dsig core.xsd, which is not beside it" in problem
