"""Pilots, gates and halts: the plan and the standing of each region, and the counts that decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, bindparam, exists, func, not_, or_, select, update

from sr_engine.domain.phases import (
    OutcomeCounts,
    PhasePlan,
    PilotCounts,
    PilotPlaces,
    RegionPhase,
    activations_that_matter,
)
from sr_engine.domain.states import OPEN, WITH_CSP, AttemptState
from sr_engine.messages.model import Firmware
from sr_engine.store import inventory
from sr_engine.store.lists import StoredAttempt
from sr_engine.store.overlays import exclusion_runs
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import (
    attempts,
    devices,
    exclusions,
    pilot_shares,
    release_regions,
    releases,
    schedule_hubs,
    schedules,
)
from sr_engine.store.upgrades import attempt_of

_AT_ONCE = 20_000
"""Hubs whose Suppliers are looked up by one statement."""

_EVER = datetime(1, 1, 1, tzinfo=UTC)
_HAS_ENDED = frozenset({AttemptState.ACTIVATED.value, AttemptState.FAILED.value, AttemptState.MISSED.value})
_HERE = (attempts.c.release_id == bindparam("release_id"), attempts.c.region == bindparam("region"))
_THIS_REGION = (
    release_regions.c.release_id == bindparam("key_release"),
    release_regions.c.region == bindparam("key_region"),
)

# Every region of a release that has a limit, with the share of one Supplier, if it has one.
_SHARES = (
    select(release_regions.c.region, func.coalesce(pilot_shares.c.hubs, 0))
    .outerjoin(
        pilot_shares,
        and_(
            pilot_shares.c.release_id == release_regions.c.release_id,
            pilot_shares.c.region == release_regions.c.region,
            pilot_shares.c.organisation == bindparam("organisation"),
        ),
    )
    .where(release_regions.c.release_id == bindparam("release_id"), release_regions.c.pilot_limit.is_not(None))
)
# Hubs of a Supplier's pilot schedules that are in force or have had their outcome, each once.
_NAMED = (
    select(devices.c.device_id, devices.c.csp_region)
    .distinct()
    .join(schedule_hubs, schedule_hubs.c.hub_id == devices.c.device_id)
    .join(schedules, schedules.c.schedule_id == schedule_hubs.c.schedule_id)
    .where(
        schedules.c.release_id == bindparam("release_id"),
        schedules.c.organisation == bindparam("organisation"),
        schedules.c.phase == "Pilot",
        or_(schedule_hubs.c.done, and_(schedule_hubs.c.in_force, not_(is_one_of(schedule_hubs.c.hub_id, "leaving")))),
    )
)
_OF_MODEL = select(devices.c.device_id).where(
    devices.c.manufacturer == bindparam("manufacturer"),
    devices.c.model == bindparam("model"),
    devices.c.device_type == "CHF",
    is_one_of(devices.c.csp_region, "regions"),
)
_SHARES_OF_RELEASE = (
    select(pilot_shares.c.region, pilot_shares.c.organisation, pilot_shares.c.hubs)
    .where(pilot_shares.c.release_id == bindparam("release_id"))
    .order_by(pilot_shares.c.region, pilot_shares.c.organisation)
)
_STANDINGS = (
    select(release_regions, releases.c.status)
    .join(releases, releases.c.release_id == release_regions.c.release_id)
    .order_by(releases.c.opened_at, releases.c.release_id, release_regions.c.region)
)
_IN_REGION = _STANDINGS.where(release_regions.c.region == bindparam("region"))
_OF_RELEASE = _STANDINGS.where(release_regions.c.release_id == bindparam("release_id"))
_WAS_LISTED = attempts.c.list_id.is_not(None)
_PILOT = (
    select(attempts.c.state, _WAS_LISTED, func.count(), func.max(attempts.c.state_at))
    .where(
        *_HERE,
        attempts.c.pilot,
        # An excluded hub is never in a pilot, so nobody waits for it.
        ~and_(
            attempts.c.state == AttemptState.SCHEDULED.value,
            exists().where(exclusions.c.hub_id == attempts.c.hub_id, exclusion_runs("now")),
        ),
    )
    .group_by(attempts.c.state, _WAS_LISTED)
)
_WAITING = sorted(state.value for state in OPEN - WITH_CSP)
_ANYTHING_WAITING = (
    select(attempts.c.attempt_id)
    .where(*_HERE, attempts.c.is_open, or_(*(attempts.c.state == state for state in _WAITING)))
    .limit(1)
)
_NOT_WITH_CSP = (
    select(attempts)
    .where(
        *_HERE,
        attempts.c.is_open,
        attempts.c.attempt_id > bindparam("after"),
        or_(*(attempts.c.state == state for state in _WAITING)),
    )
    .order_by(attempts.c.attempt_id)
    .limit(bindparam("at_most"))
)


def _outcomes(*, up_to: bool) -> Select[Any]:
    """Counts the outcomes of one kind that came after a time; only up to a number, if asked for."""
    found = select(attempts.c.outcome).where(
        *_HERE,
        attempts.c.outcome == bindparam("state"),
        attempts.c.outcome_at > bindparam("since"),
    )
    return select(func.count()).select_from((found.limit(bindparam("most")) if up_to else found).subquery())


_ALL_OUTCOMES, _OUTCOMES_UP_TO = _outcomes(up_to=False), _outcomes(up_to=True)
_OPEN_GATE = update(release_regions).where(*_THIS_REGION, ~release_regions.c.general_open).values(general_open=True)
_HALT = (
    update(release_regions)
    .where(*_THIS_REGION, release_regions.c.halted_at.is_(None))
    .values(halted_at=bindparam("at"), halt_reason=bindparam("reason"), told_up_to=0)
)
_RESUME = (
    update(release_regions)
    .where(*_THIS_REGION, release_regions.c.halted_at.is_not(None))
    .values(halted_at=None, halt_reason=None, resumed_at=bindparam("at"), told_up_to=0)
)
_TOLD = update(release_regions).where(*_THIS_REGION).values(told_up_to=bindparam("up_to"))


def pilot_places(
    connection: Connection, release_id: str, organisation: str, *, leaving: Collection[str] = ()
) -> PilotPlaces:
    """What is left to a Supplier of its shares, once the hubs `leaving` give up the place they have not used.

    A Supplier that had no hubs when the shares were fixed has none in a region with a limit.
    """
    sought = {"release_id": release_id, "organisation": organisation}
    shares = _pairs(connection.execute(_SHARES, sought))
    if not shares:
        return PilotPlaces({})
    named = _pairs(connection.execute(_NAMED, {**sought, "leaving": members(leaving)}))
    taken = Counter(named.values())
    return PilotPlaces({region: max(share - taken[region], 0) for region, share in shares.items()}, frozenset(named))


def portfolios(
    connection: Connection, firmware: Firmware, regions: Collection[str], at: datetime
) -> dict[str, Counter[str]]:
    """By region and organisation, the hubs of the model that do not run the firmware; a split hub counts for both."""
    sought = {"manufacturer": firmware.manufacturer, "model": firmware.model, "regions": members(regions)}
    hub_ids = list(connection.scalars(_OF_MODEL, sought))
    found: dict[str, Counter[str]] = {region: Counter() for region in regions}
    for start in range(0, len(hub_ids), _AT_ONCE):
        for hub in inventory.hubs(connection, hub_ids[start : start + _AT_ONCE], at, with_han=False).values():
            if hub.region is not None and hub.version != firmware.version:
                found[hub.region].update(hub.responsible)
    return found


def add_shares(connection: Connection, release_id: str, region: str, shares: Mapping[str, int]) -> None:
    """Fix the shares of a region's pilot limit, by organisation."""
    rows = [
        {"release_id": release_id, "region": region, "organisation": organisation, "hubs": hubs}
        for organisation, hubs in sorted(shares.items())
    ]
    if rows:
        connection.execute(pilot_shares.insert(), rows)


