"""Requests in quarantine page by page, most urgent first; and how many requests wait for what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, bindparam, func, or_, select

from sr_engine.domain.holding import HoldReason
from sr_engine.store.paging import Page, UpTo, page, place_of, up_to
from sr_engine.store.tables import UtcDateTime, exchanges, held_requests

_WAITS = held_requests.c.ended_at.is_(None)
_QUARANTINED = and_(_WAITS, held_requests.c.reason == HoldReason.QUARANTINE.value)
_LINES: Select[Any] = (
    select(
        held_requests.c.held_id,
        held_requests.c.exchange_id,
        held_requests.c.event_ref,
        exchanges.c.message_key,
        exchanges.c.sender_eui,
        exchanges.c.service_reference_variant,
        held_requests.c.breached,
        held_requests.c.held_at,
        held_requests.c.ready_at,
        held_requests.c.released_at,
        held_requests.c.deleted_at,
    )
    .join(exchanges, exchanges.c.exchange_id == held_requests.c.exchange_id)
    .where(_QUARANTINED)
)
_UNDECIDED = and_(_QUARANTINED, held_requests.c.released_at.is_(None), held_requests.c.deleted_at.is_(None))


@dataclass(frozen=True, slots=True)
class QuarantineLine:
    """A request in quarantine."""

    held_id: int
    exchange_id: int
    event_ref: str
    request_id: str
    sender_eui: str
    service_reference_variant: str
    breach: str | None
    """Whose threshold was crossed."""
    held_at: datetime
    ready_at: datetime
    """When it is refused if nothing was decided; once it was, since when that is carried out."""
    decided: str | None
    """`released` or `deleted`, once the operator has said so."""


def lines(connection: Connection, *, after: str | None = None, limit: int) -> Page[QuarantineLine]:
    """Requests in quarantine, those with the least time left first.

    Raises ValueError for an `after` that no page has given.
    """
    statement = _LINES.order_by(held_requests.c.ready_at, held_requests.c.held_id).limit(limit + 1)
    values: dict[str, object] = {}
    if after is not None:
        text, _, number = after.partition("_")
        at = bindparam("at", type_=UtcDateTime)
        later = held_requests.c.ready_at > at
        statement = statement.where(
            held_requests.c.ready_at >= at, or_(later, held_requests.c.held_id > bindparam("after"))
        )
        moment, row_number = place_of(text, number)
        values = {"at": moment, "after": row_number}
    rows = connection.execute(statement, values)
    return page([_line(row) for row in rows], limit, lambda one: f"{one.ready_at.isoformat()}_{one.held_id}")


def find(connection: Connection, event_ref: str) -> QuarantineLine | None:
    """The request that waits in quarantine under a reference; None if none does."""
    row = connection.execute(_LINES.where(held_requests.c.event_ref == event_ref)).one_or_none()
    return None if row is None else _line(row)


def undecided(connection: Connection, most: int) -> UpTo:
    """Requests in quarantine on which nothing was decided, counted up to `most`."""
    some = select(held_requests.c.held_id).where(_UNDECIDED).limit(most + 1).subquery()
    return up_to(connection.scalar(select(func.count()).select_from(some)) or 0, most)


def waiting(connection: Connection, most: int) -> UpTo:
    """Requests that are held, whatever for, counted up to `most`."""
    some = select(held_requests.c.held_id).where(_WAITS).limit(most + 1).subquery()
    return up_to(connection.scalar(select(func.count()).select_from(some)) or 0, most)


def _line(row: Row[Any]) -> QuarantineLine:
    decided = "released" if row.released_at is not None else "deleted" if row.deleted_at is not None else None
    return QuarantineLine(
        row.held_id,
        row.exchange_id,
        row.event_ref,
        row.message_key,
        row.sender_eui,
        row.service_reference_variant,
        row.breached,
        row.held_at,
        row.ready_at,
        decided,
    )
