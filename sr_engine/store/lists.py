"""Upgrade lists, what is due to go on them, and which triggers have run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, exists, func, or_, select

from sr_engine.domain.states import OPEN, WITH_CSP, AttemptState
from sr_engine.domain.upgrades import Attempt
from sr_engine.messages.model import Period
from sr_engine.store.on_lists import ATTEMPTS_ON_LISTS
from sr_engine.store.outbox import DELIVERED
from sr_engine.store.prepared import Prepared, Row
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import (
    UtcDateTime,
    attempts,
    list_withdrawals,
    listed_hubs,
    outbox,
    releases,
    trigger_runs,
    upgrade_lists,
)
from sr_engine.store.upgrades import attempt_of

_ON_LIST = Prepared(
    select(attempts).where(attempts.c.list_id == bindparam("list_id"), is_one_of(attempts.c.hub_id, "hub_ids"))
)
_WAITING = sorted(state.value for state in OPEN - WITH_CSP)
_LISTED = sorted(state.value for state in WITH_CSP)


def _overdue() -> Select[Any]:
    # Another comparison of the same parameter would not give it its type.
    now, listed_before = (bindparam(name, type_=UtcDateTime) for name in ("now", "listed_before"))
    return (
        select(attempts)
        .where(
            attempts.c.region == bindparam("region"),
            # Said for both alike, so that the index leads past all that has ended or is not due.
            attempts.c.is_open,
            attempts.c.window_end <= now,
            or_(
                attempts.c.state.in_(_WAITING),
                and_(attempts.c.state.in_(_LISTED), attempts.c.window_end <= listed_before),
            ),
        )
        .order_by(attempts.c.attempt_id)
        .limit(bindparam("at_most"))
    )


def _compelled_overdue() -> Select[Any]:
    return (
        select(attempts)
        .where(
            attempts.c.region == bindparam("region"),
            attempts.c.is_open,
            attempts.c.compelled_until <= bindparam("listed_before"),
        )
        .order_by(attempts.c.attempt_id)
        .limit(bindparam("at_most"))
    )


_OVERDUE = _overdue()
_CUT_LISTS = (
    select(
        upgrade_lists,
        releases.c.version,
        select(func.count())
        .select_from(ATTEMPTS_ON_LISTS)
        .where(listed_hubs.c.list_id == upgrade_lists.c.list_id, attempts.c.state.in_(_LISTED))
        .scalar_subquery()
        .label("with_csp"),
        outbox.c.delivered_at.is_not(None).label("delivered"),
    )
    .join(releases, releases.c.release_id == upgrade_lists.c.release_id)
    .join(outbox, outbox.c.message_id == upgrade_lists.c.message_id)
)
_NAMED = (
    select(
        upgrade_lists.c.region,
        upgrade_lists.c.release_id,
        upgrade_lists.c.message_id,
        upgrade_lists.c.cut_at,
        outbox.c.state,
    )
    .join(outbox, outbox.c.message_id == upgrade_lists.c.message_id)
    .where(upgrade_lists.c.list_id == bindparam("list_id"))
)
_COMPELLED_OVERDUE = _compelled_overdue()


@dataclass(frozen=True, slots=True)
class StoredAttempt:
    """An attempt with the hub, release and region it is for."""

    hub_id: str
    release_id: str
    region: str
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class NewList:
    list_id: str
    region: str
    release_id: str
    period: Period
    hub_ids: Sequence[str]
    message_id: str
    windows_end: datetime
    """When the last of the windows that were agreed for its hubs ends."""
    replaces: str | None = None
    """The list on which its hubs stood before, if they did."""


def last_begun(connection: Connection, region: str, trigger: str, now: datetime) -> datetime | None:
    """What the newest run of a region's trigger was for whose period has begun: the start of that.

    What was done later than now, by a clock that was ahead, says nothing of the periods before.
    """
    newest: datetime | None = connection.scalar(
        select(func.max(trigger_runs.c.period_start)).where(
            trigger_runs.c.region == region,
            trigger_runs.c.trigger == trigger,
            trigger_runs.c.period_start <= now,
            trigger_runs.c.done_at <= now,
        )
    )
    return newest


def runs_after(connection: Connection, region: str, trigger: str, after: datetime, now: datetime) -> set[datetime]:
    """What the runs of a region's trigger were for, of periods that start after a time; those of `has_run` alone."""
    return set(
        connection.scalars(
            select(trigger_runs.c.period_start).where(
                trigger_runs.c.region == region,
                trigger_runs.c.trigger == trigger,
                trigger_runs.c.period_start > after,
                ~_by_a_clock_ahead(now),
            )
        )
    )


def has_run(connection: Connection, region: str, trigger: str, period_start: datetime, now: datetime) -> bool:
    """True if this trigger has been done for the period that starts then.

    It has not if the period was only found to have begun, by a clock that was ahead.
    """
    found = connection.scalar(
        select(trigger_runs.c.done_at).where(
            trigger_runs.c.region == region,
            trigger_runs.c.trigger == trigger,
            trigger_runs.c.period_start == period_start,
            ~_by_a_clock_ahead(now),
        )
    )
    return found is not None


