"""What waits to be listed in a region, in groups of hubs that are alike but for their ids: counted and found in sets.

An attempt that is Scheduled was settled by whatever last changed an answer, a schedule, a registration or a meter. What
may stand otherwise by now is little and is looked for from its own side: meter points that are due to be looked at,
registrations of late and to come, exclusions, HAN devices that may break, hubs whose record has changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, Row, Select, and_, bindparam, cast, func, null, select

from sr_engine.domain.upgrades import Attempt, Release
from sr_engine.messages.model import Period
from sr_engine.store import changed_hubs
from sr_engine.store import due_hubs as hubs_due
from sr_engine.store.dialects import POSTGRESQL, SQLITE
from sr_engine.store.inventory import HAN_DEVICE_TYPES
from sr_engine.store.overlays import QuietDays, exclusion_runs
from sr_engine.store.prepared import Prepared
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.states import IS_SCHEDULED
from sr_engine.store.tables import (
    UtcDateTime,
    attempts,
    devices,
    due_registrations,
    exclusions,
    off_lists,
    registrations,
    scheduled_hubs,
    upgrade_lists,
)

DUE_SOON = timedelta(hours=1)
"""How far ahead a meter point that is due to be looked at counts: what was put off once is due again sooner."""

MANY = 10_000
"""From so many meter points on that are due to be looked at, none is looked for: any hub may be behind one of them."""

_AT_ONCE = 20_000
"""Hubs that one statement looks up, at most."""


@dataclass(frozen=True, slots=True)
class Alike:
    """All that decides when a Scheduled hub is listed, but for its id."""

    release_id: str
    organisation: str
    window: Period
    pilot: bool
    compulsory: bool
    number: int
    """Of the attempt."""


Member = tuple[str, int, int | None]
"""CHF id of a hub, the place that its group was given, and the row number of the attempt that is meant.

