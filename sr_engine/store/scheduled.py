"""The table of what is Scheduled follows the attempts: whoever writes those says of which hubs."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, Delete, Select, bindparam, delete, func, select, tuple_
from sqlalchemy.sql import Insert

from sr_engine.store.dialects import POSTGRESQL
from sr_engine.store.prepared import Prepared
from sr_engine.store.sets import is_one_of_many, members
from sr_engine.store.states import IS_SCHEDULED
from sr_engine.store.tables import attempts, scheduled_hubs

_NAMES = tuple(scheduled_hubs.columns.keys())
_KEY = tuple(scheduled_hubs.primary_key.columns)
_KEY_OF_ATTEMPT = tuple(attempts.c[column.name] for column in _KEY)
_OPEN = (is_one_of_many(attempts.c.hub_id, "hub_ids"), attempts.c.is_open)


def _leave() -> Delete:
    # Found by the whole key, which the attempts hold.
    return delete(scheduled_hubs).where(tuple_(*_KEY).in_(select(*_KEY_OF_ATTEMPT).where(*_OPEN)))


_OF_GROUP = tuple(
    column == bindparam(column.name, type_=column.type) for column in _KEY if column is not scheduled_hubs.c.hub_id
)
_BETWEEN = scheduled_hubs.c.hub_id.between(bindparam("first_hub"), bindparam("last_hub"))


def _leave_group() -> Delete:
    return delete(scheduled_hubs).where(*_OF_GROUP, is_one_of_many(scheduled_hubs.c.hub_id, "hub_ids"))


def _in_a_row() -> Select[int]:
    some = select(scheduled_hubs.c.hub_id).where(*_OF_GROUP, _BETWEEN).limit(bindparam("at_most")).subquery()
    return select(func.count()).select_from(some)


def _enter() -> Insert:
    all_of_it = select(*(attempts.c[name] for name in _NAMES)).where(*_OPEN, IS_SCHEDULED)
    return scheduled_hubs.insert().from_select(_NAMES, all_of_it)


_LEAVE, _LEAVE_GROUP, _ENTER = Prepared(_leave()), Prepared(_leave_group()), Prepared(_enter())
_IN_A_ROW, _LEAVE_ROW = Prepared(_in_a_row()), Prepared(delete(scheduled_hubs).where(*_OF_GROUP, _BETWEEN))


def leave(connection: Connection, hub_ids: Collection[str]) -> None:
    """Before the attempts that are open at some hubs change: they may not be Scheduled after, or not as they were."""
    if hub_ids:
        _LEAVE.run(connection, {"hub_ids": members(hub_ids)})


def leave_group(connection: Connection, group: Mapping[str, object], hub_ids: Collection[str]) -> None:
    """The same for hubs that all are in one group and are put on a list; `group` is what their keys have in common."""
    if connection.dialect.name == POSTGRESQL:
        # Which goes along the key once. SQLite, told what they have in common, would go through the whole group.
        _LEAVE_GROUP.run(connection, {**group, "hub_ids": members(hub_ids)})
        return
    if not hub_ids:
        return
    row = {**group, "first_hub": min(hub_ids), "last_hub": max(hub_ids)}
    # As they are chosen, one after the other: then nothing has to be looked up hub by hub.
    if _IN_A_ROW.scalar(connection, {**row, "at_most": len(hub_ids) + 1}) == len(hub_ids):
        _LEAVE_ROW.run(connection, row)
    else:
        leave(connection, hub_ids)


def enter(connection: Connection, hub_ids: Collection[str]) -> None:
    """Once their attempts have changed: those of some hubs that are Scheduled now, none of which was before."""
    if hub_ids:
        _ENTER.run(connection, {"hub_ids": members(hub_ids)})
