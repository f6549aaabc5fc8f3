"""Bringing a database forward, revision by revision, each in a transaction of its own.

Whoever brings a database forward holds the lock of whoever writes: of two at once the second waits, and finds done what
the first did. Processes that serve go on meanwhile, where the revisions let them.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import OperationalError

from sr_engine.store import leases
from sr_engine.store.database import DatabaseError, refuse
from sr_engine.store.dialects import POSTGRESQL, SQLITE
from sr_engine.store.schema import (
    LATER,
    REVISIONS,
    VERSION_TABLE,
    SchemaState,
    Standing,
    known_revisions,
    state_of,
    works_from,
)
from sr_engine.store.tables import schema_support


@dataclass(frozen=True, slots=True)
class _Gone:
    """What is said of the processes that serve."""

    stopped: bool
    """All of them are."""
    replaced: bool
    """Those of versions before are not there any more."""
    now: datetime | None
    """If it is to be believed only of who has no lease then."""


_NONE_OF_OURS = {Standing.UNKNOWN, Standing.UNVERSIONED}
_LOCK_NOT_AVAILABLE = "55P03"
_PATIENCE_SECONDS, _PAUSE_SECONDS, _TRIES = 0.5, 0.5, 600
"""For how long PostgreSQL's tables are waited for, after how long again, and how often."""


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
    replaced: bool = False,
    now: datetime | None = None,
    after_each: Callable[[str], None] = lambda _: None,
) -> SchemaState:
    """Apply what is pending, up to the newest revision or one; return how the database stood before.

    Revisions that are for LATER wait until all processes of versions before have been `replaced`, which nobody can say
    before others are applied, or all processes are `stopped`.

    Raises ProcessesInTheWay if what serves the database now could not go on, unless all processes are `stopped`; and,
    where it is told what time is `now`, if somebody has a lease who should be gone. DatabaseError for a database that
    this program cannot bring forward. `after_each` is told what has been applied.
    """
    with _without_foreign_keys(engine) as connection:
        states: list[SchemaState] = []
        for applied, state in _one_after_another(connection, folder, up_to, _Gone(stopped, replaced, now)):
            states.append(state)
            if applied is not None:
                after_each(applied)
    return states[0]


def _one_after_another(
    connection: Connection, folder: Path, up_to: str | None, gone: _Gone
) -> Iterator[tuple[str | None, SchemaState]]:
    """What is applied, and how the database stood before, until there is nothing more.

    Whoever waits for a table that others look at keeps all who write waiting, and those who look may wait for them in
    turn: so it gives way after a moment, and tries again.
    """
    is_checked, tries, last = False, 0, up_to
    while True:
        # For its turn among all who write it waits as long as the engine says.
        transaction = connection.begin()
        try:
            with transaction:
                if connection.dialect.name == POSTGRESQL:
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_PATIENCE_SECONDS}s'")
                if not is_checked:
                    last = _check_that_processes_go_on(connection, folder, up_to, gone)
                applied, state = _apply_next(connection, folder, last)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            tries += 1
            if tries == _TRIES:
                raise DatabaseError(
                    "somebody has been looking at a table that is to be changed for longer than was waited: end what "
                    "reads for so long, a backup perhaps, and try again; what is applied stays, nothing else changed"
                ) from None
            time.sleep(_PAUSE_SECONDS)
            continue
        is_checked, tries = True, 0
        yield applied, state
        if applied is None:
            return


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
    if state.standing in _NONE_OF_OURS:
        refuse(state, known)
    pending = known if state.standing is Standing.EMPTY else state.pending
    if not pending or (up_to is not None and pending[0] > up_to):
        return None, state
    scripts = {one.revision: one for one in scripts_in(folder)}
    script = scripts[pending[0]]
    _apply(connection, script, folder)
    return script.revision, state


def _check_that_processes_go_on(connection: Connection, folder: Path, up_to: str | None, gone: _Gone) -> str | None:
    """Up to which revision may be applied; raises ProcessesInTheWay."""
    known = known_revisions(folder)
    state = state_of(connection, known)
    if state.standing in _NONE_OF_OURS:
        refuse(state, known)
    pending = [
        one for one in scripts_in(folder) if one.revision in state.pending and (up_to is None or one.revision <= up_to)
    ]
    at_once = [one for one in pending if one.revision not in LATER]
    without = [one for one in at_once if known.index(one.module.works_from) > known.index(state.revision or known[0])]
    if without and not gone.stopped:
        raise ProcessesInTheWay(
            f"processes that know the schema up to revision {state.revision}, as those that serve the database may, "
            f"cannot work on it after {', '.join(one.revision for one in without)}: stop all of them, gateways too, "
            "and say so with --all-stopped; nothing was changed"
        )
    later = [one for one in pending if one.revision in LATER and not _is_known_to_all(connection, one, known)]
    if gone.replaced and at_once:
        raise ProcessesInTheWay(
            f"the schema is of revision {state.revision}, on which no process of this version can have served yet: "
            "first `sr-engine db upgrade`, then replace all processes, then --all-replaced; nothing was changed"
        )
    if gone.now is not None and gone.stopped and pending:
        _refuse_if_any(leases.unexpired(connection, gone.now), "not all processes are stopped", "stop them")
    if gone.now is not None and gone.replaced and later:
        needed, running = max(one.module.works_from for one in later), leases.unexpired(connection, gone.now)
        of_before = {holder: until for holder, until in running.items() if (leases.knows(holder) or "") < needed}
        _refuse_if_any(of_before, "not all processes of versions before are replaced", "restart them with this version")
    if not later or gone.stopped or gone.replaced:
        return up_to
    return at_once[-1].revision if at_once else state.revision


def _is_known_to_all(connection: Connection, script: Script, known: tuple[str, ...]) -> bool:
    """No program that could not go on after a revision can work on the database now."""
    said = works_from(connection)
    return said is not None and said >= script.module.works_from and said in known


def _refuse_if_any(holders: Mapping[str, datetime], why: str, to_do: str) -> None:
    if holders:
        who = ", ".join(f"{holder} (until {until:%Y-%m-%d %H:%M:%S}Z)" for holder, until in sorted(holders.items()))
        raise ProcessesInTheWay(
            f"{why}, for leases are held by {who}: {to_do}, or wait until then if they were killed, and try again "
            "(`sr-engine lease list`); nothing was changed"
        )


def _apply(connection: Connection, script: Script, folder: Path) -> None:
    context = MigrationContext.configure(connection, opts={"transactional_ddl": True})
    with Operations.context(context):
        script.module.upgrade()
    context.stamp(ScriptDirectory(str(folder), version_locations=[str(folder)]), script.revision)
    # Who could not work on it before cannot now.
    oldest = max(script.module.works_from, works_from(connection) or "")
    connection.execute(schema_support.delete())
    connection.execute(schema_support.insert().values(works_from=oldest))
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
