"""The engine behind the tables: connections set up so that what is committed is on disk.

SQLite and PostgreSQL behave alike here: one writing transaction at a time, which sees all that was committed before it
and waits at its start rather than fail in its middle; those that only read see one state and hold up nobody. On
PostgreSQL what writes nothing that such a transaction decides by may go beside it (`beside`).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from select import POLLIN, poll
from typing import Any, NoReturn

import psycopg
from sqlalchemy import Connection, Engine, Text, bindparam, create_engine, event, func, make_url, select, text
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import LRUCache

from sr_engine.store import sharing, trips
from sr_engine.store.dialects import POSTGRESQL, SQLITE
from sr_engine.store.prepared import Prepared
from sr_engine.store.schema import LATER, SchemaState, Standing, known_revisions, state_of, tables_in
from sr_engine.store.sets import members
from sr_engine.store.tables import metadata, schema_support

BUSY_TIMEOUT_MS = 30_000
CONNECT_TIMEOUT_SECONDS = 10
WRITERS_CACHE_KIB, READERS_CACHE_KIB = 65_536, 2_048
"""Of pages that a connection to SQLite keeps in memory: one connection writes, and many read."""
KEPT_ALIVE = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
"""For libpq: a PostgreSQL whose computer is gone is given up after 25 seconds, and not after minutes or hours."""
IN_UTF8 = {"client_encoding": "utf8"}
"""For libpq: a database in no encoding (SQL_ASCII) gives bytes instead of text otherwise, before it can be refused."""
WRITER_LOCK = 0x53525F454E47494E
"""The key of the advisory lock that a writing transaction holds in PostgreSQL."""
_HOLD = 0x53524548
"""With the hash of a name, the key of the advisory lock by which PostgreSQL knows that it is held."""

_QUEUE = 0x53525155
"""With the hash of a name, the key of the advisory lock by which PostgreSQL has one at a time add to a queue."""
_BESIDE = "sr_engine_beside"

_TRY_TO_HOLD = Prepared(
    select(func.pg_try_advisory_xact_lock(_HOLD, func.hashtext(bindparam("name", type_=Text))).label("is_held"))
)
_WAIT_FOR_QUEUES = text(
    f"SELECT pg_advisory_xact_lock({_QUEUE}, hashtext(value)) "  # noqa: S608 - a key of ours
    "FROM jsonb_array_elements_text(CAST(:names AS JSONB)) AS names (value)"
)
_TRY_FOR_QUEUES = text(
    f"SELECT bool_and(pg_try_advisory_xact_lock({_QUEUE}, hashtext(value))) "  # noqa: S608 - a key of ours
    "FROM jsonb_array_elements_text(CAST(:names AS JSONB)) AS names (value)"
)
_SERVER_TIME = text("SELECT clock_timestamp()")
_COLUMNS = {
    SQLITE: "SELECT t.name, c.name FROM sqlite_master AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table'",
    POSTGRESQL: "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()",
}
_ORDERS_BY_BYTES = text(
    "SELECT 'B' < 'a' AND 'a-b' < 'aa' AND pg_encoding_to_char(encoding) = 'UTF8' "
    "FROM pg_database WHERE datname = current_database()"
)
_SECRETS = ("password", "sslpassword")
"""What may stand behind the `?` of a URL and is nobody's business."""
_WORKABLE = {Standing.CURRENT, Standing.MIXED, Standing.NEWER}
_PASSING = ("08", "40", "57P")
"""Classes of states: connection exceptions, transactions rolled back for others, the operator's intervention."""


ASKED_AFTER_SECONDS = 1.0
"""A connection that has not been used for so long is asked whether it is still one, before it is used."""
_USED_AT = "sr_engine.used_at"


class QueuesBusy(Exception):
    """Somebody else is adding to one of some queues."""


class DatabaseError(Exception):
    """The database is not there, or not one of ours."""


AWAY_FOR_SECONDS = 5
"""After which whoever was told that the database is away is to ask again, where the configuration does not say it."""


class DatabaseAway(Exception):
    """The database was away, or in another's way, for as long as is waited for that.

    What was to be done may have been done, and can be done again.
    """

    def __init__(self, error: BaseException) -> None:
        self.orig = getattr(error, "orig", error)
        """What the driver says."""
        super().__init__(f"the database is away: {' '.join(str(self.orig).split())}")


class _Statements(LRUCache[Any, Any]):
    """Compiled statements, by all there is of a key but the first of it: the dialect, of which each engine has one."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(key[1:], default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key[1:], value)


_OF_SQLITE = _Statements(1_000)
"""The same SQLite is behind all its engines in a process, of which an instance has two; compiling takes milliseconds.

