"""How much waits, and since when: what monitoring asks for again and again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, literal_column, select, text

from sr_engine.store.outbox import PARKED, PENDING
from sr_engine.store.tables import outbox


@dataclass(frozen=True, slots=True)
class Waiting:
    """Messages of one destination that are still to be delivered."""

    destination: str
    number: int
    oldest: datetime
    """When the one was queued that waits longest."""


def waiting(connection: Connection) -> list[Waiting]:
    """By destination; those of which nothing waits are left out."""
    statement = (
        select(outbox.c.destination, func.count(), func.min(outbox.c.created_at))
        .where(outbox.c.state == literal_column(f"'{PENDING}'"))
        .group_by(outbox.c.destination)
    )
    return [Waiting(*row) for row in connection.execute(statement)]


def parked(connection: Connection) -> dict[str, int]:
    """Messages that were given up, by destination."""
    statement = (
        select(outbox.c.destination, func.count().label("number"))
        .where(outbox.c.state == literal_column(f"'{PARKED}'"))
        .group_by(outbox.c.destination)
    )
    return {row.destination: row.number for row in connection.execute(statement)}


def answers(connection: Connection) -> bool:
    """Whether the database does."""
    return bool(connection.scalar(text("SELECT 1")))
