"""PostgreSQL: alerts are queued while another transaction writes, each once, and nobody misses one in a queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, text

from sr_engine.configuration import AlertEvent
from sr_engine.delivery import telling
from sr_engine.delivery.telling import Telling
from sr_engine.domain.changes import HubEvent
from sr_engine.store import mailbox
from sr_engine.store import outbox as queue
from sr_engine.store.database import beside
from sr_engine.store.tables import outbox, releases
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import Taken, UnitOfWork
from tests.databases import url_of_instance
from tests.delivery.conftest import GAS_EUI, WAIT, with_a_user_for_gas
from tests.world import A, B, TestHub, World, make_world

HUBS = [TestHub(number, A.name) for number in range(1, telling.QUEUED_AT_ONCE // 2)]
TO_A, TO_B = f"user:{A.eui}", f"user:{B.eui}"


TO_GAS = f"user:{GAS_EUI}"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path / "instance", database_url=url_of_instance("postgresql"))
    release_id = world.open_release()
    events = [HubEvent(AlertEvent.HUB_LISTED, hub.chf, A.name, release_id, "once") for hub in HUBS]
    Transactions(world.instance.engine, world.clock).run_now(lambda uow: world.instance.alerts.post(uow, events))
    yield world
    world.close()


@contextmanager
def transaction(world: World) -> Iterator[UnitOfWork]:
    """One that waits for no other."""
    with beside(world.instance.engine).begin() as connection:
        yield UnitOfWork(connection, world.clock.now())


@contextmanager
def taken_by_a_process(world: World) -> Iterator[Taken]:
    """What one process has signed, which it lets go in the end."""
    instance = world.instance
    telling = Telling(instance.alerts, instance.firmware_alerts, instance.reading_engine)
    taken = telling.take(whoever_is_at_it=True)
    assert taken is not None
    try:
        yield taken
    finally:
        taken.let_go()


def in_queue(world: World, destination: str) -> list[str]:
    with world.instance.reading_engine.connect() as connection:
        wanted = select(outbox.c.kind).where(outbox.c.destination == destination).order_by(outbox.c.outbox_id)
        return list(connection.scalars(wanted))


def until_one_waits(world: World, other: Future[None]) -> None:
    """Return once a transaction waits for another; fails if the other comes to its end instead."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        assert not other.done(), "nothing has held it up"
        with world.instance.reading_engine.connect() as connection:
            if connection.scalar(waiting):
                return
    raise TimeoutError("nobody waits")


def notice(connection: Connection, world: World, destination: str) -> None:
    message = queue.Outgoing(world.instance.draw_id(), queue.NOTICE, destination, "notice", b"<notice/>")
    queue.put(connection, [message], world.clock.now())


def tell(world: World) -> None:
    """Tell all that is to be told."""

    async def follow() -> None:
        world.instance.transactions.follow()
        await world.instance.transactions.close()

    asyncio.run(asyncio.wait_for(follow(), WAIT))


def tell_while_somebody_writes(world: World, had: str, wanted: str) -> None:
    """Whoever writes has one queue when it is to be told, and then wants another, for which it would not wait."""
    with ThreadPoolExecutor(1) as threads:
        with world.instance.engine.begin() as connection:
            notice(connection, world, had)
            other = threads.submit(tell, world)
            until_one_waits(world, other)
            connection.execute(text("SET LOCAL lock_timeout = 1"))
            notice(connection, world, wanted)
        other.result(WAIT)


def test_alerts_are_queued_while_another_transaction_writes(world: World) -> None:
    with world.instance.engine.begin():
        tell(world)
        assert in_queue(world, TO_A) == [queue.ALERT] * len(HUBS)


def test_who_has_signed_and_is_to_write_keeps_nobody_from_changing_a_table(world: World) -> None:
    """That one has the turn of whoever writes, for which this one may wait."""
    with taken_by_a_process(world) as taken:
        with world.instance.engine.begin() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '5s'"))
            for table in ("outbox", "alerted_hubs", "tidings", "releases"):
                connection.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        with transaction(world) as unit_of_work:
            taken.write(unit_of_work)
    assert in_queue(world, TO_A) == [queue.ALERT] * len(HUBS)


