"""The hubs of one Supplier: found in order of their ids, by status, and counted, at a million hubs too.

What a status is stands once more here, in SQL, for a database can stop at the end of a page and count without handing
hubs over; that it is the same as `domain.status` says, for every hub, is for a test to show.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    Select,
    Subquery,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    literal,
    or_,
    select,
)

from sr_engine.domain.eligibility import UPGRADABLE_STATUSES, Applicant
from sr_engine.domain.states import OPEN, WITH_CSP, AttemptState
from sr_engine.domain.upgrades import Release
from sr_engine.messages.model import Approval, UpgradeStatus
from sr_engine.store import inventory
from sr_engine.store.overlays import exclusion_runs
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import (
    UtcDateTime,
    arrivals,
    attempts,
    decisions,
    devices,
    exclusions,
    schedules,
    supplier_hubs,
)

LAST = "~"
"""After every id that begins with what stands before it."""

_NO_STATE = ""
_LAID_OVER = sorted({*(OPEN - WITH_CSP), AttemptState.CANCELLED})
_ENDED_FOR_GOOD = (AttemptState.ACTIVATED, AttemptState.FAILED, AttemptState.MISSED)


@dataclass(frozen=True, slots=True)
class Sought:
    """Which hubs: each condition holds, and none that is not given."""

    region: str | None = None
    prefix: str = ""
    """With which the id begins, as it is stored."""
    status: UpgradeStatus | None = None
    """At the release that is asked about."""
    own_approval: Approval | None = None
    """The same."""
    waiting: bool = False
    """Only hubs for which this Supplier has still to answer to the release."""


@dataclass(frozen=True, slots=True)
class Found:
    """Some hubs, and how far the search has come; None: there are no others."""

    hub_ids: tuple[str, ...]
    reached: str | None


@dataclass(frozen=True, slots=True)
class Counted:
    """How many hubs of a region have a status at a release."""

    region: str
    status: UpgradeStatus
    waiting: bool
    """This Supplier has still to answer for them."""
    hubs: int


def search(
    connection: Connection,
    viewer: Applicant,
    release: Release | None,
    sought: Sought,
    now: datetime,
    *,
    after: str,
    limit: int,
    scan: int,
) -> Found:
    """The next hubs that `viewer` is responsible for, ascending; at most `scan` that may be are looked at.

    With a release only hubs of its model. Raises ValueError for a condition that needs a release where there is none.
    """
    if release is None and (sought.status or sought.own_approval or sought.waiting):
        raise ValueError("a status is one at a release")
    end = sought.prefix + LAST
    bounds = {"organisation": viewer.organisation, "after": max(after, sought.prefix), "end": end}
    last = connection.scalar(_NTH if after >= sought.prefix else _NTH_FROM, {**bounds, "skipped": scan - 1})
    values = {**bounds, "end": last or end, **_values(release, now), **_wanted(sought, release)}
    statement = _search(viewer.roles, release is not None, sought_key(sought), from_first=after < sought.prefix)
    hub_ids = tuple(connection.scalars(statement, {**values, "at_most": limit}))
    if len(hub_ids) == limit:
        return Found(hub_ids, hub_ids[-1])
    return Found(hub_ids, last)


def count(connection: Connection, viewer: Applicant, release: Release, now: datetime) -> list[Counted]:
    """All hubs of the release's model that `viewer` is responsible for, by region and status."""
    found = connection.execute(_count(viewer.roles), {"organisation": viewer.organisation, **_values(release, now)})
    return [
        Counted(region or "Unknown", UpgradeStatus(status), bool(waits), hubs) for region, status, waits, hubs in found
    ]


def concerned(connection: Connection, viewer: Applicant, release: Release, now: datetime) -> bool:
    """Whether `viewer` is responsible for a hub of the release's model, has answered for one, or has scheduled some."""
    values = {"organisation": viewer.organisation, **_values(release, now)}
    return bool(connection.scalar(_HAS_SCHEDULED, values)) or bool(connection.scalar(_concerned(viewer.roles), values))


def sought_key(sought: Sought) -> tuple[bool, ...]:
    """Which conditions there are: what a statement is written for."""
    return (sought.region is not None, sought.status is not None, sought.own_approval is not None, sought.waiting)


_CANDIDATES = supplier_hubs.c.organisation == bindparam("organisation")
_WITHIN = and_(_CANDIDATES, supplier_hubs.c.hub_id > bindparam("after"), supplier_hubs.c.hub_id <= bindparam("end"))
_WITHIN_FROM = and_(
    _CANDIDATES, supplier_hubs.c.hub_id >= bindparam("after"), supplier_hubs.c.hub_id <= bindparam("end")
)


def _nth(within: ColumnElement[bool]) -> Select[Any]:
    return (
        select(supplier_hubs.c.hub_id)
        .where(within)
        .order_by(supplier_hubs.c.hub_id)
        .offset(bindparam("skipped"))
        .limit(1)
    )


