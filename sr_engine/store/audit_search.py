"""Records of the audit trail by what an operator knows of them: a hub, a message, who did what, and when."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select

from sr_engine.store.dialects import position_in
from sr_engine.store.looking_back import Budget, Found, Trail
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import audit, audit_checkpoints, audit_links

_TRAIL = Trail(audit, audit.c.audit_id, audit.c.at)
_SHOWN = 4_000
"""Characters of the hubs of a record that are read, at most: a record may name 50,000."""
_RECORDS = select(
    *(column for column in audit.c if column.name not in {"hubs", "chain_id"}),
    func.substr(audit.c.hubs, 1, _SHOWN).label("some_hubs"),
)


@dataclass(frozen=True, slots=True)
class Sought:
    """What records have to be like; what is None does not matter."""

    hub_id: str | None = None
    """The canonical id of a CHF that they name."""
    message_key: str | None = None
    """A RequestID, MessageID or id of the outbox."""
    actors: Collection[str] | None = None
    action: str | None = None
    """As it is written, in whatever case."""
    release_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Not then any more."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it is shown; of very many hubs only the first are read."""

    audit_id: int
    at: datetime
    actor: str
    action: str
    message_key: str | None
    release_id: str | None
    from_state: str | None
    to_state: str | None
    attempt_number: int | None
    hub_count: int
    some_hubs: tuple[str, ...]
    detail: str


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain of the trail ends, and where it was last pruned."""

    number: int
    hash: bytes
    records: int
    """The number of the last record."""
    pruned_up_to: int | None
    """The last link that was pruned."""


def search(
    connection: Connection, sought: Sought, *, before: int | None = None, limit: int, budget: Budget
) -> Found[Record]:
    """Records, newest first, from a record number on back."""
    statement, values = _RECORDS, dict[str, object]()
    if sought.hub_id is not None:
        statement = statement.where(audit.c.hubs.is_not(None), position_in(audit.c.hubs, bindparam("hub_id")) > 0)
        values["hub_id"] = sought.hub_id
    if sought.message_key is not None:
        statement = statement.where(audit.c.message_key == bindparam("message_key"))
        values["message_key"] = sought.message_key
    if sought.actors is not None:
        statement = statement.where(is_one_of(audit.c.actor, "actors"))
        values["actors"] = members(sorted(sought.actors))
    if sought.action is not None:
        statement = statement.where(func.lower(audit.c.action) == bindparam("action"))
        values["action"] = sought.action.lower()
    if sought.release_id is not None:
        statement = statement.where(audit.c.release_id == bindparam("release_id"))
        values["release_id"] = sought.release_id
    if sought.until is not None:
        beyond = _TRAIL.number_at(connection, sought.until) + 1
        before = beyond if before is None else min(before, beyond)
    found = _TRAIL.search(connection, statement, values, before=before, since=sought.since, limit=limit, budget=budget)
    return Found(tuple(_record(row) for row in found.rows), found.before, found.full, found.back_to)


def record(connection: Connection, audit_id: int) -> tuple[Record, tuple[str, ...]] | None:
    """One record, and all the hubs that it names."""
    row = connection.execute(_RECORDS.add_columns(audit.c.hubs).where(audit.c.audit_id == audit_id)).one_or_none()
    return None if row is None else (_record(row), tuple(row.hubs.split(",")) if row.hubs else ())


def actions(connection: Connection) -> list[str]:
    """Every action on record in the newest records, by name: what may be looked for."""
    newest = select(audit.c.action).order_by(audit.c.audit_id.desc()).limit(5_000).subquery()
    return sorted(connection.scalars(select(newest.c.action).distinct()))


def head(connection: Connection) -> Head | None:
    """The end of the first chain; None while nothing is on record."""
    row = connection.execute(select(audit_links).order_by(audit_links.c.number.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    pruned: int | None = connection.scalar(
        select(func.max(audit_checkpoints.c.number)).where(audit_checkpoints.c.chain_id == row.chain_id)
    )
    return Head(row.number, row.hash, row.last_audit_id, pruned)


def _record(row: Row[Any]) -> Record:
    some = () if row.some_hubs is None else tuple(row.some_hubs.split(","))
    if row.some_hubs is not None and len(row.some_hubs) == _SHOWN and len(some) < row.hub_count:
        # The last one was cut through.
        some = some[:-1]
    return Record(
        row.audit_id,
        row.at,
        row.actor,
        row.action,
        row.message_key,
        row.release_id,
        row.from_state,
        row.to_state,
        row.attempt_number,
        row.hub_count,
        some,
        row.detail,
    )