def test_two_that_tell_the_same_at_once_tell_it_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        monkeypatch.setattr(telling, "QUEUED_AT_ONCE", 1)
        some = stack.enter_context(taken_by_a_process(world))
        monkeypatch.undo()
        all_of_it = stack.enter_context(taken_by_a_process(world))

        def write_all() -> None:
            with transaction(world) as unit_of_work:
                all_of_it.write(unit_of_work)

        with ThreadPoolExecutor(1) as threads:
            with transaction(world) as unit_of_work:
                some.write(unit_of_work)
                other = threads.submit(write_all)
                until_one_waits(world, other)
            other.result(WAIT)
    told_at_first = len(in_queue(world, TO_A))
    world.run(telling.remind)
    world.settle()

    assert 0 < told_at_first < len(HUBS)
    assert in_queue(world, TO_A) == [queue.ALERT] * len(HUBS)


def test_what_is_sent_to_a_user_meanwhile_comes_after_its_alerts(world: World) -> None:
    def send() -> None:
        with world.instance.engine.begin() as connection:
            notice(connection, world, TO_A)

    with taken_by_a_process(world) as taken, ThreadPoolExecutor(1) as threads:
        with transaction(world) as unit_of_work:
            taken.write(unit_of_work)
            other = threads.submit(send)
            until_one_waits(world, other)
            assert in_queue(world, TO_A) == []
        other.result(WAIT)

    assert in_queue(world, TO_A) == [*[queue.ALERT] * len(HUBS), queue.NOTICE]


def test_what_is_sent_to_others_does_not_wait_for_it(world: World) -> None:
    with taken_by_a_process(world) as taken, transaction(world) as unit_of_work:
        taken.write(unit_of_work)
        with world.instance.engine.begin() as connection:
            notice(connection, world, TO_B)
        assert in_queue(world, TO_B) == [queue.NOTICE]


def test_alerts_that_appear_after_what_was_queued_later_for_another_user_are_seen(world: World) -> None:
    def newest() -> Sequence[int]:
        with world.instance.reading_engine.connect() as connection:
            return mailbox.newest_ids(connection, [TO_A, TO_B])

    with taken_by_a_process(world) as taken, transaction(world) as unit_of_work:
        taken.write(unit_of_work)
        with world.instance.engine.begin() as connection:
            notice(connection, world, TO_B)
        before = newest()

    assert newest() != before


@pytest.mark.parametrize(("had", "wanted"), [(TO_A, TO_GAS), (TO_GAS, TO_A)])
def test_whoever_writes_waits_for_no_alerts_to_two_users_of_a_supplier(tmp_path: Path, had: str, wanted: str) -> None:
    world = make_world(tmp_path, prepare=with_a_user_for_gas, database_url=url_of_instance("postgresql"))
    release_id = world.open_release()
    events = [
        HubEvent(AlertEvent.HUB_LISTED, hub.chf, A.name, release_id, "once", for_gas=for_gas)
        for hub, for_gas in zip(HUBS, (False, True), strict=False)
    ]
    Transactions(world.instance.engine, world.clock).run_now(lambda uow: world.instance.alerts.post(uow, events))

    tell_while_somebody_writes(world, had, wanted)

    assert in_queue(world, had) == in_queue(world, wanted) == [queue.NOTICE, queue.ALERT]
    world.close()


@pytest.mark.parametrize(("had", "wanted"), [(TO_A, TO_B), (TO_B, TO_A)])
def test_whoever_writes_waits_for_no_alerts_to_several_suppliers(world: World, had: str, wanted: str) -> None:
    with world.instance.reading_engine.connect() as connection:
        release_id = str(connection.scalar(select(releases.c.release_id)))
    event = HubEvent(AlertEvent.HUB_LISTED, HUBS[0].chf, B.name, release_id, "once")
    Transactions(world.instance.engine, world.clock).run_now(lambda uow: world.instance.alerts.post(uow, [event]))

    tell_while_somebody_writes(world, had, wanted)

    assert in_queue(world, TO_A) == [queue.NOTICE, *[queue.ALERT] * len(HUBS)]
    assert in_queue(world, TO_B) == [queue.NOTICE, queue.ALERT]
