"""The Certified Products List as an operator keeps it: entries brought in, with a record of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sr_engine.domain.deliveries import CplEntry
from sr_engine.store import audit, cpl
from sr_engine.store.units_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class ImportedEntries:
    """How many entries were added, how many replaced, and how many said what was known."""

    added: int
    changed: int
    unchanged: int


def compare(known: Sequence[CplEntry], entries: Sequence[CplEntry]) -> ImportedEntries:
    """What importing `entries` would do to those known."""
    before = {_key(entry): entry for entry in known}
    added = sum(_key(entry) not in before for entry in entries)
    unchanged = sum(before.get(_key(entry)) == entry for entry in entries)
    return ImportedEntries(added, len(entries) - added - unchanged, unchanged)


def import_entries(unit_of_work: UnitOfWork, entries: Sequence[CplEntry], source: str) -> ImportedEntries:
    """Add or replace entries; `source` is what the audit trail names.

    What has been accepted goes on, whatever becomes of its entry: only later requests are judged by it.
    """
    connection = unit_of_work.connection
    done = compare(cpl.all_entries(connection), entries)
    cpl.put_entries(connection, entries)
    detail = f"{source}: {done.added} entries added, {done.changed} changed, {done.unchanged} as before"
    audit.record(connection, [audit.Entry(unit_of_work.now, "operator", "CPL entries imported", detail)])
    return done


def _key(entry: CplEntry) -> tuple[str, str, str, str]:
    return entry.manufacturer, entry.model, entry.device_type, entry.version
