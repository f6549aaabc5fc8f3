"""What has changed, in the order in which it was committed: the audit trail, read from a place on.

A sequence is not in the order of commits where several write at once. Read is therefore no further than the newest link
of the chain: each link is the last thing in its transaction and follows the one before, so that what it covers, and
all before it, has been committed, and nothing will come in between.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select

from sr_engine.store.audit import CHAIN
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import audit, audit_checkpoints, audit_links, supplier_hubs


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Up to where changes have been read: the record of the trail, and how many of its hubs."""

    audit_id: int
    offset: int = 0


ALL_OF_IT = (1 << 31) - 1
"""The offset of a record that has been read to its end."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record of the trail, as far as changes are made of it."""

    audit_id: int
    at: datetime
    actor: str
    action: str
    release_id: str | None
    from_state: str | None
    to_state: str | None
    attempt_number: int | None
    hubs: tuple[str, ...]
    detail: str


class Pruned(Exception):
    """What came after that place is not all there any more."""


_HORIZON = (
    select(audit_links.c.last_audit_id)
    .where(audit_links.c.chain_id == CHAIN)
    .order_by(audit_links.c.number.desc())
    .limit(1)
)
_PRUNED_UP_TO = select(func.max(audit_checkpoints.c.last_audit_id)).where(audit_checkpoints.c.chain_id == CHAIN)
_RECORDS = (
    select(audit)
    .where(audit.c.audit_id >= bindparam("first"), audit.c.audit_id <= bindparam("last"))
    .order_by(audit.c.audit_id)
    .limit(bindparam("at_most"))
)
_MAY_BE_MINE = select(supplier_hubs.c.hub_id).where(
    supplier_hubs.c.organisation == bindparam("organisation"), is_one_of(supplier_hubs.c.hub_id, "hub_ids")
)


def horizon(connection: Connection) -> int:
    """The last record up to which all has been committed."""
    return int(connection.scalar(_HORIZON) or 0)


def beginning(connection: Connection) -> Position:
    """Before the oldest record there is."""
    return Position(int(connection.scalar(_PRUNED_UP_TO) or 0), ALL_OF_IT)


def end(connection: Connection) -> Position:
    """After the newest record that has been committed."""
    return Position(horizon(connection), ALL_OF_IT)


def records(connection: Connection, after: Position, limit: int) -> list[Record]:
    """The next records, the one among them of which not all hubs have been read; raises Pruned."""
    if after < beginning(connection):
        raise Pruned
    first = after.audit_id + (1 if after.offset >= ALL_OF_IT else 0)
    sought = {"first": first, "last": horizon(connection), "at_most": limit}
    return [
        Record(
            row.audit_id,
            row.at,
            row.actor,
            row.action,
            row.release_id,
            row.from_state,
            row.to_state,
            row.attempt_number,
            tuple(row.hubs.split(",")) if row.hubs else (),
            row.detail,
        )
        for row in connection.execute(_RECORDS, sought)
    ]


def may_be_of(connection: Connection, organisation: str, hub_ids: Collection[str]) -> set[str]:
    """Those of some hubs for which a Supplier is, was or will be responsible."""
    return set(connection.scalars(_MAY_BE_MINE, {"organisation": organisation, "hub_ids": members(hub_ids)}))
