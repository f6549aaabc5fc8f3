"""What one Supplier has planned in each region: its hubs by window, and those that stand on lists by night."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, func, select

from sr_engine.domain.states import WITH_CSP
from sr_engine.messages.model import Period
from sr_engine.store.tables import attempts, devices, schedule_hubs, schedules


@dataclass(frozen=True, slots=True)
class Planned:
    """So many hubs of a Supplier, of a region, by a window or by a night."""

    region: str
    period: Period
    hubs: int


def scheduled(connection: Connection, organisation: str, now: datetime) -> list[Planned]:
    """Hubs by the windows of the Supplier's own schedules that are in force and not over; looks at each of them."""
    groups = (devices.c.csp_region, schedules.c.window_start, schedules.c.window_end)
    found = connection.execute(
        select(*groups, func.count())
        .select_from(schedules)
        .join(schedule_hubs, schedule_hubs.c.schedule_id == schedules.c.schedule_id)
        .join(devices, devices.c.device_id == schedule_hubs.c.hub_id)
        .where(
            schedules.c.organisation == organisation,
            schedules.c.window_end > now,
            schedule_hubs.c.in_force,
            schedule_hubs.c.done.is_(False),
        )
        .group_by(*groups)
    )
    return [Planned(region or "Unknown", Period(start, end), hubs) for region, start, end, hubs in found]


def listed(connection: Connection, organisation: str, now: datetime) -> list[Planned]:
    """Hubs of the Supplier's own schedules that stand on lists, by the night they are for; looks at each of them."""
    with_csp = sorted(state.value for state in WITH_CSP)
    groups = (attempts.c.region, attempts.c.period_start, attempts.c.period_end)
    found = connection.execute(
        select(*groups, func.count())
        .select_from(schedules)
        .join(schedule_hubs, schedule_hubs.c.schedule_id == schedules.c.schedule_id)
        .join(
            attempts,
            and_(
                attempts.c.hub_id == schedule_hubs.c.hub_id,
                attempts.c.release_id == schedules.c.release_id,
                attempts.c.is_open,
            ),
        )
        .where(
            schedules.c.organisation == organisation,
            schedules.c.window_end > now,
            schedule_hubs.c.in_force,
            attempts.c.state.in_(with_csp),
            attempts.c.period_start.is_not(None),
        )
        .group_by(*groups)
    )
    return [Planned(region, Period(start, end), hubs) for region, start, end, hubs in found]
