"""Alerts are signed beside the transactions that write: each once, in order, by whoever is free, whatever happens."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from sr_engine.configuration import AlertEvent
from sr_engine.delivery import telling
from sr_engine.delivery.telling import Telling, remind
from sr_engine.domain.changes import HubEvent
from sr_engine.instance import SupplierSeed
from sr_engine.store import tidings
from sr_engine.store.tables import outbox, releases
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import Taken, UnitOfWork
from tests.databases import KIND
from tests.delivery.conftest import WAIT
from tests.told import TOLD
from tests.world import A, B, TestHub, World, make_world

HUBS = [TestHub(number, A.name, B.name) for number in range(1, 401)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path / "instance")
    world.open_release()
    yield world
    world.close()


def leave(world: World, *events: AlertEvent, organisations: tuple[str, ...] = (A.name, B.name)) -> None:
    """Something is to be told of every hub, and the process stops before it is."""
    silent = Transactions(world.instance.engine, world.clock)
    release_id = silent.run_now(lambda uow: uow.connection.scalar(select(releases.c.release_id)))
    for event in events:
        silent.run_now(
            lambda uow, event=event: world.instance.alerts.post(  # type: ignore[misc]
                uow, [HubEvent(event, hub.chf, one, str(release_id), "once") for hub in HUBS for one in organisations]
            )
        )


def tell(world: World) -> None:
    """What a process that starts does."""
    world.run(remind)
    world.settle()


def told(world: World) -> list[tuple[str, str, str]]:
    """Receiver, hub and event of every alert, in the order in which they are sent."""
    with world.instance.reading_engine.connect() as connection:
        found = connection.execute(
            select(outbox.c.destination, outbox.c.hub_id, outbox.c.event)
            .where(outbox.c.kind == "alert")
            .order_by(outbox.c.outbox_id)
        )
        return [tuple(row) for row in found]


def expected(*events: AlertEvent) -> list[tuple[str, str, str]]:
    return sorted((f"user:{one.eui}", hub.chf, event.value) for hub in HUBS for one in (A, B) for event in events)


def another(world: World) -> Telling:
    """That of another process."""
    instance = world.instance
    return Telling(instance.alerts, instance.firmware_alerts, instance.reading_engine)


def take(one: Telling, *, whoever_is_at_it: bool = False) -> Taken:
    taken = one.take(whoever_is_at_it=whoever_is_at_it)
    assert taken is not None
    return taken


def write(world: World, taken: Taken) -> None:
    Transactions(world.instance.engine, world.clock).run_now(taken.write)
    taken.let_go()


def test_what_two_have_signed_is_queued_once_by_whoever_is_first(world: World) -> None:
    leave(world, AlertEvent.HUB_LISTED, AlertEvent.HUB_ACTIVATED)
    first, second = take(world.instance.telling), take(another(world), whoever_is_at_it=True)

    write(world, second)
    write(world, first)
    tell(world)

    assert sorted(told(world)) == expected(AlertEvent.HUB_LISTED, AlertEvent.HUB_ACTIVATED)


def test_what_came_after_what_another_has_told_is_not_taken_for_it(world: World) -> None:
    leave(world, AlertEvent.HUB_LISTED, organisations=(A.name,))
    late, prompt = take(world.instance.telling), take(another(world), whoever_is_at_it=True)
    write(world, prompt)
    world.clock.advance(timedelta(minutes=1))
    # On SQLite its rows get the numbers of those that are gone.
    leave(world, AlertEvent.HUB_ACTIVATED, organisations=(B.name,))

    write(world, late)
    tell(world)

    activated = [(f"user:{B.eui}", hub.chf, AlertEvent.HUB_ACTIVATED.value) for hub in HUBS]
    assert sorted(told(world))[len(HUBS) :] == sorted(activated)


def test_what_was_signed_by_a_process_that_stops_is_told_by_another_once(world: World) -> None:
    leave(world, AlertEvent.HUB_LISTED)

    take(world.instance.telling).let_go()
    assert told(world) == []
    tell(world)
    tell(world)

    assert sorted(told(world)) == expected(AlertEvent.HUB_LISTED)


def test_what_a_failing_transaction_was_to_queue_is_told_by_the_next(world: World) -> None:
    leave(world, AlertEvent.HUB_LISTED)
    taken = take(world.instance.telling)

    def fail(uow: UnitOfWork) -> None:
        taken.write(uow)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        Transactions(world.instance.engine, world.clock).run_now(fail)
    taken.let_go()
    tell(world)

    assert sorted(told(world)) == expected(AlertEvent.HUB_LISTED)


def test_each_supplier_is_told_of_a_hub_in_the_order_of_its_events(world: World) -> None:
    events = (AlertEvent.HUB_SCHEDULED, AlertEvent.HUB_LISTED, AlertEvent.HUB_DELIVERED, AlertEvent.HUB_ACTIVATED)
    leave(world, *events)

    async def story() -> None:
        # As served: several prepare and write side by side.
        await world.instance.transactions.run(remind)
        await world.instance.transactions.close()

    asyncio.run(story())

    found = told(world)
    assert sorted(found) == expected(*events)
    for supplier in (A, B):
        for hub in HUBS[::50]:
            of_hub = [event for whom, which, event in found if (whom, which) == (f"user:{supplier.eui}", hub.chf)]
            assert of_hub == [event.value for event in events]


def test_some_are_told_together_and_no_more_than_a_transaction_is_to_queue(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(world, AlertEvent.HUB_LISTED)
    with monkeypatch.context() as patched:
        patched.setattr(telling, "QUEUED_AT_ONCE", len(HUBS))
        one = take(world.instance.telling)
        one.let_go()
    both = take(world.instance.telling)

    assert (one.more, both.more) == (True, False)
    write(world, both)
    assert sorted(told(world)) == expected(AlertEvent.HUB_LISTED)


def test_one_that_is_being_told_is_passed_over_and_the_other_is_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(world, AlertEvent.HUB_LISTED)
    monkeypatch.setattr(telling, "QUEUED_AT_ONCE", len(HUBS))
    # On SQLite only the parts of one process know of each other.
    other = another(world) if KIND == "postgresql" else world.instance.telling

    first = take(world.instance.telling)
    second = take(other)
    assert other.take() is None
    first.let_go()
    again = take(other)
    for taken in (second, again):
        write(world, taken)

    assert sorted(told(world)) == expected(AlertEvent.HUB_LISTED)


def test_a_command_leaves_nothing_to_be_told_though_somebody_else_is_at_it(world: World) -> None:
    leave(world, AlertEvent.HUB_LISTED)
    held = take(another(world))

    world.run(remind)

    with world.instance.reading_engine.connect() as connection:
        assert not tidings.are_left(connection)
    held.let_go()
    assert sorted(told(world)) == expected(AlertEvent.HUB_LISTED)


def test_what_cannot_be_prepared_is_told_once_it_can_be(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(world, AlertEvent.HUB_LISTED)

    async def story() -> None:
        await world.instance.transactions.run(remind)
        await world.instance.transactions.close()

    with monkeypatch.context() as patched:
        patched.setattr(tidings, "oldest", lambda *_: 1 / 0)
        asyncio.run(story())
    assert told(world) == []
    asyncio.run(story())

    assert sorted(told(world)) == expected(AlertEvent.HUB_LISTED)


@pytest.mark.parametrize(("failing", "other"), [(A, B), (B, A)])
def test_what_one_cannot_be_told_keeps_nobody_else_from_being_told(
    world: World, failing: SupplierSeed, other: SupplierSeed, caplog: pytest.LogCaptureFixture
) -> None:
    for organisation in (A.name, B.name):
        # A change of Supplier is of a meter, which is not said here.
        event = AlertEvent.CHANGE_OF_SUPPLIER if organisation == failing.name else AlertEvent.HUB_LISTED
        leave(world, event, organisations=(organisation,))

    async def story() -> None:
        await world.instance.transactions.run(remind)
        await world.instance.transactions.close()

    asyncio.run(story())

    assert sorted(told(world)) == sorted((f"user:{other.eui}", hub.chf, "hub_listed") for hub in HUBS)
    assert f"what {failing.name} is to be told cannot be written" in caplog.text
    with world.instance.reading_engine.connect() as connection:
        assert tidings.whom(connection) == [failing.name]


def test_a_database_that_is_away_as_a_supplier_is_to_be_held_keeps_nobody_from_telling_it_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(world, AlertEvent.HUB_LISTED)

    def away(*_: object) -> bool:
        raise ConnectionResetError

    async def story() -> None:
        await world.instance.transactions.run(remind)
        await world.instance.transactions.close()

    with monkeypatch.context() as patched:
        patched.setattr(telling, "holding", lambda _: nullcontext(away))
        asyncio.run(story())
    assert told(world) == []
    asyncio.run(story())

    assert sorted(told(world)) == expected(AlertEvent.HUB_LISTED)


def test_told_to_stop_a_process_leaves_what_it_has_not_begun_to_the_next(world: World) -> None:
    events = (AlertEvent.HUB_LISTED, AlertEvent.HUB_ACTIVATED)
    leave(world, *events)

    async def stopped(within: float | None) -> None:
        await world.instance.transactions.run(remind)
        await world.instance.transactions.close(within=within)

    asyncio.run(stopped(0))
    left = len(told(world))
    asyncio.run(stopped(None))

    assert left < len(expected(*events))
    assert sorted(told(world)) == expected(*events)


CHILD = """
import sys
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from sr_engine.bootstrap import open_instance
from sr_engine.clock import FixedClock
from sr_engine.delivery import telling
telling.QUEUED_AT_ONCE = 20
instance = open_instance(Path(sys.argv[1]), clock=FixedClock(datetime.fromisoformat(sys.argv[2])))
print("ready", flush=True)
for line in sys.stdin:
    if (taken := instance.telling.take()) is not None:
        instance.transactions.run_now(taken.write)
        taken.let_go()
    print("written", flush=True)
"""


def test_processes_that_are_killed_while_they_share_the_work_tell_everything_once_and_in_order(world: World) -> None:
    events = (AlertEvent.HUB_LISTED, AlertEvent.HUB_ACTIVATED)
    leave(world, *events)
    chance = random.Random(6)
    command = [sys.executable, "-c", CHILD, str(world.directory), world.clock.now().isoformat()]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        # Two each, of the eight portions there are: so none of them can have come to the end before it is killed.
        child.stdin.write("go\ngo\n")
        child.stdin.flush()
    for child in children:
        assert child.stdout is not None
        # Somewhere in what follows, or at its end.
        for _ in range(chance.randrange(3)):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=WAIT)

    killed_before_the_end = len(told(world)) < len(expected(*events))
    tell(world)

    found = told(world)
    assert killed_before_the_end
    assert sorted(found) == expected(*events)
    place = {one: number for number, one in enumerate(found)}
    for supplier in (A, B):
        for hub in HUBS:
            places = [place[f"user:{supplier.eui}", hub.chf, event.value] for event in events]
            assert places == sorted(places)
    with world.instance.reading_engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(TOLD)) == len(found)
