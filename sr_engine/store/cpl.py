"""Firmware of meters and PPMIDs on the Certified Products List."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select
from sqlalchemy.dialects.postgresql import Insert, insert

from sr_engine.domain.deliveries import CplEntry
from sr_engine.store.bulk import execute_many
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import cpl_entries

_BETWEEN = ";"


def _upsert() -> Insert:
    statement = insert(cpl_entries)
    values = {column.name: statement.excluded[column.name] for column in cpl_entries.columns if not column.primary_key}
    return statement.on_conflict_do_update(
        index_elements=[column.name for column in cpl_entries.primary_key.columns], set_=values
    )


_PUT = _upsert()
_OF_VERSION = select(cpl_entries).where(
    cpl_entries.c.version == bindparam("version"), is_one_of(cpl_entries.c.device_type, "device_types")
)
_ALL = select(cpl_entries).order_by(
    cpl_entries.c.manufacturer, cpl_entries.c.model, cpl_entries.c.device_type, cpl_entries.c.version
)


def put_entries(connection: Connection, entries: Iterable[CplEntry]) -> None:
    """Add entries, or replace those for the same version of the same device model."""
    execute_many(
        connection,
        _PUT,
        [
            {
                "version": entry.version,
                "device_type": entry.device_type,
                "manufacturer": entry.manufacturer,
                "model": entry.model,
                "image_hash": entry.image_hash,
                "status": entry.status,
                "gbcs_version": entry.gbcs_version,
                "from_versions": _BETWEEN.join(sorted(entry.from_versions)) or None,
            }
            for entry in entries
        ],
    )


def of_version(connection: Connection, version: str, device_types: Collection[str]) -> list[CplEntry]:
    """Entries of a version for devices of some types, whatever their status."""
    found = connection.execute(_OF_VERSION, {"version": version, "device_types": members(device_types)})
    return [_entry(row) for row in found]


def all_entries(connection: Connection) -> list[CplEntry]:
    """Every entry, by device model and version."""
    return [_entry(row) for row in connection.execute(_ALL)]


def _entry(row: Row[Any]) -> CplEntry:
    from_versions = frozenset(row.from_versions.split(_BETWEEN)) if row.from_versions else frozenset[str]()
    return CplEntry(
        row.manufacturer,
        row.model,
        row.device_type,
        row.version,
        row.image_hash,
        row.status,
        row.gbcs_version,
        from_versions,
    )
