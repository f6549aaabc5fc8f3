"""Anomaly thresholds: what crosses one is held whole until it is released, deleted or too old (section 3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from sr_engine.domain.holding import CANCELLATION, Breach, Thresholds
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Decision,
    QuarantinedRequest,
    ReadCommsHubFirmwareSchedule,
    ReadInventory,
    ScheduleRead,
)
from sr_engine.operations.quarantine import NotQuarantined, decide, set_thresholds
from tests.world import FIRMWARE, NOW, A, B, TestHub, World, make_world

HUBS = [TestHub(number) for number in range(1, 6)]
HOUR = timedelta(hours=1)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path / "instance")
    world.add_hubs(HUBS)
    world.open_release()
    yield world
    world.close()


def limit(world: World, *, requests: int | None = None, devices: int | None = None, by: Breach = Breach.DCC) -> None:
    world.run(lambda uow: set_thresholds(uow, A.eui, by, Thresholds(requests, devices)))


def decline(number: int, *, of: int = 0) -> ApproveCommsHubFirmware:
    return ApproveCommsHubFirmware(FIRMWARE, Decision.DECLINE, tuple(hub.chf for hub in HUBS[of : of + number]))


def alerts(world: World) -> list[QuarantinedRequest]:
    found = [one.alert for one in world.sent(A, "notice")]
    assert all(isinstance(one, QuarantinedRequest) for one in found)
    return [one for one in found if isinstance(one, QuarantinedRequest)]


def codes(world: World) -> list[str]:
    return [one.code for one in world.sent(A, "response")]


def statuses(world: World) -> list[str]:
    found = []
    for hub in HUBS:
        answer = world.send(A, ReadCommsHubFirmwareSchedule(device_id=hub.chf), "11.7")
        assert isinstance(answer.result, ScheduleRead)
        found.append(answer.result.upgrades[0].status.value)
    return found


def free(world: World) -> None:
    """No threshold is in the way any more."""
    world.run(lambda uow: set_thresholds(uow, A.eui, Breach.USER, None))
    limit(world)


def test_the_request_that_crosses_a_threshold_is_held_whole_and_so_is_each_later_one(world: World) -> None:
    limit(world, devices=3)
    assert world.send(A, decline(3), "11.6").code == "I99"
    assert alerts(world) == []

    crossing = world.request_id(A)
    answer = world.post(world.signed(A, decline(2, of=3), "11.6", request_id=crossing))
    world.send(A, decline(1, of=3), "11.6")

    assert (answer.code, "QuarantineEventRef" in answer.detail) == ("I99", True)
    first, second = alerts(world)
    assert (first.request_id, first.by_user_threshold) == (crossing, False)
    assert first.event_ref != second.event_ref
    assert world.resume(NOW + HOUR) == 0
    free(world)
    assert statuses(world) == ["Declined"] * 3 + ["NotScheduled"] * 2


@pytest.mark.parametrize("by", Breach)
def test_requests_count_and_both_the_users_and_the_dccs_threshold_hold(world: World, by: Breach) -> None:
    limit(world, requests=2, by=by)
    for _ in range(2):
        world.send(A, decline(1), "11.6")
    assert alerts(world) == []

    world.send(A, decline(1), "11.6")

    assert [one.by_user_threshold for one in alerts(world)] == [by is Breach.USER]


def test_what_is_refused_counts_and_a_repetition_does_not(world: World) -> None:
    limit(world, devices=4)
    strangers = replace(decline(1), device_ids=tuple(TestHub(number).chf for number in (90, 91)))
    data = world.signed(A, strangers, "11.6")
    for _ in range(3):
        assert world.post(data).code == "E110603"
    assert world.send(A, decline(2), "11.6").code == "I99"
    assert alerts(world) == []

    assert world.send(A, decline(1), "11.6").code == "I99"

    assert len(alerts(world)) == 1


def test_what_would_be_refused_is_refused_not_held(world: World) -> None:
    limit(world, devices=1)
    strangers = replace(decline(1), device_ids=(TestHub(90).chf, TestHub(91).chf))

    assert world.send(A, strangers, "11.6").code == "E110603"
    assert alerts(world) == []


def test_every_hour_begins_anew_and_every_user_counts_for_itself(world: World) -> None:
    limit(world, devices=2)
    assert world.send(A, decline(3), "11.6").code == "I99"
    assert len(alerts(world)) == 1
    assert world.send(B, decline(3), "11.6").code == "E110603"

    world.clock.set(NOW.replace(minute=0) + HOUR)
    world.send(A, decline(2), "11.6")

    assert len(alerts(world)) == 1


def test_what_is_released_is_checked_again_carried_out_and_answered(world: World) -> None:
    limit(world, devices=1)
    request_id = world.request_id(A)
    world.post(world.signed(A, decline(2), "11.6", request_id=request_id))
    (alert,) = alerts(world)

    world.run(lambda uow: decide(uow, alert.event_ref, release=True))

    assert world.resume(NOW + HOUR) == 1
    (response,) = world.sent(A, "response")
    assert response.request_id is not None
    assert (response.code, response.request_id.text) == ("I99", request_id)
    free(world)
    assert statuses(world)[:3] == ["Declined", "Declined", "NotScheduled"]


def test_what_is_deleted_is_answered_e100_and_changes_nothing(world: World) -> None:
    limit(world, devices=1)
    world.send(A, decline(2), "11.6")
    (alert,) = alerts(world)

    world.run(lambda uow: decide(uow, alert.event_ref, release=False))

    assert world.resume(NOW + HOUR) == 1
    assert codes(world) == ["E100"]
    free(world)
    assert statuses(world)[0] == "NotScheduled"


def test_what_nobody_releases_is_deleted_in_the_end(world: World) -> None:
    limit(world, devices=1)
    world.send(A, decline(2), "11.6")
    assert world.resume(NOW + timedelta(hours=72, seconds=-1)) == 0

    assert world.resume(NOW + timedelta(hours=72)) == 1
    assert codes(world) == ["E100"]


def test_the_first_word_counts(world: World) -> None:
    limit(world, devices=1)
    world.send(A, decline(2), "11.6")
    (alert,) = alerts(world)
    world.run(lambda uow: decide(uow, alert.event_ref, release=True))

    with pytest.raises(NotQuarantined):
        world.run(lambda uow: decide(uow, alert.event_ref, release=False))
    with pytest.raises(NotQuarantined):
        world.run(lambda uow: decide(uow, "12345", release=True))

    assert world.resume(NOW + HOUR) == 1
    assert codes(world) == ["I99"]


@pytest.mark.parametrize(
    "body", [ReadInventory(device_id=HUBS[0].chf), ReadCommsHubFirmwareSchedule(device_id=HUBS[0].chf)]
)
def test_reads_are_turned_away_for_now_and_may_be_sent_again_as_they_are(
    world: World, body: ReadInventory | ReadCommsHubFirmwareSchedule
) -> None:
    limit(world, requests=1)
    world.send(A, decline(1), "11.6")
    data = world.signed(A, body, "8.2" if isinstance(body, ReadInventory) else "11.7")

    answer = world.post(data)

    assert (answer.status, answer.retry_after) == (503, 3600)
    assert alerts(world) == []
    world.clock.set(NOW + HOUR)
    assert world.post(data).code == "I0"


def test_a_dated_request_waits_for_its_release_and_then_for_its_date(world: World) -> None:
    limit(world, devices=1)
    dated = replace(decline(2), execution_date_time=NOW + 5 * HOUR)
    world.send(A, dated, "11.6")
    (alert,) = alerts(world)
    world.run(lambda uow: decide(uow, alert.event_ref, release=True))

    assert world.resume(NOW + HOUR) == 1
    assert codes(world) == []
    assert world.resume(NOW + 5 * HOUR) == 1
    assert codes(world) == ["I99"]


def test_a_dated_request_can_be_cancelled_while_it_is_in_quarantine(world: World) -> None:
    limit(world, devices=2)
    dated = replace(decline(3), execution_date_time=NOW + 5 * HOUR)
    world.send(A, dated, "11.6")
    (alert,) = alerts(world)
    free(world)

    assert world.send(A, replace(dated, execution_date_time=CANCELLATION), "11.6").code == "I99"

    with pytest.raises(NotQuarantined):
        world.run(lambda uow: decide(uow, alert.event_ref, release=True))
    assert world.resume(NOW + 80 * HOUR) == 0
