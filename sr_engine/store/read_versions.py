"""What CSPs have read of the firmware that hubs run: the newest of each hub."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select

from sr_engine.store.bulk import execute_many
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import read_versions

_OF = select(read_versions).where(is_one_of(read_versions.c.hub_id, "hub_ids"))
_FORGET = delete(read_versions).where(is_one_of(read_versions.c.hub_id, "hub_ids"))


@dataclass(frozen=True, slots=True)
class ReadVersion:
    """A version, and when it was read."""

    version: str
    at: datetime


def newest(connection: Connection, hub_ids: Collection[str]) -> dict[str, ReadVersion]:
    """By hub, the newest that was read of those there are."""
    found = connection.execute(_OF, {"hub_ids": members(hub_ids)})
    return {row.hub_id: ReadVersion(row.version, row.read_at) for row in found}


def put(connection: Connection, read: Mapping[str, ReadVersion]) -> None:
    """Note what is now the newest of some hubs."""
    connection.execute(_FORGET, {"hub_ids": members(read)})
    rows = [{"hub_id": hub_id, "version": one.version, "read_at": one.at} for hub_id, one in read.items()]
    execute_many(connection, read_versions.insert(), rows)
