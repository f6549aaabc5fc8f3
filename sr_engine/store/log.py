"""What the database of an instance remembers of its traffic, and a copy of it as it was before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, select

from sr_engine.store.registrations import look_again, settle_first
from sr_engine.store.tables import (
    anomaly_thresholds,
    attempts,
    audit,
    cpl_entries,
    devices,
    exchanges,
    held_requests,
    registrations,
    release_han_models,
    release_paths,
    release_regions,
    releases,
    schedules,
    trigger_runs,
    upgrade_lists,
)

_AT_ONCE = 10_000
_TRAIL = (
    *(audit.c.audit_id, audit.c.at, audit.c.actor, audit.c.action, audit.c.detail),
    *(audit.c.release_id, audit.c.message_key, audit.c.from_state, audit.c.to_state),
)
_KEPT = (devices, registrations, cpl_entries, anomaly_thresholds)
"""What did not come of the traffic."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A message in the inbox, and what it was answered."""

    exchange_id: int
    interface: str
    key: str
    command_variant: int
    sender_eui: str
    what: str
    """ServiceReferenceVariant, or the name of a CSP's message."""
    at: datetime
    code: str
    received: bytes
    answer: bytes


@dataclass(frozen=True, slots=True)
class Act:
    """A record of the audit trail."""

    audit_id: int
    at: datetime
    actor: str
    action: str
    detail: str
    release_id: str | None
    message_key: str | None
    from_state: str | None
    to_state: str | None


@dataclass(frozen=True, slots=True)
class Ended:
    """What a request that was held came to."""

    key: str
    command_variant: int
    code: str
    response: bytes


@dataclass(frozen=True, slots=True)
class OpenedRelease:
    """A release, by all that has to be said to open it again."""

    release_id: str
    firmware: tuple[str, str, str]
    image_hash: str
    opened_at: datetime
    regions: tuple[str, ...]
    general_open: bool
    pilot_limit: int | None
    pilot_closes: datetime | None
    soak_seconds: int
    automatic_gate: bool
    failure_percent: int
    minimum_sample: int
    reachable_from: tuple[str, ...]
    han_models: tuple[tuple[str, str], ...]


def last_ids(connection: Connection) -> tuple[int, int]:
    """The newest row numbers of the inbox and of the audit trail; 0 for none."""
    exchange_id = connection.scalar(select(func.max(exchanges.c.exchange_id)))
    audit_id = connection.scalar(select(func.max(audit.c.audit_id)))
    return exchange_id or 0, audit_id or 0


def kept(connection: Connection, *, after: int) -> list[Kept]:
    """Every message with its answer beyond a row number that is still kept, in the order in which they were taken."""
    whole = func.length(exchanges.c.received) > 0
    rows = connection.execute(
        select(exchanges).where(exchanges.c.exchange_id > after, whole).order_by(exchanges.c.exchange_id)
    )
    return [
        Kept(
            row.exchange_id,
            row.interface,
            row.message_key,
            row.command_variant,
            row.sender_eui,
            row.service_reference_variant,
            row.received_at,
            row.code,
            row.received,
            row.answer,
        )
        for row in rows
    ]


def trail(connection: Connection, *, after: int) -> list[Act]:
    """The audit trail beyond a row number, in the order in which things happened, without the hubs concerned."""
    names = (column.name for column in _TRAIL)
    rows = connection.execute(select(*_TRAIL).where(audit.c.audit_id > after).order_by(audit.c.audit_id))
    fields = tuple(names)
    return [Act(**dict(zip(fields, row, strict=True))) for row in rows]


def nights_done(connection: Connection) -> list[datetime]:
    """When the nights of the regions were looked at, whether there was anything to list or not."""
    return sorted(connection.scalars(select(trigger_runs.c.done_at).distinct()))


def schedule_ids(connection: Connection) -> dict[str, int]:
    """The id that was drawn for each request that made a schedule, by its RequestID in canonical form."""
    found = connection.execute(select(schedules.c.request_id, schedules.c.schedule_id))
    return {row.request_id.upper(): row.schedule_id for row in found}


def list_ids(connection: Connection) -> dict[tuple[str, datetime], list[str]]:
    """The ids of the lists of each region and night, in the order in which they were cut."""
    found: dict[tuple[str, datetime], list[str]] = {}
    rows = connection.execute(
        select(upgrade_lists.c.region, upgrade_lists.c.period_start, upgrade_lists.c.list_id)
        .where(upgrade_lists.c.replaces.is_(None))
        .order_by(upgrade_lists.c.cut_at)
    )
    for row in rows:
        found.setdefault((row.region, row.period_start), []).append(row.list_id)
    return found


def ended(connection: Connection) -> list[Ended]:
    """What every request that was held and is not any more came to."""
    joined = held_requests.join(exchanges, exchanges.c.exchange_id == held_requests.c.exchange_id)
    rows = connection.execute(
        select(exchanges.c.message_key, exchanges.c.command_variant, held_requests.c.code, held_requests.c.response)
        .select_from(joined)
        .where(held_requests.c.ended_at.is_not(None))
        .order_by(held_requests.c.held_id)
    )
    return [Ended(row.message_key, row.command_variant, row.code or "", row.response or b"") for row in rows]


