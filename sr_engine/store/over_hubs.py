"""What was agreed and done at hubs for releases that are over: chosen in portions, read for the archive, removed.

Everything of a hub at a release goes together, once nothing has happened there since. The newest attempt stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, bindparam, exists, func, select, union

from sr_engine.store.portions import ChangedMeanwhile, Line, Portion, lines
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import (
    UtcDateTime,
    arrivals,
    attempts,
    decisions,
    departures,
    off_lists,
    releases,
    schedule_hubs,
    schedules,
)

_CUTOFF = bindparam("cutoff", type_=UtcDateTime)
_HUBS_AT_ONCE = 250
"""Each has some rows."""

OVER = (
    select(releases.c.release_id)
    .where(
        releases.c.status.in_(("Closed", "Withdrawn")),
        ~exists(
            select(attempts.c.attempt_id).where(attempts.c.release_id == releases.c.release_id, attempts.c.is_open)
        ),
    )
    .subquery("over")
)
"""Releases that are closed or withdrawn and have no upgrade under way; neither can come back."""
_OVER = select(OVER.c.release_id).order_by(OVER.c.release_id)
_SCHEDULES = select(schedules.c.schedule_id).where(schedules.c.release_id == bindparam("release_id"))
_OF_RELEASE = schedules.alias("of_release")
_OF_SCHEDULE = (
    _OF_RELEASE.c.schedule_id == schedule_hubs.c.schedule_id,
    _OF_RELEASE.c.release_id == bindparam("release_id"),
)
_TIMES = (attempts.c.state_at, decisions.c.decided_at, departures.c.at, arrivals.c.at)
"""When what the tables hold of a hub happened there."""


def _next_hubs(table: Table, of_release: ColumnElement[bool]) -> Select[Any]:
    """The first hubs of a table beyond one, along an index that begins with the hub."""
    hubs = select(table.c.hub_id).where(table.c.hub_id > bindparam("after"), of_release).distinct()
    return hubs.order_by(table.c.hub_id).limit(_HUBS_AT_ONCE)


# One table after the other: of a release some hold next to nothing, which would be looked for again and again.
_HUBS = (
    *(_next_hubs(one.table, one.table.c.release_id == bindparam("release_id")) for one in _TIMES),
    _next_hubs(schedule_hubs, exists(select(_OF_RELEASE.c.schedule_id).where(*_OF_SCHEDULE))),
)
_KNOWN = [
    select(one.table.c.hub_id).where(
        is_one_of(one.table.c.hub_id, "keys"), one.table.c.release_id == bindparam("release_id")
    )
    for one in _TIMES
]
_NOT_YET = union(
    *(
        select(one.table.c.hub_id).where(
            is_one_of(one.table.c.hub_id, "keys"), one.table.c.release_id == bindparam("release_id"), one > _CUTOFF
        )
        for one in _TIMES
    ),
    select(schedule_hubs.c.hub_id).where(
        is_one_of(schedule_hubs.c.hub_id, "keys"),
        exists(select(_OF_RELEASE.c.schedule_id).where(*_OF_SCHEDULE, _OF_RELEASE.c.created_at > _CUTOFF)),
    ),
    select(attempts.c.hub_id).where(
        is_one_of(attempts.c.hub_id, "keys"),
        attempts.c.attempt_id == select(func.max(attempts.c.attempt_id)).scalar_subquery(),
    ),
)


def _of_hubs(table: Table) -> ColumnElement[bool]:
    """The rows of some hubs at a release."""
    at_hubs = is_one_of(table.c.hub_id, "keys")
    if table is schedule_hubs:
        return and_(at_hubs, schedule_hubs.c.schedule_id.in_(_SCHEDULES))
    if table is off_lists:
        mine = select(attempts.c.attempt_id).where(
            attempts.c.hub_id == off_lists.c.hub_id, attempts.c.release_id == bindparam("release_id")
        )
        return and_(at_hubs, off_lists.c.attempt_id.in_(mine))
    return and_(at_hubs, table.c.release_id == bindparam("release_id"))


_AT_HUBS = (off_lists, attempts, schedule_hubs, decisions, departures, arrivals)
"""In the order in which they can be removed."""


def _over_hubs(
    connection: Connection, cutoff: datetime, release_id: str, place: int, after: str
) -> Iterator[tuple[list[str], str]]:
    """Hubs at a release at which nothing has happened since, as one of the tables has them, in portions.

    Each with the last hub that was looked at.
    """
    sought = {"release_id": release_id, "cutoff": cutoff}
    while hubs := connection.scalars(_HUBS[place], {**sought, "after": after}).all():
        not_yet = set(connection.scalars(_NOT_YET, {**sought, "keys": members(hubs)}))
        if over := [hub for hub in hubs if hub not in not_yet]:
            yield over, hubs[-1]
        if len(hubs) < _HUBS_AT_ONCE:
            return
        after = hubs[-1]


def choose(connection: Connection, cutoff: datetime, reached: tuple[str, int, str]) -> Portion | None:
    """The next hubs of a release at which nothing has happened since `cutoff`, from where the run has come to."""
    for release_id in connection.scalars(_OVER).all():
        for place in range(len(_HUBS)):
            if (release_id, place) < reached[:2]:
                continue
            after = reached[2] if (release_id, place) == reached[:2] else ""
            for hubs, last in _over_hubs(connection, cutoff, release_id, place, after):
                return Portion([release_id, *hubs], reached=(release_id, place, last))
    return None


def count(connection: Connection, cutoff: datetime) -> int:
    """How many hubs would go, each release counted by itself."""
    found = 0
    for release_id in connection.scalars(_OVER).all():
        for place in range(len(_HUBS)):
            for hubs, _ in _over_hubs(connection, cutoff, release_id, place, ""):
                sought = {"release_id": release_id, "keys": members(hubs)}
                known = {hub for earlier in _KNOWN[:place] for hub in connection.scalars(earlier, sought)}
                found += len(set(hubs) - known)
    return found


def read(connection: Connection, portion: Portion) -> Iterator[Line]:
    """All that is kept of some hubs at a release."""
    release_id, *hubs = portion.keys
    for table in _AT_HUBS:
        yield from lines(connection, table, _of_hubs(table), hubs, release_id=release_id)


def remove(connection: Connection, portion: Portion) -> None:
    """Remove it; raises ChangedMeanwhile if the release is not over any more."""
    release_id, *hubs = portion.keys
    if release_id not in connection.scalars(_OVER).all():
        raise ChangedMeanwhile(f"release {release_id} is not over")
    for table in _AT_HUBS:
        connection.execute(table.delete().where(_of_hubs(table)), {"keys": members(hubs), "release_id": release_id})
