"""Clocks that are set, ahead or back, for whatever reason: once they are right again everything goes on."""

from __future__ import annotations

import asyncio
import datetime as time_of_day
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from apscheduler.schedulers import base
from sqlalchemy import Connection, select

from sr_engine.bootstrap import chores
from sr_engine.regions import triggers
from sr_engine.regions.sla import BREACH, SlaWatch
from sr_engine.regions.triggers import RegionTriggers, Ticker
from sr_engine.store import outbox
from sr_engine.store.outbox import ALERT, Attempted, Outgoing
from sr_engine.store.tables import outbox as messages
from tests.regions.conftest import Nights, hubs
from tests.regions.test_compulsion import chore_of, make_compulsory
from tests.regions.test_sla import listed
from tests.world import NOW, A, TestHub

DAY = timedelta(days=1)


@dataclass
class Counting:
    """A trigger that counts how often it is asked to look."""

    name: str = "counting"
    looks: int = field(default=0)

    async def tick(self) -> None:
        self.looks += 1


def test_a_computer_s_clock_that_is_set_back_stops_no_trigger(monkeypatch: pytest.MonkeyPatch) -> None:
    back = timedelta(0)

    class Computer(time_of_day.datetime):
        @classmethod
        def now(cls, tz: time_of_day.tzinfo | None = None) -> time_of_day.datetime:  # type: ignore[override]
            return time_of_day.datetime.now(tz) - back

    for module in (base, triggers):
        monkeypatch.setattr(module, "datetime", Computer)
    trigger = Counting()

    async def story() -> None:
        nonlocal back
        ticker = Ticker([trigger], timedelta(seconds=0.02))
        ticker.start()
        async with asyncio.timeout(90):
            while trigger.looks < 2:  # noqa: ASYNC110 - another's clock is waited for
                await asyncio.sleep(0.01)
            back, before = DAY, trigger.looks
            while trigger.looks < before + 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        ticker.stop()

    asyncio.run(story())


def look(nights: Nights, *moments: time_of_day.datetime) -> None:
    transactions = nights.world.instance.transactions
    for moment in moments:
        nights.world.clock.set(moment)
        trigger = RegionTriggers(nights.region, transactions, nights.cutter, nights.outcomes, lambda: None)
        asyncio.run(trigger.tick())


@pytest.mark.parametrize("ahead", [DAY, 30 * DAY, 400 * DAY])
def test_a_region_whose_clock_was_ahead_lists_for_its_next_nights(central: Nights, ahead: timedelta) -> None:
    look(central, NOW, NOW + ahead, NOW)
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub])

    look(central, central.due(), central.due() + DAY)

    assert [entry.period for one in central.lists() for entry in one.entries] == [central.period()]


def test_a_new_instance_whose_clock_was_ahead_lists_for_its_next_nights(central: Nights) -> None:
    look(central, NOW + 400 * DAY)
    central.world.clock.set(NOW)
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub])

    look(central, NOW, central.due(), central.due() + DAY)

    assert [entry.period for one in central.lists() for entry in one.entries] == [central.period()]


def test_compulsory_hubs_are_planned_soon_after_a_clock_that_was_ahead_is_right_again(central: Nights) -> None:
    chore = chore_of(central)
    make_compulsory(central)
    for moment in (NOW, NOW + 5 * DAY):
        central.world.clock.set(moment)
        while central.world.run(chore):
            pass
    (hub,) = hubs(1)
    central.world.add_hubs([hub])

    central.world.clock.set(NOW + timedelta(hours=2))
    while central.world.run(chore):
        pass

    assert central.states([hub]) == ["Scheduled"]


def test_service_levels_are_watched_after_a_clock_that_was_ahead_is_right_again(central: Nights) -> None:
    watch = SlaWatch(central.region, central.world.instance.configuration.lifecycle)
    listed(central, hubs(1))
    for moment in (central.due(), central.due() + 90 * DAY, central.due()):
        central.world.clock.set(moment)
        central.world.run(watch)
    assert [one.split(" ")[1] for one in central.said(BREACH)] == ["acknowledgement:", "completion:"]
    central.world.add_hubs([TestHub(2)])
    central.schedule([TestHub(2)])
    assert central.cut(1) == 1
    central.deliver_all()

    central.world.clock.advance(central.region.acknowledgement_sla + timedelta(minutes=6))
    central.world.run(watch)

    assert [one.split(" ")[1] for one in central.said(BREACH)[2:]] == ["acknowledgement:"]


def test_what_was_queued_by_a_clock_that_was_ahead_is_sent_once_it_is_right_again(central: Nights) -> None:
    world = central.world
    world.clock.set(NOW + 90 * DAY)
    put = [Outgoing(f"{n:032x}", ALERT, f"user:{A.eui}", "hub_listed", b"<a/>") for n in range(2)]
    world.run(lambda uow: outbox.put(uow.connection, put, uow.now))
    policy = world.instance.configuration.policy.delivery
    world.run(lambda uow: outbox.settle(uow.connection, [_failed(uow.connection, uow.now + policy.back_off[-1])]))

    world.clock.set(NOW)
    for chore in chores(world.instance):
        while world.run(chore):
            pass

    with world.instance.reading_engine.connect() as connection:
        assert outbox.destinations(connection, NOW) == [f"user:{A.eui}"]
        assert [one.message_id for one in outbox.sendable(connection, f"user:{A.eui}", NOW, 9)] == [f"{0:032x}"]


def test_what_waits_for_its_next_try_goes_on_waiting(central: Nights) -> None:
    world = central.world
    world.run(
        lambda uow: outbox.put(
            uow.connection, [Outgoing(f"{1:032x}", ALERT, f"user:{A.eui}", "hub_listed", b"<a/>")], uow.now
        )
    )
    policy = world.instance.configuration.policy.delivery
    world.run(lambda uow: outbox.settle(uow.connection, [_failed(uow.connection, uow.now + policy.back_off[-1])]))

    for chore in chores(world.instance):
        while world.run(chore):
            pass

    with world.instance.reading_engine.connect() as connection:
        assert outbox.destinations(connection, NOW) == []


def _failed(connection: Connection, next_try_at: time_of_day.datetime) -> Attempted:
    first = connection.execute(
        select(messages.c.outbox_id, messages.c.message_id).order_by(messages.c.outbox_id)
    ).first()
    assert first is not None
    return Attempted(first.outbox_id, first.message_id, outbox.PENDING, 1, next_try_at, None, "HTTP 503")
