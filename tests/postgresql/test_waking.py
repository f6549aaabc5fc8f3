"""Processes wake one another through PostgreSQL: what one has committed, another takes up at once."""

from __future__ import annotations

import queue
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, text

from sr_engine.bootstrap import open_instance, processor_of
from sr_engine.gateway.working import Role
from sr_engine.store import counters, notices, outbox
from sr_engine.store.outbox import Outgoing
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import UnitOfWork
from tests.databases import url_of_instance
from tests.gateway.conftest import WAIT, serving
from tests.gateway.test_held import Inbox
from tests.postgres import PostgresServer, postgres_server
from tests.world import A, B, World, edit, make_world


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    with inbox.listening():
        yield inbox


def world_on(url: str, directory: Path, inbox: Inbox) -> World:
    """An instance that would look into its outbox every ten minutes only."""

    def prepare(folder: Path) -> None:
        edit(folder / "config" / "policy.toml", "poll_seconds = 1", "poll_seconds = 600")
        edit(folder / "config" / "policy.toml", "tick_seconds = 30", "tick_seconds = 3600")
        for supplier in (A, B):
            edit(folder / "users.toml", supplier.receiving_url, inbox.url)

    return make_world(directory, prepare=prepare, database_url=url)


def leave_a_message(world: World, name: str) -> None:
    message = Outgoing(name, outbox.ALERT, f"user:{A.eui}", "hub_listed", f"<m>{name}</m>".encode())
    world.run(lambda uow: outbox.put(uow.connection, [message], uow.now))


def comes(inbox: Inbox, name: str) -> bool:
    """Whether it does before anybody would have looked by himself; what came before may come again."""
    try:
        while inbox.bodies.get(timeout=WAIT) != f"<m>{name}</m>".encode():
            pass
    except queue.Empty:
        return False
    return True


def another(world: World) -> World:
    """The same instance, opened a second time."""
    instance = open_instance(world.directory, clock=world.clock)
    return World(world.directory, instance, world.clock, processor_of(instance))


def listens(world: World, number: int = 1) -> None:
    """Wait until so many processes listen."""
    deadline = time.monotonic() + WAIT
    asked = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN sr_engine'"
    )
    found = -1
    while found != number and time.monotonic() < deadline:
        with world.instance.engine.connect() as connection:
            found = int(connection.execute(asked).scalar_one())
    assert found == number


def test_a_worker_delivers_at_once_what_another_process_has_committed(tmp_path: Path, inbox: Inbox) -> None:
    world = world_on(url_of_instance("postgresql"), tmp_path / "instance", inbox)
    worker = another(world)
    with serving(worker, role=Role.WORKER):
        listens(world)
        for name in ("m1", "m2", "m3"):
            leave_a_message(world, name)
            assert comes(inbox, name)
    worker.close()
    world.close()


@pytest.fixture
def durable() -> Iterator[PostgresServer]:
    with postgres_server(durable=True) as server:
        yield server


def test_a_worker_listens_again_after_the_server_was_away(
    durable: PostgresServer, tmp_path: Path, inbox: Inbox
) -> None:
    world = world_on(durable.new_database(), tmp_path / "instance", inbox)
    worker = another(world)
    with serving(worker, role=Role.WORKER):
        listens(world)
        leave_a_message(world, "before")
        assert comes(inbox, "before")
        durable.stop(signal.SIGQUIT)
        durable.start()
        listens(world)
        leave_a_message(world, "after")
        assert comes(inbox, "after")
    worker.close()
    world.close()


# --- What it costs ----------------------------------------------------------------------------------------------------


def notices_of(engine: Engine) -> list[str]:
    """What is said from now on."""
    said: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def _note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if "pg_notify" in statement:
            said.append(str(parameters))

    return said


@pytest.fixture
def world(tmp_path: Path, inbox: Inbox) -> Iterator[World]:
    world = world_on(url_of_instance("postgresql"), tmp_path / "instance", inbox)
    yield world
    world.close()


def test_a_transaction_says_once_what_all_of_it_leaves_and_nothing_if_that_is_nothing(world: World) -> None:
    engine = world.instance.engine
    said = notices_of(engine)

    def messages(uow: UnitOfWork) -> None:
        for name in "abc":
            outbox.put(uow.connection, [Outgoing(name, outbox.ALERT, "user:A", "hub_listed", b"<m/>")], uow.now)
        notices.leave(uow.connection, notices.Left.HELD)

    def fails(uow: UnitOfWork) -> None:
        notices.leave(uow.connection, notices.Left.TIDINGS)
        raise RuntimeError("taken back")

    transactions = Transactions(engine, world.clock)
    transactions.run_now(lambda uow: counters.draw(uow.connection, "n"))
    assert said == []
    with pytest.raises(RuntimeError, match="taken back"):
        transactions.run_now(fails)
    transactions.run_now(lambda uow: counters.draw(uow.connection, "n"))
    assert said == []
    transactions.run_now(messages)
    assert [("held outbox" in one) for one in said] == [True]