def shares_of(connection: Connection, release_id: str) -> list[tuple[str, str, int]]:
    """Region, organisation and hubs of every share of a release's pilot."""
    found = connection.execute(_SHARES_OF_RELEASE, {"release_id": release_id})
    return [(region, organisation, hubs) for region, organisation, hubs in found]


def in_region(connection: Connection, region: str) -> list[RegionPhase]:
    """Where every release stands in a region, oldest first."""
    return [_phase_of(row) for row in connection.execute(_IN_REGION, {"region": region})]


def of_release(connection: Connection, release_id: str) -> dict[str, RegionPhase]:
    """Where a release stands, by region."""
    return {row.region: _phase_of(row) for row in connection.execute(_OF_RELEASE, {"release_id": release_id})}


def pilot_counts(connection: Connection, phase: RegionPhase, now: datetime) -> PilotCounts:
    """Where the pilot stands."""
    waiting = ended = 0
    last: datetime | None = None
    for state, listed, count, newest in connection.execute(_PILOT, {**_key(phase), "now": now}):
        if state == AttemptState.SCHEDULED.value or AttemptState(state) in WITH_CSP:
            waiting += count
        elif listed and state in _HAS_ENDED:
            ended += count
            last = newest if last is None else max(last, newest)
    return PilotCounts(waiting, ended, last)


