"""Lists that did not reach their CSP before their night was over, and what catching up after a stop makes of hubs."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from sr_engine.bootstrap import phases_of, region_chores
from sr_engine.delivery.dispatch import Dispatcher
from sr_engine.delivery.having import note_had
from sr_engine.messages.csp import decode_csp_message
from sr_engine.messages.model import Period, ReportStatus, UpgradeList
from sr_engine.operations import phases
from sr_engine.operations.outbox import NotParked, resend
from sr_engine.regions import undelivered
from sr_engine.regions.triggers import RegionTriggers
from sr_engine.regions.undelivered import REASON, UndeliveredLists
from sr_engine.store import outbox, sla
from sr_engine.store.outbox import DELIVERED, EXPIRED, PARKED, PENDING, Attempted, Queued
from sr_engine.store.tables import outbox as messages
from tests.delivery.conftest import POLICY, Receiver, listening, longest, until
from tests.regions.conftest import HOUR, Nights, hubs
from tests.regions.test_leases import Time, claims_of
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, make_world

TICK = timedelta.resolution


def take_back(nights: Nights, at: datetime) -> int:
    """What the region does about lists that are too late; how many transactions that takes."""
    nights.world.clock.set(at)
    instance = nights.world.instance
    chore = UndeliveredLists(nights.region, instance.alerts, instance.configuration.lifecycle)
    number = 1
    while nights.world.run(chore):
        number += 1
    return number


def sendable(nights: Nights) -> list[Queued]:
    """What would be sent to the region's CSP now."""
    destination = f"csp:{nights.region.name}"
    with nights.world.instance.reading_engine.connect() as connection:
        return outbox.sendable(connection, destination, nights.world.clock.now(), 100)


def states_of_messages(nights: Nights) -> list[str]:
    with nights.world.instance.reading_engine.connect() as connection:
        found = connection.scalars(select(messages.c.state).where(messages.c.kind == "upgrade_list"))
        return list(found)


def set_messages(nights: Nights, **values: object) -> None:
    change = update(messages).where(messages.c.kind == "upgrade_list").values(**values)
    nights.world.run(lambda uow: uow.connection.execute(change))


@pytest.fixture
def listed(central: Nights) -> tuple[Nights, list[TestHub]]:
    """Three hubs on a list that has not left."""
    three = hubs(3)
    central.world.add_hubs(three)
    central.schedule(three)
    central.cut()
    return central, three


def test_a_list_may_go_until_its_night_is_over_and_not_after(listed: tuple[Nights, list[TestHub]]) -> None:
    nights, three = listed
    end = nights.period().end

    nights.world.clock.set(end - TICK)
    assert len(sendable(nights)) == 1
    take_back(nights, end - TICK)
    assert nights.states(three) == ["Listed"] * 3

    nights.world.clock.set(end)
    assert sendable(nights) == []


def test_a_list_that_comes_when_its_night_has_begun_is_said_to_be_late_once(
    listed: tuple[Nights, list[TestHub]],
) -> None:
    nights, _ = listed
    nowhere, begun = "http://127.0.0.1:1/in", nights.period().start + HOUR

    async def send() -> None:
        receiver = Receiver()
        claims = claims_of(nights.world.instance.engine, Time(nights.world.clock), "one")
        async with listening(receiver):
            dispatcher = Dispatcher(
                engine=nights.world.instance.reading_engine,
                clock=nights.world.clock,
                policy=POLICY,
                resolve=lambda destination: receiver.url if destination.startswith("csp:") else nowhere,
                claims=claims,
                randbelow=longest,
                poll_seconds=0.01,
            )
            sending = asyncio.create_task(dispatcher.run())
            await until(lambda: states_of_messages(nights) == [DELIVERED])
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        await claims.give_back()

    nights.world.clock.set(begun)
    asyncio.run(send())
    (said,) = nights.said("list late")
    assert said.endswith("reached its CSP after 2026-11-29T22:00Z, when its night had begun")

    set_messages(nights, state="Pending")
    nights.world.clock.set(begun + HOUR)
    asyncio.run(send())
    assert len(nights.said("list late")) == 1


def test_hubs_whose_list_missed_its_night_go_back_to_planning_and_their_suppliers_are_told(central: Nights) -> None:
    (hub,) = [TestHub(1, gas=B.name)]
    central.world.add_hubs([hub])
    for supplier in (A, B):
        central.schedule([hub], supplier)
    central.cut()

    take_back(central, central.period().end)

    attempt = central.attempt(hub)
    assert (attempt.state, attempt.reason, attempt.list_id, attempt.period) == ("Scheduled", REASON, None, None)
    assert central.told("hub_returned") == [(hub.chf, A.name), (hub.chf, B.name)]
    assert states_of_messages(central) == [EXPIRED]
    assert central.said("attempt undelivered") == [REASON]
    (said,) = central.said("list too late")
    assert said.endswith(f"is not sent any more: {REASON}")


