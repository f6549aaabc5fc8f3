"""Published DUIS software of DCC's own builds requests that are accepted, and reads what is answered and alerted."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from signing import Signer
from sr_engine.instance import SupplierSeed
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    CommsHubFirmwareResult,
    Decision,
    ReadInventory,
    ReportStatus,
)
from sr_engine.store.tables import outbox
from tests.foreign.conftest import Foreign
from tests.outbox import messages as queued
from tests.regions.conftest import Nights
from tests.world import BROKER, FIRMWARE, WINDOW, B, TestHub, World, make_world

pytestmark = pytest.mark.slow

USER = SupplierSeed("user", "90-B3-D5-1F-30-01-00-00", "http://127.0.0.1:9/")
"""The User as whom DCC's software signs."""
HUB, SPLIT = TestHub(1), TestHub(2, electricity=USER.name, gas=B.name)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path / "instance", suppliers=[USER, B])
    world.add_hubs([HUB, SPLIT])
    yield world
    world.close()


def header(variant: str, counter: int) -> dict[str, object]:
    """As its users write it: ids in lower case, numbers for what it has names for."""
    return {
        "type": "request",
        "requestId": {"originatorId": USER.eui.lower(), "targetId": BROKER.lower(), "counter": counter},
        "commandVariant": 8,
        "serviceReference": variant,
        "serviceReferenceVariant": variant,
    }


def signed(world: World, xml: str) -> bytes:
    return Signer(world.key(USER.name)).sign_bytes(xml.encode())


def parsed(foreign: Foreign, *messages: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = foreign("parse", messages=[message.decode() for message in messages])
    return found


def test_an_8_2_that_its_parser_builds_is_answered_in_a_way_it_reads(world: World, foreign: Foreign) -> None:
    duis = {"header": header("8.2", 7), "body": {"ReadInventory": {"DeviceID": HUB.chf}}}
    request = signed(world, foreign("construct", mode="simplified", duis=duis))

    answer = world.post(request)

    (read,) = parsed(foreign, answer.body)
    body = read["duis"]["body"]["ResponseMessage"]
    assert (read["response"], read["responseMessage"], read["alert"]) == (True, True, False)
    assert read["duis"]["header"]["responseCode"] == answer.code == "I0"
    assert read["duis"]["header"]["requestId"] == {
        "originatorId": USER.eui.lower(),
        "targetId": BROKER.lower(),
        "counter": "7",
    }
    assert [device["DeviceType"] for device in body["DSPInventory"]["Device"]] == ["CHF", "GPF", "ESME", "GSME"]


def test_an_11_5_that_its_parser_builds_is_accepted_if_the_version_is_ours(world: World, foreign: Foreign) -> None:
    world.open_release()
    schedule = {
        "DeviceManufacturer": FIRMWARE.manufacturer,
        "DeviceModel": FIRMWARE.model,
        "FirmwareVersion": FIRMWARE.version,
        "UpgradeWindow": {"StartDateTime": WINDOW.start.isoformat(), "EndDateTime": WINDOW.end.isoformat()},
        "Phase": "General",
        "DeviceIDList": SPLIT.chf,
    }
    duis = {"header": header("11.5", 8), "body": {"ScheduleCommsHubFirmware": schedule}}
    xml = foreign("construct", mode="simplified", duis=duis)

    as_built = world.post(signed(world, xml))
    answer = world.post(signed(world, xml.replace('schemaVersion="5.2"', 'schemaVersion="5.4"')))

    assert as_built.status == 400
    assert "schemaVersion 5.2 is not taken for Service Request 11.5; taken: 5.4" in as_built.detail
    (read,) = parsed(foreign, answer.body)
    result = read["duis"]["body"]["ResponseMessage"]["CommsHubFirmwareResult"]
    expected = world.decoded(answer).result
    assert isinstance(expected, CommsHubFirmwareResult)
    assert result == {"CommsHubFirmwareScheduleID": str(expected.schedule_id), "AcceptedDeviceCount": "1"}


def test_every_template_it_ships_is_taken_as_a_request(world: World, foreign: Foreign) -> None:
    requests: dict[str, str] = foreign("templates", originator=USER.eui)
    catalogue = world.instance.configuration.catalogue

    answers = {}
    for tag, xml in requests.items():
        service = catalogue.service_for(int(xml.partition("CommandVariant>")[2][0]))
        assert service is not None
        answers[tag] = world.post(signed(world, xml), service)

    codes = Counter(answer.code for answer in answers.values())
    assert len(answers) > 250
    assert {answer.detail.partition("(")[0] for answer in answers.values() if answer.code not in {"E100", "E2"}} == {
        "no device in the inventory matches the request"
    }
    assert set(codes) == {"E100", "E2", "E080201"}, codes
    assert all("is not offered" in answer.detail for answer in answers.values() if answer.code == "E100")


def _messages(world: World) -> dict[str, bytes]:
    """One of each kind of message that the User gets in the life of a few hubs, by its name."""
    nights = Nights(world, world.instance.configuration.regions["Central"])
    failing, moved = TestHub(3, USER.name, USER.name), TestHub(4, USER.name, USER.name)
    world.add_hubs([failing, moved, TestHub(5, USER.name, USER.name)])
    world.open_release()
    nights.schedule([SPLIT, failing, moved], USER)
    world.send(B, ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (SPLIT.chf,)), "11.6")
    nights.cut()
    nights.report(
        nights.list_ids()[0],
        nights.saw(SPLIT, ReportStatus.ACTIVATED),
        nights.saw(failing, ReportStatus.FAILED, "no power"),
    )
    world.settle()
    with world.instance.reading_engine.connect() as connection:
        messages = {one.event: one.body for one in queued(connection, outbox.c.destination == f"user:{USER.eui}")}
    for name, query in (("inventory", ReadInventory(device_id=SPLIT.chf)), ("nothing", ReadInventory(uprn=1))):
        messages[name] = world.post(world.signed(USER, query, "8.2")).body
    return messages