What PostgreSQL is given may differ with the server.
"""


def address_of(url: str) -> URL:
    """The parts of a URL; raises DatabaseError, without its password, for one that names no database of ours."""
    try:
        address = make_url(url)
    except ArgumentError:
        raise DatabaseError("database: this is no database URL: it begins with sqlite:/// or postgresql://") from None
    except ValueError:
        # What stands in the place of the port is not shown: it may be the end of a password with a slash in it.
        raise DatabaseError(
            "database: what follows the host in the URL is no port: a port is a number, and several hosts are named as "
            "postgresql://USER@/NAME?host=HOST1,HOST2&port=PORT1,PORT2"
        ) from None
    dialect = address.get_backend_name()
    if dialect not in {SQLITE, POSTGRESQL}:
        raise DatabaseError(f"database: only sqlite and postgresql URLs are supported, not {dialect!r}")
    return address


def without_secrets(address: URL) -> URL:
    """The same address without any password."""
    return address._replace(password=None).difference_update_query(_SECRETS)


def shown(address: URL) -> str:
    """How an address is shown: with stars instead of the password in front of the host, and without any other."""
    plain = address.set(drivername=address.get_backend_name()).difference_update_query(_SECRETS)
    return plain.render_as_string(hide_password=True)


def open_engine(url: str, *, read_only: bool = False, durable: bool = True, wait_ms: int = BUSY_TIMEOUT_MS) -> Engine:
    """Return an engine for `url`; raises DatabaseError for an engine that is not supported.

    SQLite runs in WAL mode with synchronous FULL: a commit is on disk before it returns; PostgreSQL does so by itself.
    A `read_only` engine takes no lock; another waits for it for `wait_ms`. One that is not `durable` does not wait for
    the disk: for what is thrown away.
    """
    address = address_of(url)
    opened = _sqlite if address.get_backend_name() == SQLITE else _postgresql
    engine = opened(address, read_only=read_only, durable=durable, wait_ms=wait_ms)
    if not read_only:
        event.listen(engine, "before_cursor_execute", _note)
    return engine


def _note(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
    sharing.note(connection, statement)
    if connection.dialect.name == POSTGRESQL:
        trips.before(connection, statement)


def _sqlite(address: URL, *, read_only: bool, durable: bool, wait_ms: int) -> Engine:
    engine = create_engine(
        address,
        connect_args={"check_same_thread": False},
        execution_options={"compiled_cache": _OF_SQLITE},
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        if not isinstance(connection, sqlite3.Connection):
            raise TypeError(f"not a SQLite connection: {type(connection).__name__}")
        # SQLAlchemy, not the driver, says when a transaction begins.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout = {wait_ms}",
            "journal_mode = WAL",
            "synchronous = FULL" if durable else "synchronous = OFF",
            "foreign_keys = ON",
            f"cache_size = -{READERS_CACHE_KIB if read_only else WRITERS_CACHE_KIB}",
            "temp_store = MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _postgresql(address: URL, *, read_only: bool, durable: bool, wait_ms: int) -> Engine:
    options = f"-c timezone=UTC -c lock_timeout={wait_ms}"
    if not durable:
        options += " -c synchronous_commit=off"
    engine = create_engine(
        address.set(drivername="postgresql+psycopg"),
        # A statement sees what was committed before it: a writer all there was when it got the lock.
        isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",
        # What is stored is nobody's business who reads a log.
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "application_name": "sr-engine",
            "options": options,
            **IN_UTF8,
            **KEPT_ALIVE,
        },
    )
    _look_at_connections(engine)
    if read_only:
        return engine.execution_options(postgresql_readonly=True)

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: object, _record: object, given: Sequence[Any], named: Mapping[str, Any]) -> trips.Driver:
        return trips.Driver.open(*given, **named)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        waits = not connection.get_execution_options().get(_BESIDE)
        trips.begin(connection, *((f"SELECT pg_advisory_xact_lock({WRITER_LOCK})",) if waits else ()))

    return engine


def _look_at_connections(engine: Engine) -> None:
    """A connection that the server has dropped is noticed and replaced before it is used.

    The server is asked only if it was idle, or something has come that nobody asked for, as its last words or its end.
    """

    @event.listens_for(engine, "checkin")
    def _used(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info[_USED_AT] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _look(connection: DBAPIConnection, record: ConnectionPoolEntry, _fairy: object) -> None:
        driver: Any = connection
        used_at = record.info.get(_USED_AT)
        if used_at is None or (time.monotonic() - used_at < ASKED_AFTER_SECONDS and _is_silent(driver)):
            return
        if not _answers(driver):
            raise InvalidatePoolError


def _is_silent(driver: psycopg.Connection[Any]) -> bool:
    """Nothing has come that nobody asked for."""
    if driver.closed:
        return False
    watched = poll()
    watched.register(driver.fileno(), POLLIN)
    return not watched.poll(0)


def _answers(driver: psycopg.Connection[Any]) -> bool:
    """The server says something to nothing, in no transaction."""
    before = driver.autocommit
    try:
        driver.autocommit = True
        driver.execute("")
        driver.autocommit = before
    except psycopg.Error:
        return False
    return True


def beside(engine: Engine) -> Engine:
    """The same engine for transactions that on PostgreSQL do not wait for whoever writes; on SQLite they do."""
    return engine.execution_options(**{_BESIDE: True})


def wait_for_queues(connection: Connection, names: Collection[str]) -> None:
    """Have nobody else add to these queues until this transaction ends: numbers then appear in their order.

    Whoever goes `beside` may wait for one alone, for whoever writes may have another and wait for that one: raises
    QueuesBusy for several of which somebody has one. On SQLite there is nobody else.
    """
    if connection.dialect.name != POSTGRESQL:
        return
    if len(names) > 1 and connection.get_execution_options().get(_BESIDE):
        if not connection.scalar(_TRY_FOR_QUEUES, {"names": members(names)}):
            raise QueuesBusy
    else:
        connection.execute(_WAIT_FOR_QUEUES, {"names": members(names)})


@contextmanager
def looking(engine: Engine) -> Iterator[Connection]:
    """A connection for a longer look: on PostgreSQL each statement sees what was committed before it.

    So nothing old is kept for it meanwhile. That the connection is lost once all has been seen does no harm.
    """
    connection = engine.connect()
    try:
        if engine.dialect.name == POSTGRESQL:
            connection.execution_options(isolation_level="READ COMMITTED")
        yield connection
    finally:
        try:
            connection.close()
        except DBAPIError as error:
            if not may_pass(error):
                raise


def stop_looking(connection: Connection) -> None:
    """Let go of the state that a longer look has seen.

    What SQLite keeps for readers cannot be cleared away as long as there is always one; on PostgreSQL whoever brings a
    table forward waits for those who have looked at it, and whoever is to write for that one.
    """
    connection.rollback()


@contextmanager
def holding(engine: Engine) -> Iterator[Callable[[str], bool]]:
    """What tries to hold names until the end of the block; in a transaction of its own, which looks at no table."""
    if engine.dialect.name != POSTGRESQL:
        # There is nobody else.
        yield lambda _: True
        return
    with ExitStack() as stack:
        begun: list[Connection] = []

        def try_to_hold(name: str) -> bool:
            # Mostly there is nothing to be held.
            if not begun:
                begun.append(stack.enter_context(looking(engine)))
            return _try_to_hold(begun[0], name)

        yield try_to_hold


def _try_to_hold(connection: Connection, name: str) -> bool:
    """False if another transaction holds the name; else this one does until it ends, wherever the others run.

    Two names may count as one.
    """
    return bool(_TRY_TO_HOLD.scalar(connection, {"name": name}))


def server_time(connection: Connection) -> datetime | None:
    """What time it is where the database is; None if that is on this computer, as SQLite's is."""
    if connection.dialect.name != POSTGRESQL:
        return None
    found: datetime = connection.execute(_SERVER_TIME).scalar_one()
    return found.astimezone(UTC)