def _by_a_clock_ahead(now: datetime) -> ColumnElement[bool]:
    return and_(trigger_runs.c.done_at > now, trigger_runs.c.done_at >= trigger_runs.c.period_start)


def record_run(connection: Connection, region: str, trigger: str, period_start: datetime, now: datetime) -> None:
    """Note that a trigger was done; raises IntegrityError if it was before (`has_run`)."""
    connection.execute(
        trigger_runs.delete().where(
            trigger_runs.c.region == region,
            trigger_runs.c.trigger == trigger,
            trigger_runs.c.period_start == period_start,
            _by_a_clock_ahead(now),
        )
    )
    connection.execute(
        trigger_runs.insert().values(region=region, trigger=trigger, period_start=period_start, done_at=now)
    )


def add_list(connection: Connection, new: NewList, now: datetime) -> None:
    """Insert a list that has just been cut."""
    connection.execute(
        upgrade_lists.insert().values(
            list_id=new.list_id,
            region=new.region,
            release_id=new.release_id,
            period_start=new.period.start,
            period_end=new.period.end,
            windows_end=new.windows_end,
            hub_count=len(new.hub_ids),
            cut_at=now,
            message_id=new.message_id,
            replaces=new.replaces,
        )
    )
    connection.execute(listed_hubs.insert().values(list_id=new.list_id, hub_ids=members(new.hub_ids)))


@dataclass(frozen=True, slots=True)
class Named:
    """A list that a CSP speaks of."""

    region: str
    release_id: str
    message_id: str
    cut_at: datetime
    taken: bool
    """Its CSP has taken the message."""


def named(connection: Connection, list_id: str) -> Named | None:
    """A list, None for an unknown one."""
    row = connection.execute(_NAMED, {"list_id": list_id}).one_or_none()
    return None if row is None else Named(*row[:4], row.state == DELIVERED)


@dataclass(frozen=True, slots=True)
class CutList:
    """A list as it was cut, and how far it has come."""

    list_id: str
    region: str
    release_id: str
    version: str
    period: Period
    hub_count: int
    with_csp: int
    """Hubs on it that have had no outcome."""
    delivered: bool
    acknowledged: bool
    replaces: str | None
    """The list on which its hubs stood before, if they did."""


def newest_lists(connection: Connection, *, region: str | None, limit: int) -> list[CutList]:
    """The lists that were cut last, of a region or of all."""
    statement = _CUT_LISTS.order_by(upgrade_lists.c.cut_at.desc(), upgrade_lists.c.list_id).limit(limit)
    if region is not None:
        statement = statement.where(upgrade_lists.c.region == region)
    return [_cut_list(row) for row in connection.execute(statement)]


def cut_list(connection: Connection, list_id: str) -> CutList | None:
    """One list; None for an unknown one."""
    row = connection.execute(_CUT_LISTS.where(upgrade_lists.c.list_id == list_id)).one_or_none()
    return None if row is None else _cut_list(row)


def with_csp(connection: Connection, list_id: str) -> list[str]:
    """CHF ids on a list that have had no outcome and whose firmware is not on the hub, ascending."""
    may_be_withdrawn = (AttemptState.LISTED.value, AttemptState.ACCEPTED.value)
    return list(
        connection.scalars(
            select(attempts.c.hub_id)
            .select_from(ATTEMPTS_ON_LISTS)
            .where(listed_hubs.c.list_id == list_id, attempts.c.state.in_(may_be_withdrawn))
            .order_by(attempts.c.hub_id)
        )
    )


def _cut_list(row: Row) -> CutList:
    return CutList(
        row.list_id,
        row.region,
        row.release_id,
        row.version,
        Period(row.period_start, row.period_end),
        row.hub_count,
        row.with_csp,
        row.delivered,
        row.acknowledged_at is not None,
        row.replaces,
    )


def with_csp_in(connection: Connection, region: str, period: Period) -> int:
    """How many hubs stand on the lists of a region for a period and have had no outcome."""
    found = connection.scalar(
        select(func.count())
        .select_from(ATTEMPTS_ON_LISTS.join(upgrade_lists, upgrade_lists.c.list_id == listed_hubs.c.list_id))
        .where(
            upgrade_lists.c.region == region,
            upgrade_lists.c.period_start == period.start,
            attempts.c.state.in_(_LISTED),
            attempts.c.period_start == period.start,
        )
    )
    return int(found or 0)


