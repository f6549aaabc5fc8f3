"""Which revision of the schema a database has, and whether this program can work on it.

Revisions are the modules of `sr_engine.migrations`, in the order of their names; the newest is what `tables` says. A
database says itself which is the oldest revision whose programs still work on it: that is how a program knows whether
it can work on a revision that was written after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from sr_engine import migrations
from sr_engine.store.tables import schema_support

REVISIONS = Path(migrations.__file__).parent
"""The folder of the revisions."""
VERSION_TABLE = "alembic_version"
LATER = frozenset({"0012"})
"""Revisions that are applied once all processes of versions before are replaced; this one works without them, too.

Until then it leaves alone whatever those would not understand (`store.mixed`).
"""

_REVISION = text(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 - the name is ours
_WORKS_FROM = schema_support.select()


class Standing(StrEnum):
    """How a database stands to this program."""

    EMPTY = "empty"
    """It holds no table of ours."""
    CURRENT = "current"
    PENDING = "pending"
    """Revisions are to be applied before this program can work on it."""
    NEWER = "newer"
    """A later program has brought it forward, and this one can still work on it."""
    MIXED = "mixed"
    """Processes of a version before may work on it beside this one: nothing but LATER is pending."""
    UNKNOWN = "unknown-newer"
    """A later program has brought it forward, and this one cannot work on it."""
    UNVERSIONED = "unversioned"
    """It has tables of the names of ours and says no revision of ours: from before they were kept, or another's."""


@dataclass(frozen=True, slots=True)
class SchemaState:
    """What a database says of its schema, and how that stands to this program."""

    standing: Standing
    revision: str | None = None
    pending: tuple[str, ...] = ()
    """What is to be applied, oldest first."""


def known_revisions(folder: Path = REVISIONS) -> tuple[str, ...]:
    """The revisions of this program, oldest first; read from the names of their files, `r0001_what_it_does.py`."""
    return tuple(sorted(path.name[1:5] for path in folder.glob("r[0-9][0-9][0-9][0-9]_*.py")))


_BEFORE_LATER = max(set(known_revisions()) - LATER)


def state_of(connection: Connection, known: tuple[str, ...]) -> SchemaState:
    """How a database stands to a program that knows these revisions."""
    tables = tables_in(connection)
    if not tables >= {VERSION_TABLE, schema_support.name}:
        ours = tables & {VERSION_TABLE, *schema_support.metadata.tables}
        return SchemaState(Standing.UNVERSIONED if ours else Standing.EMPTY)
    revision = connection.scalar(_REVISION)
    if revision is None:
        return SchemaState(Standing.UNVERSIONED)
    if revision == known[-1]:
        return SchemaState(Standing.CURRENT, revision)
    if revision in known:
        pending = known[known.index(revision) + 1 :]
        return SchemaState(Standing.MIXED if LATER.issuperset(pending) else Standing.PENDING, revision, pending)
    return SchemaState(Standing.NEWER if works_from(connection) in known else Standing.UNKNOWN, revision)


def is_mixed(connection: Connection) -> bool:
    """True if processes of a version before may work on a database that is of ours."""
    return bool(connection.scalar(_REVISION) == _BEFORE_LATER)


def works_from(connection: Connection) -> str | None:
    """The oldest revision whose programs can work on a database that is of ours."""
    found: str | None = connection.scalar(_WORKS_FROM)
    return found


def tables_in(connection: Connection) -> set[str]:
    """The names of all tables in a database, whosever they are."""
    return set(inspect(connection).get_table_names())
