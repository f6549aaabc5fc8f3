"""Which hubs the processor has to plan by itself, and where the remaining hubs of a release stand: read in sets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
)

from sr_engine.domain.eligibility import UPGRADABLE_STATUSES
from sr_engine.domain.states import WITH_CSP, AttemptState
from sr_engine.domain.upgrades import Release
from sr_engine.messages.model import Approval, Period
from sr_engine.store.overlays import exclusion_runs
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import UtcDateTime, attempts, decisions, devices, exclusions, releases, scheduled_hubs

EXAMINED_AT_ONCE = 20_000
"""Hubs of a model that one query looks at, at most: what it finds may be little, and others wait meanwhile."""


class Standing(StrEnum):
    """Where a hub that could be upgraded stands; the first that applies."""

    WITH_CSP = "with the CSP"
    EXCLUDED = "excluded"
    EXCLUSION_CONFIRMED = "excluded, to be overridden"
    COMPELLED = "scheduled by compulsion"
    SCHEDULED = "scheduled"
    DECLINED = "declined"
    AWAITING = "awaiting approval"
    APPROVED = "approved, not scheduled"
    NOT_SCHEDULED = "not scheduled"


@dataclass(frozen=True, slots=True)
class Found:
    """Hubs to be planned, ascending, and after which device to look on; None: there is no more."""

    hub_ids: list[str]
    next_after: str | None


def _time(name: str) -> ColumnElement[Any]:
    # A comparison with another parameter or a function would not give it its type.
    return bindparam(name, type_=UtcDateTime)


_OPEN = attempts.alias("open_attempt")
_EARLIER = attempts.alias("earlier")


def _upgradable() -> ColumnElement[bool]:
    return and_(
        devices.c.device_type == "CHF",
        devices.c.device_status.in_(sorted(UPGRADABLE_STATUSES)),
        is_one_of(devices.c.firmware_version, "versions"),
    )


def _candidates() -> Select[Any]:
    """Among the next hubs of a model in a region, those that a compulsory release has to plan or plan anew."""
    page = _page().subquery()
    hub_id = page.c.device_id
    of_release = _OPEN.c.release_id == bindparam("release_id")
    other_window = or_(_OPEN.c.window_start != _time("window_start"), _OPEN.c.window_end != _time("window_end"))
    awaiting = _OPEN.c.state == AttemptState.AWAITING_APPROVAL.value
    scheduled = and_(
        _OPEN.c.state == AttemptState.SCHEDULED.value,
        or_(and_(_OPEN.c.compulsory, other_window), _OPEN.c.window_start >= _time("window_end")),
    )
    to_be_planned = or_(
        _OPEN.c.attempt_id.is_(None), and_(of_release, or_(awaiting, scheduled)), and_(~of_release, _overruled())
    )
    # After an attempt that failed or was missed the next begins once its night is over: one a night at most.
    night_not_over = exists().where(
        _EARLIER.c.hub_id == hub_id,
        _EARLIER.c.release_id == bindparam("release_id"),
        _EARLIER.c.period_end > _time("now"),
        ~_EARLIER.c.is_open,
    )
    excluded_throughout = exists().where(
        exclusions.c.hub_id == hub_id,
        exclusions.c.overridden_at.is_(None),
        or_(exclusions.c.until.is_(None), exclusions.c.until >= _time("window_end")),
        or_(exclusions.c.limited_until.is_(None), exclusions.c.limited_until >= _time("window_end")),
    )
    return (
        select(hub_id)
        .outerjoin(_OPEN, and_(_OPEN.c.hub_id == hub_id, _OPEN.c.is_open))
        .where(
            page.c.device_status.in_(sorted(UPGRADABLE_STATUSES)),
            is_one_of(page.c.firmware_version, "versions"),
            to_be_planned,
            ~night_not_over,
            ~excluded_throughout,
        )
        .order_by(hub_id)
        .limit(bindparam("at_most"))
    )


def _overruled() -> ColumnElement[bool]:
    """An open attempt at another release may not be over in time, and that release has no earlier ComplyBy."""
    comes_first = exists().where(
        releases.c.release_id == _OPEN.c.release_id,
        releases.c.compulsory_from <= _time("now"),
        releases.c.comply_by > _time("now"),
        releases.c.comply_by <= _time("window_end"),
    )
    return and_(
        ~comes_first,
        or_(
            _OPEN.c.state == AttemptState.AWAITING_APPROVAL.value,
            and_(_OPEN.c.state == AttemptState.SCHEDULED.value, _OPEN.c.window_end > _time("window_end")),
        ),
    )


def _page() -> Select[Any]:
    """The next devices of an index of CHFs, which is why that they are is written out."""
    return (
        select(devices.c.device_id, devices.c.firmware_version, devices.c.device_status)
        .where(
            devices.c.device_type == literal_column("'CHF'"),
            devices.c.manufacturer == bindparam("manufacturer"),
            devices.c.model == bindparam("model"),
            devices.c.csp_region == bindparam("region"),
            devices.c.device_id > bindparam("after"),
        )
        .order_by(devices.c.device_id)
        .limit(EXAMINED_AT_ONCE)
    )


def _page_end() -> Select[int, str]:
    page = _page().subquery()
    return select(func.count(page.c.device_id), func.max(page.c.device_id))


def _lifted() -> Select[Any]:
    """Hubs of a release planned by compulsion for another window than the one given."""
    return (
        select(scheduled_hubs.c.hub_id)
        .where(
            scheduled_hubs.c.release_id == bindparam("release_id"),
            scheduled_hubs.c.region == bindparam("region"),
            # Those whose window has ended are Missed.
            scheduled_hubs.c.window_end > _time("now"),
            scheduled_hubs.c.compulsory,
            scheduled_hubs.c.hub_id > bindparam("after"),
            or_(
                scheduled_hubs.c.window_start != _time("window_start"),
                scheduled_hubs.c.window_end != _time("window_end"),
            ),
        )
        .order_by(scheduled_hubs.c.hub_id)
        .limit(bindparam("at_most"))
    )


def _standings() -> Select[Any]:
    answered = [
        exists().where(
            decisions.c.hub_id == devices.c.device_id,
            decisions.c.release_id == bindparam("release_id"),
            decisions.c.approval == approval.value,
        )
        for approval in (Approval.DECLINED, Approval.APPROVED)
    ]
    running = and_(exclusions.c.hub_id == devices.c.device_id, exclusion_runs("now"))
    standing = case(
        (_OPEN.c.state.in_(sorted(WITH_CSP)), Standing.WITH_CSP.value),
        (exists().where(running, exclusions.c.overridden_at.is_(None)), Standing.EXCLUDED.value),
        (exists().where(running), Standing.EXCLUSION_CONFIRMED.value),
        (and_(_OPEN.c.state == AttemptState.SCHEDULED.value, _OPEN.c.compulsory), Standing.COMPELLED.value),
        (_OPEN.c.state == AttemptState.SCHEDULED.value, Standing.SCHEDULED.value),
        (answered[0], Standing.DECLINED.value),
        (_OPEN.c.state == AttemptState.AWAITING_APPROVAL.value, Standing.AWAITING.value),
        (answered[1], Standing.APPROVED.value),
        else_=Standing.NOT_SCHEDULED.value,
    )
    attempt = and_(
        _OPEN.c.hub_id == devices.c.device_id, _OPEN.c.is_open, _OPEN.c.release_id == bindparam("release_id")
    )
    return (
        select(devices.c.csp_region, standing, func.count())
        .outerjoin(_OPEN, attempt)
        .where(
            devices.c.manufacturer == bindparam("manufacturer"),
            devices.c.model == bindparam("model"),
            is_one_of(devices.c.csp_region, "regions"),
            _upgradable(),
        )
        .group_by(devices.c.csp_region, standing)
    )


_OPEN_ELSEWHERE = (
    select(attempts.c.release_id, attempts.c.hub_id)
    .where(
        is_one_of(attempts.c.hub_id, "hub_ids"), attempts.c.is_open, attempts.c.release_id != bindparam("release_id")
    )
    .order_by(attempts.c.release_id, attempts.c.hub_id)
)
_CANDIDATES = _candidates()
_PAGE_END = _page_end()
_LIFTED = _lifted()
_STANDINGS = _standings()


def to_be_planned(
    connection: Connection, release: Release, region: str, window: Period, now: datetime, *, after: str, limit: int
) -> Found:
    """Hubs of a region that a release which is compulsory in `window` may be installed on and has not planned.

    Without an open attempt, or with one that awaits approval, was planned by compulsion for another window, or was
    agreed for after it; also with one at another release that gives way to it. Left out are hubs with any other
    upgrade to another release under way, those that an exclusion nobody has confirmed keeps out for all of the window,
    and those whose last attempt was for a night that is not over.
    """
    sought: dict[str, object] = {
        "manufacturer": release.firmware.manufacturer,
        "model": release.firmware.model,
        "region": region,
        "after": after,
    }
    examined, last = connection.execute(_PAGE_END, sought).one()
    if not examined:
        return Found([], None)
    found = list(
        connection.scalars(
            _CANDIDATES,
            {
                **sought,
                "release_id": release.release_id,
                "versions": members(sorted(release.reachable_from)),
                "window_start": window.start,
                "window_end": window.end,
                "now": now,
                "at_most": limit,
            },
        )
    )
    if len(found) == limit:
        return Found(found, found[-1])
    return Found(found, last if examined == EXAMINED_AT_ONCE else None)


def overruled(connection: Connection, hub_ids: Collection[str], release_id: str) -> dict[str, list[str]]:
    """By other release, those of some hubs to be planned that have an attempt open at it."""
    found: dict[str, list[str]] = {}
    sought = {"hub_ids": members(hub_ids), "release_id": release_id}
    for other, hub_id in connection.execute(_OPEN_ELSEWHERE, sought):
        found.setdefault(other, []).append(hub_id)
    return found


def lifted(
    connection: Connection,
    release_id: str,
    region: str,
    window: Period | None,
    now: datetime,
    *,
    after: str,
    limit: int,
) -> list[str]:
    """The next hubs of a release planned by compulsion that its terms do not compel, or for another window."""
    # No attempt is for no time at all.
    compelled = window or Period(now, now)
    sought = {"release_id": release_id, "region": region, "now": now, "after": after, "at_most": limit}
    window_of = {"window_start": compelled.start, "window_end": compelled.end}
    return list(connection.scalars(_LIFTED, sought | window_of))


def standings(connection: Connection, release: Release, now: datetime) -> Mapping[str, Mapping[Standing, int]]:
    """By region, how many of the hubs that the release may be installed on stand where."""
    sought = {
        "manufacturer": release.firmware.manufacturer,
        "model": release.firmware.model,
        "release_id": release.release_id,
        "regions": members(sorted(release.regions)),
        "versions": members(sorted(release.reachable_from)),
        "now": now,
    }
    found: dict[str, dict[Standing, int]] = {region: {} for region in sorted(release.regions)}
    for region, standing, count in connection.execute(_STANDINGS, sought):
        found[region][Standing(standing)] = count
    return found
