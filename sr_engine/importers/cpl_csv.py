"""Firmware of meters and PPMIDs on the Certified Products List, from a CSV file."""

from __future__ import annotations

from pathlib import Path

from sr_engine.domain.deliveries import CplEntry
from sr_engine.importers.csv_table import Column, Progress, one_of, read_csv, up_to

DEVICE_TYPES = ("ESME", "GSME", "PPMID")
STATUSES = ("Active", "Cancelled", "Expired", "Withdrawn")
"""FACTS DM8."""
_HEXADECIMAL = frozenset("0123456789ABCDEF")
_BETWEEN = ";"


def _hash(text: str) -> str:
    if len(text) != 64 or not _HEXADECIMAL.issuperset(text.upper()):
        raise ValueError(text)
    return text.upper()


def _versions(text: str) -> frozenset[str]:
    names = [up_to(8)(name.strip()) for name in text.split(_BETWEEN)]
    if not all(names):
        raise ValueError(text)
    return frozenset(names)


def _version(text: str) -> str:
    if _BETWEEN in text:
        raise ValueError(text)
    return up_to(8)(text)


COLUMNS = (
    Column("manufacturer", "text of at most 30 characters, as in the inventory", up_to(30), required=True),
    Column("model", "text of at most 30 characters, as in the inventory", up_to(30), required=True),
    Column("device_type", f"one of {', '.join(DEVICE_TYPES)}", one_of(DEVICE_TYPES), required=True),
    Column("version", "a name of at most 8 characters, none of them a semicolon", _version, required=True),
    Column("image_hash", "a SHA-256 in 64 hexadecimal digits, of the image without its OTA header", _hash, True),
    Column("status", f"one of {', '.join(STATUSES)}", one_of(STATUSES), required=True),
    Column("gbcs_version", "the GBCS version of the devices it is for", up_to(20)),
    Column("from_versions", "the versions it is reachable from, separated by semicolons", _versions),
)


def read_entries(path: Path, *, progress: Progress | None = None) -> list[CplEntry]:
    """Return the entries of a file, one for each version of a device model.

    Raises CsvRefused with every problem of the file, OSError if it cannot be read.
    """
    rows = read_csv(path, COLUMNS, key=("manufacturer", "model", "device_type", "version"), progress=progress)
    return [_entry(row) for row in rows]


def _entry(row: dict[str, object]) -> CplEntry:
    from_versions = row["from_versions"]
    return CplEntry(
        manufacturer=str(row["manufacturer"]),
        model=str(row["model"]),
        device_type=str(row["device_type"]),
        version=str(row["version"]),
        image_hash=str(row["image_hash"]),
        status=str(row["status"]),
        gbcs_version=None if row["gbcs_version"] is None else str(row["gbcs_version"]),
        from_versions=from_versions if isinstance(from_versions, frozenset) else frozenset(),
    )
