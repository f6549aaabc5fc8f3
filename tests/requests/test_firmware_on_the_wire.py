"""11.1 as it is written: what may stand in an image, and which codes a DUIS version has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from signing import Signer
from sr_engine.messages.compose import build_request
from sr_engine.messages.model import UpdateFirmware
from tests.firmware import ENTRY, IMAGE, VERSION, Meters, esme, gsme, listed
from tests.world import A, TestHub, make_world

HUB = TestHub(1)


@pytest.fixture
def meters(tmp_path: Path) -> Iterator[Meters]:
    world = make_world(tmp_path / "instance")
    world.add_hubs([HUB])
    listed(world, ENTRY)
    yield Meters(world)
    world.close()


@pytest.mark.parametrize(
    ("between", "status"), [(" \n\t", 200), ("\u00a0", 400), ("\u2028", 400), ("*", 400), ("=", 400)]
)
def test_only_white_space_of_xml_may_stand_within_an_image(meters: Meters, between: str, status: int) -> None:
    """libxml2 passes over foreign characters, and others might not: what is distributed must be what was signed."""
    world = meters.world
    root = build_request(
        schema_version="5.4",
        request_id=world.request_id(A),
        command_variant=8,
        service_reference="11.1",
        service_reference_variant="11.1",
        body=UpdateFirmware(IMAGE, VERSION, (esme(HUB),)),
    )
    (image,) = root.iter("{*}FirmwareImage")
    text = image.text or ""
    image.text = text[:40] + between + text[40:]

    answer = world.post(Signer(world.key(A.name)).sign(root))

    assert answer.status == status
    assert [one.image for one in meters.images()] == ([IMAGE] if status == 200 else [])


@pytest.mark.parametrize(("version", "code"), [("5.0", "E110103"), ("5.1", "E110103"), ("5.30", "E110106")])
def test_in_a_version_that_has_no_code_for_such_a_list_it_has_no_acceptable_device(
    meters: Meters, version: str, code: str
) -> None:
    body = UpdateFirmware(IMAGE, VERSION, (esme(HUB), gsme(HUB)))

    answer = meters.world.post(meters.world.signed(A, body, "11.1", schema_version=version))

    decoded = meters.world.decoded(answer)
    assert (answer.code, decoded.code, decoded.schema_version) == (code, code, version)
    assert "send a request for each" in answer.detail
    assert meters.states() == {}
