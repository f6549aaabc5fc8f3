"""Gathers what the answer to 'why has this hub not been upgraded yet?' depends on, and what is on record of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from sr_engine.configuration import Region
from sr_engine.domain.upgrades import Hub, HubUpgrade, Release
from sr_engine.domain.why import Inquiry, Night, why
from sr_engine.regions.calendar import cut_time, periods_available
from sr_engine.regions.periods import overlaps
from sr_engine.store import audit, inventory, phases, releases, upgrades
from sr_engine.store.audit import Entry
from sr_engine.store.overlays import QuietDays


def explain(
    connection: Connection, device_id: str, now: datetime, regions: Mapping[str, Region], quiet_days: QuietDays
) -> str:
    """One sentence about a hub, by the canonical id of its CHF or GPF."""
    device_type = inventory.device_type(connection, device_id)
    hub = _hub(connection, device_id, now)
    known = [] if hub is None else _upgrades(connection, hub, now, quiet_days)
    night = _next_night(hub, known, now, regions)
    return why(Inquiry(device_id, device_type, hub, known, now, night, _halts(connection, hub)))


def _hub(connection: Connection, device_id: str, now: datetime) -> Hub | None:
    hub_id = inventory.hub_ids_of(connection, [device_id]).get(device_id)
    return None if hub_id is None else inventory.hubs(connection, [hub_id], now, with_han=False).get(hub_id)


def _halts(connection: Connection, hub: Hub | None) -> dict[str, str]:
    """Why releases are halted in the region of the hub."""
    if hub is None or hub.region is None:
        return {}
    return {
        phase.release_id: phase.halt_reason
        for phase in phases.in_region(connection, hub.region)
        if phase.halted_at is not None and phase.halt_reason is not None
    }


def _upgrades(
    connection: Connection, hub: Hub, now: datetime, quiet_days: QuietDays
) -> list[tuple[Release, HubUpgrade]]:
    return [
        (release, upgrades.load(connection, [hub.hub_id], release, now, quiet_days=quiet_days)[hub.hub_id])
        for release in releases.of_model(connection, hub.manufacturer, hub.model)
    ]


def _next_night(
    hub: Hub | None, known: list[tuple[Release, HubUpgrade]], now: datetime, regions: Mapping[str, Region]
) -> Night | None:
    """The first night of the open attempt's window that can still be listed, and in which nothing bars the hub."""
    region = None if hub is None or hub.region is None else regions.get(hub.region)
    for _, upgrade in known:
        attempt = upgrade.attempt
        if region is None or attempt is None or not attempt.is_open:
            continue
        blocked = upgrade.blocked(now, compulsory=attempt.compulsory)
        for period in periods_available(region, attempt.window, now):
            if not overlaps(period, blocked):
                return Night(period, cut_time(region, period))
    return None


@dataclass(frozen=True, slots=True)
class Happening:
    """One record about a hub; `firmware` is the version it is about, where it is about a release."""

    entry: Entry
    firmware: str | None


def history(connection: Connection, device_id: str) -> list[Happening]:
    """What is on record about a hub, oldest first, by the canonical id of its CHF or GPF.

    The whole trail is read: there is no index of hubs, which would cost every transition as much as it costs now.
    """
    versions = _versions(connection)
    return [_happening(entry, versions) for entry in audit.of_hub(connection, _hub_id(connection, device_id))]


def newest_records(
    connection: Connection, limit: int, *, version: str | None = None, device_id: str | None = None
) -> list[Happening]:
    """The newest records of the trail, newest first: all, or those about the releases of a version, or about a hub."""
    versions = _versions(connection)
    of_version = None if version is None else {key for key, value in versions.items() if value == version}
    hub_id = None if device_id is None else _hub_id(connection, device_id)
    entries = audit.newest(connection, limit, release_ids=of_version, hub_id=hub_id)
    return [_happening(entry, versions) for entry in entries]


def _versions(connection: Connection) -> dict[str, str]:
    return {release.release_id: release.firmware.version for release in releases.all_releases(connection)}


def _hub_id(connection: Connection, device_id: str) -> str:
    return inventory.hub_ids_of(connection, [device_id]).get(device_id, device_id)


def _happening(entry: Entry, versions: Mapping[str, str]) -> Happening:
    return Happening(entry, versions.get(entry.release_id or ""))
