"""What lists for CSPs were cut with, once all of it is over: chosen in portions, read for the archive, removed.

That there was a list, with how many hubs or devices, is kept for ever; which they were goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, exists, func, or_, select

from sr_engine.store.on_lists import ATTEMPTS_ON_LISTS
from sr_engine.store.over_hubs import OVER
from sr_engine.store.portions import BYTES_AT_ONCE, ROWS_AT_ONCE, Line, Portion, expect, lines, size
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import (
    UtcDateTime,
    attempts,
    firmware_deliveries,
    firmware_lists,
    listed_hubs,
    off_lists,
    upgrade_lists,
)

_CUTOFF = bindparam("cutoff", type_=UtcDateTime)
_LISTS_AT_ONCE = 100
"""Each may hold the ids of some thousand hubs."""

# --- Hubs of upgrade lists ----------------------------------------------------------------------------------------

_CUT_WITH = listed_hubs.alias("cut_with")
# By its hubs attempts find their list: it stays until the last of them has gone into the archive.
_STANDS = exists(
    select(attempts.c.attempt_id)
    .select_from(ATTEMPTS_ON_LISTS)
    .where(listed_hubs.c.list_id == upgrade_lists.c.list_id)
    .correlate(upgrade_lists)
)
_OFF = exists(select(off_lists.c.hub_id).where(off_lists.c.list_id == upgrade_lists.c.list_id))
_IS_OVER = and_(
    upgrade_lists.c.windows_end <= _CUTOFF, upgrade_lists.c.release_id.in_(select(OVER.c.release_id)), ~_OFF, ~_STANDS
)
_LISTS = (
    select(_CUT_WITH.c.list_id, size(_CUT_WITH.c.hub_ids).label("size"))
    .join(upgrade_lists, upgrade_lists.c.list_id == _CUT_WITH.c.list_id)
    .where(_CUT_WITH.c.list_id > bindparam("after"), _IS_OVER)
    .order_by(_CUT_WITH.c.list_id)
    .limit(_LISTS_AT_ONCE)
)
_NUMBER_OF_LISTS = (
    select(func.count())
    .select_from(_CUT_WITH.join(upgrade_lists, upgrade_lists.c.list_id == _CUT_WITH.c.list_id))
    .where(_IS_OVER)
)


def choose_lists(connection: Connection, cutoff: datetime, after: str) -> Portion | None:
    """The next lists of releases that are over on which no upgrade stands that is still in the database."""
    keys: list[str] = []
    left = BYTES_AT_ONCE
    for row in connection.execute(_LISTS, {"cutoff": cutoff, "after": after}).all():
        left -= row.size
        if left < 0 and keys:
            break
        keys.append(row.list_id)
    return Portion(keys, reached=keys[-1]) if keys else None


def read_lists(connection: Connection, portion: Portion) -> Iterator[Line]:
    """The hubs that some lists were cut with."""
    yield from lines(connection, listed_hubs, is_one_of(listed_hubs.c.list_id, "keys"), portion.keys)


def remove_lists(connection: Connection, portion: Portion) -> None:
    """Remove them; what is over does not begin again."""
    removed = connection.execute(
        listed_hubs.delete().where(is_one_of(listed_hubs.c.list_id, "keys")), {"keys": members(portion.keys)}
    )
    expect(removed.rowcount, len(portion.keys))


def count_lists(connection: Connection, cutoff: datetime) -> int:
    """How many lists would lose their hubs."""
    return int(connection.scalar(_NUMBER_OF_LISTS, {"cutoff": cutoff}) or 0)


# --- Devices of lists of meters -----------------------------------------------------------------------------------

_OF_LIST = firmware_deliveries.c.list_id == firmware_lists.c.list_id
_GOING_ON = or_(firmware_deliveries.c.is_open, firmware_deliveries.c.state_at > _CUTOFF)
_DELIVERED = and_(
    firmware_lists.c.listed_at <= _CUTOFF,
    exists(select(firmware_deliveries.c.device_id).where(_OF_LIST)),
    ~exists(select(firmware_deliveries.c.device_id).where(_OF_LIST, _GOING_ON)),
)
_METER_LISTS = (
    select(firmware_lists.c.list_id)
    .where(firmware_lists.c.list_id >= bindparam("after"), _DELIVERED)
    .order_by(firmware_lists.c.list_id)
    .limit(1)
)
_DEVICES = (
    select(firmware_deliveries.c.device_id)
    .where(firmware_deliveries.c.list_id == bindparam("list_id"))
    .order_by(firmware_deliveries.c.device_id)
    .limit(ROWS_AT_ONCE)
)
_DEVICES_OF_LIST = and_(
    firmware_deliveries.c.list_id == bindparam("list_id"), is_one_of(firmware_deliveries.c.device_id, "keys")
)
_COUNTED = firmware_deliveries.alias("counted")
_NUMBER_OF_DEVICES = (
    select(func.count())
    .select_from(_COUNTED.join(firmware_lists, firmware_lists.c.list_id == _COUNTED.c.list_id))
    .where(_DELIVERED)
)


def choose_deliveries(connection: Connection, cutoff: datetime, after: str) -> Portion | None:
    """The next devices of a list of meters of which nothing is under way, nor has anything happened since `cutoff`."""
    list_id = connection.scalar(_METER_LISTS, {"cutoff": cutoff, "after": after})
    if list_id is None:
        return None
    return Portion([list_id, *connection.scalars(_DEVICES, {"list_id": list_id})], reached=list_id)


def read_deliveries(connection: Connection, portion: Portion) -> Iterator[Line]:
    """What became of some devices of a list."""
    list_id, *devices = portion.keys
    yield from lines(connection, firmware_deliveries, _DEVICES_OF_LIST, devices, list_id=list_id)


def remove_deliveries(connection: Connection, portion: Portion) -> None:
    """Remove it; raises ChangedMeanwhile if any of it is under way."""
    list_id, *devices = portion.keys
    removed = connection.execute(
        firmware_deliveries.delete().where(_DEVICES_OF_LIST, ~firmware_deliveries.c.is_open),
        {"list_id": list_id, "keys": members(devices)},
    )
    expect(removed.rowcount, len(devices))


def count_deliveries(connection: Connection, cutoff: datetime) -> int:
    """How many devices of lists would go."""
    return int(connection.scalar(_NUMBER_OF_DEVICES, {"cutoff": cutoff}) or 0)
