"""What the processor is at: lists being cut, halts being told, and how a release stands in each region.

Everything is counted along an index that holds what is counted and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, exists, func, select

from sr_engine.domain.phases import OutcomeCounts
from sr_engine.domain.states import AttemptState
from sr_engine.store.paging import UpTo, up_to
from sr_engine.store.tables import (
    attempts,
    list_runs,
    release_regions,
    releases,
    scheduled_hubs,
    tidings,
    trigger_runs,
)

_CUT = "cut"
"""The trigger that cuts lists."""
_OUTCOMES = (AttemptState.ACTIVATED.value, AttemptState.FAILED.value, AttemptState.MISSED.value)
_HERE = (attempts.c.release_id == bindparam("release_id"), attempts.c.region == bindparam("region"))
_RUNNING = (
    select(
        list_runs.c.region,
        list_runs.c.period_start,
        list_runs.c.chosen,
        list_runs.c.hubs,
        list_runs.c.lists,
        list_runs.c.left_out,
    )
    .where(
        ~exists().where(
            trigger_runs.c.region == list_runs.c.region,
            trigger_runs.c.period_start == list_runs.c.period_start,
            trigger_runs.c.trigger == bindparam("trigger"),
        )
    )
    .order_by(list_runs.c.period_start, list_runs.c.region)
    .limit(20)
)
_HALTED = (
    select(
        releases.c.release_id,
        releases.c.manufacturer,
        releases.c.model,
        releases.c.version,
        release_regions.c.region,
        release_regions.c.halted_at,
        release_regions.c.halt_reason,
    )
    .join(releases, releases.c.release_id == release_regions.c.release_id)
    .where(release_regions.c.halted_at.is_not(None), releases.c.status != "Withdrawn")
    .order_by(release_regions.c.halted_at, release_regions.c.region)
)

_SCHEDULED = select(func.count()).select_from(
    select(scheduled_hubs.c.hub_id)
    .where(scheduled_hubs.c.region == bindparam("region"), scheduled_hubs.c.release_id == bindparam("release_id"))
    .limit(bindparam("at_most"))
    .subquery()
)
_OPEN = select(func.count()).select_from(
    select(attempts.c.attempt_id).where(*_HERE, attempts.c.is_open).limit(bindparam("at_most")).subquery()
)
_OUTCOME = select(func.count()).select_from(
    select(attempts.c.outcome)
    .where(*_HERE, attempts.c.outcome == bindparam("outcome"))
    .limit(bindparam("at_most"))
    .subquery()
)


@dataclass(frozen=True, slots=True)
class Cutting:
    """Lists of a region that are being cut."""

    region: str
    period_start: datetime
    chosen: int
    listed: int
    lists: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Halted:
    """A release that is halted in a region."""

    release_id: str
    manufacturer: str
    model: str
    version: str
    region: str
    halted_at: datetime
    reason: str | None


@dataclass(frozen=True, slots=True)
class Attempts:
    """Attempts at a release in a region, by what they have come to; not hubs, for one may be tried again."""

    scheduled: UpTo
    with_csp_or_waiting: UpTo
    """All that are under way, those Scheduled among them."""
    outcomes: Mapping[str, UpTo]
    """Of those that were listed, by state."""

    def with_outcomes(self, counts: OutcomeCounts) -> Attempts:
        """The same with outcomes that were counted to the last."""
        numbers = (counts.activated, counts.failed, counts.missed)
        exact = {state: UpTo(number) for state, number in zip(_OUTCOMES, numbers, strict=True)}
        return replace(self, outcomes=exact)


def cutting(connection: Connection) -> list[Cutting]:
    """Every night whose lists are being cut now."""
    return [Cutting(*row) for row in connection.execute(_RUNNING, {"trigger": _CUT})]


def halted(connection: Connection) -> list[Halted]:
    """Every release that is halted in a region, longest first."""
    return [Halted(*row) for row in connection.execute(_HALTED)]


def news_left(connection: Connection, most: int) -> UpTo:
    """Hubs of which Suppliers are still to be told, in portions, counted up to `most` portions."""
    some = select(tidings.c.tidings_id).limit(most + 1).subquery()
    return up_to(connection.scalar(select(func.count()).select_from(some)) or 0, most)


def attempts_at(connection: Connection, release_id: str, region: str, most: int) -> Attempts:
    """What there is at a release in a region, each counted up to `most`."""
    sought = {"release_id": release_id, "region": region, "at_most": most + 1}

    def count(statement: Select[Any], **more: object) -> UpTo:
        return up_to(connection.scalar(statement, {**sought, **more}) or 0, most)

    outcomes = {state: count(_OUTCOME, outcome=state) for state in _OUTCOMES}
    return Attempts(count(_SCHEDULED), count(_OPEN), outcomes)
