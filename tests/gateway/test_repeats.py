"""A request sent again: the same answer, whatever happened in between; another content under its id: E100."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Body,
    Decision,
    Phase,
    ReadCommsHubFirmwareSchedule,
    ReadInventory,
    ScheduleCommsHubFirmware,
    UnofferedBody,
)
from tests.gateway.conftest import Served, serving, still
from tests.world import BROKER, FIRMWARE, WINDOW, A, TestHub, World, eui, make_world, reopen

HUB, SECOND = TestHub(1), TestHub(2)
SCHEDULE = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (HUB.chf,))
REQUESTS: dict[str, tuple[Body, str]] = {
    "I0 of 11.5": (SCHEDULE, "11.5"),
    "I99 of 11.6": (ApproveCommsHubFirmware(FIRMWARE, Decision.DECLINE, (SECOND.chf,)), "11.6"),
    "W110501": (ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.PILOT, (SECOND.chf, eui(0xC0, 99))), "11.5"),
    "I0 of 8.2": (ReadInventory(device_id=HUB.chf), "8.2"),
    "E19 of 11.7": (ReadCommsHubFirmwareSchedule(device_id=eui(0xC0, 99)), "11.7"),
    "E100 of 8.4": (UnofferedBody("UpdateInventory"), "8.4"),
}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    world = make_world(tmp_path, prepare=still)
    world.add_hubs([HUB, SECOND])
    world.open_release()
    with serving(world) as running:
        yield running
    world.close()


@pytest.mark.parametrize("name", REQUESTS)
def test_the_same_request_gets_the_stored_answer_byte_for_byte(served: Served, name: str) -> None:
    world, (body, variant) = served.world, REQUESTS[name]
    request_id = world.request_id(A)
    data = world.signed(A, body, variant, request_id=request_id)
    first = served.post(data)
    kept = world.snapshot()["exchanges"]

    again = served.post(data)
    signed_anew = world.signed(A, body, variant, request_id=request_id)
    anew = served.post(signed_anew)

    assert served.decoded(first).code == name.split(maxsplit=1)[0]
    assert signed_anew != data
    assert again.body == anew.body == first.body
    assert again.detail == anew.detail == first.detail
    assert world.snapshot()["exchanges"] == kept


def test_the_stored_answer_outlives_a_restart_and_what_happened_since(tmp_path: Path) -> None:
    world = make_world(tmp_path, prepare=still)
    world.add_hubs([HUB])
    world.open_release()
    question = world.signed(A, ReadCommsHubFirmwareSchedule(device_id=HUB.chf), "11.7")
    schedule = world.signed(A, SCHEDULE, "11.5")
    with serving(world) as before:
        answers = [before.post(question), before.post(schedule)]
        shown = before.world.snapshot()["attempts"]
    world = reopen(world)
    with serving(world) as after:
        repeated = [after.post(question), after.post(schedule)]

        assert [answer.body for answer in repeated] == [answer.body for answer in answers]
        assert after.decoded(repeated[1]).code == "I0"
        assert after.world.snapshot()["attempts"] == shown
    world.close()


def test_another_content_under_a_used_request_id_is_refused_whatever_the_case_of_its_letters(served: Served) -> None:
    world = served.world
    request_id = world.request_id(A).lower()
    first = served.post(world.signed(A, ReadInventory(device_id=HUB.chf), "8.2", request_id=request_id))
    data = world.signed(A, SCHEDULE, "11.5", request_id=request_id.upper())

    answer = served.decoded(served.post(data))

    assert served.decoded(first).request_id is not None
    assert served.decoded(first).request_id.text == request_id  # type: ignore[union-attr]  # asserted above
    assert answer.code == "E100"
    assert answer.request_id is not None
    assert answer.request_id.text == request_id.upper()
    assert world.snapshot()["attempts"] == []


def test_one_request_id_serves_once_for_each_command_variant(served: Served) -> None:
    """The Signed Pre-Command comes back under the RequestID of the Transform request (FACTS RQ8)."""
    world = served.world
    request_id = world.request_id(A, HUB.chf)

    def send(body: str, command_variant: int, service: str) -> str:
        data = world.signed(A, UnofferedBody(body), "1.6", request_id=request_id, command_variant=command_variant)
        return served.post(data, service).detail

    assert "not offered" in send("UpdatePaymentMode", 4, "serviceT")
    assert "not offered" in send("SignedPreCommand", 5, "serviceS")
    assert len(world.snapshot()["exchanges"]) == 2


def _refused_first(world: World, how: str, request_id: str) -> tuple[bytes, str]:
    body = ReadInventory(device_id=HUB.chf)
    match how:
        case "HTTP 400":
            return world.signed(A, body, "8.2", request_id=request_id, schema_version="4.0"), "serviceD"
        case "unsigned E100":
            signed = world.signed(A, ReadInventory(uprn=5), "8.2", request_id=request_id)
            return signed.replace(b">5<", b">6<"), "serviceD"
        case "E12":
            return world.signed(A, body, "8.2", request_id=request_id, command_variant=9), "serviceD"
        case "E13":
            return world.signed(A, body, "8.2", request_id=request_id), "serviceS"
        case _:
            return world.signed(A, body, "11.5", request_id=request_id), "serviceD"


@pytest.mark.parametrize("how", ["HTTP 400", "unsigned E100", "E12", "E13", "E100"])
def test_a_request_id_refused_before_the_duplicate_check_is_still_free(served: Served, how: str) -> None:
    world = served.world
    request_id = world.request_id(A)
    data, service = _refused_first(world, how, request_id)

    refused = served.post(data, service)
    answer = served.post(world.signed(A, SCHEDULE, "11.5", request_id=request_id))

    assert refused.status == 400 or b"<sr:ResponseCode>E1" in refused.body
    assert served.decoded(answer).code == "I0"


def test_counters_up_to_the_largest_are_told_apart(served: Served) -> None:
    body = ReadInventory(device_id=HUB.chf)
    ids = [f"{A.eui}:{BROKER}:{counter}" for counter in (0, 2**63, 2**64 - 2, 2**64 - 1)]

    answers = [served.decoded(served.post(served.world.signed(A, body, "8.2", request_id=one))) for one in ids]

    assert [answer.request_id.text for answer in answers if answer.request_id] == ids
    assert len(served.world.snapshot()["exchanges"]) == len(ids)
