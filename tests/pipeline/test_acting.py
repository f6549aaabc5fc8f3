"""What a User does without a signed message: the same as if it had sent one, once, and refused where that would be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from signing import parse
from sr_engine.bootstrap import acting_of
from sr_engine.domain.holding import Breach, Thresholds
from sr_engine.messages.decode import decode_response
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Decision,
    DeleteCommsHubFirmwareSchedule,
    ExclusionAction,
    Phase,
    ReadCommsHubFirmwareSchedule,
    RefusalReason,
    ScheduleCommsHubFirmware,
    ScheduleRead,
    UpdateCommsHubFirmwareExclusion,
)
from sr_engine.operations.quarantine import set_thresholds
from sr_engine.pipeline.acting import Act, ActAnswer, ActBody, Acting, Channel, KeyUsedBefore, NotTaken, Tally
from sr_engine.store import anomalies, audit, exchanges
from sr_engine.store.facts import StoredFacts
from sr_engine.store.overlays import QuietDays
from sr_engine.store.units_of_work import UnitOfWork
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, World, make_world

HUBS = [TestHub(number) for number in range(1, 4)]
FOREIGN = TestHub(9, electricity=B.name, gas=B.name)
SPLIT = TestHub(8, gas=B.name)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path / "instance")
    world.add_hubs([*HUBS, FOREIGN, SPLIT])
    world.open_release()
    yield world
    world.close()


@pytest.fixture
def acting(world: World) -> Acting:
    return acting_of(world.instance)


def schedule(*hubs: TestHub) -> ScheduleCommsHubFirmware:
    return ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, tuple(hub.chf for hub in hubs))


def decline(*hubs: TestHub) -> ApproveCommsHubFirmware:
    return ApproveCommsHubFirmware(FIRMWARE, Decision.DECLINE, tuple(hub.chf for hub in hubs))


def act(body: ActBody, key: str = "k-1", **changes: object) -> Act:
    made = Act(Channel.CONSOLE, "account:ann", A.eui, key, body)
    return replace(made, **changes)  # type: ignore[arg-type]


def do(world: World, acting: Acting, asked: Act) -> ActAnswer:
    prepared = acting.prepare(asked)
    return world.run(lambda uow: acting.execute(uow, prepared))


def status(world: World, hub: TestHub) -> str:
    result = world.send(A, ReadCommsHubFirmwareSchedule(device_id=hub.chf), "11.7").result
    assert isinstance(result, ScheduleRead)
    return result.upgrades[0].status.value


def test_what_is_done_is_in_force_and_hubs_are_refused_one_by_one(world: World, acting: Acting) -> None:
    answer = do(world, acting, act(schedule(*HUBS, FOREIGN)))
    assert answer.accepted
    assert answer.result is not None
    assert answer.result.accepted_device_count == len(HUBS)
    assert answer.result.refused == {RefusalReason.NOT_RESPONSIBLE: (FOREIGN.chf,)}
    assert {status(world, hub) for hub in HUBS} == {"Scheduled"}

    gone = do(world, acting, act(DeleteCommsHubFirmwareSchedule(answer.result.schedule_id or 0), "k-2"))
    assert gone.accepted, gone
    assert {status(world, hub) for hub in HUBS} == {"Cancelled"}
    out = do(world, acting, act(UpdateCommsHubFirmwareExclusion(ExclusionAction.EXCLUDE, (HUBS[0].chf,)), "k-3"))
    assert out.accepted, out
    assert status(world, HUBS[0]) == "Excluded"


def test_a_preview_says_what_would_come_of_it_and_writes_nothing(world: World, acting: Acting) -> None:
    before = world.snapshot()
    with world.instance.reading_engine.connect() as connection:
        prepared = acting.prepare(act(schedule(HUBS[0], FOREIGN)))
        preview = acting.preview(UnitOfWork(connection, world.clock.now()), prepared)
    assert preview.result is not None
    assert preview.result.accepted_device_count == 1
    assert world.snapshot() == before
    done = do(world, acting, act(schedule(HUBS[0], FOREIGN)))
    assert (done.code, done.detail, done.request_id) == (preview.code, preview.detail, preview.request_id)


def test_an_act_is_written_out_while_another_transaction_runs(world: World, acting: Acting) -> None:
    with world.instance.engine.begin():
        prepared = acting.prepare(act(decline(*HUBS)))
        with pytest.raises(NotTaken, match="DeviceIDList"):
            acting.prepare(act(decline()))

    assert world.run(lambda uow: acting.execute(uow, prepared)).code == "I99"


def test_the_same_key_does_it_once_and_is_answered_the_same(world: World, acting: Acting) -> None:
    first = do(world, acting, act(schedule(*HUBS, FOREIGN)))
    after = world.snapshot()
    world.clock.set(NOW + timedelta(days=1))
    again = do(world, acting, act(schedule(*HUBS, FOREIGN)))
    assert again == replace(first, repeated=True, at=NOW)
    assert world.snapshot() == after
    with pytest.raises(KeyUsedBefore):
        do(world, acting, act(decline(HUBS[0])))
    assert world.snapshot() == after


def test_a_key_belongs_to_its_user_and_its_channel(world: World, acting: Acting) -> None:
    asked = act(decline(HUBS[0]))
    answers = [
        do(world, acting, asked),
        do(world, acting, replace(asked, channel=Channel.API)),
        do(world, acting, replace(asked, user_eui=B.eui, body=decline(FOREIGN))),
    ]
    assert not any(answer.repeated for answer in answers)
    assert len({answer.request_id for answer in answers}) == len(answers)


def test_the_inbox_keeps_what_was_asked_and_a_signed_answer(world: World, acting: Acting) -> None:
    answer = do(world, acting, act(decline(HUBS[0])))
    with world.instance.reading_engine.connect() as connection:
        kept = exchanges.find(connection, "CONSOLE", answer.request_id, 8)
    assert kept is not None
    signed = world.instance.verifier.verify(parse(kept.answer), roles={"89"}, at=NOW)
    decoded = decode_response(signed)
    assert (decoded.code, decoded.result) == (answer.code, answer.result)
    assert decoded.request_id is not None
    assert decoded.request_id.text == answer.request_id


def test_the_audit_trail_has_the_same_records_as_for_a_service_request_and_says_how(
    world: World, acting: Acting
) -> None:
    def records() -> list[audit.Entry]:
        with world.instance.reading_engine.connect() as connection:
            return [one for one in audit.newest(connection, 100) if one.actor == f"user:{A.eui}"]

    world.send(A, schedule(HUBS[0]), "11.5")
    by_request = records()
    do(world, acting, act(schedule(HUBS[1])))
    by_console = records()[: -len(by_request)]
    kinds = [
        [(one.action, one.from_state, one.to_state, len(one.hubs)) for one in some] for some in (by_request, by_console)
    ]
    assert kinds[0] == kinds[1]
    assert [one.detail.endswith("(console, account:ann)") for one in by_console if one.action == "request"] == [True]


def test_the_same_is_told_to_the_other_supplier(world: World, acting: Acting) -> None:
    do(world, acting, act(schedule(SPLIT)))
    world.settle()
    by_console = [one.alert for one in world.sent(B, "alert")]
    other = make_world(world.directory.parent / "other")
    try:
        other.add_hubs([*HUBS, FOREIGN, SPLIT])
        other.open_release()
        other.send(A, schedule(SPLIT), "11.5")
        other.settle()
        assert by_console == [one.alert for one in other.sent(B, "alert")]
    finally:
        other.close()


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (act(decline()), "DeviceIDList"),
        (act(replace(decline(HUBS[0]), device_ids=("no id",))), "DeviceIDList"),
        (act(replace(decline(HUBS[0]), execution_date_time=NOW + timedelta(days=1))), "done at once"),
        (act(replace(decline(HUBS[0]), firmware=replace(FIRMWARE, version="\x00"))), "XML"),
        (act(decline(HUBS[0]), key=""), "key"),
        (act(decline(HUBS[0]), key="k" * 65), "key"),
        (act(decline(HUBS[0]), user_eui="A"), "EUI-64"),
    ],
)
def test_what_no_service_request_can_say_is_refused_with_the_reason(
    world: World, acting: Acting, asked: Act, why: str
) -> None:
    before = world.snapshot()
    with pytest.raises(NotTaken, match=why):
        do(world, acting, asked)
    assert world.snapshot() == before


def test_what_the_user_may_not_do_is_refused_and_recorded(world: World, acting: Acting) -> None:
    stranger = act(decline(HUBS[0]), user_eui="FF-FF-FF-FF-FF-FF-FF-F0")
    before = world.snapshot()
    answer = do(world, acting, stranger)
    assert (answer.code, answer.accepted) == ("E1", False)
    assert world.snapshot() == before
    with world.instance.reading_engine.connect() as connection:
        newest = audit.newest(connection, 1)[0]
    assert newest.action == "refused"


def test_what_would_be_held_in_quarantine_is_not_done(world: World, acting: Acting) -> None:
    world.run(lambda uow: set_thresholds(uow, A.eui, Breach.DCC, Thresholds(None, 2)))
    answer = do(world, acting, act(decline(*HUBS)))
    assert answer.code == "E100"
    assert "threshold" in answer.detail
    with world.instance.reading_engine.connect() as connection:
        upgrades_of = StoredFacts(connection, NOW, QuietDays(timedelta(0), timedelta(0)))
        release = upgrades_of.release(FIRMWARE)
        assert release is not None
        found = upgrades_of.hub_upgrades([hub.chf for hub in HUBS], release)
    assert [one.answers for one in found.known.values()] == [{}] * len(HUBS)


def preview(world: World, acting: Acting, *asked: Act) -> list[ActAnswer]:
    """What several acts would come to together."""
    tally = Tally()
    with world.instance.reading_engine.connect() as connection:
        unit_of_work = UnitOfWork(connection, world.clock.now())
        return [acting.preview(unit_of_work, acting.prepare(one), tally) for one in asked]


def test_a_preview_says_that_a_threshold_would_be_crossed_and_counts_nothing(world: World, acting: Acting) -> None:
    world.run(lambda uow: set_thresholds(uow, A.eui, Breach.DCC, Thresholds(None, 2)))
    before = world.snapshot()

    seen = [preview(world, acting, act(decline(*HUBS)))[0] for _ in range(3)]
    fits = preview(world, acting, act(decline(*HUBS[:2])))[0]

    assert {(one.code, one.accepted) for one in seen} == {("E100", False)}
    assert fits.code == "I99", "nothing that was previewed before has been counted"
    assert world.snapshot() == before
    with world.instance.reading_engine.connect() as connection:
        assert anomalies.counted(connection, A.eui, NOW) == (0, 0)
    assert do(world, acting, act(decline(*HUBS))) == seen[0]


def test_what_is_previewed_together_counts_together_as_it_would_be_done(world: World, acting: Acting) -> None:
    world.run(lambda uow: set_thresholds(uow, A.eui, Breach.DCC, Thresholds(2, None)))
    acts = [act(decline(hub), f"k-{hub.number}") for hub in HUBS]

    foreseen = preview(world, acting, *acts)

    assert [one.code for one in foreseen] == ["I99", "I99", "E100"]
    assert [do(world, acting, one) for one in acts] == foreseen


def test_what_was_done_before_is_not_counted_again_in_a_preview(world: World, acting: Acting) -> None:
    world.run(lambda uow: set_thresholds(uow, A.eui, Breach.DCC, Thresholds(1, None)))
    done = act(decline(HUBS[0]))
    do(world, acting, done)

    assert [one.code for one in preview(world, acting, done, act(decline(HUBS[1]), "k-2"))] == ["I99", "E100"]
