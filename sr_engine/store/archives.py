"""Which files of the archive count, and how far what is old has been looked through."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from sr_engine.store.tables import archives, retention_marks

ALL = "all"
"""Stands for all kinds together: when everything was looked through."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A file for whose sake rows were removed."""

    name: str
    kind: str
    sha256: str
    lines: int


def add(connection: Connection, file: Counted, now: datetime) -> None:
    """Count on a file; in the transaction that removes what is in it."""
    connection.execute(
        archives.insert().values(
            name=file.name, kind=file.kind, sha256=file.sha256, line_count=file.lines, removed_at=now
        )
    )


def is_counted(connection: Connection, name: str) -> bool:
    """Whether rows were removed for the sake of a file."""
    return connection.scalar(select(archives.c.archive_id).where(archives.c.name == name)) is not None


def counted(connection: Connection, kind: str | None = None) -> list[Counted]:
    """All files that count, or those of a kind, in the order in which they were written."""
    statement = select(archives.c.name, archives.c.kind, archives.c.sha256, archives.c.line_count)
    if kind is not None:
        statement = statement.where(archives.c.kind == kind)
    return [Counted(*row) for row in connection.execute(statement.order_by(archives.c.archive_id))]


def mark(connection: Connection, kind: str) -> int:
    """The row up to which a kind need not be looked through again; 0 at first."""
    return int(connection.scalar(select(retention_marks.c.up_to).where(retention_marks.c.kind == kind)) or 0)


def set_mark(connection: Connection, kind: str, up_to: int) -> None:
    """Note it; it never goes back."""
    statement = insert(retention_marks).values(kind=kind, up_to=up_to)
    newer = statement.excluded.up_to > retention_marks.c.up_to
    connection.execute(
        statement.on_conflict_do_update(index_elements=["kind"], set_={"up_to": statement.excluded.up_to}, where=newer)
    )


def done_at(connection: Connection) -> datetime | None:
    """When everything was looked through last."""
    found: datetime | None = connection.scalar(select(retention_marks.c.done_at).where(retention_marks.c.kind == ALL))
    return found


def set_done(connection: Connection, now: datetime) -> None:
    """Note that everything has been looked through."""
    statement = insert(retention_marks).values(kind=ALL, up_to=0, done_at=now)
    connection.execute(statement.on_conflict_do_update(index_elements=["kind"], set_={"done_at": now}))
