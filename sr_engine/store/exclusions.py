"""Exclusions: who keeps which hubs out, what a decision changes about that, and what the operator has confirmed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import Connection, and_, bindparam, case, func, null, select
from sqlalchemy.dialects.postgresql import Insert, insert

from sr_engine.domain.exclusions import ExcludableHub, ExclusionChanges
from sr_engine.domain.states import WITH_CSP, AttemptState, Overlay
from sr_engine.domain.upgrades import Exclusion, Hub, Listed, Release
from sr_engine.store import audit, inventory, overlays
from sr_engine.store.bulk import execute_many
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import attempts, devices, exclusions, registrations


def _upsert() -> Insert:
    """What the operator has confirmed stays so while the exclusion runs, not beyond it."""
    statement = insert(exclusions)
    has_ended = and_(exclusions.c.until.is_not(None), exclusions.c.until <= statement.excluded.set_at)
    return statement.on_conflict_do_update(
        index_elements=["hub_id", "organisation"],
        set_={
            "until": statement.excluded.until,
            "limited_until": null(),
            "set_at": statement.excluded.set_at,
            "overridden_at": case((has_ended, null()), else_=exclusions.c.overridden_at),
        },
    )


_RUNNING = overlays.exclusion_runs("now")
_SET = _upsert()
_LIFT = exclusions.delete().where(
    exclusions.c.hub_id == bindparam("key_hub"), exclusions.c.organisation == bindparam("key_organisation")
)
_OPEN = select(attempts.c.hub_id, attempts.c.state).where(attempts.c.is_open, is_one_of(attempts.c.hub_id, "hub_ids"))
_HISTORY = (
    select(devices.c.hub_id, registrations.c.mpxn, registrations.c.role, registrations.c.organisation)
    .join(registrations, registrations.c.mpxn == devices.c.import_mpxn)
    .where(is_one_of(devices.c.hub_id, "hub_ids"), registrations.c.effective_from <= bindparam("now"))
    .order_by(devices.c.hub_id, registrations.c.mpxn, registrations.c.role, registrations.c.effective_from)
)
_BY_HUB = (
    select(
        exclusions.c.hub_id, func.min(case((exclusions.c.overridden_at.is_not(None), 1), else_=0)).label("confirmed")
    )
    .where(_RUNNING)
    .group_by(exclusions.c.hub_id)
    .subquery()
)
_BY_REGION = (
    select(devices.c.csp_region, func.count(), func.sum(_BY_HUB.c.confirmed))
    .join(_BY_HUB, _BY_HUB.c.hub_id == devices.c.device_id)
    .group_by(devices.c.csp_region)
    .order_by(devices.c.csp_region)
)
_UNCONFIRMED = (
    select(devices.c.csp_region, exclusions.c.hub_id)
    .join(exclusions, exclusions.c.hub_id == devices.c.device_id)
    .where(
        devices.c.manufacturer == bindparam("manufacturer"),
        devices.c.model == bindparam("model"),
        is_one_of(devices.c.firmware_version, "versions"),
        is_one_of(devices.c.csp_region, "regions"),
        exclusions.c.overridden_at.is_(None),
        _RUNNING,
    )
    .distinct()
    .order_by(devices.c.csp_region, exclusions.c.hub_id)
)
_CONFIRM = (
    exclusions.update()
    .where(is_one_of(exclusions.c.hub_id, "hub_ids"), exclusions.c.overridden_at.is_(None), _RUNNING)
    .values(overridden_at=bindparam("confirmed_at"))
)


@dataclass(frozen=True, slots=True)
class RegionExclusions:
    """Excluded hubs of a region; one is confirmed if the operator has confirmed every exclusion that runs for it."""

    region: str | None
    hubs: int
    confirmed: int


def load(connection: Connection, device_ids: Collection[str], now: datetime) -> Listed[ExcludableHub]:
    """What an exclusion needs to know of each canonical id that is a CHF or a GPF; others are left out."""
    hub_ids = inventory.hub_ids_of(connection, device_ids)
    wanted = sorted(set(hub_ids.values()))
    hubs = inventory.hubs(connection, wanted, now, with_han=False)
    running = overlays.exclusions_of(connection, wanted, now)
    with_csp = {
        hub_id
        for hub_id, state in connection.execute(_OPEN, {"hub_ids": members(wanted)})
        if AttemptState(state) in WITH_CSP
    }
    predecessors = _predecessors(connection, hubs, running, now)
    known = {
        hub_id: ExcludableHub(hub, tuple(running.get(hub_id, ())), hub_id in with_csp, predecessors.get(hub_id, {}))
        for hub_id, hub in hubs.items()
    }
    return Listed({device_id: hub_id for device_id, hub_id in hub_ids.items() if hub_id in known}, known)


def _predecessors(
    connection: Connection, hubs: Mapping[str, Hub], running: Mapping[str, Collection[Exclusion]], now: datetime
) -> dict[str, dict[str, frozenset[str]]]:
    """Of hubs that a Supplier excludes which has left them: by Supplier, those it has followed in some role."""
    left = [
        hub_id
        for hub_id, hub in hubs.items()
        if any(one.organisation not in hub.responsible for one in running.get(hub_id, ()))
    ]
    followed: dict[str, dict[str, frozenset[str]]] = defaultdict(dict)
    if not left:
        return followed
    history = connection.execute(_HISTORY, {"hub_ids": members(left), "now": now})
    for (hub_id, _mpxn, _role), of_role in groupby(history, key=lambda row: row[:3]):
        *earlier, present = [row.organisation for row in of_role]
        of_hub = followed[hub_id]
        of_hub[present] = of_hub.get(present, frozenset()) | frozenset(earlier)
    return followed


def write(connection: Connection, changes: ExclusionChanges, now: datetime) -> None:
    """Write what a decision changed."""
    execute_many(
        connection,
        _LIFT,
        [{"key_hub": hub_id, "key_organisation": organisation} for hub_id, organisation in changes.lifted],
    )
    execute_many(
        connection,
        _SET,
        [
            {"hub_id": hub_id, "organisation": changes.organisation, "until": changes.until, "set_at": now}
            for hub_id in changes.excluded
        ],
    )


def entries(changes: ExclusionChanges, *, at: datetime, actor: str, message_key: str | None) -> list[audit.Entry]:
    """What the audit trail says of a decision: whose exclusion was set or lifted, and never why."""
    found = []
    by_organisation: dict[str, list[str]] = defaultdict(list)
    for hub_id, organisation in changes.lifted:
        by_organisation[organisation].append(hub_id)
    for organisation, hub_ids in by_organisation.items():
        found.append(
            audit.Entry(
                at, actor, "exclusion lifted", organisation, message_key, None, Overlay.EXCLUDED.value, None, hub_ids
            )
        )
    if changes.excluded:
        until = "it is lifted" if changes.until is None else f"{changes.until:%Y-%m-%dT%H:%M:%S.%fZ}"
        detail = f"{changes.organisation}, until {until}"
        found.append(
            audit.Entry(
                at, actor, "exclusion set", detail, message_key, None, None, Overlay.EXCLUDED.value, changes.excluded
            )
        )
    return found


def by_region(connection: Connection, now: datetime) -> list[RegionExclusions]:
    """How many hubs are excluded at present, region by region."""
    return [
        RegionExclusions(region, hubs, confirmed)
        for region, hubs, confirmed in connection.execute(_BY_REGION, {"now": now})
    ]


def confirm(
    connection: Connection, release: Release, regions: Collection[str], now: datetime
) -> dict[str, tuple[str, ...]]:
    """Note that a compulsory upgrade need not heed the exclusions of the hubs that `release` can be installed on.

    Returns the hubs by region, without those that were confirmed before.
    """
    sought = {
        "manufacturer": release.firmware.manufacturer,
        "model": release.firmware.model,
        "versions": members(release.reachable_from),
        "regions": members(regions),
        "now": now,
    }
    found = connection.execute(_UNCONFIRMED, sought).all()
    if found:
        hub_ids = members(hub_id for _, hub_id in found)
        connection.execute(_CONFIRM, {"hub_ids": hub_ids, "now": now, "confirmed_at": now})
    return {
        region: tuple(row.hub_id for row in rows) for region, rows in groupby(found, key=lambda row: row.csp_region)
    }