_HAS_SCHEDULED = select(
    exists().where(
        schedules.c.organisation == bindparam("organisation"), schedules.c.release_id == bindparam("release_id")
    )
)
_NTH, _NTH_FROM = _nth(_WITHIN), _nth(_WITHIN_FROM)


def _values(release: Release | None, now: datetime) -> dict[str, object]:
    """What every statement is given."""
    values: dict[str, object] = {"at": now, "now": now}
    if release is not None:
        open_now = release.status == "Open" and release.cpl_status == "Active"
        values |= {
            "release_id": release.release_id,
            "manufacturer": release.firmware.manufacturer,
            "model": release.firmware.model,
            "halted": members(sorted(release.halted)),
            "open_in": members(sorted(release.regions) if open_now else []),
            "versions": members(sorted(release.reachable_from)),
        }
    return values


def _wanted(sought: Sought, release: Release | None) -> dict[str, object]:
    wanted: dict[str, object] = {}
    if sought.region is not None:
        wanted["region"] = sought.region
    if release is not None and sought.status is not None:
        wanted["status"] = sought.status.value
    if release is not None and sought.own_approval is not None:
        wanted["own_approval"] = sought.own_approval.value
    return wanted


def _responsible(hub: Subquery, roles: Collection[str]) -> ColumnElement[bool]:
    organisation: ColumnElement[str] = bindparam("organisation")
    held = [hub.c.electricity == organisation] if "IS" in roles else []
    held += [hub.c.gas == organisation] if "GS" in roles else []
    return or_(false(), *held)


def _hubs(within: ColumnElement[bool]) -> Subquery:
    """Hubs that the Supplier may be responsible for, with who is."""
    return (
        select(
            devices.c.device_id.label("hub_id"),
            devices.c.csp_region.label("region"),
            devices.c.device_status,
            devices.c.manufacturer,
            devices.c.model,
            devices.c.firmware_version,
            inventory.responsible("ESME", "IS").label("electricity"),
            inventory.responsible("GSME", "GS").label("gas"),
            supplier_hubs.c.hub_id.label("place"),
        )
        .join_from(supplier_hubs, devices, devices.c.device_id == supplier_hubs.c.hub_id)
        .where(within, devices.c.device_type == "CHF")
        .subquery("hub")
    )


def _at_release(hub: Subquery, conditions: Collection[ColumnElement[bool]]) -> Subquery:
    """What is known of hubs at one release, as far as their Supplier may see it."""
    organisation: ColumnElement[str] = bindparam("organisation")
    release_id: ColumnElement[str] = bindparam("release_id")
    newest, own, earlier = attempts.alias("newest"), decisions.alias("own"), attempts.alias("earlier")
    number = (
        select(func.max(earlier.c.number))
        .where(earlier.c.hub_id == hub.c.hub_id, earlier.c.release_id == release_id)
        .scalar_subquery()
    )
    source = (
        hub.outerjoin(
            newest,
            and_(newest.c.hub_id == hub.c.hub_id, newest.c.release_id == release_id, newest.c.number == number),
        )
        .outerjoin(
            own,
            and_(own.c.hub_id == hub.c.hub_id, own.c.release_id == release_id, own.c.organisation == organisation),
        )
        .outerjoin(
            arrivals,
            and_(
                arrivals.c.hub_id == hub.c.hub_id,
                arrivals.c.release_id == release_id,
                arrivals.c.organisation == organisation,
            ),
        )
    )
    state = case(
        (newest.c.number.is_(None), _NO_STATE),
        (newest.c.number <= func.coalesce(arrivals.c.attempts_before, 0), _NO_STATE),
        (newest.c.state == AttemptState.VOIDED.value, AttemptState.CANCELLED.value),
        else_=newest.c.state,
    )
    return (
        select(
            hub.c.hub_id,
            hub.c.region,
            hub.c.device_status,
            hub.c.firmware_version,
            hub.c.place,
            case((hub.c.electricity != organisation, hub.c.electricity), (hub.c.gas != organisation, hub.c.gas)).label(
                "other"
            ),
            state.label("state"),
            _approval(own.c.approval, own.c.defer_until).label("own"),
        )
        .select_from(source)
        .where(*conditions)
        .subquery("known")
    )