Of the last only SQLite makes use, and PostgreSQL is not asked for it.
"""

_KEY = (
    scheduled_hubs.c.organisation,
    scheduled_hubs.c.window_end,
    scheduled_hubs.c.window_start,
    scheduled_hubs.c.pilot,
    scheduled_hubs.c.compulsory,
    scheduled_hubs.c.number,
)
_OF_RELEASE = and_(
    scheduled_hubs.c.region == bindparam("region"), scheduled_hubs.c.release_id == bindparam("release_id")
)
# Whatever the window: a condition on it would lead away from the order of the key.
_COUNTS: Select[Any] = select(*_KEY, func.count().label("hubs")).where(_OF_RELEASE).group_by(*_KEY).order_by(*_KEY)
_OF_GROUP = and_(
    _OF_RELEASE,
    scheduled_hubs.c.organisation == bindparam("organisation"),
    scheduled_hubs.c.window_end == bindparam("window_end"),
    scheduled_hubs.c.window_start == bindparam("window_start"),
    scheduled_hubs.c.pilot == bindparam("pilot"),
    scheduled_hubs.c.compulsory == bindparam("compulsory"),
    scheduled_hubs.c.number == bindparam("number"),
)
_ITS_ATTEMPT = and_(
    attempts.c.hub_id == scheduled_hubs.c.hub_id,
    attempts.c.release_id == scheduled_hubs.c.release_id,
    attempts.c.number == scheduled_hubs.c.number,
)


def _members(attempt_id: ColumnElement[Any]) -> Select[Any]:
    return (
        select(scheduled_hubs.c.hub_id, bindparam("place", type_=Integer).label("place"), attempt_id)
        .where(_OF_GROUP)
        .order_by(scheduled_hubs.c.hub_id)
    )


_LOOKED_UP = select(attempts.c.attempt_id).where(_ITS_ATTEMPT).scalar_subquery()
_ALL_MEMBERS = {
    SQLITE: _members(func.coalesce(scheduled_hubs.c.attempt_id, _LOOKED_UP).label("attempt_id")),
    POSTGRESQL: _members(cast(null(), Integer).label("attempt_id")),
}
_MEMBERS = {name: Prepared(every) for name, every in _ALL_MEMBERS.items()}
_FIRST_MEMBERS = {
    name: Prepared(every.limit(bindparam("at_most", type_=Integer))) for name, every in _ALL_MEMBERS.items()
}
# Those that were chosen before: none that has come since.
_CHOSEN_MEMBERS = Prepared(
    _members(attempts.c.attempt_id)
    .join(attempts, _ITS_ATTEMPT)
    .where(
        scheduled_hubs.c.hub_id > bindparam("after"),
        scheduled_hubs.c.hub_id <= bindparam("upto"),
        attempts.c.state_at <= bindparam("scheduled_by"),
    )
)


_DUE = (
    select(due_registrations.c.mpxn)
    .where(due_registrations.c.due_at <= bindparam("soon", type_=UtcDateTime))
    .limit(MANY + 1)
)
_HUBS_OF_METERS = select(devices.c.hub_id).where(
    is_one_of(devices.c.import_mpxn, "mpxns"), devices.c.hub_id.is_not(None)
)
_LATELY_REGISTERED = (
    select(devices.c.hub_id)
    .join(registrations, registrations.c.mpxn == devices.c.import_mpxn)
    .where(registrations.c.effective_from > bindparam("since"), devices.c.hub_id.is_not(None))
)
_EXCLUDED = select(exclusions.c.hub_id).where(exclusion_runs("now"))
_WITH_HAN_MODEL = select(devices.c.hub_id).where(
    devices.c.manufacturer == bindparam("manufacturer"),
    devices.c.model == bindparam("model"),
    devices.c.device_type.in_(HAN_DEVICE_TYPES),
    devices.c.hub_id.is_not(None),
)
_KEY_OF_ATTEMPT = tuple(attempts.c[column.name] for column in _KEY)
_WAITING_OF: Select[Any] = select(attempts.c.hub_id, attempts.c.release_id, *_KEY_OF_ATTEMPT).where(
    is_one_of(attempts.c.hub_id, "hub_ids"),
    # What is Scheduled is open: said, for that leads along the index of what is.
    attempts.c.is_open,
    # Not the column itself: its index leads to all that is under way in the region.
    attempts.c.region.concat("") == bindparam("region"),
    IS_SCHEDULED,
)

_RETURNED: Select[Any] = (
    select(attempts.c.hub_id, attempts.c.release_id, *_KEY_OF_ATTEMPT)
    .join(off_lists, off_lists.c.attempt_id == attempts.c.attempt_id)
    .join(upgrade_lists, upgrade_lists.c.list_id == off_lists.c.list_id)
    .where(
        upgrade_lists.c.region == bindparam("region"),
        upgrade_lists.c.period_start == bindparam("period_start"),
        attempts.c.region == upgrade_lists.c.region,
        IS_SCHEDULED,
    )
    .distinct()
)


def groups(connection: Connection, release_id: str, region: str, period: Period) -> list[tuple[Alike, int]]:
    """The groups of a release whose window holds `period`, and how many hubs are in each."""
    found = connection.execute(_COUNTS, {"region": region, "release_id": release_id})
    known = [(_alike(release_id, row), row.hubs) for row in found]
    return [
        (alike, hubs) for alike, hubs in known if alike.window.start <= period.start and period.end <= alike.window.end
    ]


def of_group(
    connection: Connection, region: str, alike: Alike, *, place: int = 0, limit: int | None = None
) -> list[Member]:
    """The first `limit` hubs of a group, or all, ascending."""
    values = {**key_of(region, alike), "place": place}
    if limit is None:
        return _MEMBERS[connection.dialect.name].tuples(connection, values)
    return _FIRST_MEMBERS[connection.dialect.name].tuples(connection, {**values, "at_most": limit})


def chosen_of_group(
    connection: Connection, region: str, alike: Alike, *, place: int, after: str, upto: str, scheduled_by: datetime
) -> list[Member]:
    """The hubs of a group after one CHF and up to another, as far as they were Scheduled by a time."""
    bounds = {"after": after, "upto": upto, "scheduled_by": scheduled_by, "place": place}
    return _CHOSEN_MEMBERS.tuples(connection, {**key_of(region, alike), **bounds})


def peculiar(
    connection: Connection, region: str, releases: Collection[Release], now: datetime, quiet_days: QuietDays
) -> dict[str, Alike] | None:
    """By CHF id, the Scheduled hubs of a region that must be looked at by themselves; None: any might have to be."""
    due = due_hubs(connection, now)
    if due is None:
        return None
    found = due | set(connection.scalars(_LATELY_REGISTERED, {"since": now - quiet_days.after}))
    found.update(connection.scalars(_EXCLUDED, {"now": now}))
    found.update(changed_hubs.all_of_them(connection))
    for manufacturer, model in {model for release in releases for model in release.han_models}:
        found.update(connection.scalars(_WITH_HAN_MODEL, {"manufacturer": manufacturer, "model": model}))
    return {
        row.hub_id: _alike(row.release_id, row)
        for some in _portions(found)
        for row in connection.execute(_WAITING_OF, {"hub_ids": members(some), "region": region})
    }


def returned(connection: Connection, region: str, period: Period) -> dict[str, Alike]:
    """By CHF id, the Scheduled hubs that stood on a list of a region for a period and are off it."""
    found = connection.execute(_RETURNED, {"region": region, "period_start": period.start})
    return {row.hub_id: _alike(row.release_id, row) for row in found}


def due_hubs(connection: Connection, now: datetime) -> set[str] | None:
    """Hubs that are, or whose meter points are, due to be looked at now or in a moment; None if they are too many.

    Until they have been, who is responsible may be somebody else than whoever has answered.
    """
    mpxns = connection.scalars(_DUE, {"soon": now + DUE_SOON}).all()
    hub_ids = hubs_due.due(connection, now + DUE_SOON, MANY + 1)
    if len(mpxns) > MANY or len(hub_ids) > MANY:
        return None
    return {*hub_ids, *(connection.scalars(_HUBS_OF_METERS, {"mpxns": members(mpxns)}) if mpxns else ())}


def group_of(release_id: str, attempt: Attempt) -> Alike:
    """The group that a Scheduled hub is in."""
    return Alike(release_id, attempt.organisation, attempt.window, attempt.pilot, attempt.compulsory, attempt.number)


def _alike(release_id: str, row: Row[Any]) -> Alike:
    window = Period(row.window_start, row.window_end)
    return Alike(release_id, row.organisation, window, row.pilot, row.compulsory, row.number)


def key_of(region: str, alike: Alike) -> Mapping[str, object]:
    """What is common to the hubs of a group of a region in the table of those that are Scheduled."""
    return {
        "region": region,
        "release_id": alike.release_id,
        "organisation": alike.organisation,
        "window_end": alike.window.end,
        "window_start": alike.window.start,
        "pilot": alike.pilot,
        "compulsory": alike.compulsory,
        "number": alike.number,
    }


def _portions(hub_ids: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(hub_ids)
    return (ordered[start : start + _AT_ONCE] for start in range(0, len(ordered), _AT_ONCE))
