"""The same campaign by Service Requests, by the console and by sheets: the same in the end, but for the channel."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from sr_engine.bootstrap import acting_of
from sr_engine.client.requests import VARIANTS
from sr_engine.configuration import SheetColumn
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    CommsHubFirmwareResult,
    Decision,
    ExclusionAction,
    Phase,
    ScheduleCommsHubFirmware,
    UpdateCommsHubFirmwareExclusion,
)
from sr_engine.pipeline.acting import Act, Channel
from sr_engine.spreadsheets.carrying_out import acted
from sr_engine.spreadsheets.groups import GroupBody, grouped
from sr_engine.spreadsheets.reading import open_sheet
from sr_engine.spreadsheets.rows import read_rows
from sr_engine.spreadsheets.template import TemplateRow, write_template
from sr_engine.store import audit, tables
from tests.world import FIRMWARE, NOW, WINDOW, A, B, SupplierSeed, TestHub, World, bound, make_world

HUBS = [TestHub(number) for number in range(1, 7)]
SPLIT = [TestHub(number, gas=B.name) for number in (11, 12)]
FOREIGN = TestHub(21, electricity=B.name, gas=B.name)
SEED = 20261123
ACCOUNT = "account:ann"
STATE = (
    tables.releases,
    tables.schedules,
    tables.schedule_hubs,
    tables.decisions,
    tables.attempts,
    tables.scheduled_hubs,
    tables.exclusions,
)
_REQUEST = re.compile(r"(?:[0-9A-F]{2}-){7}[0-9A-F]{2}:(?:[0-9A-F]{2}-){7}[0-9A-F]{2}:\d+")
_CHANNEL = re.compile(rf" \((console|sheet), {ACCOUNT}\)")

Answered = tuple[str, object, object]
"""The code, how many hubs were accepted, and which were refused for what."""
Carry = Callable[[World, SupplierSeed, Sequence[GroupBody]], list[Answered]]


def ids(*hubs: TestHub) -> tuple[str, ...]:
    return tuple(hub.chf for hub in hubs)


CAMPAIGN: Sequence[tuple[SupplierSeed, Sequence[GroupBody]]] = (
    (
        A,
        (
            ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, ids(*HUBS[:2], *SPLIT, FOREIGN)),
            ApproveCommsHubFirmware(FIRMWARE, Decision.DECLINE, ids(HUBS[2])),
            UpdateCommsHubFirmwareExclusion(ExclusionAction.EXCLUDE, ids(HUBS[3]), NOW + timedelta(days=40)),
            ApproveCommsHubFirmware(FIRMWARE, Decision.DEFER, ids(HUBS[4]), NOW + timedelta(days=30)),
        ),
    ),
    (
        B,
        (
            ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, ids(SPLIT[0], HUBS[0])),
            ApproveCommsHubFirmware(FIRMWARE, Decision.DECLINE, ids(SPLIT[1])),
        ),
    ),
    (
        A,
        (
            UpdateCommsHubFirmwareExclusion(ExclusionAction.INCLUDE, ids(HUBS[3])),
            ScheduleCommsHubFirmware(
                FIRMWARE, replace(WINDOW, end=WINDOW.end + timedelta(days=1)), Phase.GENERAL, ids(HUBS[5]), True
            ),
            ApproveCommsHubFirmware(replace(FIRMWARE, version="7777"), Decision.APPROVE, ids(HUBS[1])),
            ApproveCommsHubFirmware(FIRMWARE, Decision.DECLINE, ids(HUBS[0])),
        ),
    ),
)


def by_request(world: World, supplier: SupplierSeed, bodies: Sequence[GroupBody]) -> list[Answered]:
    """Signed Service Requests."""
    answers = [world.send(supplier, body, VARIANTS[type(body)]) for body in bodies]
    return [answered(answer.code, answer.result) for answer in answers]


def by_console(world: World, supplier: SupplierSeed, bodies: Sequence[GroupBody]) -> list[Answered]:
    """What the console does for somebody who is signed in."""
    acting = acting_of(world.instance)
    answers = []
    for number, body in enumerate(bodies):
        act = Act(Channel.CONSOLE, ACCOUNT, supplier.eui, f"{world.clock.now()}-{number}", body)
        prepared = acting.prepare(act)
        answers.append(world.run(bound(acting.execute, prepared)))
    return [answered(answer.code, answer.result) for answer in answers]


def by_sheet(world: World, supplier: SupplierSeed, bodies: Sequence[GroupBody]) -> list[Answered]:
    """One sheet with all of it, filled in, read and carried out."""
    spreadsheets, acting = world.instance.configuration.spreadsheets, acting_of(world.instance)
    data = io.BytesIO()
    write_template(data, spreadsheets, [row for body in bodies for row in sheet_rows(body)])
    sheet = open_sheet("decisions.xlsx", data.getvalue(), spreadsheets)
    reading = read_rows(sheet, spreadsheets)
    assert reading.refused == {}
    groups = grouped(reading, sheet.digest, most=world.instance.configuration.policy.limits.list_max_devices)
    assert [group.body for group in groups] == list(bodies)
    answers = []

    def do(act: Act) -> object:
        prepared = acting.prepare(act)
        answer = world.run(lambda uow: acting.execute(uow, prepared))
        answers.append(answered(answer.code, answer.result))
        return answer

    done = list(acted(groups, do, spreadsheets, account=ACCOUNT, user_eui=supplier.eui))  # type: ignore[arg-type]
    assert sum(len(one.rows) for one in done) == reading.count
    return answers


def answered(code: str, result: object) -> Answered:
    if not isinstance(result, CommsHubFirmwareResult):
        return code, None, None
    return code, result.accepted_device_count, dict(result.refused)


def sheet_rows(body: GroupBody) -> Iterator[TemplateRow]:
    """The rows by which somebody asks for the same."""
    release = None
    if not isinstance(body, UpdateCommsHubFirmwareExclusion):
        release = f"{body.firmware.manufacturer} {body.firmware.model} {body.firmware.version}"
    for hub_id in body.device_ids:
        row = {SheetColumn.HUB_ID: hub_id, SheetColumn.FIRMWARE: release}
        match body:
            case ScheduleCommsHubFirmware():
                yield row | {
                    SheetColumn.DECISION: "Schedule",
                    SheetColumn.WINDOW_START: body.window.start,
                    SheetColumn.WINDOW_END: body.window.end,
                    SheetColumn.PHASE: str(body.phase),
                    SheetColumn.ACCEPT_HAN_IMPACT: body.accept_han_impact,
                }
            case ApproveCommsHubFirmware():
                yield row | {SheetColumn.DECISION: str(body.decision), SheetColumn.UNTIL: body.defer_until}
            case UpdateCommsHubFirmwareExclusion():
                yield row | {SheetColumn.DECISION: str(body.action), SheetColumn.UNTIL: body.exclude_until}


def played(directory: Path, carry: Carry) -> dict[str, object]:
    """What there is in the end, RequestIDs and the channel left out."""
    world = make_world(directory, randbelow=random.Random(SEED).randrange)
    try:
        world.add_hubs([*HUBS, *SPLIT, FOREIGN])
        world.open_release()
        world.settle()
        answers = []
        for supplier, bodies in CAMPAIGN:
            answers.append(carry(world, supplier, bodies))
            world.settle()
            world.clock.advance(timedelta(hours=1))
        return {
            "answers": answers,
            "state": state(world),
            "audit": records(world),
            "channels": channels(world),
            "alerts": {
                supplier.name: sorted(nameless(repr(one.alert)) for one in world.sent(supplier, "alert"))
                for supplier in (A, B)
            },
        }
    finally:
        world.close()


def state(world: World) -> dict[str, list[str]]:
    with world.instance.reading_engine.connect() as connection:
        return {
            table.name: sorted(nameless(repr(tuple(row))) for row in connection.execute(select(table)))
            for table in STATE
        }


def records(world: World) -> list[tuple[object, ...]]:
    with world.instance.reading_engine.connect() as connection:
        return [
            (
                *(one.at, one.actor, one.action, one.from_state, one.to_state, one.release_id, tuple(one.hubs)),
                _CHANNEL.sub("", nameless(one.detail)),
            )
            for one in audit.newest(connection, 1_000)
            if one.actor.startswith("user:")
        ]


def channels(world: World) -> list[str]:
    """Which channel the trail names for what was asked, request by request."""
    with world.instance.reading_engine.connect() as connection:
        found = [_CHANNEL.search(one.detail) for one in audit.newest(connection, 1_000) if one.action == "request"]
    return ["" if one is None else one[1] for one in found]


def nameless(text: str) -> str:
    return _REQUEST.sub("<request>", text)


@pytest.mark.parametrize(("channel", "carry"), [("console", by_console), ("sheet", by_sheet)])
def test_by_whichever_face_it_ends_in_the_same_state_and_records_but_for_the_channel(
    tmp_path: Path, channel: str, carry: Carry
) -> None:
    by_messages = played(tmp_path / "messages", by_request)

    by_face = played(tmp_path / "face", carry)

    assert by_face["answers"] == by_messages["answers"]
    assert by_face["state"] == by_messages["state"]
    assert by_face["audit"] == by_messages["audit"]
    assert by_face["alerts"] == by_messages["alerts"]
    assert [code for answers in by_messages["answers"] for code, *_ in answers] == [  # type: ignore[attr-defined]
        *("W110501", "I99", "I99", "I99"),
        *("W110601", "I99"),
        *("I99", "I0", "E110601", "I99"),
    ]
    requests = sum(len(bodies) for _, bodies in CAMPAIGN)
    assert (by_messages["channels"], by_face["channels"]) == ([""] * requests, [channel] * requests)
    assert all(by_messages[what] for what in ("state", "audit", "alerts"))