ALERTS = {
    "release_opened": ("N59", "FirmwareUpgradeRequested"),
    "other_supplier_answer_changed": ("N62", "CommsHubAlert"),
    "hub_scheduled": ("N62", "CommsHubAlert"),
    "hub_listed": ("N62", "CommsHubAlert"),
    "hub_activated": ("N64", "CommsHubFirmwareActivation"),
    "hub_failed": ("N18", "FirmwareDistributionFailure"),
}


def test_its_parser_reads_every_alert(world: World, foreign: Foreign) -> None:
    messages = _messages(world)

    read = dict(zip(ALERTS, parsed(foreign, *(messages[event] for event in ALERTS)), strict=True))

    assert set(messages) == {*ALERTS, "inventory", "nothing"}
    for event, (code, element) in ALERTS.items():
        message = read[event]["duis"]["body"]["DCCAlertMessage"]
        assert (read[event]["alert"], read[event]["responseMessage"]) == (True, False)
        assert (message["DCCAlertCode"], list(message["DCCAlert"])) == (code, [element])


def _with_certificate(world: World, folder: Path) -> str:
    """A folder in which the signing tool finds the certificate of our test broker in the place of DCC's."""
    folder.mkdir()
    certificate = world.directory / "pki" / "broker" / "certificate.pem"
    shutil.copy(certificate, folder / "dsp-xml-sign-90B3D51F30000002-ds.pem")
    return str(folder)


def test_its_signing_tool_validates_every_alert_and_answer(
    world: World, foreign: Foreign, java: None, tmp_path: Path
) -> None:
    before = _with_certificate(world, tmp_path / "before")

    for name, message in _messages(world).items():
        done = foreign("validate", before=before, xml=message.decode())
        assert "error" not in done, (name, done)
        assert "<ds:Signature" not in done["text"]


def test_its_signing_tool_refuses_what_was_changed(world: World, foreign: Foreign, java: None, tmp_path: Path) -> None:
    before = _with_certificate(world, tmp_path / "before")
    answer = world.post(world.signed(USER, ReadInventory(device_id=HUB.chf), "8.2")).body

    changed = foreign("validate", before=before, xml=answer.decode().replace(HUB.gpf, HUB.chf))

    assert "validation failed" in changed["error"]


@pytest.mark.reference
def test_a_request_that_its_signing_tool_signs_with_its_own_key_is_accepted(
    tmp_path: Path, foreign: Foreign, java: None, duis_reference: Path
) -> None:
    def trusting(directory: Path) -> None:
        pinned = directory / "pki" / "trust" / "pinned"
        pinned.mkdir()
        shutil.copy(duis_reference / "certificates" / "xml-sign-90B3D51F30010000-ds.pem", pinned)

    world = make_world(tmp_path / "pinned", suppliers=[USER, B], prepare=trusting)
    world.add_hubs([HUB])
    duis = {"header": header("8.2", 1), "body": {"ReadInventory": {"MPxN": HUB.mpan}}}
    unsigned = foreign("construct", mode="simplified", duis=duis)

    answer = world.post(foreign("sign", xml=unsigned).encode())

    world.close()
    assert (answer.status, answer.code) == (200, "I0"), answer.detail
