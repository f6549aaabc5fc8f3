"""One request, one transaction: all of it is kept or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from signing import parse
from sr_engine.messages.model import Phase, ReadInventory, ScheduleCommsHubFirmware
from sr_engine.pipeline.answer import Answer
from sr_engine.pipeline.process import Admitted
from sr_engine.store.tables import audit, exchanges
from tests.world import FIRMWARE, WINDOW, A, B, TestHub, World, make_world

HUB = TestHub(1, electricity=A.name, gas=B.name)
SCHEDULE = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (HUB.chf,))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path)
    world.add_hubs([HUB])
    world.open_release()
    yield world
    world.close()


def test_request_answer_audit_and_alert_are_kept_together(world: World) -> None:
    data = world.signed(A, SCHEDULE, "11.5")
    waiting = len(world.snapshot()["outbox"])

    answer = world.post(data)

    with world.instance.reading_engine.connect() as connection:
        kept = connection.execute(exchanges.select()).one()
        records = connection.execute(audit.select().where(audit.c.message_key == kept.message_key)).all()
    assert (kept.received, kept.answer, kept.code, kept.detail) == (data, answer.body, "I0", answer.detail)
    assert kept.sender_eui == A.eui
    assert {record.actor for record in records} == {f"user:{A.eui}"}
    assert "11.5 I0: 1 hub(s) accepted" in {record.detail for record in records}
    assert any((record.to_state, record.hubs) == ("AwaitingApproval", HUB.chf) for record in records)
    assert len(world.snapshot()["outbox"]) == waiting + 1


class _NoNumbersLeft(Exception):
    pass


def test_a_request_that_fails_midway_leaves_nothing_and_can_be_sent_again(world: World) -> None:
    def fail() -> int:
        raise _NoNumbersLeft

    data = world.signed(A, SCHEDULE, "11.5")
    before = world.snapshot()
    whole = world.processor
    world.processor = replace(whole, draw_schedule_id=fail)

    with pytest.raises(_NoNumbersLeft):
        world.post(data)

    assert world.snapshot() == before
    world.processor = whole
    assert world.post(data).code == "I0"


def test_a_request_that_fails_takes_along_none_of_those_it_shares_a_commit_with(world: World) -> None:
    hubs = [TestHub(number) for number in range(2, 7)]
    world.add_hubs(hubs)

    def fail() -> int:
        raise _NoNumbersLeft

    numbers = count(1)
    processor = replace(world.processor, draw_schedule_id=lambda: next(numbers))
    failing = replace(world.processor, draw_schedule_id=fail)
    requests = [
        processor.admit(
            "serviceD", world.signed(A, replace(SCHEDULE, device_ids=(hub.chf,)), "11.5"), world.clock.now()
        )
        for hub in hubs
    ]

    async def all_at_once() -> list[Answer | BaseException]:
        transactions = world.instance.transactions
        answers = await asyncio.gather(
            *(
                transactions.run(partial((failing if place == 2 else processor).execute, admitted=admitted))
                for place, admitted in enumerate(requests)
                if isinstance(admitted, Admitted)
            ),
            return_exceptions=True,
        )
        await transactions.close()
        return answers

    answers = asyncio.run(all_at_once())

    assert [answer.code if isinstance(answer, Answer) else type(answer) for answer in answers] == [
        *("I0", "I0", _NoNumbersLeft, "I0", "I0")
    ]
    assert {row[1] for row in world.snapshot()["attempts"]} == {hub.chf for hub in hubs if hub is not hubs[2]}
    assert len(world.snapshot()["exchanges"]) == 4


def test_a_schedule_id_is_never_given_out_twice(world: World) -> None:
    other = TestHub(2)
    world.add_hubs([other])
    draws = iter([5, 5, 5, 6])
    world.processor = replace(world.processor, draw_schedule_id=lambda: next(draws))

    for hub in (HUB, other):
        assert world.send(A, replace(SCHEDULE, device_ids=(hub.chf,)), "11.5").code == "I0"

    assert sorted(str(row[0]) for row in world.snapshot()["schedules"]) == ["5", "6"]


def test_a_synchronous_answer_carries_the_request_id_as_received_and_no_response_id(world: World) -> None:
    request_id = world.request_id(A).lower()

    answer = world.decoded(world.post(world.signed(A, ReadInventory(device_id=HUB.chf), "8.2", request_id=request_id)))

    assert answer.request_id is not None
    assert (answer.request_id.text, answer.response_id) == (request_id, None)
    assert answer.at == world.clock.now()


@pytest.mark.parametrize("variant", ["8.2", "11.5"])
def test_every_answer_is_compact_signed_and_valid_by_the_schema(world: World, variant: str) -> None:
    from sr_engine.messages.schema import Schema
    from sr_engine.resources import data_directory

    body = ReadInventory(device_id=HUB.chf) if variant == "8.2" else SCHEDULE

    answer = world.post(world.signed(A, body, variant))

    assert b"> <" not in answer.body
    assert b">\n<" not in answer.body
    Schema(data_directory("xsd") / "duis.xsd").check(parse(answer.body))
    assert world.decoded(answer).code == "I0"


@pytest.mark.parametrize(("replaced", "heavy"), [(None, False), (7, True)])
def test_a_request_that_replaces_a_schedule_says_that_it_concerns_more_hubs_than_it_lists(
    world: World, replaced: int | None, heavy: bool
) -> None:
    data = world.signed(A, replace(SCHEDULE, replaces_schedule_id=replaced), "11.5")

    admitted = world.processor.admit("serviceD", data, world.clock.now())

    assert isinstance(admitted, Admitted)
    assert admitted.concerns_more is heavy
