"""What service levels are measured by: counted by SQLite, hub by hub only where a list of seconds says it all.

The definitions are those of `domain.sla`. Times are compared to the millisecond.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Subquery,
    and_,
    bindparam,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    union_all,
)

from sr_engine.domain.sla import Measure
from sr_engine.domain.states import WITH_CSP, AttemptState
from sr_engine.store.dialects import seconds_between, truncated
from sr_engine.store.on_lists import ATTEMPTS_ON_LISTS
from sr_engine.store.tables import (
    UtcDateTime,
    alerted_hubs,
    attempts,
    listed_hubs,
    outbox,
    releases,
    sla_breaches,
    tidings,
    upgrade_lists,
)

EVER = datetime(1, 1, 1, tzinfo=UTC)
_S = AttemptState
_OUTCOMES = (_S.ACTIVATED.value, _S.FAILED.value)
_COUNTED = (*_OUTCOMES, _S.MISSED.value, *sorted(state.value for state in WITH_CSP))


def _moment(name: str) -> ColumnElement[datetime]:
    return bindparam(name, type_=UtcDateTime)


def _seconds(later: ColumnElement[Any], earlier: ColumnElement[Any]) -> ColumnElement[float]:
    return seconds_between(earlier, later)


def _whole(seconds: ColumnElement[float]) -> ColumnElement[int]:
    """Rounded up, and what is less than a millisecond too much is none."""
    return truncated(seconds + literal(0.999))


def _due(table: FromClause) -> ColumnElement[datetime]:
    """When a listed hub was to be done: by the end of its window, or of its night where the processor chose that."""
    return case((table.c.compulsory, table.c.period_end), else_=table.c.window_end)


def _in_month(at: ColumnElement[Any]) -> ColumnElement[bool]:
    return and_(at >= _moment("start"), at < _moment("end"))


_AGAIN = attempts.alias("again")
_NEWER = and_(
    _AGAIN.c.hub_id == attempts.c.hub_id,
    _AGAIN.c.release_id == attempts.c.release_id,
    _AGAIN.c.number > attempts.c.number,
)


def _completion() -> Select[Any]:
    activated, state_at, due = attempts.c.state == _S.ACTIVATED.value, attempts.c.state_at, _due(attempts)
    kind = case(
        (and_(activated, state_at <= attempts.c.period_end), literal_column("'in_night'")),
        (and_(activated, state_at <= due), literal_column("'in_window'")),
        (activated, literal_column("'later'")),
        (attempts.c.state == _S.FAILED.value, literal_column("'failed'")),
        (attempts.c.state == _S.MISSED.value, literal_column("'missed'")),
        else_=literal_column("'under_way'"),
    )
    told_at = case((attempts.c.state.in_(_OUTCOMES), attempts.c.reported_at), else_=_moment("now"))
    breach = or_(attempts.c.state == _S.MISSED.value, _seconds(told_at, due) > bindparam("limit"))
    newer = exists().where(_NEWER, _AGAIN.c.list_id.is_not(None), _in_month(_due(_AGAIN)))
    return (
        # Grouped by names that no column has: PostgreSQL takes the same expression with other parameters for another.
        select(kind.label("what_became"), case((breach, 1), else_=0).label("breach"), func.count())
        .select_from(ATTEMPTS_ON_LISTS.join(upgrade_lists, upgrade_lists.c.list_id == listed_hubs.c.list_id))
        .where(
            attempts.c.region == bindparam("region"),
            attempts.c.state.in_(_COUNTED),
            # Never earlier than what any of its hubs is due by: all lists of months before are passed over.
            upgrade_lists.c.region == bindparam("region"),
            upgrade_lists.c.windows_end >= _moment("start"),
            _in_month(due),
            due <= _moment("now"),
            ~newer,
        )
        .group_by("what_became", "breach")
    )


def _told(*, since: ColumnElement[bool], newer: ColumnElement[bool] | None) -> Subquery:
    """Each hub whose outcome was reported in a time: when its last alert was queued, and when it was taken."""
    event = case((attempts.c.state == _S.ACTIVATED.value, bindparam("activated")), else_=bindparam("failed"))
    occurrence = attempts.c.release_id + "/" + cast(attempts.c.number, alerted_hubs.c.occurrence.type)
    by_itself, in_rows = (
        and_(table.c.hub_id == attempts.c.hub_id, table.c.event == event, table.c.occurrence == occurrence)
        for table in (outbox, alerted_hubs)
    )
    # What is still to be told bears the time of the transaction that caused it, and the oldest is told first.
    oldest = select(func.min(tidings.c.at)).scalar_subquery()
    pending = func.coalesce(attempts.c.reported_at >= oldest, false())
    alerted = alerted_hubs.join(outbox, outbox.c.message_id == alerted_hubs.c.message_id)
    sought = [attempts.c.region == bindparam("region"), attempts.c.state.in_(_OUTCOMES), since]
    if newer is not None:
        sought.append(~newer)
    columns = (attempts.c.attempt_id, attempts.c.reported_at, outbox.c.outbox_id, outbox.c.created_at)
    # Each attempt once for every alert, and those without any once.
    alerts = union_all(
        *(
            select(*columns, outbox.c.delivered_at, pending.label("pending"))
            .select_from(attempts_and_alerts)
            .where(*sought)
            for attempts_and_alerts in (attempts.outerjoin(outbox, by_itself), attempts.join(alerted, in_rows))
        )
    ).subquery()
    return (
        select(
            alerts.c.reported_at,
            alerts.c.pending,
            func.max(alerts.c.created_at).label("queued_at"),
            func.max(alerts.c.delivered_at).label("taken_at"),
            (func.count(alerts.c.delivered_at) == func.count(alerts.c.outbox_id)).label("all_taken"),
        )
        .group_by(alerts.c.attempt_id, alerts.c.reported_at, alerts.c.pending)
        .subquery()
    )


def _alerts() -> Select[Any]:
    newer = exists().where(_NEWER, _AGAIN.c.state.in_(_OUTCOMES), _in_month(_AGAIN.c.reported_at))
    told = _told(since=_in_month(attempts.c.reported_at), newer=newer)
    queued = case((told.c.pending, None), else_=_whole(_seconds(told.c.queued_at, told.c.reported_at)))
    taken = case(
        (and_(told.c.all_taken, ~told.c.pending), _whole(_seconds(told.c.taken_at, told.c.reported_at))), else_=None
    )
    overdue = _seconds(_moment("now"), told.c.reported_at) > bindparam("limit")
    # A hub for which nothing was queued and nothing is to come has nobody to be told.
    return (
        select(queued.label("queued"), taken.label("taken"), overdue.label("overdue"), func.count())
        .where(or_(told.c.pending, told.c.queued_at.is_not(None)))
        .group_by("queued", "taken", "overdue")
    )


def _late_alerts() -> Select[Any]:
    reported = attempts.c.reported_at
    told = _told(since=and_(reported > _moment("after"), reported <= _moment("up_to")), newer=None)
    late = or_(told.c.pending, _seconds(told.c.queued_at, told.c.reported_at) > bindparam("limit") + literal(0.001))
    return select(func.count()).select_from(told).where(late)


def _late_completions() -> Select[Any]:
    """Hubs for which the limit passed in a time, and whose outcome had not been reported by then.

    Each stands in one of these, and is sought along the index of what it has become: given up, told too late, or still
    with the CSP.
    """
    due = _due(attempts)
    judged = and_(due > _moment("due_after"), due <= _moment("due_up_to"))
    in_region = attempts.c.region == bindparam("region")
    with_csp = and_(in_region, attempts.c.is_open, attempts.c.state.in_(sorted(state.value for state in WITH_CSP)))
    found = (
        and_(
            attempts.c.release_id.in_(select(releases.c.release_id)),
            in_region,
            attempts.c.outcome == _S.MISSED.value,
            # Nobody is given up before the limit has passed.
            attempts.c.outcome_at > _moment("after"),
        ),
        and_(
            in_region,
            attempts.c.reported_at > _moment("reported_after"),
            attempts.c.state.in_(_OUTCOMES),
            _seconds(attempts.c.reported_at, due) > bindparam("limit"),
        ),
        and_(with_csp, ~attempts.c.compulsory, attempts.c.window_end <= _moment("due_up_to")),
        and_(with_csp, attempts.c.compelled_until <= _moment("due_up_to")),
    )
    counted = union_all(
        *(select(func.count().label("number")).select_from(attempts).where(one, judged) for one in found)
    )
    return select(func.sum(counted.subquery().c.number))


_LISTS = (
    select(upgrade_lists.c.list_id, outbox.c.delivered_at, upgrade_lists.c.acknowledged_at)
    .join(outbox, outbox.c.message_id == upgrade_lists.c.message_id)
    .where(upgrade_lists.c.region == bindparam("region"), outbox.c.delivered_at.is_not(None))
    .order_by(outbox.c.delivered_at, upgrade_lists.c.list_id)
)
_LISTS_OF_MONTH = _LISTS.where(_in_month(outbox.c.delivered_at))
_LISTS_TO_JUDGE = _LISTS.where(outbox.c.delivered_at > _moment("after"), outbox.c.delivered_at <= _moment("up_to"))
_COMPLETION = _completion()
_ALERTS = _alerts()
_LATE_ALERTS = _late_alerts()
_LATE_COMPLETIONS = _late_completions()
_JUDGED = select(func.max(sla_breaches.c.judged_up_to)).where(
    sla_breaches.c.region == bindparam("region"),
    sla_breaches.c.measure == bindparam("measure"),
    sla_breaches.c.found_at <= _moment("now"),
)
_FOUND = (
    select(
        sla_breaches.c.region,
        sla_breaches.c.measure,
        func.sum(sla_breaches.c.number),
        func.max(sla_breaches.c.found_at),
    )
    .where(_in_month(sla_breaches.c.found_at))
    .group_by(sla_breaches.c.region, sla_breaches.c.measure)
    .order_by(sla_breaches.c.region, sla_breaches.c.measure)
)


@dataclass(frozen=True, slots=True)
class SentList:
    """An upgrade list that its CSP has taken."""

    list_id: str
    delivered_at: datetime
    acknowledged_at: datetime | None


@dataclass(frozen=True, slots=True)
class AlertTimes:
    """How many hubs were told of in how many seconds, rounded up; and those that were not, overdue or not."""

    queued: Mapping[int, int] = field(default_factory=dict)
    delivered: Mapping[int, int] = field(default_factory=dict)
    overdue: int = 0
    """The limit for queueing has passed."""
    to_be_queued: int = 0
    to_be_delivered: int = 0


@dataclass(frozen=True, slots=True)
class Breaches:
    """Breaches of one measure that were found in a region in some time."""

    region: str
    measure: Measure
    number: int
    last_found_at: datetime


def lists_delivered(connection: Connection, region: str, start: datetime, end: datetime) -> list[SentList]:
    """The lists of a region that its CSP took in a time, oldest first."""
    found = connection.execute(_LISTS_OF_MONTH, {"region": region, "start": start, "end": end})
    return [SentList(*row) for row in found]


def lists_to_judge(connection: Connection, region: str, after: datetime, up_to: datetime) -> list[SentList]:
    """The lists of a region that its CSP took after one time, up to another."""
    found = connection.execute(_LISTS_TO_JUDGE, {"region": region, "after": after, "up_to": up_to})
    return [SentList(*row) for row in found]


def completion(
    connection: Connection, region: str, start: datetime, end: datetime, *, now: datetime, limit: timedelta
) -> list[tuple[str, bool, int]]:
    """By the name of a field of `Completion`, and whether it is a breach, the hubs whose window ended in a time."""
    sought = {"region": region, "start": start, "end": end, "now": now, "limit": limit.total_seconds()}
    return [(kind, bool(breach), count) for kind, breach, count in connection.execute(_COMPLETION, sought)]


def alert_times(
    connection: Connection,
    region: str,
    start: datetime,
    end: datetime,
    *,
    now: datetime,
    limit: timedelta,
    events: Sequence[str],
) -> AlertTimes:
    """How soon Suppliers were told of outcomes reported in a time; `events` are the alerts of success and failure."""
    activated, failed = events
    sought = {"region": region, "start": start, "end": end, "now": now, "limit": limit.total_seconds()}
    queued: Counter[int] = Counter()
    delivered: Counter[int] = Counter()
    overdue = to_be_queued = to_be_delivered = 0
    found = connection.execute(_ALERTS, {**sought, "activated": activated, "failed": failed})
    for seconds, seconds_taken, too_late, count in found:
        if seconds is not None:
            queued[seconds] += count
        elif too_late:
            overdue += count
        else:
            to_be_queued += count
        if seconds_taken is not None:
            delivered[seconds_taken] += count
        else:
            to_be_delivered += count
    return AlertTimes(queued, delivered, overdue, to_be_queued, to_be_delivered)


def late_completions(
    connection: Connection,
    region: str,
    after: datetime,
    up_to: datetime,
    *,
    limit: timedelta,
    reported_after: datetime = EVER,
) -> int:
    """Hubs for which the limit passed after one time, up to another, without an outcome, whatever they are now.

    Of outcomes only those are looked at that were `reported_after` a time.
    """
    sought = {
        "region": region,
        "after": after,
        # What was reported before the limit had passed was not late.
        "reported_after": max(after, reported_after),
        "due_after": max(after, EVER + limit) - limit,
        "due_up_to": up_to - limit,
        "limit": limit.total_seconds(),
    }
    return int(connection.scalar(_LATE_COMPLETIONS, sought) or 0)


def late_alerts(
    connection: Connection, region: str, after: datetime, up_to: datetime, *, limit: timedelta, events: Sequence[str]
) -> int:
    """Hubs whose outcome was reported after one time, up to another, and told later than the limit allows."""
    activated, failed = events
    sought = {"region": region, "after": after, "up_to": up_to, "limit": limit.total_seconds()}
    return connection.scalar(_LATE_ALERTS, {**sought, "activated": activated, "failed": failed}) or 0


def judged_up_to(connection: Connection, region: str, measure: Measure, now: datetime) -> datetime:
    """Up to when a measure was judged when breaches of it were last found, by a clock that was not ahead of now."""
    found: datetime | None = connection.scalar(_JUDGED, {"region": region, "measure": measure.value, "now": now})
    return found or EVER


def add_breaches(
    connection: Connection, region: str, measure: Measure, number: int, *, found_at: datetime, up_to: datetime
) -> None:
    """Note breaches that were found."""
    connection.execute(
        sla_breaches.insert().values(
            region=region, measure=measure.value, number=number, found_at=found_at, judged_up_to=up_to
        )
    )


def breaches_found(connection: Connection, start: datetime, end: datetime) -> list[Breaches]:
    """The breaches that were found in a time, by region and measure."""
    found = connection.execute(_FOUND, {"start": start, "end": end})
    return [Breaches(region, Measure(measure), int(number), at) for region, measure, number, at in found]
