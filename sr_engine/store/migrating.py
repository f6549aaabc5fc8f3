"""Bringing a database forward, revision by revision, each in a transaction of its own.

Whoever brings a database forward holds the lock of whoever writes: of two at once the second waits, and finds done what
the first did. Processes that serve go on meanwhile, where the revisions let them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine

from sr_engine.store import leases
from sr_engine.store.database import DatabaseError, refuse
from sr_engine.store.dialects import SQLITE
from sr_engine.store.schema import REVISIONS, VERSION_TABLE, SchemaState, Standing, known_revisions, state_of
from sr_engine.store.tables import schema_support


class ProcessesInTheWay(DatabaseError):
    """Processes of the revision that a database has could not work on it once it is brought forward."""


def scripts_in(folder: Path = REVISIONS) -> list[Script]:
    """The revisions in a folder, oldest first."""
    found = ScriptDirectory(str(folder), version_locations=[str(folder)])
    return list(found.walk_revisions())[::-1]


def upgrade(
    engine: Engine,
    *,
    folder: Path = REVISIONS,
    up_to: str | None = None,
    stopped: bool = False,
    now: datetime | None = None,
    after_each: Callable[[str], None] = lambda _: None,
) -> SchemaState:
    """Apply what is pending, up to the newest revision or one; return how the database stood before.

    Raises ProcessesInTheWay if what serves the database now could not go on, unless all processes are `stopped`, and,
    where it is told what time is `now`, none has a lease any more; DatabaseError for a database that this program
    cannot bring forward. `after_each` is told what has been applied.
    """
    with _without_foreign_keys(engine) as connection:
        first: SchemaState | None = None
        while True:
            with connection.begin():
                if first is None:
                    _check_that_processes_go_on(connection, folder, up_to, stopped=stopped, now=now)
                applied, state = _apply_next(connection, folder, up_to)
            first = first or state
            if applied is None:
                return first
            after_each(applied)


def create(connection: Connection, *, folder: Path = REVISIONS, up_to: str | None = None) -> None:
    """Make the schema in an empty database, within a transaction that has begun."""
    while _apply_next(connection, folder, up_to)[0] is not None:
        pass


def create_newest(connection: Connection) -> None:
    """As `create`, of the newest revision; SQLite is told what the revisions come to, which is quicker."""
    if connection.dialect.name != SQLITE:
        create(connection)
        return
    for statement in _what_revisions_come_to():
        connection.exec_driver_sql(statement)


@cache
def _what_revisions_come_to() -> tuple[str, ...]:
    """The statements that make in SQLite what all revisions make one after another."""
    engine = create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            create(connection)
            made = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid")
            statements = list(made.scalars())
            for name, column in ((VERSION_TABLE, "version_num"), (schema_support.name, "works_from")):
                (value,) = connection.exec_driver_sql(f"SELECT {column} FROM {name}").scalars()  # noqa: S608 - ours
                statements.append(f"INSERT INTO {name} ({column}) VALUES ('{value}')")  # noqa: S608 - ours
    finally:
        engine.dispose()
    return tuple(statements)


def _apply_next(connection: Connection, folder: Path, up_to: str | None) -> tuple[str | None, SchemaState]:
    """Apply the next revision, if there is one: what is next is looked up in the transaction that applies it."""
    known = known_revisions(folder)
    state = state_of(connection, known)
    if state.standing in {Standing.UNKNOWN, Standing.UNVERSIONED}:
        refuse(state, known)
    if state.standing in {Standing.CURRENT, Standing.NEWER} or (state.revision is not None and state.revision == up_to):
        return None, state
    pending = state.pending or known
    scripts = {one.revision: one for one in scripts_in(folder)}
    script = scripts[pending[0]]
    _apply(connection, script, folder)
    return script.revision, state


def _check_that_processes_go_on(
    connection: Connection, folder: Path, up_to: str | None, *, stopped: bool, now: datetime | None
) -> None:
    known = known_revisions(folder)
    state = state_of(connection, known)
    pending = [one for one in scripts_in(folder) if one.revision in state.pending]
    without = [
        one
        for one in pending
        if (up_to is None or one.revision <= up_to)
        and known.index(one.module.works_from) > known.index(state.revision or known[0])
    ]
    if without and not stopped:
        raise ProcessesInTheWay(
            f"processes that know the schema up to revision {state.revision}, as those that serve the database may, "
            f"cannot work on it after {', '.join(one.revision for one in without)}: stop all of them, gateways too, "
            "and say so with --all-stopped; nothing was changed"
        )
    if without and now is not None and (running := leases.unexpired(connection, now)):
        who = ", ".join(f"{holder} (until {until:%Y-%m-%d %H:%M:%S}Z)" for holder, until in sorted(running.items()))
        raise ProcessesInTheWay(
            f"not all processes are stopped, for leases are held by {who}: stop them, or wait until then if they were "
            "killed, and try again (`sr-engine lease list`); nothing was changed"
        )


def _apply(connection: Connection, script: Script, folder: Path) -> None:
    context = MigrationContext.configure(connection, opts={"transactional_ddl": True})
    with Operations.context(context):
        script.module.upgrade()
    context.stamp(ScriptDirectory(str(folder), version_locations=[str(folder)]), script.revision)
    connection.execute(schema_support.delete())
    connection.execute(schema_support.insert().values(works_from=script.module.works_from))
    driver = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection) and (broken := driver.execute("PRAGMA foreign_key_check").fetchone()):
        raise DatabaseError(f"revision {script.revision} left a row of {broken[0]} without the one it names")


@contextmanager
def _without_foreign_keys(engine: Engine) -> Iterator[Connection]:
    """A connection on which SQLite lets a table be written anew that others refer to; they are checked afterwards."""
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        if not isinstance(driver, sqlite3.Connection):
            yield connection
            return
        # It has no effect within a transaction.
        driver.execute("PRAGMA foreign_keys = OFF")
        try:
            yield connection
        finally:
            if connection.in_transaction():
                connection.rollback()
            driver.execute("PRAGMA foreign_keys = ON")
