"""Hubs whose own record has changed while an upgrade was under way: they may not suit their release any more.

They are few. Each is looked at by itself when a night is planned, so that the others need not be.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, String, bindparam, exists, select
from sqlalchemy.dialects.postgresql import insert

from sr_engine.store.prepared import Prepared
from sr_engine.store.sets import is_one_of, is_one_of_many, members
from sr_engine.store.tables import attempts, changed_hubs, devices

COLUMNS = ("device_type", "device_status", "csp_region", "manufacturer", "model", "firmware_version")
"""What of a CHF's record decides whether it suits a release."""

_RECORDS: Any = (
    select(attempts.c.hub_id, *(devices.c[name] for name in COLUMNS))
    .join(devices, devices.c.device_id == attempts.c.hub_id)
    .where(is_one_of(attempts.c.hub_id, "hub_ids"), attempts.c.is_open)
)


def _put(source: Any) -> Any:
    return insert(changed_hubs).from_select(["hub_id"], source).on_conflict_do_nothing()


_NOTE = Prepared(
    _put(select(attempts.c.hub_id).where(is_one_of_many(attempts.c.hub_id, "hub_ids"), attempts.c.is_open))
)
_NOTE_OF_VERSION = _put(
    select(attempts.c.hub_id)
    .join(devices, devices.c.device_id == attempts.c.hub_id)
    .where(
        attempts.c.release_id == bindparam("release_id", type_=String),
        is_one_of(devices.c.firmware_version, "versions"),
        attempts.c.is_open,
    )
)
_FORGET = changed_hubs.delete().where(~exists().where(attempts.c.hub_id == changed_hubs.c.hub_id, attempts.c.is_open))
_ALL = select(changed_hubs.c.hub_id)


def note(connection: Connection, hub_ids: Collection[str]) -> None:
    """Those of some hubs of which an upgrade is under way are to be looked at."""
    if hub_ids:
        _NOTE.run(connection, {"hub_ids": members(hub_ids)})


def note_replaced(connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """The same for hubs of which `rows` of the inventory, about to be put there, say something else than it does."""
    new = {row["device_id"]: row for row in rows}
    if not new:
        return
    found = connection.execute(_RECORDS, {"hub_ids": members(map(str, new))})
    note(
        connection,
        [row["hub_id"] for row in found.mappings() if any(row[name] != new[row["hub_id"]][name] for name in COLUMNS)],
    )


def note_running(connection: Connection, release_id: str, versions: Iterable[str]) -> None:
    """The same for hubs on their way to a release that run one of some versions."""
    connection.execute(_NOTE_OF_VERSION, {"release_id": release_id, "versions": members(versions)})


def forget_ended(connection: Connection) -> None:
    """Those of which nothing is under way need not be looked at."""
    connection.execute(_FORGET)


def all_of_them(connection: Connection) -> set[str]:
    """CHF ids of the hubs that are to be looked at, of all regions."""
    return set(connection.scalars(_ALL))
