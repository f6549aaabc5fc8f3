"""Requests that wait for another: answered I99, carried out after it, and answered again then (section 3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from sr_engine.bootstrap import resuming_of
from sr_engine.instance import SupplierSeed
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Body,
    CommsHubFirmwareResult,
    Decision,
    FirmwareRefusal,
    FirmwareWarning,
    Inventory,
    Phase,
    ReadCommsHubFirmwareSchedule,
    ReadInventory,
    ScheduleCommsHubFirmware,
    ScheduleRead,
    UpdateFirmware,
)
from sr_engine.pipeline.answer import Answer
from sr_engine.store import held
from sr_engine.store.reading import Reading
from sr_engine.store.tables import devices
from tests.databases import only_sqlite, statements_of
from tests.firmware import ENTRY, IMAGE, VERSION, esme, listed
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, World, edit, eui, make_world, reopen

OWN, OTHER = TestHub(1), TestHub(2)
SCHEDULE = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (OWN.chf,))
DECLINE = ApproveCommsHubFirmware(FIRMWARE, Decision.DECLINE, (OWN.chf,))
NO_RELEASE = replace(DECLINE, firmware=replace(FIRMWARE, version="7777"))
READ = ReadInventory(device_id=OWN.chf)
MOMENT = timedelta(seconds=3)


@dataclass
class Sequences:
    world: World

    def send(
        self, body: Body, variant: str, request_id: str, *, after: str | None = None, supplier: SupplierSeed = A
    ) -> Answer:
        data = self.world.signed(supplier, body, variant, request_id=request_id, preceding=after)
        return self.world.post(data)

    def ids(self, number: int) -> list[str]:
        return [self.world.request_id(A) for _ in range(number)]

    def finally_(self) -> dict[str, str]:
        """By RequestID, the codes of the Responses that were sent later."""
        found = {}
        for one in self.world.sent(A, "response"):
            assert one.request_id is not None
            assert one.response_id is not None
            target, originator = one.response_id.originator, one.response_id.target
            assert (originator, target, one.response_id.counter) == (
                one.request_id.originator,
                one.request_id.target,
                one.request_id.counter,
            )
            assert one.request_id.text not in found
            found[one.request_id.text] = one.code
        return found

    def status(self) -> str:
        answer = self.world.send(A, ReadCommsHubFirmwareSchedule(device_id=OWN.chf), "11.7")
        assert isinstance(answer.result, ScheduleRead)
        return answer.result.upgrades[0].status.value


@pytest.fixture
def sequences(tmp_path: Path) -> Iterator[Sequences]:
    world = make_world(tmp_path / "instance")
    world.add_hubs([OWN, OTHER])
    world.open_release()
    yield Sequences(world)
    world.close()


def test_a_follower_is_carried_out_after_its_predecessor_and_answered_of_its_own(sequences: Sequences) -> None:
    first, second = sequences.ids(2)
    assert sequences.send(SCHEDULE, "11.5", first).code == "I0"

    answer = sequences.send(DECLINE, "11.6", second, after=first)

    assert answer.code == "I99"
    assert "carried out once" in answer.detail
    assert sequences.status() == "Scheduled"
    assert sequences.world.resume(NOW + MOMENT) == 1
    assert sequences.status() == "Declined"
    assert sequences.finally_() == {second: "I99"}
    assert sequences.world.resume() == 0


def test_nothing_happens_before_the_answer_can_have_arrived(sequences: Sequences) -> None:
    first, second = sequences.ids(2)
    sequences.send(SCHEDULE, "11.5", first)
    sequences.send(DECLINE, "11.6", second, after=first)

    assert sequences.world.resume(NOW + MOMENT - timedelta(milliseconds=1)) == 0
    assert sequences.status() == "Scheduled"


def test_requests_may_come_in_any_order(sequences: Sequences) -> None:
    first, second, third = sequences.ids(3)
    assert sequences.send(READ, "8.2", third, after=second).code == "I99"
    assert sequences.send(DECLINE, "11.6", second, after=first).code == "I99"
    assert sequences.world.resume(NOW + MOMENT) == 0

    sequences.send(SCHEDULE, "11.5", first)

    assert sequences.world.resume() == 2
    assert sequences.finally_() == {second: "I99", third: "I0"}
    responses = sequences.world.sent(A, "response")
    assert [one.request_id.text for one in responses if one.request_id] == [second, third]
    assert isinstance(responses[1].result, Inventory)


def test_a_follower_of_one_that_failed_fails_and_so_do_its_own(sequences: Sequences) -> None:
    first, second, third = sequences.ids(3)
    sequences.send(DECLINE, "11.6", second, after=first)
    sequences.send(SCHEDULE, "11.5", third, after=second)

    assert sequences.send(NO_RELEASE, "11.6", first).code == "E110601"

    assert sequences.world.resume(NOW + MOMENT) == 2
    assert sequences.finally_() == {second: "E40", third: "E40"}


def test_a_partial_success_is_success_enough(sequences: Sequences) -> None:
    first, second = sequences.ids(2)
    partly = replace(SCHEDULE, device_ids=(OWN.chf, TestHub(77).chf))
    assert sequences.send(partly, "11.5", first).code == "W110501"
    sequences.send(DECLINE, "11.6", second, after=first)

    sequences.world.resume(NOW + MOMENT)

    assert sequences.finally_() == {second: "I99"}


def test_a_predecessor_that_does_not_come_in_time_is_waited_for_no_longer(sequences: Sequences) -> None:
    first, second = sequences.ids(2)
    sequences.send(DECLINE, "11.6", second, after=first)
    assert sequences.world.resume(NOW + timedelta(hours=24) - MOMENT) == 0

    assert sequences.world.resume(NOW + timedelta(hours=24)) == 1

    assert sequences.finally_() == {second: "E41"}
    assert sequences.send(SCHEDULE, "11.5", first).code == "I0"
    assert sequences.world.resume(NOW + timedelta(hours=25)) == 0


def test_a_request_cannot_wait_for_itself_however_long_the_way_round(sequences: Sequences) -> None:
    first, second, third = sequences.ids(3)
    assert sequences.send(DECLINE, "11.6", first, after=first.lower()).code == "E42"
    (first,) = sequences.ids(1)
    assert sequences.send(DECLINE, "11.6", second, after=first).code == "I99"
    assert sequences.send(DECLINE, "11.6", third, after=second).code == "I99"

    closing = sequences.send(DECLINE, "11.6", first, after=third)

    assert (closing.code, "back to this request" in closing.detail) == ("E42", True)
    assert sequences.world.resume(NOW + MOMENT) == 2
    assert sequences.finally_() == {second: "E40", third: "E40"}


def test_nobody_can_wait_for_somebody_elses_request(sequences: Sequences) -> None:
    (own,) = sequences.ids(1)
    foreign = sequences.world.request_id(B)

    answer = sequences.send(DECLINE, "11.6", own, after=foreign)

    assert (answer.code, answer.detail) == ("E42", f"the preceding request {foreign} is not one of yours")


def test_the_first_of_a_sequence_has_no_predecessor(sequences: Sequences) -> None:
    first, second = sequences.ids(2)
    data = sequences.world.signed(A, DECLINE, "11.6", request_id=second, preceding=first, first=True)
    assert sequences.world.post(data).code == "E42"
    data = sequences.world.signed(A, SCHEDULE, "11.5", request_id=first, first=True)
    assert sequences.world.post(data).code == "I0"


def test_a_repeated_follower_gets_the_same_answer_and_is_carried_out_once(sequences: Sequences) -> None:
    first, second = sequences.ids(2)
    sequences.send(SCHEDULE, "11.5", first)
    data = sequences.world.signed(A, DECLINE, "11.6", request_id=second, preceding=first)
    answer = sequences.world.post(data)

    assert sequences.world.post(data).body == answer.body
    assert sequences.world.resume(NOW + MOMENT) == 1
    assert sequences.world.post(data).body == answer.body
    assert sequences.finally_() == {second: "I99"}


def test_what_waits_survives_a_stop(sequences: Sequences) -> None:
    first, second = sequences.ids(2)
    sequences.send(DECLINE, "11.6", second, after=first)
    sequences.world = reopen(sequences.world)
    sequences.send(SCHEDULE, "11.5", first)
    sequences.world = reopen(sequences.world)

    assert sequences.world.resume(NOW + MOMENT) == 1
    assert sequences.finally_() == {second: "I99"}


def test_a_long_refusal_is_sent_in_part_and_kept_whole(sequences: Sequences) -> None:
    (first, second), most = sequences.ids(2), 4_000
    sequences.send(SCHEDULE, "11.5", first)
    strangers = tuple(TestHub(number).chf for number in range(1_000, 1_000 + most + 5))
    sequences.send(replace(DECLINE, device_ids=(OWN.chf, *strangers)), "11.6", second, after=first)

    sequences.world.resume(NOW + MOMENT)

    (sent,) = sequences.world.sent(A, "response")
    assert sent.code == "W110601"
    assert isinstance(sent.result, CommsHubFirmwareResult)
    assert sum(map(len, sent.result.refused.values())) == most
    assert (sent.result.accepted_device_count, sent.result.refused_device_count) == (1, most + 5)


@pytest.mark.parametrize("refused", [4_000, 4_005])
def test_of_a_long_refusal_of_meters_as_much_is_sent_as_a_client_takes_and_all_of_it_is_kept(
    sequences: Sequences, refused: int
) -> None:
    world, (first, second), most = sequences.world, sequences.ids(2), 4_000
    listed(world, ENTRY)
    sequences.send(READ, "8.2", first)
    strangers = tuple(eui(0xE1, number) for number in range(refused - 2))
    world.run(lambda uow: uow.connection.execute(devices.update().values(device_status="Pending")))
    meters = (esme(OWN), *strangers, esme(OTHER))
    sequences.send(UpdateFirmware(IMAGE, VERSION, meters), "11.1", second, after=first)

    world.resume(NOW + MOMENT)

    (sent,) = world.sent(A, "response")
    with world.instance.reading_engine.connect() as connection:
        found = held.ended(connection, RequestId.parse(second).key, A.eui)
    assert found is not None
    assert found.response is not None
    whole = world.decoded(Answer(200, found.response, ""))
    everything = {FirmwareRefusal.INVALID: strangers, FirmwareRefusal.NOT_COMMISSIONED: (esme(OWN), esme(OTHER))}
    assert whole.code == sent.code == "E110103"
    assert whole.result == FirmwareWarning(of_ppmids=False, refused=everything)
    part = everything if refused <= most else {FirmwareRefusal.INVALID: strangers[:most]}
    assert sent.result == FirmwareWarning(of_ppmids=False, refused=part)


@only_sqlite
def test_a_long_sequence_costs_each_request_the_same(sequences: Sequences) -> None:
    ids = sequences.ids(150)
    counts: list[int] = []
    for before, one in pairwise(ids):
        with statements_of(sequences.world.instance.engine) as statements:
            assert sequences.send(READ, "8.2", one, after=before).code == "I99"
        counts.append(len(statements))
    assert len(set(counts[1:])) == 1

    assert sequences.send(READ, "8.2", ids[0], after=ids[-1]).code == "E42"
    assert sequences.world.resume(NOW + MOMENT) == 149
    assert set(sequences.finally_().values()) == {"E40"}


def test_a_user_may_have_only_so_many_requests_waiting(tmp_path: Path) -> None:
    def prepare(directory: Path) -> None:
        edit(directory / "config" / "policy.toml", "most_waiting = 2_000", "most_waiting = 2")

    world = make_world(tmp_path / "instance", prepare=prepare)
    sequences = Sequences(world)
    world.add_hubs([OWN])
    first, *rest = sequences.ids(5)
    answers = [sequences.send(READ, "8.2", one, after=first) for one in rest[:3]]
    assert [one.status for one in answers] == [200, 200, 503]
    assert answers[2].retry_after is not None
    foreign = world.signed(B, READ, "8.2", preceding=world.request_id(B))
    assert world.post(foreign).code == "I99"

    sequences.send(READ, "8.2", first)
    world.resume(NOW + MOMENT)

    assert sequences.send(READ, "8.2", rest[2], after=first).code == "I99"
    world.close()


def test_what_cannot_be_carried_out_is_refused_in_the_end_and_holds_nobody_up(sequences: Sequences) -> None:
    first, second = sequences.ids(2)
    sequences.send(READ, "8.2", second, after=first)
    resuming = resuming_of(sequences.world.instance)
    sequences.send(READ, "8.2", first)
    sequences.world.clock.set(NOW + MOMENT)
    reading = Reading(sequences.world.instance.reading_engine)
    (held_id,) = resuming.due(reading, NOW + MOMENT)
    assert resuming.due(reading, NOW + MOMENT, [held_id]) == []

    assert sequences.world.run(lambda uow: resuming.give_up(uow, held_id, "a fault"))

    assert sequences.finally_() == {second: "E100"}
    assert not sequences.world.run(lambda uow: resuming.give_up(uow, held_id, "a fault"))


def test_a_smaller_limit_of_the_policy_does_not_keep_what_was_taken_from_its_end(tmp_path: Path) -> None:
    world = make_world(tmp_path / "instance")
    world.add_hubs([OWN])
    sequences = Sequences(world)
    first, second = sequences.ids(2)
    sequences.send(READ, "8.2", first)
    strangers = tuple(TestHub(number).chf for number in range(1_000, 1_100))
    sequences.send(replace(DECLINE, device_ids=strangers), "11.6", second, after=first)
    edit(world.directory / "config" / "policy.toml", "max_body_bytes = 16_777_216", "max_body_bytes = 2_000")
    world = reopen(world)

    world.resume(NOW + MOMENT)

    assert [one.code for one in world.sent(A, "response")] == ["E100"]
    world.close()


def test_a_page_that_its_receiver_could_not_take_is_sent_in_part(tmp_path: Path) -> None:
    def prepare(directory: Path) -> None:
        edit(directory / "config" / "policy.toml", "response_page_devices = 120", "response_page_devices = 2")

    world = make_world(tmp_path / "instance", prepare=prepare)
    hubs = [TestHub(number) for number in range(1, 5)]
    world.add_hubs(hubs)
    world.open_release()
    sequences = Sequences(world)
    first, second = sequences.ids(2)
    body = replace(SCHEDULE, device_ids=tuple(hub.chf for hub in hubs))
    scheduled = world.decoded(sequences.send(body, "11.5", first)).result
    assert isinstance(scheduled, CommsHubFirmwareResult)
    sequences.send(ReadCommsHubFirmwareSchedule(schedule_id=scheduled.schedule_id), "11.7", second, after=first)

    world.resume(NOW + MOMENT)

    (sent,) = world.sent(A, "response")
    assert isinstance(sent.result, ScheduleRead)
    assert [one.device_id for one in sent.result.upgrades] == [hub.chf for hub in hubs[:2]]
    assert sent.result.more_devices
    world.close()