def _status(known: Subquery) -> ColumnElement[str]:
    """The precedence of `domain.status`."""
    organisation: ColumnElement[str] = bindparam("organisation")
    excluded = exists().where(
        exclusions.c.hub_id == known.c.hub_id, exclusions.c.organisation == organisation, exclusion_runs("now")
    )
    is_open = known.c.state.in_([one.value for one in sorted(OPEN)])
    laid_over = known.c.state.in_([_NO_STATE, *(one.value for one in _LAID_OVER)])
    no_or_later = known.c.own.in_((Approval.DECLINED.value, Approval.DEFERRED.value))
    # Where one of two has left, the answer that is still there stands for the other side until that is carried out.
    others = func.coalesce(_others_answer(known, present=True), _others_answer(known, present=False), "")
    return case(
        (and_(laid_over, excluded), UpgradeStatus.EXCLUDED.value),
        (and_(laid_over, is_open, is_one_of(known.c.region, "halted")), UpgradeStatus.HALTED.value),
        (and_(known.c.state == AttemptState.AWAITING_APPROVAL.value, no_or_later), known.c.own),
        (or_(is_open, known.c.state.in_([one.value for one in _ENDED_FOR_GOOD])), known.c.state),
        (no_or_later, known.c.own),
        (
            and_(known.c.own == Approval.APPROVED.value, known.c.other.is_not(None), others != Approval.APPROVED.value),
            UpgradeStatus.AWAITING_APPROVAL.value,
        ),
        (known.c.state == _NO_STATE, UpgradeStatus.NOT_SCHEDULED.value),
        else_=known.c.state,
    )


def _others_answer(known: Subquery, *, present: bool) -> ScalarSelect[Any]:
    other = decisions.alias("present" if present else "gone")
    organisation: ColumnElement[str] = bindparam("organisation")
    whose = other.c.organisation == known.c.other if present else other.c.organisation != organisation
    return (
        select(func.max(_approval(other.c.approval, other.c.defer_until)))
        .where(other.c.hub_id == known.c.hub_id, other.c.release_id == bindparam("release_id"), whose)
        .scalar_subquery()
    )


def _waiting(known: Subquery) -> ColumnElement[bool]:
    """The Supplier has still to answer, and the firmware could be installed."""
    unanswered = [_NO_STATE, AttemptState.AWAITING_APPROVAL.value, AttemptState.CANCELLED.value]
    return and_(
        known.c.own == Approval.PENDING.value,
        known.c.state.in_(unanswered),
        is_one_of(known.c.region, "open_in"),
        is_one_of(known.c.firmware_version, "versions"),
        known.c.device_status.in_(sorted(UPGRADABLE_STATUSES)),
    )


def _approval(approval: ColumnElement[str], defer_until: ColumnElement[datetime | None]) -> ColumnElement[str]:
    """An answer as it stands now."""
    run_out = and_(
        approval == Approval.DEFERRED.value,
        defer_until.is_not(None),
        defer_until <= bindparam("now", type_=UtcDateTime),
    )
    return case((approval.is_(None), Approval.PENDING.value), (run_out, Approval.PENDING.value), else_=approval)


def _of_model(hub: Subquery) -> ColumnElement[bool]:
    # Not the columns themselves: there is an index of them, along which all hubs of the model would be gone through.
    manufacturer, model = (column.concat("") for column in (hub.c.manufacturer, hub.c.model))
    return and_(manufacturer == bindparam("manufacturer"), model == bindparam("model"))


@lru_cache(maxsize=256)
def _search(roles: frozenset[str], at_release: bool, key: tuple[bool, ...], *, from_first: bool) -> Select[Any]:
    by_region, by_status, by_approval, only_waiting = key
    hub = _hubs(_WITHIN_FROM if from_first else _WITHIN)
    conditions = [_responsible(hub, roles)]
    if by_region:
        conditions.append(hub.c.region == bindparam("region"))
    if at_release:
        conditions.append(_of_model(hub))
    if not (by_status or by_approval or only_waiting):
        found = select(hub.c.hub_id).where(*conditions).order_by(hub.c.place)
        return found.limit(bindparam("at_most"))
    known = _at_release(hub, conditions)
    wanted = [
        *([_status(known) == bindparam("status")] if by_status else ()),
        *([known.c.own == bindparam("own_approval")] if by_approval else ()),
        *([_waiting(known)] if only_waiting else ()),
    ]
    return select(known.c.hub_id).where(*wanted).order_by(known.c.place).limit(bindparam("at_most"))


@lru_cache(maxsize=8)
def _concerned(roles: frozenset[str]) -> Select[Any]:
    hub = _hubs(_CANDIDATES)
    has_answered = exists().where(
        decisions.c.hub_id == hub.c.hub_id,
        decisions.c.release_id == bindparam("release_id"),
        decisions.c.organisation == bindparam("organisation"),
    )
    return (
        select(literal(1)).select_from(hub).where(_of_model(hub), or_(_responsible(hub, roles), has_answered)).limit(1)
    )


@lru_cache(maxsize=8)
def _count(roles: frozenset[str]) -> Select[Any]:
    hub = _hubs(_CANDIDATES)
    known = _at_release(hub, [_responsible(hub, roles), _of_model(hub)])
    waits = case((_waiting(known), literal(1)), else_=literal(0))
    of_hub = select(known.c.region, _status(known).label("status"), waits.label("waits")).subquery("of_hub")
    groups = (of_hub.c.region, of_hub.c.status, of_hub.c.waits)
    return select(*groups, func.count()).group_by(*groups).order_by(*groups)