def test_they_stand_on_the_list_of_another_night_of_their_window(listed: tuple[Nights, list[TestHub]]) -> None:
    nights, three = listed
    take_back(nights, nights.period().end)

    assert nights.cut(3) == 3

    assert nights.states(three) == ["Listed"] * 3
    assert [one.entries[0].period for one in nights.lists()] == [nights.period(), nights.period(3)]
    assert [one.message_id for one in sendable(nights)] != []
    assert len(sendable(nights)) == 1


def test_where_no_night_is_left_they_are_missed_and_may_be_scheduled_anew(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub], window=Period(WINDOW.start, WINDOW.start + timedelta(days=2)))
    central.cut()
    later = WINDOW.start + timedelta(days=2)

    take_back(central, later)
    assert central.time_out(later) == 1

    assert central.attempt(hub).reason == f"the window ended before the hub could be listed again: {REASON}"
    assert central.told("hub_missed") == [(hub.chf, A.name)]
    central.schedule([hub], window=Period(later + timedelta(days=3), later + timedelta(days=10)))
    assert (central.attempt(hub).state, central.attempt(hub).number) == ("Scheduled", 2)


def test_a_list_of_which_its_csp_has_said_something_has_reached_it(listed: tuple[Nights, list[TestHub]]) -> None:
    nights, three = listed
    set_messages(nights, state="Parked", tries=30)
    nights.acknowledge(nights.list_ids()[0], accepted=three[:1])

    take_back(nights, nights.period().end)

    assert nights.states(three) == ["Accepted", "Listed", "Listed"]
    assert states_of_messages(nights) == [DELIVERED]
    assert nights.said("list too late") == []


def test_a_list_that_was_given_up_is_too_late_like_one_that_waits(listed: tuple[Nights, list[TestHub]]) -> None:
    nights, three = listed
    set_messages(nights, state="Parked", tries=30)

    take_back(nights, nights.period().end)

    assert nights.states(three) == ["Scheduled"] * 3
    message_id = nights.world.run(lambda uow: uow.connection.scalar(select(messages.c.message_id).limit(1)))
    assert message_id is not None
    assert states_of_messages(nights) == [EXPIRED]


def test_a_list_that_is_too_late_is_not_sent_again_by_hand(listed: tuple[Nights, list[TestHub]]) -> None:
    nights, _ = listed
    take_back(nights, nights.period().end)
    (of_list,) = nights.world.run(
        lambda uow: uow.connection.scalars(select(messages.c.message_id).where(messages.c.state == EXPIRED)).all()
    )

    with pytest.raises(NotParked, match="is Expired: only parked messages are sent again"):
        nights.world.run(lambda uow: resend(uow, of_list))


@pytest.mark.parametrize("how", ["it was fetched", "some of it was accepted", "a hub on it was reported"])
@pytest.mark.parametrize("state", [PENDING, PARKED])
def test_a_list_that_did_not_go_by_push_counts_as_taken_once_its_csp_shows_that_it_has_it(
    listed: tuple[Nights, list[TestHub]], how: str, state: str
) -> None:
    """It is sent no more, is judged and asked about like any other, and its night may pass."""
    nights, three = listed
    (list_id,) = nights.list_ids()
    set_messages(nights, state=state, tries=3, last_error="connection refused")
    had_at = nights.due() + 2 * HOUR
    nights.world.clock.set(had_at)
    if how == "it was fetched":
        (message_id,) = nights.world.run(
            lambda uow: uow.connection.scalars(select(messages.c.message_id).where(messages.c.kind == "upgrade_list"))
        )
        nights.world.run(lambda uow: note_had(uow, message_id))
    elif how == "some of it was accepted":
        nights.acknowledge(list_id, accepted=three[:1])
    else:
        nights.report(list_id, nights.saw(three[0], ReportStatus.DELIVERED))

    assert states_of_messages(nights) == [DELIVERED]
    assert sendable(nights) == []
    with nights.world.instance.reading_engine.connect() as connection:
        (judged,) = sla.lists_to_judge(connection, "Central", had_at - HOUR, had_at)
    assert (judged.list_id, judged.delivered_at, judged.acknowledged_at) == (list_id, had_at, None)
    assert nights.chase(had_at + nights.region.acknowledgement_sla) == 1
    take_back(nights, nights.period().end)
    assert nights.said("list too late") == nights.said("list late") == []
    assert set(nights.states(three)[1:]) == {"Listed"}


def test_a_list_that_its_csp_fetched_when_its_night_had_begun_came_late(listed: tuple[Nights, list[TestHub]]) -> None:
    nights, _ = listed
    nights.world.clock.set(nights.period().start + HOUR)

    for _ in range(2):
        nights.acknowledge(nights.list_ids()[0])

    assert len(nights.said("list late")) == 1


@pytest.mark.parametrize("state", [PENDING, PARKED])
def test_a_list_that_its_csp_has_is_asked_about_until_its_night_is_over(
    listed: tuple[Nights, list[TestHub]], state: str
) -> None:
    nights, three = listed
    nights.deliver_all()
    end = nights.period().end
    assert nights.chase(end - HOUR) == 1
    assert len(sendable(nights)) == 1
    set_messages(nights, state=state)

    take_back(nights, end)

    assert sendable(nights) == []
    assert states_of_messages(nights) == [DELIVERED]
    assert nights.states(three) == ["Listed"] * 3
    assert nights.chase(end + 5 * nights.region.acknowledgement_sla) == 0


