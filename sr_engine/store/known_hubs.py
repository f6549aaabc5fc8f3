"""What a decision about very many hubs needs to know of their homes, looked up beside the transactions that write.

It stands if no device and no registration has been written since, which a counter tells, no registration has become
effective, and the hubs run what they ran, which changes without being counted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from sr_engine.messages.model import Period
from sr_engine.store import counters, inventory, suppliers
from sr_engine.store.inventory import HubsAlike, Registered


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
    alike: HubsAlike = field(repr=False)
    quiet: Mapping[str, Sequence[Period]] = field(default_factory=dict, repr=False)
    """By CHF id, the quiet days around known changes of Supplier."""

    @property
    def versions(self) -> dict[str, str | None]:
        """What the hubs run, by CHF id."""
        found: dict[str, str | None] = {}
        for hub, hub_ids in self.alike:
            found.update(dict.fromkeys(hub_ids, hub.version))
        return found


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
    alike = inventory.hubs_alike(connection, device_ids, at, with_han=with_han, registered=registered)
    hub_ids = {hub_id: hub_id for _, some in alike for hub_id in some}
    others = [device_id for device_id in device_ids if device_id not in hub_ids]
    if others:
        of_others = inventory.hub_ids_of(connection, others)
        more = set(of_others.values()) - hub_ids.keys()
        alike = [*alike, *inventory.hubs_alike(connection, more, at, with_han=with_han)]
        hub_ids |= of_others
    return KnownHubs(device_ids, at, written, with_han, hub_ids, alike)


def with_anew(connection: Connection, known: KnownHubs, hub_ids: Collection[str], now: datetime) -> KnownHubs:
    """The same with some of the hubs looked up once more."""
    others = [(hub, [hub_id for hub_id in some if hub_id not in hub_ids]) for hub, some in known.alike]
    anew = inventory.hubs_alike(connection, hub_ids, now, with_han=known.with_han)
    return replace(known, alike=[*((hub.of(some[0]), some) for hub, some in others if some), *anew])


def stand(
    connection: Connection, known: KnownHubs, device_ids: Sequence[str], now: datetime, *, with_han: bool
) -> bool:
    """Whether all that was looked up of these devices is so at `now`."""
    versions = known.versions
    return (
        known.with_han is with_han
        and known.device_ids == device_ids
        # Of quiet days those that were over were left out: a clock that was set back since has them again.
        and known.at <= now
        and suppliers.are_as_of(connection, known.written, known.at, now)
        and inventory.versions(connection, versions) == versions
    )
