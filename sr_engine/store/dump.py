"""All that a database holds, as one state of it, in files: taken while others write, and put back into an empty one.

SQLite's is a copy of its file, by the backup interface. PostgreSQL's are its tables in its own text form, compressed,
each row as one line: none of its programs are needed, and any version of it can read them.
"""

from __future__ import annotations

import gzip
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Engine, text

from sr_engine.archive import sync
from sr_engine.store import audit_chain, migrating
from sr_engine.store.database import DatabaseError, check_order, files_of, refuse
from sr_engine.store.dialects import POSTGRESQL, SQLITE
from sr_engine.store.schema import VERSION_TABLE, known_revisions, state_of
from sr_engine.store.tables import schema_support

SQLITE_FILE = "sr-engine.db"
_MADE_BY_REVISIONS = {VERSION_TABLE, schema_support.name}
_COMPRESSION = 1
"""Of gzip: the quickest; the rest would be worth a few per cent."""
_CHUNK = 1 << 20

_TABLES = text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename")
_REFERENCES = text(
    "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint "
    "WHERE contype = 'f' AND connamespace = current_schema()::regnamespace AND conrelid <> confrelid"
)
_COLUMNS = text(
    "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = :name "
    "ORDER BY ordinal_position"
)
_SEQUENCES = text("SELECT sequencename FROM pg_sequences WHERE schemaname = current_schema() ORDER BY sequencename")
_REFERENCE_DEFINITIONS = text(
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE contype = 'f' AND connamespace = current_schema()::regnamespace ORDER BY conname"
)
_INDEX_DEFINITIONS = text(
    "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() "
    "AND indexname NOT IN (SELECT conname FROM pg_constraint) ORDER BY indexname"
)


_INSTEAD = {
    SQLITE: "the backup is of a SQLite database: leave out --database, or name with it a file that is not there yet",
    POSTGRESQL: "the backup is of a PostgreSQL database: name an empty one with --database",
}


class DumpRefused(DatabaseError):
    """What is to be put back does not fit, or there is something in its place."""


@dataclass(frozen=True, slots=True)
class Dump:
    """What was taken of a database, beside its files."""

    kind: str
    """SQLITE or POSTGRESQL."""
    revision: str
    audit_heads: tuple[str, ...]
    """The hash of the newest link of every chain, in hexadecimal: by it one can tell that nothing was cut off."""
    tables: Mapping[str, Sequence[str]]
    """PostgreSQL: the columns of each table, in the order of the files; tables stand after those they refer to."""
    sequences: Mapping[str, int]
    """PostgreSQL: the last number that each may have given out."""


def take(engine: Engine, folder: Path) -> Dump:
    """Write all that is committed when this begins into a folder; `engine` only reads. Nobody is kept from writing."""
    kind = engine.dialect.name
    with engine.connect() as connection:
        state = state_of(connection, known_revisions())
        if state.revision is None:
            refuse(state, known_revisions())
        heads = tuple(head.hex() for head in audit_chain.heads(connection))
        tables: dict[str, Sequence[str]] = {}
        sequences: dict[str, int] = {}
        if kind == SQLITE:
            _copy_file(connection, folder / SQLITE_FILE)
        else:
            tables = {name: _columns(connection, name) for name in _in_order(connection)}
            for name, columns in tables.items():
                _copy_out(connection, name, columns, folder / _file_of(name))
            # Numbers are given out outside transactions: read last, they are beyond all that is in the tables.
            sequences = {name: _last_of(connection, name) for name in connection.scalars(_SEQUENCES)}
    with engine.connect() as connection:
        # PostgreSQL shows a table that was written anew as empty to whoever began to read before.
        if state_of(connection, known_revisions()).revision != state.revision:
            raise DatabaseError("the database was brought forward while the backup was taken: take it again")
    return Dump(kind, state.revision, heads, tables, sequences)


def check_fits(dump: Dump, engine: Engine) -> None:
    """Raises DumpRefused or DatabaseError if a dump cannot be put into a database, or there is something in it."""
    if engine.dialect.name != dump.kind:
        raise DumpRefused(_INSTEAD[dump.kind])
    if dump.revision not in known_revisions():
        raise DumpRefused(
            f"the backup has the schema of revision {dump.revision}, which this version of sr-engine does not know: "
            "use the version that had brought the database forward, or a newer one"
        )
    if dump.kind == SQLITE:
        for file in files_of(engine):
            # What another database has left would be written into this one.
            if file.exists():
                raise DumpRefused(f"{file} is there already: it would be overwritten")
        return
    with engine.connect() as connection:
        check_order(connection)
        if found := list(connection.scalars(_TABLES)):
            raise DumpRefused(f"the database is not empty, it has the table {found[0]}: name an empty one")


