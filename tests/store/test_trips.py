"""Statements that go to PostgreSQL together: they do what each would have done by itself."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Thread, main_thread
from typing import Any, Self

import psycopg
import pytest
from sqlalchemy import Connection, Engine, bindparam, func, select, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from sr_engine.clock import FixedClock
from sr_engine.store import trips
from sr_engine.store.database import beside, may_pass, open_engine
from sr_engine.store.prepared import Prepared
from sr_engine.store.tables import counters, exchanges
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import UnitOfWork
from tests.databases import new_url, server
from tests.world import NOW

WITHIN_MILLISECONDS = 10_000
COUNT = Prepared(select(func.count()).select_from(counters))
VALUE = Prepared(select(counters.c.value).where(counters.c.name == bindparam("name")))
SLEEP = Prepared(select(func.pg_sleep(bindparam("seconds"))))
INSERT = Prepared(counters.insert())
UPDATE = Prepared(counters.update().where(counters.c.name == bindparam("of")).values(value=bindparam("new")))
EXCHANGE = Prepared(exchanges.insert())
ALL_OF_IT = Prepared(select(exchanges))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(new_url(tmp_path, "postgresql"))
    yield engine
    engine.dispose()


@contextmanager
def sent_over(connection: Connection) -> Iterator[list[bytes]]:
    """What goes over a connection in the block, as libpq writes it down; filled in at its end."""
    driver: Any = connection.connection.driver_connection
    written: list[bytes] = []
    with tempfile.TemporaryFile() as file:
        driver.pgconn.trace(file.fileno())
        yield written
        driver.pgconn.untrace()
        file.seek(0)
        written.append(file.read())


@contextmanager
def trips_of(connection: Connection) -> Iterator[list[int]]:
    """How often the server was asked in the block; filled in at its end."""
    made: list[int] = []
    with sent_over(connection) as written:
        yield made
    # There are lines of statements between.
    made.append(len(re.findall(rb"\tF\t\d+\t(?:Sync|Query)\b", written[0])))


def prepared_over(connection: Connection) -> set[str]:
    """Names of what is prepared in the server."""
    return set(connection.scalars(text("SELECT name FROM pg_prepared_statements")))


def done_again(engine: Engine, work: Callable[[Connection], object]) -> list[object]:
    """What a unit of work returned each time it was run, at last with success, beside one that only writes."""
    found: list[object] = []

    def noting(unit_of_work: UnitOfWork) -> None:
        found.append("failed")
        found[-1] = work(unit_of_work.connection)

    async def run_it() -> None:
        transactions = Transactions(engine, FixedClock(NOW))
        writes = transactions.run(lambda unit_of_work: put(unit_of_work.connection, "written"))
        await asyncio.gather(writes, transactions.run(noting))

    asyncio.run(run_it())
    assert "written" in names(engine)
    return found


@contextmanager
def interrupted_while(engine: Engine, waits_for: str) -> Iterator[None]:
    """As by Ctrl-C, once somebody waits in the server for what it calls so."""
    url = engine.url.render_as_string(hide_password=False)
    waiting = f"SELECT count(*) FROM pg_stat_activity WHERE wait_event = '{waits_for}' AND datname = current_database()"

    def interrupt() -> None:
        until = time.monotonic() + WITHIN_MILLISECONDS / 1_000
        while not server().ask(waiting, url) and time.monotonic() < until:
            time.sleep(0.01)
        signal.pthread_kill(main_thread().ident or 0, signal.SIGINT)

    # Where tests run in the background it may be ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)


class Between:
    """Stands between one connection and the server, and can say something that it has not said."""

    def __init__(self) -> None:
        self._listens = socket.create_server(("127.0.0.1", 0))
        self.says = b""
        """What comes before its next answer."""
        self._threads = [Thread(target=self._serve)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._threads[0].join()
        self._listens.close()

    def instead_of(self, engine: Engine) -> str:
        """The URL of what is connected to a database through it."""
        return engine.url.set(port=self._listens.getsockname()[1]).render_as_string(hide_password=False)

    def _serve(self) -> None:
        ours, _ = self._listens.accept()
        with ours, socket.create_connection(("127.0.0.1", server().port)) as theirs:
            up = Thread(target=self._hand_on, args=(ours, theirs))
            up.start()
            self._hand_on(theirs, ours, is_down=True)
            up.join()

    def _hand_on(self, one: socket.socket, other: socket.socket, *, is_down: bool = False) -> None:
        with suppress(OSError):
            while some := one.recv(65_536):
                if is_down:
                    some, self.says = self.says + some, b""
                other.sendall(some)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


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


@pytest.mark.parametrize("nonsense", [b"D\x00\x00\x00\x01", b"D\x7f\xff\xff\xff"])
def test_an_answer_that_cannot_be_understood_ends_the_connection_and_nothing_waits_for_more(
    engine: Engine, nonsense: bytes
) -> None:
    with Between() as between:
        other = open_engine(between.instead_of(engine))

        def work(connection: Connection) -> None:
            put(connection, "never")
            between.says = nonsense
            COUNT.scalar(connection)

        def fails() -> None:
            with pytest.raises(DBAPIError) as raised:
                run(other, work)
            failures.append(raised.value)

        failures: list[DBAPIError] = []
        # Not one that is waited for: it might never end.
        thread = Thread(target=fails, daemon=True)
        thread.start()
        thread.join(WITHIN_MILLISECONDS / 1_000)
        other.dispose()
    (failure,) = failures
    assert failure.connection_invalidated
    assert may_pass(failure)
    assert names(engine) == set()


@pytest.mark.parametrize("reads", [True, False])
def test_an_interrupt_in_the_middle_is_raised_as_it_is(engine: Engine, *, reads: bool) -> None:
    """Who waits for a row, or for the commit."""

    def work(unit_of_work: UnitOfWork) -> None:
        put(unit_of_work.connection, "never")
        asked = SLEEP.ask(unit_of_work.connection, {"seconds": WITHIN_MILLISECONDS / 1_000})
        if reads:
            asked.all()

    with interrupted_while(engine, "PgSleep"):
        Transactions(engine, FixedClock(NOW)).run_now(work)
    run(engine, lambda connection: put(connection, "works"))
    assert names(engine) == {"works"}


def test_an_interrupt_while_another_writes_is_raised_as_it_is(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    with engine.begin() as connection:
        put(connection, "other")
        with interrupted_while(engine, "advisory"):
            run(engine, lambda connection: put(connection, "never"))
    assert names(engine) == {"other"}
    assert not caplog.records


def test_the_driver_prepares_nothing_and_has_nothing_forgotten(engine: Engine) -> None:
    """Which it would after ROLLBACK, DROP and ALTER, and of more statements than it keeps."""
    values = {"name": "n"}
    with engine.begin() as connection:
        VALUE.scalar(connection, values)
        before = prepared_over(connection)
    with engine.connect() as connection, sent_over(connection) as written:
        for number in range(120):
            for _ in range(7):
                connection.exec_driver_sql(f"SELECT {number} + %(one)s", {"one": 1})
            connection.rollback()
        connection.exec_driver_sql("CREATE TABLE passing (a INT)")
        connection.exec_driver_sql("ALTER TABLE passing ADD b INT")
        connection.exec_driver_sql("DROP TABLE passing")
        VALUE.scalar(connection, values)
        after = prepared_over(connection)
        connection.rollback()
    assert before
    assert before <= after
    assert {name.partition("_")[0] for name in after} == {"trip"}
    assert b"SELECT 119" in written[0]
    assert b"DEALLOCATE" not in written[0]


@pytest.mark.parametrize("how", ["DEALLOCATE ALL", "DISCARD PLANS; DEALLOCATE ALL"])
@pytest.mark.parametrize("in_the_middle", [False, True])
def test_what_somebody_has_had_forgotten_is_prepared_anew(engine: Engine, how: str, *, in_the_middle: bool) -> None:
    with engine.begin() as connection:
        put(connection, "n", 7)
        VALUE.scalar(connection, {"name": "n"})
        if not in_the_middle:
            connection.exec_driver_sql(how)
    forgotten: list[bool] = []

    def work(connection: Connection) -> object:
        INSERT.run_many(connection, {"name": ["mine"]}, {"value": 1})
        if in_the_middle and not forgotten:
            forgotten.append(True)
            connection.exec_driver_sql(how)
        return VALUE.scalar(connection, {"name": "n"})

    assert done_again(engine, work)[-1] == 7
    assert names(engine) == {"n", "written", "mine"}


def test_a_connection_that_has_forgotten_is_given_up_with_all_its_transaction_did(engine: Engine) -> None:
    def work(connection: Connection) -> None:
        put(connection, "one")
        VALUE.scalar(connection, {"name": "one"})
        connection.exec_driver_sql("DEALLOCATE ALL")
        VALUE.scalar(connection, {"name": "one"})

    with pytest.raises(DBAPIError, match="does not exist") as raised:
        run(engine, work)
    assert raised.value.connection_invalidated
    assert may_pass(raised.value)
    assert names(engine) == set()


def test_a_column_that_a_migration_has_changed_is_read_as_it_is_now(engine: Engine) -> None:
    """By somebody else, between two transactions over one connection."""
    with engine.begin() as connection:
        put(connection, "n", 7)
        assert VALUE.scalar(connection, {"name": "n"}) == 7
    url = engine.url.render_as_string(hide_password=False)
    server().execute("ALTER TABLE counters ALTER value TYPE numeric(20, 2)", url)

    found = done_again(engine, lambda connection: VALUE.scalar(connection, {"name": "n"}))

    assert found[0] == "failed"
    assert str(found[-1]) == "7.00"


def test_a_column_that_is_added_meanwhile_is_nobodys_business(engine: Engine) -> None:
    with engine.begin() as connection:
        put(connection, "n", 7)
        VALUE.scalar(connection, {"name": "n"})
    server().execute("ALTER TABLE counters ADD more INT", engine.url.render_as_string(hide_password=False))
    assert done_again(engine, lambda connection: VALUE.scalar(connection, {"name": "n"})) == [7]


def test_a_name_that_somebody_has_taken_stops_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        COUNT.scalar(connection)
        last = max(int(name.removeprefix("trip_")) for name in prepared_over(connection))
        connection.exec_driver_sql(f"PREPARE trip_{last + 2} AS SELECT 1")
    found = done_again(engine, lambda connection: VALUE.scalar(connection, {"name": "written"}))
    assert found[0] == "failed"
    assert found[-1] in {None, 1}


def test_a_transaction_that_is_in_anothers_way_is_told_so_at_its_commit(engine: Engine) -> None:
    with engine.begin() as connection:
        put(connection, "n", 1)

    def work() -> None:
        ours = beside(engine).connect().execution_options(isolation_level="REPEATABLE READ")
        with ours as connection, connection.begin():
            assert VALUE.scalar(connection, {"name": "n"}) == 1
            with beside(engine).begin() as other:
                UPDATE.run(other, {"of": "n", "new": 2})
            put(connection, "mine")
            UPDATE.put(connection, {"of": "n", "new": 3})

    with pytest.raises(DBAPIError, match="could not serialize") as raised:
        work()
    assert may_pass(raised.value)
    assert raised.value.statement is not None
    assert raised.value.statement.startswith("UPDATE counters")
    with engine.begin() as connection:
        assert VALUE.scalar(connection, {"name": "n"}) == 2
    assert names(engine) == {"n"}


@pytest.mark.parametrize("then_reads", [False, True])
def test_the_one_that_fails_is_named_and_none_behind_it(engine: Engine, *, then_reads: bool) -> None:
    values = {name: [value] for name, value in row("K1", b"").items()}

    def work(connection: Connection) -> None:
        put(connection, "before")
        EXCHANGE.run_many(connection, values)
        EXCHANGE.run_many(connection, values)
        put(connection, "after")
        if then_reads:
            COUNT.scalar(connection)

    with pytest.raises(IntegrityError) as raised:
        run(engine, work)
    assert raised.value.statement is not None
    assert raised.value.statement.startswith("INSERT INTO exchanges")
    assert not may_pass(raised.value)
    assert names(engine) == set()


def test_a_failure_that_somebody_has_passed_over_is_told_at_the_commit(engine: Engine) -> None:
    def work(connection: Connection) -> None:
        put(connection, "one")
        put(connection, "one")
        with pytest.raises(IntegrityError):
            COUNT.scalar(connection)

    with pytest.raises(DBAPIError, match="has failed before") as raised:
        run(engine, work)
    assert not may_pass(raised.value)
    assert names(engine) == set()


def test_what_was_kept_in_a_part_is_taken_back_with_it(engine: Engine) -> None:
    """What would have failed too: nobody hears of it."""

    def fails(connection: Connection) -> None:
        with connection.begin_nested():
            put(connection, "first")
            put(connection, "part")
            raise LookupError

    with engine.begin() as connection:
        put(connection, "first")
        with pytest.raises(LookupError):
            fails(connection)
        put(connection, "last")
    assert names(engine) == {"first", "last"}


def test_what_nobody_waited_for_fails_alone_of_those_that_share_a_transaction(engine: Engine) -> None:
    async def together() -> list[object]:
        transactions = Transactions(engine, FixedClock(NOW))
        wanted = ["one", "two", "two", "three"]
        return await asyncio.gather(
            *(transactions.run(lambda one, name=name: put(one.connection, name)) for name in wanted),  # type: ignore[misc]
            return_exceptions=True,
        )

    assert [type(one) for one in asyncio.run(together())] == [type(None), type(None), IntegrityError, type(None)]
    assert names(engine) == {"one", "two", "three"}


@pytest.mark.parametrize(("name", "wrong"), [("\x00", DataError), ("\ud800", UnicodeEncodeError)])
def test_a_value_that_the_driver_does_not_take_is_the_failure_of_whoever_has_it(
    engine: Engine, name: str, wrong: type[Exception]
) -> None:
    """And of nobody it shares a transaction with; nothing is tried again, for the connection is as it was."""
    runs: list[str] = []

    def work(unit_of_work: UnitOfWork, *, name: str) -> None:
        runs.append(name)
        put(unit_of_work.connection, name)

    async def together() -> list[object]:
        transactions = Transactions(engine, FixedClock(NOW))
        wanted = ["one", name, "two"]
        return await asyncio.gather(
            *(transactions.run(partial(work, name=one)) for one in wanted), return_exceptions=True
        )

    assert [type(one) for one in asyncio.run(together())] == [type(None), wrong, type(None)]
    assert names(engine) == {"one", "two"}
    # Together, and then each apart.
    assert runs.count(name) == 2


def test_a_value_that_the_driver_does_not_take_leaves_what_was_kept_before_it(engine: Engine) -> None:
    with engine.begin() as connection:
        put(connection, "before")
        with pytest.raises(DataError) as raised:
            put(connection, "\x00")
        put(connection, "after")
    assert not may_pass(raised.value)
    assert raised.value.statement is not None
    assert raised.value.statement.startswith("INSERT INTO counters")
    assert names(engine) == {"before", "after"}


def test_what_was_asked_in_a_part_that_is_taken_back_cannot_be_read_after_it(engine: Engine) -> None:
    with engine.begin() as connection:
        with connection.begin_nested() as part:
            asked = COUNT.ask(connection)
            part.rollback()
        with pytest.raises(psycopg.InterfaceError):
            asked.tuples()


def test_what_was_kept_by_a_transaction_that_is_taken_back_is_not_done_for_whoever_reads_after_it(
    engine: Engine,
) -> None:
    with engine.connect() as connection:
        with connection.begin() as transaction:
            put(connection, "never")
            asked = COUNT.ask(connection)
            transaction.rollback()
        with pytest.raises(psycopg.InterfaceError):
            asked.tuples()
    assert names(engine) == set()


def test_statements_beyond_those_that_are_kept_prepared_are_run_as_well(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine.begin() as connection:
        put(connection, "n", 7)
        COUNT.scalar(connection)
        some = prepared_over(connection)
        monkeypatch.setattr(trips, "PREPARED_MOST", len(some))
        assert [VALUE.scalar(connection, {"name": "n"}) for _ in range(3)] == [7] * 3
        assert prepared_over(connection) == some
