"""Requests to be executed at a time: checked now, checked again and carried out then, or cancelled (section 3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sr_engine.domain.holding import CANCELLATION
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Decision,
    ExclusionAction,
    Phase,
    ReadCommsHubFirmwareSchedule,
    ScheduleCommsHubFirmware,
    ScheduleRead,
    UpdateCommsHubFirmwareExclusion,
)
from sr_engine.operations.imports import import_registrations
from sr_engine.store import audit
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, World, edit, make_world, reopen

OWN, OTHER = TestHub(1), TestHub(2)
DAY = timedelta(days=1)
LATER = NOW + 2 * DAY
DECLINE = ApproveCommsHubFirmware(FIRMWARE, Decision.DECLINE, (OWN.chf, OTHER.chf), execution_date_time=LATER)
SCHEDULE = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (OWN.chf,), execution_date_time=LATER)
EXCLUDE = UpdateCommsHubFirmwareExclusion(ExclusionAction.EXCLUDE, (OWN.chf,), execution_date_time=LATER)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path / "instance")
    world.add_hubs([OWN, OTHER])
    world.open_release()
    yield world
    world.close()


def status(world: World) -> str:
    answer = world.send(A, ReadCommsHubFirmwareSchedule(device_id=OWN.chf), "11.7")
    assert isinstance(answer.result, ScheduleRead)
    return answer.result.upgrades[0].status.value


def codes(world: World) -> list[str]:
    return [one.code for one in world.sent(A, "response")]


def test_it_is_answered_now_and_carried_out_then(world: World) -> None:
    answer = world.send(A, SCHEDULE, "11.5")
    assert (answer.code, answer.result) == ("I99", None)
    before = status(world)
    assert world.resume(LATER - timedelta(seconds=1)) == 0
    assert status(world) == before == "NotScheduled"

    assert world.resume(LATER) == 1

    assert status(world) == "Scheduled"
    assert codes(world) == ["I0"]
    assert world.resume(LATER + DAY) == 0


@pytest.mark.parametrize(("body", "variant"), [(DECLINE, "11.6"), (EXCLUDE, "11.9")])
def test_what_has_no_result_is_answered_i99_again(
    world: World, body: ApproveCommsHubFirmware | UpdateCommsHubFirmwareExclusion, variant: str
) -> None:
    assert world.send(A, body, variant).code == "I99"
    world.resume(LATER)
    assert codes(world) == ["I99"]
    assert status(world) == ("Declined" if variant == "11.6" else "Excluded")


@pytest.mark.parametrize("at", [NOW, NOW - DAY, NOW + 30 * DAY + timedelta(seconds=1)])
def test_it_must_lie_ahead_and_not_too_far(world: World, at: datetime) -> None:
    assert world.send(A, replace(DECLINE, execution_date_time=at), "11.6").code == "E110605"
    assert world.resume(at + 40 * DAY) == 0


def test_thirty_days_ahead_is_the_most(world: World) -> None:
    assert world.send(A, replace(DECLINE, execution_date_time=NOW + 30 * DAY), "11.6").code == "I99"


def test_what_would_be_refused_now_does_not_wait(world: World) -> None:
    foreign = replace(DECLINE, device_ids=(TestHub(77).chf,))
    assert world.send(A, foreign, "11.6").code == "E110603"
    assert world.resume(LATER) == 0


def test_whether_the_sender_is_still_responsible_is_judged_then(world: World) -> None:
    assert world.send(A, SCHEDULE, "11.5").code == "I99"
    rows = [
        {"mpxn": mpxn, "role": role, "effective_from": NOW + DAY, "organisation": B.name, "cancelled": False}
        for mpxn, role in ((OWN.mpan, "IS"), (OWN.mprn, "GS"))
    ]
    world.run(lambda uow: import_registrations(uow, rows, "feed"))

    world.resume(LATER)

    assert codes(world) == ["E110503"]


def test_whether_the_sender_may_still_send_it_is_judged_then(world: World) -> None:
    assert world.send(A, SCHEDULE, "11.5").code == "I99"
    users = world.directory / "users.toml"
    edit(users, f'id = "{A.name}"\nstatus = "Active"', f'id = "{A.name}"\nstatus = "Suspended"')
    world = reopen(world)

    world.resume(LATER)

    assert codes(world) == ["E3"]


def test_the_same_with_the_date_of_cancellation_takes_it_back(world: World) -> None:
    assert world.send(A, DECLINE, "11.6").code == "I99"
    # The ids are a set, and compare without case.
    same = replace(DECLINE, execution_date_time=CANCELLATION, device_ids=(OTHER.chf.lower(), OWN.chf))

    assert world.send(A, same, "11.6").code == "I99"

    assert world.resume(LATER) == 0
    assert codes(world) == []
    assert status(world) == "NotScheduled"
    assert world.send(A, same, "11.6").code == "E110609"


@pytest.mark.parametrize(
    "other",
    [
        replace(DECLINE, decision=Decision.APPROVE),
        replace(DECLINE, accept_han_impact=True),
        replace(DECLINE, device_ids=(OWN.chf,)),
    ],
)
def test_anything_else_cancels_nothing(world: World, other: ApproveCommsHubFirmware) -> None:
    assert world.send(A, DECLINE, "11.6").code == "I99"
    assert world.send(A, replace(other, execution_date_time=CANCELLATION), "11.6").code == "E110609"
    assert world.resume(LATER) == 1


def test_nobody_cancels_what_somebody_else_has_asked_for(world: World) -> None:
    assert world.send(A, DECLINE, "11.6").code == "I99"
    assert world.send(B, replace(DECLINE, execution_date_time=CANCELLATION), "11.6").code == "E110609"
    assert world.resume(LATER) == 1


def test_of_several_alike_the_newest_is_cancelled(world: World) -> None:
    assert world.send(A, DECLINE, "11.6").code == "I99"
    assert world.send(A, replace(DECLINE, execution_date_time=LATER + DAY), "11.6").code == "I99"
    assert world.send(A, replace(DECLINE, execution_date_time=CANCELLATION), "11.6").code == "I99"

    assert world.resume(LATER) == 1
    assert world.resume(LATER + DAY) == 0


def test_a_follower_of_one_that_was_cancelled_fails(world: World) -> None:
    first = world.request_id(A)
    world.post(world.signed(A, DECLINE, "11.6", request_id=first))
    undated = replace(SCHEDULE, execution_date_time=None)
    world.post(world.signed(A, undated, "11.5", preceding=first))
    world.send(A, replace(DECLINE, execution_date_time=CANCELLATION), "11.6")

    world.resume(LATER)

    assert codes(world) == ["E40"]


def test_a_follower_with_a_date_waits_for_both(world: World) -> None:
    first = world.request_id(A)
    world.post(world.signed(A, replace(DECLINE, execution_date_time=None), "11.6", request_id=first))
    assert world.post(world.signed(A, SCHEDULE, "11.5", preceding=first)).code == "I99"

    assert world.resume(NOW + timedelta(minutes=1)) == 1
    assert codes(world) == []
    assert world.resume(LATER) == 1

    assert codes(world) == ["I0"]
    assert status(world) == "Scheduled"


def test_what_is_due_at_once_after_a_stop_is_carried_out_in_the_order_of_its_dates(world: World) -> None:
    approve = replace(DECLINE, decision=Decision.APPROVE, execution_date_time=LATER + DAY)
    world.send(A, approve, "11.6")
    world.send(A, DECLINE, "11.6")
    world = reopen(world)

    assert world.resume(LATER + 2 * DAY) == 2

    answer = world.send(A, ReadCommsHubFirmwareSchedule(device_id=OWN.chf), "11.7")
    assert isinstance(answer.result, ScheduleRead)
    assert answer.result.upgrades[0].own_approval == "Approved"


@pytest.mark.parametrize(
    "body",
    [
        replace(
            SCHEDULE,
            window=replace(WINDOW, end=WINDOW.start + timedelta(hours=47)),
            execution_date_time=WINDOW.start + 2 * DAY,
        ),
        replace(EXCLUDE, exclude_until=LATER - timedelta(seconds=1)),
    ],
)
def test_what_would_be_refused_at_its_date_does_not_wait(
    world: World, body: ScheduleCommsHubFirmware | UpdateCommsHubFirmwareExclusion
) -> None:
    variant = "11.5" if isinstance(body, ScheduleCommsHubFirmware) else "11.9"
    answer = world.post(world.signed(A, body, variant))

    assert answer.code == ("E110502" if variant == "11.5" else "E110905")
    assert answer.detail.startswith("when executed: ")


def test_a_change_of_supplier_that_is_known_for_the_date_is_heeded_now(world: World) -> None:
    rows = [
        {"mpxn": mpxn, "role": role, "effective_from": NOW + DAY, "organisation": B.name, "cancelled": False}
        for mpxn, role in ((OWN.mpan, "IS"), (OWN.mprn, "GS"))
    ]
    world.run(lambda uow: import_registrations(uow, rows, "feed"))

    assert world.send(A, replace(DECLINE, device_ids=(OWN.chf,)), "11.6").code == "E110603"
    # Nor may the one that comes ask for something while it is not responsible.
    assert world.send(B, replace(DECLINE, device_ids=(OWN.chf,)), "11.6").code == "E110603"


def test_a_follower_waits_as_long_as_its_predecessors_date_asks_for(world: World) -> None:
    first = world.request_id(A)
    dated = replace(DECLINE, execution_date_time=NOW + 4 * DAY)
    world.post(world.signed(A, dated, "11.6", request_id=first))
    world.post(world.signed(A, replace(SCHEDULE, execution_date_time=None), "11.5", preceding=first))

    world.resume(NOW + 4 * DAY)

    assert codes(world) == ["I99", "I0"]


def test_the_trail_tells_what_was_cancelled_by_what(world: World) -> None:
    first, second = world.request_id(A), world.request_id(A)
    world.post(world.signed(A, DECLINE, "11.6", request_id=first))
    answer = world.post(world.signed(A, replace(DECLINE, execution_date_time=CANCELLATION), "11.6", request_id=second))

    assert first in answer.detail
    with world.instance.reading_engine.connect() as connection:
        said = [one for one in audit.newest(connection, 10) if one.action == "held request cancelled"]
    assert [(one.message_key, one.detail) for one in said] == [(first, f"cancelled by {second}")]