def outcome_counts(connection: Connection, phase: RegionPhase) -> OutcomeCounts:
    """What became of the hubs that were listed, since the last resumption."""
    return _counts(connection, phase, up_to=None)


def outcomes_to_judge(connection: Connection, phase: RegionPhase) -> OutcomeCounts:
    """The same, but activations are counted only as far as they matter to the judgement: of millions, a few."""
    return _counts(connection, phase, up_to=phase.plan)


def _counts(connection: Connection, phase: RegionPhase, *, up_to: PhasePlan | None) -> OutcomeCounts:
    sought = {**_key(phase), "since": phase.resumed_at or _EVER}

    def count(state: AttemptState) -> int:
        return connection.scalar(_ALL_OUTCOMES, {**sought, "state": state.value}) or 0

    failed, missed = count(AttemptState.FAILED), count(AttemptState.MISSED)
    if up_to is None:
        return OutcomeCounts(count(AttemptState.ACTIVATED), failed, missed)
    most = activations_that_matter(up_to, failed + missed)
    activated = connection.scalar(
        _OUTCOMES_UP_TO, {**sought, "state": AttemptState.ACTIVATED.value, "most": most if failed + missed else 0}
    )
    return OutcomeCounts(activated or 0, failed, missed)


def anything_waiting(connection: Connection, phase: RegionPhase) -> bool:
    """True if an upgrade is under way that is not with the CSP."""
    return connection.scalar(_ANYTHING_WAITING, _key(phase)) is not None


def waiting(connection: Connection, phase: RegionPhase, *, after: int, limit: int) -> list[StoredAttempt]:
    """Upgrades under way that are not with the CSP, in the order of their row numbers, beginning after one."""
    found = connection.execute(_NOT_WITH_CSP, {**_key(phase), "after": after, "at_most": limit})
    return [StoredAttempt(row.hub_id, row.release_id, row.region, attempt_of(row)) for row in found]


def open_gate(connection: Connection, release_id: str, region: str) -> bool:
    """Open a region's gate to the General phase; False if it was open already."""
    return _changed(connection, _OPEN_GATE, release_id, region)


def halt(connection: Connection, release_id: str, region: str, *, at: datetime, reason: str) -> bool:
    """Halt a release in a region, of which Suppliers are still to be told; False if it was halted already."""
    return _changed(connection, _HALT, release_id, region, at=at, reason=reason)


def resume(connection: Connection, release_id: str, region: str, *, at: datetime) -> bool:
    """Resume it, of which Suppliers are still to be told; False if it was not halted."""
    return _changed(connection, _RESUME, release_id, region, at=at)


def told(connection: Connection, release_id: str, region: str, *, up_to: int | None) -> None:
    """Note up to which attempt Suppliers have been told; None: all of them."""
    _changed(connection, _TOLD, release_id, region, up_to=up_to)


def _changed(connection: Connection, statement: Any, release_id: str, region: str, **values: object) -> bool:
    result = connection.execute(statement, {"key_release": release_id, "key_region": region, **values})
    return bool(result.rowcount)


def _key(phase: RegionPhase) -> dict[str, str]:
    return {"release_id": phase.release_id, "region": phase.region}


def plan_values(plan: PhasePlan) -> dict[str, object]:
    """A plan as columns of release_regions."""
    return {
        "pilot_limit": plan.pilot_limit,
        "pilot_closes": plan.pilot_closes,
        "soak_seconds": round(plan.soak.total_seconds()),
        "automatic_gate": plan.automatic_gate,
        "failure_percent": plan.failure_percent,
        "minimum_sample": plan.minimum_sample,
    }


def _phase_of(row: Row[Any]) -> RegionPhase:
    plan = PhasePlan(
        pilot_limit=row.pilot_limit,
        pilot_closes=row.pilot_closes,
        soak=timedelta(seconds=row.soak_seconds),
        automatic_gate=row.automatic_gate,
        failure_percent=row.failure_percent,
        minimum_sample=row.minimum_sample,
    )
    return RegionPhase(
        release_id=row.release_id,
        region=row.region,
        status=row.status,
        plan=plan,
        general_open=row.general_open,
        halted_at=row.halted_at,
        halt_reason=row.halt_reason,
        resumed_at=row.resumed_at,
        told_up_to=row.told_up_to,
    )


def _pairs(rows: Iterable[Sequence[Any]]) -> dict[str, Any]:
    return {row[0]: row[1] for row in rows}