def may_pass(error: BaseException) -> bool:
    """Whether what failed may succeed if it is done again: the server was away, or one transaction in another's way.

    It is not known then whether a commit has happened.
    """
    if isinstance(error, DatabaseAway):
        return True
    if not isinstance(error, DBAPIError) or not isinstance(error.orig, psycopg.Error):
        return False
    if error.connection_invalidated:
        return True
    state = error.orig.sqlstate
    # A connection that cannot be made, or is gone, has no state; a server that stops or starts says so.
    return (state is None and isinstance(error.orig, psycopg.OperationalError)) or (state or "").startswith(_PASSING)


def in_transaction(connection: Connection) -> bool:
    """False if a transaction has ended by itself: the connection is lost, or SQLite has found the disk full."""
    if connection.invalidated:
        return False
    driver = connection.connection.driver_connection
    return not isinstance(driver, sqlite3.Connection) or driver.in_transaction


def create_anew(engine: Engine) -> None:
    """Make the schema in a database that has nothing in it, of ours or of anybody else.

    Raises DatabaseError, having changed nothing, if there is something, or the database cannot be used.
    """
    # Only whoever makes or changes a schema needs Alembic, which takes a while to load.
    from sr_engine.store import migrating  # noqa: PLC0415 - see above

    if engine.dialect.name == SQLITE:
        for file in files_of(engine):
            # Before it is opened, for that alone would change it.
            if file.is_file() and file.stat().st_size:
                raise DatabaseError(f"{file} is there already: name a new file, or leave it to the folder")
    with _named(engine), engine.begin() as connection:
        check_order(connection)
        tables = sorted(tables_in(connection))
        if schema_support.name in tables:
            raise DatabaseError(
                f"the database {shown(engine.url)} is that of an instance already: name an empty one; to serve the "
                "same instance from another computer, copy its folder there"
            )
        if tables:
            raise DatabaseError(
                f"the database {shown(engine.url)} is not empty, it has the table {tables[0]}: name an empty one"
            )
        migrating.create_newest(connection)


