"""The engine behind the tables: connections set up so that what is committed is on disk."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from sr_engine.store.tables import metadata

BUSY_TIMEOUT_MS = 30_000
_COLUMNS = "SELECT t.name, c.name FROM sqlite_master AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table'"


class DatabaseError(Exception):
    """The database is not there, or not one of ours."""


def open_engine(url: str, *, read_only: bool = False) -> Engine:
    """Return an engine for `url`; raises DatabaseError for an engine that is not supported.

    SQLite runs in WAL mode with synchronous FULL: a commit is on disk before it returns. Transactions begin IMMEDIATE,
    so that a writer waits at its start rather than fail in its middle; a `read_only` engine takes no lock.
    """
    if not url.startswith("sqlite:"):
        raise DatabaseError(f"database: only sqlite URLs are supported, not {url.split(':', 1)[0]!r}")
    engine = create_engine(url, connect_args={"check_same_thread": False})

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


def in_transaction(connection: Connection) -> bool:
    """False if the database has ended a transaction by itself, as SQLite does when the disk is full."""
    driver = connection.connection.driver_connection
    return not isinstance(driver, sqlite3.Connection) or driver.in_transaction


def create_tables(engine: Engine) -> None:
    """Create what is missing; what is there stays as it is."""
    metadata.create_all(engine)


def check_tables(engine: Engine) -> None:
    """Raises DatabaseError, saying what to do, if the database, a table of ours or a column of one is missing."""
    file = engine.url.database
    # SQLite would make an empty database where there is none.
    if file and file != ":memory:" and not Path(file).is_file():
        raise DatabaseError(f"there is no database {file}: bring it back, or make a new instance with `sr-engine init`")
    with engine.connect() as connection:
        found = {(table, column) for table, column in connection.exec_driver_sql(_COLUMNS)}
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
