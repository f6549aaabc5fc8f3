"""What is accepted although it looks odd: duplicates in lists, both ids of one hub, any writing of ids and versions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    CommsHubFirmwareResult,
    Decision,
    Inventory,
    Phase,
    ReadCommsHubFirmwareSchedule,
    ReadInventory,
    ScheduleCommsHubFirmware,
    ScheduleRead,
)
from tests.gateway.conftest import Served, serving, still
from tests.world import FIRMWARE, WINDOW, A, TestHub, eui, make_world

HUB, SECOND = TestHub(1), TestHub(2)
SCHEDULE = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (HUB.chf,))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    world = make_world(tmp_path, prepare=still)
    world.add_hubs([HUB, SECOND])
    world.open_release()
    with serving(world) as running:
        yield running
    world.close()


@pytest.mark.parametrize(
    "device_ids",
    [
        (HUB.chf, HUB.chf),
        (HUB.chf, HUB.chf.lower()),
        (HUB.chf, HUB.gpf),
        (HUB.gpf, HUB.chf, HUB.gpf.lower(), HUB.chf),
        (HUB.gpf,),
    ],
    ids=["twice", "twice in two cases", "CHF and GPF", "all at once", "GPF alone"],
)
def test_a_hub_named_several_times_counts_once(served: Served, device_ids: tuple[str, ...]) -> None:
    answer = served.decoded(served.post(served.world.signed(A, replace(SCHEDULE, device_ids=device_ids), "11.5")))

    assert answer.code == "I0"
    assert isinstance(answer.result, CommsHubFirmwareResult)
    assert answer.result.accepted_device_count == 1
    assert answer.result.schedule_id is not None
    assert [row[1] for row in served.world.snapshot()["attempts"]] == [HUB.chf]


def test_a_refused_hub_named_several_times_is_listed_once_as_it_was_first_written(served: Served) -> None:
    stranger = eui(0xC0, 99)
    body = replace(SCHEDULE, device_ids=(HUB.chf, stranger.lower(), stranger, HUB.gpf))

    answer = served.decoded(served.post(served.world.signed(A, body, "11.5")))

    assert answer.code == "W110501"
    assert isinstance(answer.result, CommsHubFirmwareResult)
    assert answer.result.accepted_device_count == 1
    assert [tuple(ids) for ids in answer.result.refused.values()] == [(stranger.lower(),)]


@pytest.mark.parametrize("version", ["5.4", "5.40", "05.4", "+5.4"])
def test_schema_versions_are_compared_as_numbers_and_echoed_as_written(served: Served, version: str) -> None:
    answer = served.decoded(served.post(served.world.signed(A, SCHEDULE, "11.5", schema_version=version)))

    assert (answer.code, answer.schema_version) == ("I0", version)


@pytest.mark.parametrize("version", ["5.0", "5", "5.1", "5.2", "5.3", "5.4"])
def test_published_requests_are_taken_in_every_published_version(served: Served, version: str) -> None:
    body = ReadInventory(mpxn=HUB.mpan)

    answer = served.decoded(served.post(served.world.signed(A, body, "8.2", schema_version=version)))

    assert isinstance(answer.result, Inventory)
    assert {device.device_type for device in answer.result.devices} == {"CHF", "GPF", "ESME", "GSME"}


def test_a_document_with_a_byte_order_mark_or_without_a_declaration_is_the_same_document(served: Served) -> None:
    data = served.world.signed(A, SCHEDULE, "11.5")
    first = served.post(b"\xef\xbb\xbf" + data)

    again = served.post(data.partition(b"?>")[2] + b"\n")

    assert served.decoded(first).code == "I0"
    assert again.body == first.body


def test_a_full_success_of_11_6_carries_no_body_and_11_7_shows_what_was_decided(served: Served) -> None:
    decide = ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (HUB.gpf.lower(),))
    taken = served.decoded(served.post(served.world.signed(A, decide, "11.6")))
    read = served.world.signed(A, ReadCommsHubFirmwareSchedule(device_id=HUB.gpf.lower()), "11.7")

    shown = served.decoded(served.post(read)).result

    assert (taken.code, taken.result) == ("I99", None)
    assert isinstance(shown, ScheduleRead)
    assert [(one.device_id, one.own_approval, one.other_approval) for one in shown.upgrades] == [
        (HUB.chf, "Approved", "None")
    ]
