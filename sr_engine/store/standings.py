"""The hubs that are Scheduled in a region, in groups of what decides when they are listed: read in sets.

Most hubs are alike but for their ids, and SQLite puts those together itself; what is laid over a hub, or will change
about it, is looked up for the few that have any of it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, bindparam, select

from sr_engine.domain.states import AttemptState
from sr_engine.domain.upgrades import Attempt, Exclusion, Hub, HubUpgrade, Release
from sr_engine.messages.model import Period
from sr_engine.regions.preview import Handover, Standing
from sr_engine.store import inventory, overlays, upgrades
from sr_engine.store.dialects import json_rows
from sr_engine.store.inventory import HAN_DEVICE_TYPES
from sr_engine.store.overlays import QuietDays, exclusion_runs
from sr_engine.store.tables import devices, exclusions, registrations, release_han_models, scheduled_hubs

_AT_ONCE = 20_000
"""Hubs that one statement looks up, at most."""

_SCHEDULED = scheduled_hubs.c.region == bindparam("region")
_ALIKE = (
    scheduled_hubs.c.release_id,
    scheduled_hubs.c.organisation,
    scheduled_hubs.c.window_start,
    scheduled_hubs.c.window_end,
    scheduled_hubs.c.pilot,
    scheduled_hubs.c.compulsory,
    devices.c.device_status,
    devices.c.csp_region,
    devices.c.manufacturer,
    devices.c.model,
    devices.c.firmware_version,
)
_GROUPS: Select[Any] = (
    select(*_ALIKE, json_rows(scheduled_hubs.c.hub_id).label("hub_ids"))
    .outerjoin(devices, and_(devices.c.device_id == scheduled_hubs.c.hub_id, devices.c.device_type == "CHF"))
    .where(_SCHEDULED)
    .group_by(*_ALIKE)
    .order_by(*_ALIKE)
)
_EXCLUDED: Select[Any] = (
    select(scheduled_hubs.c.hub_id)
    .distinct()
    .join(exclusions, exclusions.c.hub_id == scheduled_hubs.c.hub_id)
    .where(_SCHEDULED, exclusion_runs("now"))
)
_CHANGING: Select[Any] = (
    select(scheduled_hubs.c.hub_id, registrations.c.effective_from)
    .distinct()
    .join(devices, devices.c.hub_id == scheduled_hubs.c.hub_id)
    .join(registrations, registrations.c.mpxn == devices.c.import_mpxn)
    .where(_SCHEDULED, registrations.c.effective_from > bindparam("since"))
)
_AFFECTED: Select[Any] = (
    select(scheduled_hubs.c.release_id, scheduled_hubs.c.hub_id)
    .distinct()
    .join(release_han_models, release_han_models.c.release_id == scheduled_hubs.c.release_id)
    .join(
        devices,
        and_(
            devices.c.hub_id == scheduled_hubs.c.hub_id,
            devices.c.manufacturer == release_han_models.c.manufacturer,
            devices.c.model == release_han_models.c.model,
        ),
    )
    .where(_SCHEDULED, devices.c.device_type.in_(HAN_DEVICE_TYPES))
)


@dataclass(frozen=True, slots=True)
class _Peculiar:
    """What is known of a hub beyond its record: what keeps it off lists at times."""

    exclusions: tuple[Exclusion, ...] = ()
    quiet: tuple[Period, ...] = ()
    han_refused: bool = False


_PLAIN = _Peculiar()


def standings(
    connection: Connection,
    region: str,
    releases: Mapping[str, Release],
    now: datetime,
    *,
    until: datetime,
    quiet_days: QuietDays,
) -> list[Standing]:
    """All hubs that are Scheduled in a region at `now`, with the changes of Supplier that are known up to `until`."""
    here = {"region": region}
    changing = connection.execute(_CHANGING, {**here, "since": now - quiet_days.after}).all()
    laid_over = {row.hub_id for row in changing} | set(connection.scalars(_EXCLUDED, {**here, "now": now}))
    refused = _han_refused(connection, here, releases, now)
    handovers = _handovers(connection, [row for row in changing if now < row.effective_from <= until], now)
    known: dict[str, _Peculiar] = dict.fromkeys(refused, _Peculiar(han_refused=True))
    for some in _portions(laid_over):
        for hub_id, found in overlays.of(connection, some, now, quiet_days).items():
            known[hub_id] = _Peculiar(found.exclusions, found.quiet, hub_id in refused)
    groups: list[Standing] = []
    alone: dict[str, list[str]] = defaultdict(list)
    for row in connection.execute(_GROUPS, here):
        alike: dict[_Peculiar, list[str]] = defaultdict(list)
        for hub_id in json.loads(row.hub_ids):
            if hub_id in handovers:
                alone[row.release_id].append(hub_id)
            else:
                alike[known.get(hub_id, _PLAIN)].append(hub_id)
        groups += [_standing(row, peculiar, hub_ids, releases[row.release_id]) for peculiar, hub_ids in alike.items()]
    for release_id, hub_ids in alone.items():
        loaded = upgrades.load(connection, hub_ids, releases[release_id], now, quiet_days=quiet_days)
        groups += [
            Standing(release_id, upgrade, upgrade.attempt, (hub_id,), handovers[hub_id])
            for hub_id, upgrade in loaded.items()
            if upgrade.attempt is not None
        ]
    return groups


def _standing(row: Row[Any], peculiar: _Peculiar, hub_ids: list[str], release: Release) -> Standing:
    attempt = Attempt(
        number=1,
        state=AttemptState.SCHEDULED,
        window=Period(row.window_start, row.window_end),
        pilot=row.pilot,
        organisation=row.organisation,
        state_at=row.window_start,
        compulsory=row.compulsory,
    )
    hub = Hub(
        hub_id="",
        device_status=row.device_status,
        region=row.csp_region,
        manufacturer=row.manufacturer or "",
        model=row.model or "",
        version=row.firmware_version,
        electricity=row.organisation,
        gas=None,
    )
    if peculiar.han_refused:
        # Nobody's answer is known to the hub that stands for all, and so nobody has accepted it.
        hub = replace(hub, han_models=release.han_models)
    upgrade = HubUpgrade(hub, attempt=attempt, exclusions=peculiar.exclusions, quiet=peculiar.quiet)
    return Standing(row.release_id, upgrade, attempt, hub_ids)


def _han_refused(
    connection: Connection, here: Mapping[str, str], releases: Mapping[str, Release], now: datetime
) -> set[str]:
    """Hubs with HAN devices that their release may break, which not all responsible Suppliers have accepted."""
    if not any(release.han_models for release in releases.values()):
        return set()
    affected: dict[str, list[str]] = defaultdict(list)
    for row in connection.execute(_AFFECTED, here):
        affected[row.release_id].append(row.hub_id)
    refused: set[str] = set()
    for release_id, hub_ids in affected.items():
        release = releases[release_id]
        for some in _portions(hub_ids):
            loaded = upgrades.load(connection, some, release, now)
            refused |= {hub_id for hub_id, upgrade in loaded.items() if not upgrade.han_accepted(release)}
    return refused


def _handovers(connection: Connection, changing: Iterable[Row[Any]], now: datetime) -> dict[str, tuple[Handover, ...]]:
    """By hub, each date on which others become responsible for it."""
    by_date: dict[datetime, list[str]] = defaultdict(list)
    for row in changing:
        by_date[row.effective_from].append(row.hub_id)
    concerned = {hub_id for hub_ids in by_date.values() for hub_id in hub_ids}
    holds = _responsible(connection, concerned, now)
    found: dict[str, tuple[Handover, ...]] = {}
    for at, hub_ids in sorted(by_date.items()):
        for hub_id, responsible in _responsible(connection, hub_ids, at).items():
            if responsible != holds.get(hub_id):
                holds[hub_id] = responsible
                found[hub_id] = (*found.get(hub_id, ()), Handover(at, *responsible))
    return found


def _responsible(
    connection: Connection, hub_ids: Collection[str], at: datetime
) -> dict[str, tuple[str | None, str | None]]:
    return {
        hub_id: (hub.electricity, hub.gas)
        for some in _portions(hub_ids)
        for hub_id, hub in inventory.hubs(connection, some, at, with_han=False).items()
    }


def _portions(hub_ids: Collection[str]) -> Iterable[list[str]]:
    ordered = sorted(hub_ids)
    return (ordered[start : start + _AT_ONCE] for start in range(0, len(ordered), _AT_ONCE))
