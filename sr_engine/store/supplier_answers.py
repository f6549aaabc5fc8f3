"""What one Supplier has set itself, as it looks it up: its schedules, newest first, and its exclusions, by hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, or_, select
from sqlalchemy.sql import Select

from sr_engine.messages.model import Firmware, Period, Phase
from sr_engine.store.overlays import exclusion_runs
from sr_engine.store.tables import UtcDateTime, exclusions, releases, schedule_hubs, schedules


@dataclass(frozen=True, slots=True)
class OwnSchedule:
    """A schedule as its Supplier set it."""

    schedule_id: int
    release_id: str
    firmware: Firmware
    window: Period
    phase: Phase
    accept_han_impact: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class OwnExclusion:
    """A hub that a Supplier keeps out, and until when; None: until it says otherwise."""

    hub_id: str
    until: datetime | None
    set_at: datetime


_SCHEDULES: Select[Any] = (
    select(schedules, releases.c.manufacturer, releases.c.model, releases.c.version)
    .join(releases)
    .where(schedules.c.organisation == bindparam("organisation"))
)
_NEWEST = _SCHEDULES.order_by(schedules.c.created_at.desc(), schedules.c.schedule_id.desc()).limit(bindparam("at_most"))
_BEFORE = bindparam("before", type_=UtcDateTime)
_NEWEST_BEFORE = _NEWEST.where(
    schedules.c.created_at <= _BEFORE,
    or_(schedules.c.created_at < _BEFORE, schedules.c.schedule_id < bindparam("before_id")),
)
_ONE = _SCHEDULES.where(schedules.c.schedule_id == bindparam("schedule_id"))
_IN_FORCE = select(func.count()).where(
    schedule_hubs.c.schedule_id == bindparam("schedule_id"), schedule_hubs.c.in_force
)
_EXCLUSIONS = (
    select(exclusions.c.hub_id, exclusions.c.until, exclusions.c.set_at)
    .where(
        exclusions.c.organisation == bindparam("organisation"),
        exclusions.c.hub_id > bindparam("after"),
        exclusion_runs("now"),
    )
    .order_by(exclusions.c.hub_id)
    .limit(bindparam("at_most"))
)


def schedules_of(
    connection: Connection,
    organisation: str,
    *,
    before: tuple[datetime, int] | None,
    limit: int,
    release_id: str | None = None,
) -> list[OwnSchedule]:
    """The schedules of a Supplier, newest first, beginning after the one that was made then and has this id."""
    values: dict[str, object] = {"organisation": organisation, "at_most": limit}
    statement = _NEWEST
    if before is not None:
        statement = _NEWEST_BEFORE
        values |= {"before": before[0], "before_id": before[1]}
    if release_id is not None:
        statement = statement.where(schedules.c.release_id == bindparam("release_id"))
        values["release_id"] = release_id
    return [_schedule_of(row) for row in connection.execute(statement, values)]


def schedule_of(connection: Connection, organisation: str, schedule_id: int) -> OwnSchedule | None:
    """A schedule, if it is this Supplier's."""
    sought = {"organisation": organisation, "schedule_id": schedule_id}
    row = connection.execute(_ONE, sought).one_or_none()
    return None if row is None else _schedule_of(row)


def hubs_in_force(connection: Connection, schedule_id: int) -> int:
    """For how many hubs a schedule is in force."""
    return int(connection.scalar(_IN_FORCE, {"schedule_id": schedule_id}) or 0)


def exclusions_of(
    connection: Connection, organisation: str, now: datetime, *, after: str, limit: int
) -> Sequence[OwnExclusion]:
    """Hubs that a Supplier keeps out at present, ascending, beginning after one; also such as it has left since."""
    sought = {"organisation": organisation, "now": now, "after": after, "at_most": limit}
    return [OwnExclusion(row.hub_id, row.until, row.set_at) for row in connection.execute(_EXCLUSIONS, sought)]


def _schedule_of(row: Row[Any]) -> OwnSchedule:
    return OwnSchedule(
        schedule_id=row.schedule_id,
        release_id=row.release_id,
        firmware=Firmware(row.manufacturer, row.model, row.version),
        window=Period(row.window_start, row.window_end),
        phase=Phase(row.phase),
        accept_han_impact=row.accept_han_impact,
        created_at=row.created_at,
    )