@contextmanager
def put_back(dump: Dump, folder: Path, engine: Engine) -> Iterator[None]:
    """Put a dump into an empty database, all of it or nothing, and bring that forward to the newest revision.

    Of SQLite nothing is left if the block fails; what it has written is on the disk afterwards. Raises what
    `check_fits` raises, and DumpRefused for a file that SQLite finds damaged.
    """
    check_fits(dump, engine)
    if dump.kind != SQLITE:
        _put_tables_back(dump, folder, engine)
        migrating.upgrade(engine, stopped=True)
        yield
        return
    with _new_file(engine) as file:
        _put_file_back(folder / SQLITE_FILE, file)
        migrating.upgrade(engine, stopped=True)
        yield


# --- SQLite -------------------------------------------------------------------------------------------------------


def _copy_file(connection: Connection, target: Path) -> None:
    """In one step, from the state that the connection reads: more would begin anew whenever somebody writes."""
    source = connection.connection.driver_connection
    if not isinstance(source, sqlite3.Connection):
        raise TypeError(f"not a SQLite connection: {type(source).__name__}")
    target.touch(mode=0o600)
    with closing(sqlite3.connect(target)) as copy:
        # Whoever takes the dump sees to it that it is on the disk, once it is whole.
        copy.execute("PRAGMA synchronous = OFF")
        source.backup(copy, pages=-1)


@contextmanager
def _new_file(engine: Engine) -> Iterator[Path]:
    """The file of a database that is not there yet, for its owner only; gone again if the block fails."""
    file, *others = files_of(engine)
    file.touch(mode=0o600, exist_ok=False)
    try:
        yield file
        engine.dispose()
        sync(file)
        sync(file.parent)
    except BaseException:
        engine.dispose()
        for one in (file, *others):
            one.unlink(missing_ok=True)
        raise


def _put_file_back(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    with closing(sqlite3.connect(target)) as database:
        (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise DumpRefused(f"the database in the backup is damaged: {found}")


# --- PostgreSQL ---------------------------------------------------------------------------------------------------


def _put_tables_back(dump: Dump, folder: Path, engine: Engine) -> None:
    with engine.begin() as connection:
        migrating.create(connection, up_to=dump.revision)
        with _without_indexes(connection):
            for name, columns in dump.tables.items():
                _copy_in(connection, name, columns, folder / _file_of(name))
        for name, last in dump.sequences.items():
            connection.execute(text("SELECT setval(CAST(:name AS regclass), :last)"), {"name": name, "last": last})


def _file_of(table: str) -> str:
    return f"{table}.copy.gz"


def _in_order(connection: Connection) -> list[str]:
    """All tables but those that revisions fill, each after those it refers to."""
    before: dict[str, set[str]] = {name: set() for name in connection.scalars(_TABLES)}
    for table, other in connection.execute(_REFERENCES):
        before[table].add(other)
    return [name for name in TopologicalSorter(before).static_order() if name not in _MADE_BY_REVISIONS]


def _columns(connection: Connection, table: str) -> list[str]:
    return list(connection.scalars(_COLUMNS, {"name": table}))


def _last_of(connection: Connection, sequence: str) -> int:
    quoted = connection.dialect.identifier_preparer.quote_identifier(sequence)
    return int(connection.exec_driver_sql(f"SELECT last_value FROM {quoted}").scalar_one())  # noqa: S608 - from the catalogue


def _copy(table: str, columns: Sequence[str], rest: str) -> sql.Composed:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    return sql.SQL("COPY {} ({}) " + rest).format(sql.Identifier(table), names)


def _copy_out(connection: Connection, table: str, columns: Sequence[str], target: Path) -> None:
    target.touch(mode=0o600)
    with (
        gzip.open(target, "wb", compresslevel=_COMPRESSION) as file,
        _driver(connection).cursor() as cursor,
        cursor.copy(_copy(table, columns, "TO STDOUT")) as rows,
    ):
        for chunk in rows:
            file.write(chunk)


def _copy_in(connection: Connection, table: str, columns: Sequence[str], source: Path) -> None:
    with (
        gzip.open(source, "rb") as file,
        _driver(connection).cursor() as cursor,
        cursor.copy(_copy(table, columns, "FROM STDIN")) as rows,
    ):
        while chunk := file.read(_CHUNK):
            rows.write(chunk)


@contextmanager
def _without_indexes(connection: Connection) -> Iterator[None]:
    """Make indexes and look for what rows refer to once all rows are there: much quicker than row by row."""
    references = connection.execute(_REFERENCE_DEFINITIONS).all()
    indexes = connection.execute(_INDEX_DEFINITIONS).all()
    quote = connection.dialect.identifier_preparer.quote_identifier
    for table, name, _ in references:
        connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {quote(name)}")
    for name, _ in indexes:
        connection.exec_driver_sql(f"DROP INDEX {quote(name)}")
    yield
    for _, definition in indexes:
        connection.exec_driver_sql(definition)
    for table, name, definition in references:
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD CONSTRAINT {quote(name)} {definition}")
    # Queries are planned by what is known of the tables.
    connection.exec_driver_sql("ANALYZE")


def _driver(connection: Connection) -> psycopg.Connection[Any]:
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection) or connection.dialect.name != POSTGRESQL:
        raise TypeError(f"not a PostgreSQL connection: {type(driver).__name__}")
    return driver