def create_tables(engine: Engine) -> None:
    """Make the schema in an empty database; one that has it stays as it is.

    Raises DatabaseError if the database cannot be used, or has another schema.
    """
    # Only whoever makes or changes a schema needs Alembic, which takes a while to load.
    from sr_engine.store import migrating  # noqa: PLC0415 - see above

    known = known_revisions()
    with _named(engine), engine.begin() as connection:
        check_order(connection)
        state = state_of(connection, known)
        if state.standing is Standing.EMPTY:
            migrating.create_newest(connection)
        elif state.standing not in _WORKABLE:
            refuse(state, known)


def schema_state(engine: Engine) -> SchemaState:
    """How the schema of a database stands to this program; raises DatabaseError if the database cannot be used."""
    file = engine.url.database
    # SQLite would make an empty database where there is none.
    if engine.dialect.name == SQLITE and file and file != ":memory:" and not Path(file).is_file():
        raise DatabaseError(f"there is no database {file}: bring it back, or make a new instance with `sr-engine init`")
    with _named(engine), engine.connect() as connection:
        check_order(connection)
        return state_of(connection, known_revisions())


def check_tables(engine: Engine) -> None:
    """Raises DatabaseError, saying what to do, if this program cannot work on the database, or a part of it is gone."""
    state = schema_state(engine)
    if state.standing not in _WORKABLE:
        refuse(state, known_revisions())
    with engine.connect() as connection:
        found = {tuple(row) for row in connection.exec_driver_sql(_COLUMNS[engine.dialect.name]).all()}
    lacking = sorted(
        f"{name}.{column.name}"
        for name, table in metadata.tables.items()
        for column in table.columns
        if (name, column.name) not in found
    )
    if lacking:
        raise DatabaseError(
            f"the database has the schema of revision {state.revision}, but lacks {', '.join(lacking)}: somebody has "
            "changed it; restore a backup with `sr-engine restore`"
        )


def refuse(state: SchemaState, known: tuple[str, ...]) -> NoReturn:
    """Raises DatabaseError, saying what to do about a schema on which this program cannot work."""
    match state.standing:
        case Standing.EMPTY:
            raise DatabaseError("the database lacks all tables: `sr-engine init` did not make it")
        case Standing.UNVERSIONED:
            raise DatabaseError(
                "the database has tables, and says no revision of the schema of sr-engine: it is another program's, or "
                "was made before revisions were kept; make a new instance with `sr-engine init` and an empty database"
            )
        case Standing.PENDING:
            raise DatabaseError(
                f"the schema of the database is of revision {state.revision}, and this version of sr-engine needs "
                f"{max(set(known) - LATER)} at least: bring it forward with `sr-engine db upgrade`"
            )
        case _:
            raise DatabaseError(
                f"the schema of the database is of revision {state.revision}, which this version of sr-engine (up to "
                f"{known[-1]}) cannot work on: use the version that brought it forward, or a newer one"
            )


def check_order(connection: Connection) -> None:
    """PostgreSQL has to order text by its bytes, as SQLite does and the order of hubs means."""
    if connection.dialect.name != POSTGRESQL:
        return
    if not connection.scalar(_ORDERS_BY_BYTES):
        raise DatabaseError(
            "the database does not order text by its bytes in UTF-8: create it with "
            "`createdb --locale=C --encoding=UTF8 --template=template0 NAME`"
        )


def files_of(engine: Engine) -> list[Path]:
    """A SQLite database's file, and those that are kept beside it."""
    name = engine.url.database or ""
    return [Path(name + suffix) for suffix in ("", "-wal", "-shm", "-journal")]


@contextmanager
def _named(engine: Engine) -> Iterator[None]:
    """Raises DatabaseError for what the driver refuses: what it says, in one line, and of which database."""
    try:
        yield
    except (ArgumentError, DBAPIError) as error:
        reason = " ".join(str(getattr(error, "orig", error)).split())
        raise DatabaseError(f"the database {shown(engine.url)} cannot be used: {reason}") from None
