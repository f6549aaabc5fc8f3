"""Where a Supplier's hubs are looked for: all for which it is, was or will be responsible, in order of their ids.

Only added to, with each meter and registration that is written. A program from before this table adds nothing; of two
counters, one of which such a program leaves alone, can be told that it has written, and all is looked through again.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, Select, bindparam, or_, select
from sqlalchemy.dialects.postgresql import insert

from sr_engine.store import counters
from sr_engine.store.prepared import Prepared
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import devices, registrations, supplier_hubs

RESPONSIBILITIES = "responsibilities"
"""The counter that goes up whenever meters or registrations are written."""
FOLLOWED = "responsibilities followed"
"""The counter that goes up with it where what was written has been added here."""

_FOUND = (
    select(registrations.c.organisation, devices.c.hub_id)
    .distinct()
    .join_from(devices, registrations, registrations.c.mpxn == devices.c.import_mpxn)
    .where(
        devices.c.hub_id.is_not(None),
        registrations.c.organisation.is_not(None),
        or_(devices.c.device_type == "ESME", devices.c.device_type == "GSME"),
        or_(registrations.c.role == "IS", registrations.c.role == "GS"),
    )
)


def _adding(found: Select[tuple[str | None, str | None]]) -> Prepared:
    statement = insert(supplier_hubs).from_select(["organisation", "hub_id"], found)
    return Prepared(statement.on_conflict_do_nothing())


_OF_DEVICES = _adding(_FOUND.where(is_one_of(devices.c.device_id, "device_ids")))
_OF_POINTS = _adding(_FOUND.where(is_one_of(registrations.c.mpxn, "mpxns")))
_OF_HUBS = _adding(_FOUND.where(is_one_of(devices.c.hub_id, "hub_ids")))
_HUBS = Prepared(
    select(devices.c.hub_id)
    .distinct()
    .where(devices.c.hub_id > bindparam("after"))
    .order_by(devices.c.hub_id)
    .limit(bindparam("at_most"))
)


def written(connection: Connection, *, device_ids: Collection[str] = (), mpxns: Collection[str] = ()) -> None:
    """Meters or registrations have just been written: count that, and add what they make a candidate."""
    if device_ids:
        _OF_DEVICES.run(connection, {"device_ids": members(device_ids)})
    if mpxns:
        _OF_POINTS.run(connection, {"mpxns": members(mpxns)})
    for name in (RESPONSIBILITIES, FOLLOWED):
        counters.draw(connection, name)


def not_followed(connection: Connection) -> int:
    """How often something was written that nothing was added for."""
    return counters.given_out(connection, RESPONSIBILITIES) - counters.given_out(connection, FOLLOWED)


def look_through(connection: Connection, after: str, limit: int) -> str | None:
    """Add what the next hubs make a candidate, whoever wrote it; the last of them, or None if that was all."""
    hub_ids = [row.hub_id for row in _HUBS.all(connection, {"after": after, "at_most": limit})]
    if hub_ids:
        _OF_HUBS.run(connection, {"hub_ids": members(hub_ids)})
    return hub_ids[-1] if len(hub_ids) == limit else None


def followed(connection: Connection, how_often: int) -> None:
    """All has been looked through since something was written so often that nothing was added for."""
    if how_often:
        counters.draw(connection, FOLLOWED, how_often)