def test_a_list_held_by_a_halt_over_its_night_does_not_go_when_the_release_is_resumed(
    listed: tuple[Nights, list[TestHub]],
) -> None:
    nights, three = listed
    world, machinery = nights.world, phases_of(nights.world.instance)
    world.run(lambda uow: phases.halt(uow, machinery, FIRMWARE, "Central", "a fault"))

    take_back(nights, nights.period().end)
    world.run(lambda uow: phases.resume(uow, machinery, FIRMWARE, "Central"))

    assert nights.states(three) == ["Scheduled"] * 3
    assert sendable(nights) == []
    assert nights.cut(3) == 3


def test_a_long_list_is_taken_back_in_portions_and_not_sent_in_between(
    listed: tuple[Nights, list[TestHub]], monkeypatch: pytest.MonkeyPatch
) -> None:
    nights, three = listed
    monkeypatch.setattr(undelivered, "AT_ONCE", 2)
    instance = nights.world.instance
    chore = UndeliveredLists(nights.region, instance.alerts, instance.configuration.lifecycle)
    nights.world.clock.set(nights.period().end)

    assert nights.world.run(chore)
    assert nights.states(three) == ["Scheduled", "Scheduled", "Listed"]
    assert sendable(nights) == []

    assert take_back(nights, nights.period().end) == 2
    assert nights.states(three) == ["Scheduled"] * 3


# --- catching up -----------------------------------------------------------------------------------------------------

MINUTES = st.sampled_from([10, 60 * 5, 60 * 13, 60 * 26, 60 * 24 * 4])


@settings(max_examples=5, deadline=None)
@given(steps=st.lists(st.tuples(MINUTES, st.booleans(), st.booleans()), min_size=1, max_size=14))
def test_after_whatever_stops_each_hub_was_sent_in_time_once_or_is_missed_and_may_be_scheduled_anew(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool, bool]]
) -> None:
    """In each step time passes; then the processor may run, and the CSP may be reached."""
    world = make_world(tmp_path_factory.mktemp("stops") / "instance")
    world.open_release()
    central = Nights(world, world.instance.configuration.regions["Central"])
    central.change(hubs_per_night=2)
    five = hubs(5)
    world.add_hubs(five)
    central.schedule(five)
    trigger = RegionTriggers(
        central.region,
        world.instance.transactions,
        central.cutter,
        central.outcomes,
        lambda: None,
        region_chores(world.instance, central.region),
    )
    came: dict[str, tuple[UpgradeList, datetime]] = {}

    def deliver(at: datetime) -> None:
        """Send what may be sent, as delivery does; the CSP has each list once, by its id."""
        done = []
        for one in sendable(central):
            message = _decoded(central, one.body)
            came.setdefault(message.list_id, (message, at))
            done.append(Attempted(one.outbox_id, one.message_id, DELIVERED, one.tries + 1, at, at, None))
        world.run(lambda uow: outbox.settle(uow.connection, done))

    async def look(at: datetime, *, reached: bool) -> None:
        world.clock.set(at)
        await trigger.tick()
        await world.instance.transactions.close()
        if reached:
            deliver(at)

    async def story() -> datetime:
        now = NOW
        await look(now, reached=True)
        for minutes, runs, reached in steps:
            now += timedelta(minutes=minutes)
            if runs:
                await look(now, reached=reached)
        # In the end it runs as it should, to beyond the window and the CSP's time to report.
        end = max(now, WINDOW.end + central.region.completion_sla) + HOUR
        while now < end:
            now += timedelta(hours=23)
            await look(now, reached=True)
        return now

    now = asyncio.run(story())

    sent: dict[str, list[Period]] = defaultdict(list)
    for message, at in came.values():
        for entry in message.entries:
            assert at < entry.period.end
            for hub_id in entry.device_ids:
                sent[hub_id].append(entry.period)
    assert {len(periods) for periods in sent.values()} <= {1}
    per_night = Counter(period for periods in sent.values() for period in periods)
    assert max(per_night.values(), default=0) <= 2
    # The CSP never answers: whoever was not sent in time, or not heard of, is Missed, and its Supplier knows.
    assert central.states(five) == ["Missed"] * 5
    assert central.told("hub_missed") == [(hub.chf, A.name) for hub in five]
    reasons = {hub.chf: central.attempt(hub).reason or "" for hub in five}
    assert {hub_id for hub_id, reason in reasons.items() if "completion SLA" in reason} == sent.keys()
    central.schedule(five, window=Period(now + timedelta(days=3), now + timedelta(days=12)))
    assert central.states(five) == ["Scheduled"] * 5
    world.close()


def _decoded(nights: Nights, body: bytes) -> UpgradeList:
    from signing import parse

    verified = nights.world.instance.verifier.verify(parse(body), roles={"89"}, at=nights.world.clock.now())
    message = decode_csp_message(verified)
    assert isinstance(message, UpgradeList)
    return message
