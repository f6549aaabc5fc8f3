"""What is exchanged with the CSPs: lists and how far they have come, and what is overdue."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, bindparam, case, exists, func, literal_column, null, or_, select

from sr_engine.domain.states import WITH_CSP, AttemptState
from sr_engine.messages.model import Period
from sr_engine.store.on_lists import ATTEMPTS_ON_LISTS
from sr_engine.store.paging import Page, UpTo, page, place_of, up_to
from sr_engine.store.tables import UtcDateTime, attempts, list_withdrawals, listed_hubs, outbox, releases, upgrade_lists

_LISTS: Select[Any] = (
    select(
        upgrade_lists.c.list_id,
        upgrade_lists.c.region,
        upgrade_lists.c.release_id,
        releases.c.version,
        upgrade_lists.c.period_start,
        upgrade_lists.c.period_end,
        upgrade_lists.c.hub_count,
        upgrade_lists.c.cut_at,
        upgrade_lists.c.acknowledged_at,
        upgrade_lists.c.chased_at,
        upgrade_lists.c.replaces,
        upgrade_lists.c.message_id,
        outbox.c.state,
        outbox.c.delivered_at,
    )
    .join(releases, releases.c.release_id == upgrade_lists.c.release_id)
    .join(outbox, outbox.c.message_id == upgrade_lists.c.message_id)
)
_UNACKNOWLEDGED = and_(upgrade_lists.c.acknowledged_at.is_(None), outbox.c.delivered_at.is_not(None))
# One whose hubs have all been given up is a breach, which the service levels tell: nobody waits for its answer.
_WAITS_FOR_ANSWER = exists(
    select(attempts.c.attempt_id)
    .select_from(ATTEMPTS_ON_LISTS)
    .where(listed_hubs.c.list_id == upgrade_lists.c.list_id, attempts.c.state == AttemptState.LISTED.value)
)
_WITH_CSP = sorted(state.value for state in WITH_CSP)
_HAS_REASON = attempts.c.state.in_((AttemptState.FAILED.value, AttemptState.MISSED.value))
_REASON = case((_HAS_REASON, func.coalesce(attempts.c.reason, "")), else_=null()).label("why")
_STANDING = (
    select(attempts.c.state, _REASON, func.count())
    .select_from(ATTEMPTS_ON_LISTS)
    .where(listed_hubs.c.list_id == bindparam("list_id"))
    # By its name: on PostgreSQL the parameters in it would make another expression of it.
    .group_by(attempts.c.state, literal_column("why"))
)
_MOST_REASONS = 20
_WITHDRAWALS = (
    select(
        list_withdrawals.c.message_key,
        list_withdrawals.c.reason,
        list_withdrawals.c.replacing,
        list_withdrawals.c.asked_at,
        list_withdrawals.c.answered_at,
    )
    .where(list_withdrawals.c.list_id == bindparam("list_id"))
    .order_by(list_withdrawals.c.asked_at)
)
# Windows that have ended, along the index of what is open: of those few wait for their report.
_OVERDUE_REPORTS = select(func.count()).select_from(
    select(attempts.c.attempt_id)
    .where(
        attempts.c.region == bindparam("region"),
        attempts.c.is_open,
        attempts.c.window_end <= bindparam("ended_before", type_=UtcDateTime),
        attempts.c.state.in_(_WITH_CSP),
    )
    .limit(bindparam("at_most"))
    .subquery()
)


@dataclass(frozen=True, slots=True)
class ListLine:
    """An upgrade list, and how far it has come."""

    list_id: str
    region: str
    release_id: str
    version: str
    period: Period
    hub_count: int
    cut_at: datetime
    acknowledged_at: datetime | None
    chased_at: datetime | None
    replaces: str | None
    message_id: str
    sending: str
    """The state of its message."""
    delivered_at: datetime | None

    def is_overdue(self, limit: timedelta, now: datetime) -> bool:
        """Whether its CSP has had it for longer than the limit, and has not acknowledged all of it."""
        return self.acknowledged_at is None and self.delivered_at is not None and now > self.delivered_at + limit


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """That a CSP was asked to take hubs off a list."""

    message_key: str
    reason: str
    replacing: bool
    asked_at: datetime
    answered_at: datetime | None


@dataclass(frozen=True, slots=True)
class ListStanding:
    """What became of the hubs on a list so far."""

    states: dict[str, int]
    reasons: tuple[tuple[str, str, int], ...]
    """Of those that failed or were missed: state, reason and number of the most frequent ones."""
    withdrawals: tuple[Withdrawal, ...]


def newest_lists(
    connection: Connection,
    *,
    region: str | None = None,
    unacknowledged: bool = False,
    after: str | None = None,
    limit: int,
) -> Page[ListLine]:
    """Lists, those cut last first; only those a CSP has had and has not acknowledged, if asked for.

    Raises ValueError for an `after` that no page has given.
    """
    statement = _LISTS.order_by(upgrade_lists.c.cut_at.desc(), upgrade_lists.c.list_id.desc())
    values: dict[str, object] = {}
    if region is not None:
        statement, values["region"] = statement.where(upgrade_lists.c.region == bindparam("region")), region
    if unacknowledged:
        statement = statement.where(_UNACKNOWLEDGED)
    if after is not None:
        text, _, list_id = after.partition("_")
        at = bindparam("at", type_=UtcDateTime)
        same = and_(upgrade_lists.c.cut_at == at, upgrade_lists.c.list_id < bindparam("after"))
        statement = statement.where(or_(upgrade_lists.c.cut_at < at, same))
        values |= {"at": place_of(text)[0], "after": list_id}
    rows = connection.execute(statement.limit(limit + 1), values).all()
    return page([_line(row) for row in rows], limit, lambda one: f"{one.cut_at.isoformat()}_{one.list_id}")


def overdue_lists(connection: Connection, region: str, delivered_before: datetime, most: int) -> UpTo:
    """Lists that a CSP has had since before a time, some hubs of which wait for its answer, counted up to `most`."""
    some = (
        select(upgrade_lists.c.list_id)
        .join(outbox, outbox.c.message_id == upgrade_lists.c.message_id)
        .where(upgrade_lists.c.region == region, _UNACKNOWLEDGED, outbox.c.delivered_at < delivered_before)
        .where(_WAITS_FOR_ANSWER)
        .limit(most + 1)
        .subquery()
    )
    return up_to(connection.scalar(select(func.count()).select_from(some)) or 0, most)


def overdue_reports(connection: Connection, region: str, ended_before: datetime, most: int) -> UpTo:
    """Hubs with the CSP whose window ended before a time and of which no outcome was reported, up to `most`."""
    sought = {"region": region, "ended_before": ended_before, "at_most": most + 1}
    return up_to(connection.scalar(_OVERDUE_REPORTS, sought) or 0, most)


def find(connection: Connection, list_id: str) -> ListLine | None:
    """One list; None for an unknown one."""
    row = connection.execute(_LISTS.where(upgrade_lists.c.list_id == list_id)).one_or_none()
    return None if row is None else _line(row)


def standing(connection: Connection, list_id: str) -> ListStanding:
    """What became of the hubs on a list: each is looked at."""
    sought = {"list_id": list_id}
    states: Counter[str] = Counter()
    reasons: list[tuple[str, str, int]] = []
    for state, reason, count in connection.execute(_STANDING, sought):
        states[state] += count
        if reason is not None:
            reasons.append((state, reason, count))
    frequent = sorted(reasons, key=lambda one: (-one[2], one[0], one[1]))[:_MOST_REASONS]
    withdrawals = tuple(Withdrawal(*row) for row in connection.execute(_WITHDRAWALS, sought))
    return ListStanding(dict(states), tuple(frequent), withdrawals)


def _line(row: Row[Any]) -> ListLine:
    return ListLine(
        row.list_id,
        row.region,
        row.release_id,
        row.version,
        Period(row.period_start, row.period_end),
        row.hub_count,
        row.cut_at,
        row.acknowledged_at,
        row.chased_at,
        row.replaces,
        row.message_id,
        row.state,
        row.delivered_at,
    )
