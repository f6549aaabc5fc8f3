"""What a decision about very many hubs needs to know of their homes, looked up beside the transactions that write.

It stands if no device and no registration has been written since, which a counter tells, no registration has become
effective, and the hubs run what they ran, which changes without being counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from sr_engine.domain.upgrades import Hub
from sr_engine.messages.model import Period
from sr_engine.store import counters, inventory, suppliers
from sr_engine.store.inventory import Registered


@dataclass(frozen=True, slots=True)
class KnownHubs:
    """Hubs as they were when they were looked up, and what is known of their Suppliers."""

    device_ids: Sequence[str] = field(repr=False)
    """What they were looked up by: the canonical ids of CHF or GPF."""
    at: datetime
    written: int
    """How often devices or registrations had been written by then."""
    with_han: bool
    """The devices behind them were looked up, too."""
    hub_ids: Mapping[str, str] = field(repr=False)
    """CHF id by each of the ids."""
    hubs: Mapping[str, Hub] = field(repr=False)
    """By CHF id."""
    quiet: Mapping[str, Sequence[Period]] = field(default_factory=dict, repr=False)
    """By CHF id, the quiet days around known changes of Supplier."""


def look_up(
    connection: Connection,
    device_ids: Sequence[str],
    at: datetime,
    *,
    with_han: bool,
    registered: Callable[[], Registered] | None = None,
) -> KnownHubs:
    """Look hubs up by the canonical ids of CHF or GPF, without their quiet days, in one state of the database.

    Who is `registered` for the meters of hubs with these ids may be found elsewhere, not before this begins.
    """
    written = counters.given_out(connection, inventory.RESPONSIBILITIES)
    # Nearly all are ids of CHFs.
    hubs = inventory.hubs(connection, device_ids, at, with_han=with_han, registered=registered)
    others = [device_id for device_id in device_ids if device_id not in hubs]
    hub_ids = {hub_id: hub_id for hub_id in hubs} | inventory.hub_ids_of(connection, others)
    more = set(hub_ids.values()) - hubs.keys()
    if more:
        hubs |= inventory.hubs(connection, more, at, with_han=with_han)
    return KnownHubs(device_ids, at, written, with_han, hub_ids, hubs)


def stand(
    connection: Connection, known: KnownHubs, device_ids: Sequence[str], now: datetime, *, with_han: bool
) -> bool:
    """Whether all that was looked up of these devices is so at `now`."""
    return (
        known.with_han is with_han
        and known.device_ids == device_ids
        # Of quiet days those that were over were left out: a clock that was set back since has them again.
        and known.at <= now
        and suppliers.are_as_of(connection, known.written, known.at, now)
        and inventory.versions(connection, known.hubs) == {hub_id: hub.version for hub_id, hub in known.hubs.items()}
    )
