"""Statements that go to PostgreSQL together: they do what each would have done by itself."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, bindparam, func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from sr_engine.store.database import may_pass, open_engine
from sr_engine.store.prepared import Prepared
from sr_engine.store.tables import counters, exchanges
from tests.databases import new_url, server
from tests.world import NOW

WITHIN_MILLISECONDS = 10_000
COUNT = Prepared(select(func.count()).select_from(counters))
VALUE = Prepared(select(counters.c.value).where(counters.c.name == bindparam("name")))
INSERT = Prepared(counters.insert())
EXCHANGE = Prepared(exchanges.insert())
ALL_OF_IT = Prepared(select(exchanges))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(new_url(tmp_path, "postgresql"))
    yield engine
    engine.dispose()


@contextmanager
def trips_of(connection: Connection) -> Iterator[list[int]]:
    """How often the server was asked in the block; filled in at its end."""
    driver: Any = connection.connection.driver_connection
    made: list[int] = []
    with tempfile.TemporaryFile() as written:
        driver.pgconn.trace(written.fileno())
        yield made
        driver.pgconn.untrace()
        written.seek(0)
        # What was sent; there are lines of statements between.
        made.append(len(re.findall(rb"\tF\t\d+\t(?:Sync|Query)\b", written.read())))


def lose(connection: Connection) -> None:
    """Have the server end a connection, and wait until it has."""
    process = connection.scalar(text("SELECT pg_backend_pid()"))
    ended = f"SELECT pg_terminate_backend({process}, {WITHIN_MILLISECONDS})"
    assert server().ask(ended, connection.engine.url.render_as_string(hide_password=False))


def put(connection: Connection, name: str, value: int = 1) -> None:
    """Without a look at what became of it."""
    INSERT.run_many(connection, {"name": [name]}, {"value": value})


def run(engine: Engine, work: Callable[[Connection], None]) -> None:
    """In a transaction of its own."""
    with engine.begin() as connection:
        work(connection)


def names(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.scalars(select(counters.c.name)))


def row(key: str, received: bytes, at: datetime = NOW) -> dict[str, object]:
    return {
        "interface": "DUIS",
        "message_key": key,
        "command_variant": 8,
        "digest": bytes(range(32)),
        "sender_eui": "00-00-5E-EF-10-00-00-A1",
        "service_reference_variant": "11.6",
        "received_at": at,
        "code": "I0",
        "detail": "100 % 'quoted' ü",
        "received": received,
        "answer": b"",
    }


def test_what_is_asked_together_is_answered_in_one_trip(engine: Engine) -> None:
    with engine.begin() as connection:
        put(connection, "n", 7)
        for _ in range(2):
            with trips_of(connection) as made:
                asked = [COUNT.ask(connection), VALUE.ask(connection, {"name": "n"}), VALUE.ask(connection)]
                found = [one.tuples() for one in asked]
            assert found == [[(1,)], [(7,)], []]
            assert made == [1]


def test_what_is_read_goes_with_what_was_asked_before(engine: Engine) -> None:
    with engine.begin() as connection, trips_of(connection) as made:
        asked = COUNT.ask(connection)
        assert VALUE.scalar(connection, {"name": "n"}) is None
        assert asked.tuples() == [(0,)]
    assert made == [1]


def test_each_sees_what_was_run_before_it_and_nothing_after(engine: Engine) -> None:
    with engine.begin() as connection:
        before = COUNT.ask(connection)
        put(connection, "one")
        between = COUNT.ask(connection)
        connection.execute(counters.insert().values(name="two", value=2))
        assert [before.tuples(), between.tuples(), COUNT.tuples(connection)] == [[(0,)], [(1,)], [(2,)]]


def test_what_is_kept_to_the_end_is_written_with_what_is_read_and_with_the_commit(engine: Engine) -> None:
    with engine.begin() as connection:
        with trips_of(connection) as made:
            for number in range(3):
                put(connection, f"n{number}")
            assert COUNT.scalar(connection) == 3
            put(connection, "last")
        assert made == [1]
        with trips_of(connection) as made:
            connection.commit()
        assert made == [1]
    assert names(engine) == {"n0", "n1", "n2", "last"}


def test_what_was_kept_by_one_transaction_is_not_written_by_the_next(engine: Engine) -> None:
    def fails(connection: Connection) -> None:
        put(connection, "never")
        raise LookupError

    with pytest.raises(LookupError):
        run(engine, fails)
    with engine.begin() as connection:
        put(connection, "other")
        # At once, for this one has kept nothing back.
        assert connection.scalar(select(func.count()).select_from(counters)) == 1
    assert names(engine) == {"other"}


@pytest.mark.parametrize("then_reads", [False, True])
def test_one_that_fails_takes_all_with_it(engine: Engine, *, then_reads: bool) -> None:
    """Whoever reads is told, or else whoever commits."""
    read: list[object] = []

    def work(connection: Connection) -> None:
        put(connection, "before")
        put(connection, "taken")
        put(connection, "after")
        if then_reads:
            read.append(COUNT.scalar(connection))

    run(engine, lambda connection: put(connection, "taken"))
    with pytest.raises(IntegrityError):
        run(engine, work)
    assert not read

    assert names(engine) == {"taken"}
    with engine.begin() as connection:
        put(connection, "works")
    assert names(engine) == {"taken", "works"}


def test_statements_go_on_after_a_part_was_taken_back(engine: Engine) -> None:
    """After which the driver has the server forget what it had prepared."""

    def fails(connection: Connection, name: str) -> None:
        with connection.begin_nested():
            put(connection, name)
            raise LookupError

    with engine.begin() as connection:
        for number in range(12):
            with pytest.raises(LookupError):
                fails(connection, f"n{number}")
            asked = [COUNT.ask(connection), VALUE.ask(connection, {"name": "n"})]
            assert [one.tuples() for one in asked] == [[(0,)], []]
            # Often enough for the driver to prepare it too.
            assert VALUE.scalar(connection, {"name": "n"}) is None


def test_statements_go_on_after_a_transaction_was_taken_back(engine: Engine) -> None:
    found: list[object] = []

    def fails(connection: Connection) -> None:
        VALUE.scalar(connection, {"name": "n"})
        found.extend(one.tuples() for one in [COUNT.ask(connection), COUNT.ask(connection)])
        raise LookupError

    for _ in range(8):
        with pytest.raises(LookupError):
            run(engine, fails)
    assert found == [[(0,)]] * 16
    with engine.begin() as connection:
        assert COUNT.ask(connection).tuples() == [(0,)]
        # Nothing that was prepared before is kept by the server for ever.
        assert connection.scalar(text("SELECT count(*) FROM pg_prepared_statements")) < 8


def test_values_are_what_the_driver_makes_of_them(engine: Engine) -> None:
    with engine.begin() as connection:
        EXCHANGE.run_many(connection, {name: [value] for name, value in row("K1", bytes(range(256))).items()})
        asked = ALL_OF_IT.ask(connection)
        (together,) = asked.all()
    with engine.begin() as connection:
        (alone,) = ALL_OF_IT.all(connection)
        by_sqlalchemy = connection.execute(select(exchanges)).one()
    assert tuple(together) == tuple(alone) == tuple(by_sqlalchemy)
    assert {name: getattr(together, name) for name in row("K1", b"")} == row("K1", bytes(range(256)))


def test_more_than_fits_between_the_two_goes_through(engine: Engine) -> None:
    """Each of them answers before the next has been written."""
    much = bytes(4_000_000)
    with engine.begin() as connection:
        for number in range(3):
            values = {name: [value] for name, value in row(f"K{number}", much).items()}
            EXCHANGE.run_many(connection, values)
        asked = [ALL_OF_IT.ask(connection) for _ in range(3)]
        assert [[len(one.received) for one in found.all()] for found in asked] == [[len(much)] * 3] * 3


def test_a_connection_that_the_server_has_ended_is_replaced_before_it_is_used(engine: Engine) -> None:
    """Also one that was used a moment ago, and is not asked whether it is still one."""
    for number in range(3):
        with engine.begin() as connection:
            put(connection, f"n{number}")
            process = connection.scalar(text("SELECT pg_backend_pid()"))
        url = engine.url.render_as_string(hide_password=False)
        assert server().ask(f"SELECT pg_terminate_backend({process}, {WITHIN_MILLISECONDS})", url)
    assert names(engine) == {"n0", "n1", "n2"}


@pytest.mark.parametrize("at", ["read", "commit"])
def test_a_connection_that_is_lost_meanwhile_may_pass(engine: Engine, at: str) -> None:
    def work(connection: Connection) -> None:
        put(connection, "one")
        lose(connection)
        put(connection, "two")
        if at == "read":
            COUNT.scalar(connection)

    with pytest.raises(DBAPIError) as raised:
        run(engine, work)
    assert may_pass(raised.value)
    assert raised.value.connection_invalidated
    assert names(engine) == set()
    with engine.begin() as connection:
        put(connection, "works")
    assert names(engine) == {"works"}
