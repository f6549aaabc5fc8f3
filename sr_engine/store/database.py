"""The engine behind the tables: connections set up so that what is committed is on disk.

SQLite and PostgreSQL behave alike here: one writing transaction at a time, which sees all that was committed before it
and waits at its start rather than fail in its middle; those that only read see one state and hold up nobody.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from sr_engine.store.dialects import POSTGRESQL, SQLITE
from sr_engine.store.tables import metadata

BUSY_TIMEOUT_MS = 30_000
CONNECT_TIMEOUT_SECONDS = 10
WRITER_LOCK = 0x53525F454E47494E
"""The key of the advisory lock that a writing transaction holds in PostgreSQL."""

_COLUMNS = {
    SQLITE: "SELECT t.name, c.name FROM sqlite_master AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table'",
    POSTGRESQL: "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()",
}
_ORDER = text("SELECT datcollate, pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()")
_BYTE_ORDER = frozenset({"C", "C.UTF-8", "C.UTF8", "C.utf8", "POSIX"})


class DatabaseError(Exception):
    """The database is not there, or not one of ours."""


def open_engine(url: str, *, read_only: bool = False) -> Engine:
    """Return an engine for `url`; raises DatabaseError for an engine that is not supported.

    SQLite runs in WAL mode with synchronous FULL: a commit is on disk before it returns; PostgreSQL does so by itself.
    A `read_only` engine takes no lock.
    """
    try:
        address = make_url(url)
        dialect = address.get_backend_name()
    except (ArgumentError, NoSuchModuleError):
        raise DatabaseError("database: this is no database URL: it begins with sqlite:/// or postgresql://") from None
    if dialect == SQLITE:
        return _sqlite(address, read_only=read_only)
    if dialect == POSTGRESQL:
        return _postgresql(address, read_only=read_only)
    raise DatabaseError(f"database: only sqlite and postgresql URLs are supported, not {dialect!r}")


def _sqlite(address: URL, *, read_only: bool) -> Engine:
    engine = create_engine(address, connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _set_up(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        if not isinstance(connection, sqlite3.Connection):
            raise TypeError(f"not a SQLite connection: {type(connection).__name__}")
        # SQLAlchemy, not the driver, says when a transaction begins.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout = {BUSY_TIMEOUT_MS}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            "cache_size = -65536",
            "temp_store = MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _postgresql(address: URL, *, read_only: bool) -> Engine:
    engine = create_engine(
        address.set(drivername="postgresql+psycopg"),
        # A statement sees what was committed before it: a writer all there was when it got the lock.
        isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",
        # A connection that the server has dropped is noticed and replaced before it is used.
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "application_name": "sr-engine",
            "options": f"-c timezone=UTC -c lock_timeout={BUSY_TIMEOUT_MS}",
        },
    )
    if read_only:
        return engine.execution_options(postgresql_readonly=True)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")

    return engine


def in_transaction(connection: Connection) -> bool:
    """False if the database has ended a transaction by itself, as SQLite does when the disk is full."""
    driver = connection.connection.driver_connection
    return not isinstance(driver, sqlite3.Connection) or driver.in_transaction


def create_tables(engine: Engine) -> None:
    """Create what is missing; what is there stays as it is. Raises DatabaseError if the database cannot be used."""
    try:
        with engine.begin() as connection:
            _check_order(connection)
            metadata.create_all(connection)
    except OperationalError as error:
        raise _unreachable(engine, error) from None


def check_tables(engine: Engine) -> None:
    """Raises DatabaseError, saying what to do, if the database, a table of ours or a column of one is missing."""
    file = engine.url.database
    # SQLite would make an empty database where there is none.
    if engine.dialect.name == SQLITE and file and file != ":memory:" and not Path(file).is_file():
        raise DatabaseError(f"there is no database {file}: bring it back, or make a new instance with `sr-engine init`")
    try:
        with engine.connect() as connection:
            _check_order(connection)
            found = {(table, column) for table, column in connection.exec_driver_sql(_COLUMNS[engine.dialect.name])}
    except OperationalError as error:
        raise _unreachable(engine, error) from None
    tables = {table for table, _ in found}
    lacking = sorted(metadata.tables.keys() - tables)
    if not metadata.tables.keys() & tables:
        raise DatabaseError(f"the database lacks the table(s) {', '.join(lacking)}: `sr-engine init` did not make it")
    lacking += sorted(
        f"{name}.{column.name}"
        for name, table in metadata.tables.items()
        for column in table.columns
        if name in tables and (name, column.name) not in found
    )
    if lacking:
        raise DatabaseError(
            f"the database was made by an older version of sr-engine, it lacks {', '.join(lacking)}: make a new "
            "instance with `sr-engine init`, and import and open again"
        )


def _check_order(connection: Connection) -> None:
    """PostgreSQL has to order text by its bytes, as SQLite does and the order of hubs means."""
    if connection.dialect.name != POSTGRESQL:
        return
    order, encoding = connection.execute(_ORDER).one()
    if order not in _BYTE_ORDER or encoding != "UTF8":
        raise DatabaseError(
            f"the database orders text by {order} in {encoding}: create it with "
            "`createdb --locale=C --encoding=UTF8 --template=template0 NAME`"
        )


def _unreachable(engine: Engine, error: OperationalError) -> DatabaseError:
    """What the driver says, in one line; the URL without its password."""
    reason = " ".join(str(error.orig).split())
    return DatabaseError(f"the database {engine.url.render_as_string(hide_password=True)} cannot be used: {reason}")
