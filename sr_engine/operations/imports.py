"""Bringing in devices and registrations in one transaction, with a record of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from sr_engine.operations.registrations import receive
from sr_engine.store import audit, due_hubs, inventory, registrations, summaries
from sr_engine.store.units_of_work import UnitOfWork

Row = Mapping[str, object]
Progress = Callable[[int], None]

_AT_ONCE = 50_000
"""Rows handed to the database together."""


class DevicesRefused(Exception):
    """Devices that cannot be brought in; the text names the first of them and says why."""


@dataclass(frozen=True, slots=True)
class ImportedDevices:
    """How many devices were imported, how many of them are CHFs, and how many name a hub that is not known."""

    devices: int
    hubs: int
    without_hub: int


def import_devices(
    unit_of_work: UnitOfWork, rows: Sequence[Row], source: str, *, progress: Progress | None = None
) -> ImportedDevices:
    """Add or replace devices; each row has every column of the inventory. `source` is what the audit trail names.

    Raises DevicesRefused if a hub for which Suppliers have answered, or that is being upgraded, would be one no more.
    """
    for done, some in _chunks(rows):
        _refuse_changed_hubs(unit_of_work, some)
        left = due_hubs.left_behind(unit_of_work.connection, {str(row["device_id"]): row["hub_id"] for row in some})
        inventory.put_devices(unit_of_work.connection, some)
        _look_at(unit_of_work, left | {str(row["hub_id"]) for row in some if row["hub_id"] is not None})
        _tell(progress, done, len(rows))
    hubs = sum(row["device_type"] == "CHF" for row in rows)
    named = Counter(str(row["hub_id"]) for row in rows if row["hub_id"] is not None)
    unknown = named.keys() - summaries.known_hubs(unit_of_work.connection, named)
    _record(unit_of_work, "devices imported", f"{source}: {len(rows)} devices, {hubs} of them hubs")
    return ImportedDevices(len(rows), hubs, sum(named[hub_id] for hub_id in unknown))


def _refuse_changed_hubs(unit_of_work: UnitOfWork, rows: Sequence[Row]) -> None:
    """What is under way at a hub could neither go on nor end without its record, nor could what stands beside it."""
    others = {str(row["device_id"]): row["device_type"] for row in rows if row["device_type"] != "CHF"}
    changed = summaries.known_hubs(unit_of_work.connection, others)
    concerned = registrations.releases_concerned(unit_of_work.connection, changed) if changed else {}
    for hub_id in sorted({hub_id for some in concerned.values() for hub_id in some}):
        raise DevicesRefused(
            f"{hub_id} is a hub (CHF) for which there are answers or upgrades; it cannot become a {others[hub_id]}: "
            "nothing was imported"
        )


def _look_at(unit_of_work: UnitOfWork, hub_ids: Collection[str]) -> None:
    """A meter that came, went or moved may change who is responsible for a hub: those with answers are looked at."""
    answered = registrations.hubs_with_answers(unit_of_work.connection, hub_ids)
    due_hubs.put(unit_of_work.connection, answered, unit_of_work.now)


def import_registrations(
    unit_of_work: UnitOfWork, rows: Sequence[Row], source: str, *, progress: Progress | None = None
) -> int:
    """Add, replace or cancel registrations (mpxn, role, effective_from, organisation, cancelled); return how many.

    What has become effective by it is carried out afterwards, by `operations.registrations.SupplierChanges`.
    """
    cancelled = 0
    for done, some in _chunks(rows):
        cancelled += receive(unit_of_work, some)
        _tell(progress, done, len(rows))
    detail = f"{source}: {len(rows)} registrations" + (f", {cancelled} of them cancelled" if cancelled else "")
    _record(unit_of_work, "registrations imported", detail)
    return len(rows)


def _chunks(rows: Sequence[Row]) -> list[tuple[int, Sequence[Row]]]:
    """The rows in portions, each with how many are done after it."""
    return [
        (min(start + _AT_ONCE, len(rows)), rows[start : start + _AT_ONCE]) for start in range(0, len(rows), _AT_ONCE)
    ]


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None and total > _AT_ONCE:
        progress(done)


def _record(unit_of_work: UnitOfWork, action: str, detail: str) -> None:
    audit.record(unit_of_work.connection, [audit.Entry(unit_of_work.now, "operator", action, detail)])