def event_ref_of(connection: Connection, message_key: str) -> str | None:
    """The QuarantineEventRef of a request that is held."""
    found: str | None = connection.scalar(
        select(held_requests.c.event_ref)
        .join(exchanges, exchanges.c.exchange_id == held_requests.c.exchange_id)
        .where(exchanges.c.message_key == message_key, held_requests.c.ended_at.is_(None))
    )
    return found


def opened_releases(connection: Connection, gates: set[tuple[str, str]]) -> list[OpenedRelease]:
    """Every release as it was opened; `gates` names releases and regions whose gate has opened since."""
    found: list[OpenedRelease] = []
    for row in connection.execute(select(releases).order_by(releases.c.opened_at)):
        of_release = release_regions.c.release_id == row.release_id
        regions = connection.execute(select(release_regions).where(of_release).order_by(release_regions.c.region)).all()
        paths = connection.scalars(
            select(release_paths.c.from_version).where(release_paths.c.release_id == row.release_id)
        )
        models = connection.execute(
            select(release_han_models.c.manufacturer, release_han_models.c.model).where(
                release_han_models.c.release_id == row.release_id
            )
        )
        plan = regions[0]
        found.append(
            OpenedRelease(
                row.release_id,
                (row.manufacturer, row.model, row.version),
                row.image_hash,
                row.opened_at,
                tuple(one.region for one in regions),
                all(one.general_open and (row.release_id, one.region) not in gates for one in regions),
                plan.pilot_limit,
                plan.pilot_closes,
                plan.soak_seconds,
                plan.automatic_gate,
                plan.failure_percent,
                plan.minimum_sample,
                tuple(sorted(paths)),
                tuple(sorted((one.manufacturer, one.model) for one in models)),
            )
        )
    return found


def gates_opened(connection: Connection) -> set[tuple[str, str]]:
    """Release and region of every gate whose opening is on record."""
    rows = connection.execute(select(audit.c.release_id, audit.c.detail).where(audit.c.action == "gate opened"))
    return {(row.release_id, row.detail.partition(":")[0]) for row in rows}


@dataclass(frozen=True, slots=True)
class TakenBack:
    """How far a copy could be taken back."""

    hubs: int
    """Whose firmware was set back to what it was."""
    unknown: int
    """Whose firmware before is not known."""


def take_back(source: Connection, target: Engine, begins: datetime) -> TakenBack:
    """Fill an empty database with what an instance had before its traffic, at a moment before all of it."""
    with target.begin() as connection:
        for table in _KEPT:
            for rows in _portions(source.execution_options(stream_results=True).execute(select(table)).mappings()):
                connection.execute(table.insert(), rows)
        first = select(trigger_runs.c.region, trigger_runs.c.trigger, func.min(trigger_runs.c.period_start)).group_by(
            trigger_runs.c.region, trigger_runs.c.trigger
        )
        runs = [
            {"region": region, "trigger": trigger, "period_start": start, "done_at": start}
            for region, trigger, start in source.execute(first)
        ]
        if runs:
            connection.execute(trigger_runs.insert(), runs)
        points = {(row.mpxn, row.role) for row in connection.execute(select(registrations))}
        settle_first(connection, {mpxn for mpxn, _ in points}, begins)
        later = select(registrations).where(registrations.c.effective_from > begins)
        for row in connection.execute(later).all():
            look_again(connection, [(row.mpxn, row.role)], row.effective_from)
        return _old_firmware(source, connection)


def _portions(rows: Any) -> Iterator[list[dict[str, Any]]]:
    while some := rows.fetchmany(_AT_ONCE):
        yield [dict(row) for row in some]


def _old_firmware(source: Connection, target: Connection) -> TakenBack:
    """Hubs that were upgraded run what they ran before, where there is one version from which they can have come."""
    paths: dict[str, set[str]] = {}
    for row in source.execute(select(release_paths)):
        paths.setdefault(row.release_id, set()).add(row.from_version)
    upgraded = source.execute(
        select(attempts.c.hub_id, attempts.c.release_id)
        .where(attempts.c.state == "Activated")
        .order_by(attempts.c.state_at.desc())
    )
    before: dict[str, str] = {}
    unknown: set[str] = set()
    for hub_id, release_id in upgraded:
        versions = paths.get(release_id, set())
        if len(versions) == 1:
            (before[hub_id],) = versions
        else:
            unknown.add(hub_id)
    for hub_id, version in before.items():
        target.execute(
            devices.update()
            .where(devices.c.hub_id == hub_id, devices.c.device_type.in_(("CHF", "GPF")))
            .values(firmware_version=version)
        )
    return TakenBack(len(before.keys() - unknown), len(unknown))
