"""Which Suppliers are responsible for many hubs at once; looked up beside the transaction that needs to know it.

What has been looked up beside it stands if no meter and no registration has been written since, which a counter tells,
and no registration has become effective.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, exists, select

from sr_engine.store import counters, inventory
from sr_engine.store.prepared import Prepared
from sr_engine.store.reading import Reading
from sr_engine.store.tables import registrations

_BECAME_EFFECTIVE = Prepared(
    select(
        exists().where(
            registrations.c.effective_from > bindparam("after"), registrations.c.effective_from <= bindparam("until")
        )
    )
)


@dataclass(frozen=True, slots=True)
class Responsibility:
    """Who was responsible for some hubs when that was looked up: what is foreseen for a transaction."""

    hub_ids: Collection[str]
    at: datetime
    written: int
    """How often meters or registrations had been written by then."""
    by_supplier: Mapping[str, Sequence[str]]


def of_hubs(connection: Connection, hub_ids: Collection[str], at: datetime) -> dict[str, list[str]]:
    """By Supplier, the hubs for which it is responsible at `at`, each once and ascending."""
    found: dict[str, set[str]] = {}
    of_type: dict[str, list[str]] = {}
    for device_type, organisation, ids in inventory.suppliers(connection, hub_ids, at):
        of_type.setdefault(device_type, []).extend(ids)
        if organisation is not None:
            found.setdefault(organisation, set()).update(ids)
    if any(len(ids) != len(set(ids)) for ids in of_type.values()):
        # Of two meters of one type behind a hub, that which was registered last says who is responsible for it.
        found = {}
        for hub in inventory.hubs(connection, hub_ids, at, with_han=False).values():
            for organisation in hub.responsible:
                found.setdefault(organisation, set()).add(hub.hub_id)
    return {organisation: sorted(ids) for organisation, ids in found.items()}


def foresee(reading: Reading, hub_ids: Collection[str], at: datetime) -> Responsibility | None:
    """Look it up before a transaction needs it; None if the database cannot be asked just now."""

    def look(connection: Connection) -> Responsibility:
        written = counters.given_out(connection, inventory.RESPONSIBILITIES)
        return Responsibility(hub_ids, at, written, of_hubs(connection, hub_ids, at))

    return reading.if_possible(look)


def as_foreseen(
    connection: Connection, foreseen: Responsibility | None, hub_ids: Collection[str], now: datetime
) -> Mapping[str, Sequence[str]]:
    """The same as `of_hubs`, without asking again if what was foreseen of these hubs is still so."""
    if foreseen is None or not are_as_of(connection, foreseen.written, foreseen.at, now):
        return of_hubs(connection, hub_ids, now)
    some = set(hub_ids)
    if len(some) == len(foreseen.hub_ids):
        return foreseen.by_supplier
    return {name: [hub_id for hub_id in ids if hub_id in some] for name, ids in foreseen.by_supplier.items()}


def are_as_of(connection: Connection, written: int, at: datetime, now: datetime) -> bool:
    """Whether Suppliers are responsible for the same hubs `now` as they were `at` a time.

    By then meters and registrations had been `written` so often.
    """
    if written != counters.given_out(connection, inventory.RESPONSIBILITIES):
        return False
    # A clock may have been set back meanwhile.
    between = {"after": min(at, now), "until": max(at, now)}
    return not _BECAME_EFFECTIVE.scalar(connection, between)
