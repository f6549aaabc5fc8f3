"""Pilots, gates and halts: the plan of each region, and the counts that decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, or_, select

from sr_engine.store.tables import devices, pilot_shares, schedule_hubs, schedules

_SHARES = select(pilot_shares.c.region, pilot_shares.c.hubs).where(
    pilot_shares.c.release_id == bindparam("release_id"), pilot_shares.c.organisation == bindparam("organisation")
)
# Hubs of a Supplier's pilot schedules that are in force or have had their outcome, each once.
_NAMED = (
    select(devices.c.csp_region, func.count(devices.c.device_id.distinct()))
    .join(schedule_hubs, schedule_hubs.c.hub_id == devices.c.device_id)
    .join(schedules, schedules.c.schedule_id == schedule_hubs.c.schedule_id)
    .where(
        schedules.c.release_id == bindparam("release_id"),
        schedules.c.organisation == bindparam("organisation"),
        schedules.c.phase == "Pilot",
        or_(schedule_hubs.c.done, and_(schedule_hubs.c.in_force, schedules.c.schedule_id != bindparam("leaving"))),
    )
    .group_by(devices.c.csp_region)
)


def pilot_places(
    connection: Connection, release_id: str, organisation: str, *, leaving: int | None
) -> Mapping[str, int]:
    """How many pilot hubs a Supplier may still name, by region; regions without a limit are left out."""
    sought = {"release_id": release_id, "organisation": organisation}
    shares = _by_region(connection.execute(_SHARES, sought))
    if not shares:
        return {}
    named = _by_region(connection.execute(_NAMED, {**sought, "leaving": leaving or 0}))
    return {region: max(share - named.get(region, 0), 0) for region, share in shares.items()}


def _by_region(rows: Iterable[Sequence[Any]]) -> dict[str, int]:
    return {row[0]: row[1] for row in rows}
