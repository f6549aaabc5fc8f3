"""Hubs that have to be looked at by themselves: the meters behind them are, or may be, others than when it was settled
who is responsible for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy.dialects.postgresql import Insert, insert

from sr_engine.store.bulk import execute_many
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import UtcDateTime, devices, due_hubs


def _put() -> Insert:
    statement = insert(due_hubs)
    return statement.on_conflict_do_update(index_elements=["hub_id"], set_={"due_at": statement.excluded.due_at})


_PUT = _put()
_DUE = (
    select(due_hubs.c.hub_id)
    .where(due_hubs.c.due_at <= bindparam("now", type_=UtcDateTime))
    .order_by(due_hubs.c.due_at, due_hubs.c.hub_id)
    .limit(bindparam("at_most"))
)
_DONE = delete(due_hubs).where(is_one_of(due_hubs.c.hub_id, "hub_ids"))
_HUBS_SO_FAR = select(devices.c.device_id, devices.c.hub_id).where(
    is_one_of(devices.c.device_id, "device_ids"), devices.c.hub_id.is_not(None)
)


def put(connection: Connection, hub_ids: Iterable[str], at: datetime) -> None:
    """Hubs are due at a time, and at no other."""
    execute_many(connection, _PUT, [{"hub_id": hub_id, "due_at": at} for hub_id in sorted(hub_ids)])


def due(connection: Connection, now: datetime, limit: int) -> Sequence[str]:
    """CHF ids, longest due first."""
    return connection.scalars(_DUE, {"now": now, "at_most": limit}).all()


def done(connection: Connection, hub_ids: Collection[str]) -> None:
    """Hubs have been looked at."""
    connection.execute(_DONE, {"hub_ids": members(hub_ids)})


def left_behind(connection: Connection, hub_of: Mapping[str, object]) -> set[str]:
    """CHF ids of the hubs behind which devices have been so far that now, as is given for each, are behind another."""
    found = connection.execute(_HUBS_SO_FAR, {"device_ids": members(hub_of)})
    return {hub_id for device_id, hub_id in found if hub_id != hub_of[device_id]}
