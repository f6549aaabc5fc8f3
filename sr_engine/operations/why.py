"""Gathers what the answer to 'why has this hub not been upgraded yet?' depends on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection

from sr_engine.configuration import Region
from sr_engine.domain.upgrades import Hub, HubUpgrade, Release
from sr_engine.domain.why import Inquiry, Night, why
from sr_engine.regions.calendar import cut_time, periods_available
from sr_engine.store import inventory, releases, upgrades


def explain(connection: Connection, device_id: str, now: datetime, regions: Mapping[str, Region]) -> str:
    """One sentence about a hub, by the canonical id of its CHF or GPF."""
    device_type = inventory.device_type(connection, device_id)
    hub = _hub(connection, device_id, now)
    known = [] if hub is None else _upgrades(connection, hub, now)
    return why(Inquiry(device_id, device_type, hub, known, now, _next_night(hub, known, now, regions)))


def _hub(connection: Connection, device_id: str, now: datetime) -> Hub | None:
    hub_id = inventory.hub_ids_of(connection, [device_id]).get(device_id)
    return None if hub_id is None else inventory.hubs(connection, [hub_id], now, with_han=False).get(hub_id)


def _upgrades(connection: Connection, hub: Hub, now: datetime) -> list[tuple[Release, HubUpgrade]]:
    return [
        (release, upgrades.load(connection, [hub.hub_id], release, now)[hub.hub_id])
        for release in releases.of_model(connection, hub.manufacturer, hub.model)
    ]


def _next_night(
    hub: Hub | None, known: list[tuple[Release, HubUpgrade]], now: datetime, regions: Mapping[str, Region]
) -> Night | None:
    """The first night of the open attempt's window that can still be listed."""
    region = None if hub is None or hub.region is None else regions.get(hub.region)
    attempt = next((one.attempt for _, one in known if one.attempt is not None and one.attempt.is_open), None)
    if region is None or attempt is None:
        return None
    period = next(periods_available(region, attempt.window, now), None)
    return None if period is None else Night(period, cut_time(region, period))