def with_csp_beside(connection: Connection, region: str, period: Period) -> int:
    """The same for other periods that share time with one: those of the same night, had its hours been changed."""
    found = connection.scalar(
        select(func.count())
        .select_from(ATTEMPTS_ON_LISTS.join(upgrade_lists, upgrade_lists.c.list_id == listed_hubs.c.list_id))
        .where(
            upgrade_lists.c.region == region,
            upgrade_lists.c.period_start != period.start,
            upgrade_lists.c.period_start < period.end,
            upgrade_lists.c.period_end > period.start,
            attempts.c.state.in_(_LISTED),
        )
    )
    return int(found or 0)


def acknowledged(connection: Connection, list_id: str, now: datetime) -> None:
    """Note that a list is acknowledged, if it was not before and no hub on it still waits for the CSP's answer."""
    connection.execute(
        upgrade_lists.update()
        .where(
            upgrade_lists.c.list_id == list_id,
            upgrade_lists.c.acknowledged_at.is_(None),
            ~_has_unanswered(),
        )
        .values(acknowledged_at=now)
    )


def unacknowledged(
    connection: Connection, region: str, delivered_before: datetime, now: datetime
) -> list[tuple[str, str]]:
    """List id and message id of lists delivered, and last chased, before a time, some hubs of which wait for an answer.

    A list that is on its way or parked is not among them: it is not the CSP that is late. Nor is one whose night is
    over, or all of which its CSP has been asked to withdraw: whoever has lost it is not to begin with it now.
    """
    withdrawn = exists().where(
        list_withdrawals.c.list_id == upgrade_lists.c.list_id,
        list_withdrawals.c.hub_ids.is_(None),
        list_withdrawals.c.answered_at.is_(None),
    )
    found = connection.execute(
        select(upgrade_lists.c.list_id, upgrade_lists.c.message_id)
        .join(outbox, outbox.c.message_id == upgrade_lists.c.message_id)
        .where(
            upgrade_lists.c.region == region,
            upgrade_lists.c.acknowledged_at.is_(None),
            upgrade_lists.c.period_end > now,
            outbox.c.state == DELIVERED,
            outbox.c.delivered_at <= delivered_before,
            or_(upgrade_lists.c.chased_at.is_(None), upgrade_lists.c.chased_at <= delivered_before),
            ~withdrawn,
            _has_unanswered(),
        )
        .order_by(upgrade_lists.c.cut_at, upgrade_lists.c.list_id)
    )
    return [(row.list_id, row.message_id) for row in found]


def _has_unanswered() -> ColumnElement[bool]:
    on_list = select(attempts.c.attempt_id).select_from(ATTEMPTS_ON_LISTS)
    return exists(
        on_list.where(listed_hubs.c.list_id == upgrade_lists.c.list_id, attempts.c.state == AttemptState.LISTED.value)
    )


def chased(connection: Connection, list_id: str, now: datetime) -> None:
    """Note that the acknowledgement of a list was asked for again."""
    connection.execute(upgrade_lists.update().where(upgrade_lists.c.list_id == list_id).values(chased_at=now))


def on_list(connection: Connection, list_id: str, hub_ids: Collection[str]) -> dict[str, StoredAttempt]:
    """By hub, the attempts that stand on a list."""
    found = _ON_LIST.all(connection, {"list_id": list_id, "hub_ids": members(hub_ids)})
    return {row.hub_id: stored_of(row) for row in found}


def overdue(
    connection: Connection, region: str, *, now: datetime, listed_before: datetime, limit: int
) -> list[StoredAttempt]:
    """Open attempts whose window has ended: before `now` if not listed, before `listed_before` if with the CSP.

    Where the processor has chosen the night by itself, that night is the window, once the hub is with the CSP.
    """
    at = {"region": region, "now": now, "listed_before": listed_before}
    found = _stored(connection, _OVERDUE, {**at, "at_most": limit})
    if len(found) < limit:
        # Those whose window has ended, too, are among the ones found.
        known = {one.attempt.attempt_id for one in found}
        compelled = _stored(connection, _COMPELLED_OVERDUE, {**at, "at_most": limit})
        found += [one for one in compelled if one.attempt.attempt_id not in known][: limit - len(found)]
    return found


def _stored(
    connection: Connection, statement: Select[Any], parameters: Mapping[str, object] | None = None
) -> list[StoredAttempt]:
    return [stored_of(row) for row in connection.execute(statement, parameters)]


def stored_of(row: Row) -> StoredAttempt:
    """The attempt that a row of the table stands for, and of what."""
    return StoredAttempt(row.hub_id, row.release_id, row.region, attempt_of(row))


def list_summary(connection: Connection) -> Sequence[tuple[str, int, int, int]]:
    """Per region: lists cut, hubs on them, lists acknowledged."""
    found = connection.execute(
        select(
            upgrade_lists.c.region,
            func.count(),
            func.sum(upgrade_lists.c.hub_count),
            func.count(upgrade_lists.c.acknowledged_at),
        )
        .group_by(upgrade_lists.c.region)
        .order_by(upgrade_lists.c.region)
    )
    return [(region, lists, hubs, done) for region, lists, hubs, done in found]
