"""Answers, schedules and attempts: reading them for a set of hubs, and writing what a decision changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, Update, and_, bindparam, exists, func, or_, select
from sqlalchemy.dialects.postgresql import Insert, insert

from sr_engine.domain.agreement import AttemptChange
from sr_engine.domain.changes import AnswerChange, Changes
from sr_engine.domain.states import AttemptState
from sr_engine.domain.upgrades import Answer, Attempt, HubUpgrade, Release, Schedule
from sr_engine.messages.model import Approval, Firmware, Period, Phase, ScheduleDetails
from sr_engine.store import changed_hubs, inventory, overlays, scheduled
from sr_engine.store.bulk import execute_columns, execute_many
from sr_engine.store.overlays import QuietDays
from sr_engine.store.prepared import Prepared, Row
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import attempts, decisions, releases, schedule_hubs, schedules

T = TypeVar("T")

_WORTH_A_STATEMENT = 50
"""From so many on, changes that differ in nothing but the hub are written by a statement of their own."""
_ANSWER_FIELDS = ("approval", "defer_until", "schedule_id", "accept_han_impact", "request_id", "decided_at")
_ATTEMPT_FIELDS = (
    "number",
    "state",
    "is_open",
    "organisation",
    "window_start",
    "window_end",
    "pilot",
    "compulsory",
    "list_id",
    "period_start",
    "period_end",
    "state_at",
    "reason",
    "reported_at",
    "compelled_until",
    "outcome",
    "outcome_at",
)


def _upsert_of_answers() -> Insert:
    statement = insert(decisions)
    return statement.on_conflict_do_update(
        index_elements=["hub_id", "release_id", "organisation"],
        set_={name: statement.excluded[name] for name in _ANSWER_FIELDS},
    )


def _end_all_schedules() -> Update:
    # Not an IN: SQLite would try every hub with every schedule of the release.
    of_release = exists().where(
        schedules.c.schedule_id == schedule_hubs.c.schedule_id, schedules.c.release_id == bindparam("key_release")
    )
    return (
        schedule_hubs.update()
        .where(schedule_hubs.c.in_force, is_one_of(schedule_hubs.c.hub_id, "hub_ids"), of_release)
        .values(in_force=False, done=bindparam("outcome"))
    )


# Attempts at the release, and those open at another, each hub's in order.
_ATTEMPTS = Prepared(
    select(attempts)
    .where(
        or_(attempts.c.release_id == bindparam("release_id"), attempts.c.is_open),
        is_one_of(attempts.c.hub_id, "hub_ids"),
    )
    .order_by(attempts.c.number)
)
_ANSWERS = Prepared(
    select(
        decisions.c.hub_id,
        decisions.c.organisation,
        decisions.c.approval,
        decisions.c.request_id,
        decisions.c.defer_until,
        schedule_hubs.c.schedule_id,
        decisions.c.accept_han_impact,
    )
    .outerjoin(
        schedule_hubs,
        and_(
            schedule_hubs.c.schedule_id == decisions.c.schedule_id,
            schedule_hubs.c.hub_id == decisions.c.hub_id,
            schedule_hubs.c.in_force,
        ),
    )
    .where(decisions.c.release_id == bindparam("release_id"), is_one_of(decisions.c.hub_id, "hub_ids"))
)
_REQUEST_IDS = Prepared(
    select(decisions.c.hub_id, decisions.c.organisation, decisions.c.request_id).where(
        decisions.c.release_id == bindparam("release_id"), is_one_of(decisions.c.hub_id, "hub_ids")
    )
)
_RUN_OUT = (
    select(decisions.c.release_id, decisions.c.hub_id, decisions.c.organisation)
    .where(
        decisions.c.defer_until.is_not(None),
        decisions.c.defer_until <= bindparam("now"),
        decisions.c.approval == Approval.DEFERRED.value,
    )
    .order_by(decisions.c.defer_until, decisions.c.hub_id)
    .limit(bindparam("at_most"))
)
# The state is no condition: PostgreSQL would look for all Activated first, which it may take to be fewer than they are.
_ACTIVATED = Prepared(
    select(attempts.c.hub_id, func.max(attempts.c.state_at).filter(attempts.c.state == AttemptState.ACTIVATED.value))
    .where(is_one_of(attempts.c.hub_id, "hub_ids"))
    .group_by(attempts.c.hub_id)
)
_SCHEDULES = Prepared(select(schedules).where(is_one_of(schedules.c.schedule_id, "schedule_ids")))
_SCHEDULE = Prepared(
    select(schedules, releases.c.manufacturer, releases.c.model, releases.c.version)
    .join(releases)
    .where(schedules.c.schedule_id == bindparam("schedule_id"))
)
_SCHEDULE_ID = Prepared(select(schedules.c.schedule_id).where(schedules.c.schedule_id == bindparam("schedule_id")))
_IN_SCHEDULE = select(schedule_hubs.c.hub_id).where(
    schedule_hubs.c.schedule_id == bindparam("schedule_id"), is_one_of(schedule_hubs.c.hub_id, "hub_ids")
)
_INSERT_SCHEDULE = Prepared(schedules.insert())
_INSERT_SCHEDULE_HUBS = Prepared(schedule_hubs.insert())
_INSERT_ATTEMPTS = Prepared(attempts.insert())
_UPDATE_ATTEMPTS = Prepared(
    attempts.update()
    .where(attempts.c.attempt_id == bindparam("key"))
    .values({name: bindparam(name) for name in _ATTEMPT_FIELDS})
)
_PUT_ANSWERS = Prepared(_upsert_of_answers())
_END_SCHEDULES = Prepared(
    schedule_hubs.update()
    .where(
        schedule_hubs.c.schedule_id == bindparam("key_schedule"),
        schedule_hubs.c.hub_id == bindparam("key_hub"),
    )
    .values(in_force=False)
)
_END_ALL_SCHEDULES = _end_all_schedules()
_FORGET = Prepared(
    decisions.delete().where(
        decisions.c.hub_id == bindparam("key_hub"),
        decisions.c.organisation == bindparam("key_organisation"),
        decisions.c.release_id == bindparam("key_release"),
    )
)


def load(
    connection: Connection,
    hub_ids: Collection[str],
    release: Release,
    now: datetime,
    *,
    quiet_days: QuietDays | None = None,
) -> dict[str, HubUpgrade]:
    """By CHF id, everything the rules need to know of these hubs and this release.

    Exclusions and quiet days, which cost two more queries, only where `quiet_days` says how long the latter are.
    """
    wanted = list(hub_ids)
    if not wanted:
        return {}
    hubs = inventory.hubs(connection, wanted, now, with_han=bool(release.han_models))
    of_hubs = {"hub_ids": members(wanted), "release_id": release.release_id}
    newest, others = _attempts(connection, of_hubs)
    answers = _answers(connection, of_hubs)
    blocks = {} if quiet_days is None else overlays.of(connection, wanted, now, quiet_days)
    return {
        hub_id: HubUpgrade(
            hub,
            answers.get(hub_id, {}),
            newest.get(hub_id),
            hub_id in others,
            blocks.get(hub_id, overlays.NOTHING).exclusions,
            blocks.get(hub_id, overlays.NOTHING).quiet,
        )
        for hub_id, hub in hubs.items()
    }


def _attempts(connection: Connection, of_hubs: Mapping[str, str]) -> tuple[dict[str, Attempt], set[str]]:
    """By hub, the newest attempt at the release; and the hubs with an attempt open at another."""
    newest: dict[str, Attempt] = {}
    others: set[str] = set()
    for row in _ATTEMPTS.all(connection, of_hubs):
        if row.release_id == of_hubs["release_id"]:
            newest[row.hub_id] = attempt_of(row)
        else:
            others.add(row.hub_id)
    return newest, others


def attempt_of(row: Row) -> Attempt:
    """The attempt a row of the table stands for."""
    return Attempt(
        number=row.number,
        state=AttemptState(row.state),
        window=Period(row.window_start, row.window_end),
        pilot=row.pilot,
        organisation=row.organisation,
        state_at=row.state_at,
        attempt_id=row.attempt_id,
        list_id=row.list_id,
        period=None if row.period_start is None else Period(row.period_start, row.period_end),
        reason=row.reason,
        compulsory=row.compulsory,
        reported_at=row.reported_at,
    )


def _answers(connection: Connection, of_hubs: Mapping[str, str]) -> dict[str, dict[str, Answer]]:
    found = _ANSWERS.all(connection, of_hubs)
    schedule_by_id = _schedules(connection, {row.schedule_id for row in found if row.schedule_id is not None})
    answers: dict[str, dict[str, Answer]] = defaultdict(dict)
    for hub_id, organisation, approval, request_id, defer_until, schedule_id, accepts in found:
        schedule = None if schedule_id is None else schedule_by_id[schedule_id]
        answers[hub_id][organisation] = Answer(Approval(approval), request_id, schedule, defer_until, accepts)
    return answers


def _schedules(connection: Connection, schedule_ids: Collection[int]) -> dict[int, Schedule]:
    if not schedule_ids:
        return {}
    found = _SCHEDULES.all(connection, {"schedule_ids": members(sorted(schedule_ids))})
    return {row.schedule_id: _schedule_of(row) for row in found}


def _schedule_of(row: Row) -> Schedule:
    window = Period(row.window_start, row.window_end)
    return Schedule(row.schedule_id, row.organisation, window, Phase(row.phase), row.request_id)


def find_schedule(connection: Connection, schedule_id: int) -> tuple[str, Schedule, ScheduleDetails] | None:
    """Release id, schedule and details of a schedule."""
    row = _SCHEDULE.one_or_none(connection, {"schedule_id": schedule_id})
    if row is None:
        return None
    schedule = _schedule_of(row)
    details = ScheduleDetails(
        schedule.schedule_id,
        Firmware(row.manufacturer, row.model, row.version),
        schedule.window,
        schedule.phase,
        row.accept_han_impact,
    )
    return row.release_id, schedule, details


def schedule_exists(connection: Connection, schedule_id: int) -> bool:
    """True if the number is taken."""
    return _SCHEDULE_ID.scalar(connection, {"schedule_id": schedule_id}) is not None


def hubs_of_schedule(
    connection: Connection,
    schedule_id: int,
    *,
    only_in_force: bool = False,
    after: str | None = None,
    limit: int | None = None,
) -> list[str]:
    """CHF ids of a schedule, ascending, beginning after the one named."""
    statement = select(schedule_hubs.c.hub_id).where(schedule_hubs.c.schedule_id == schedule_id)
    if only_in_force:
        statement = statement.where(schedule_hubs.c.in_force)
    if after is not None:
        statement = statement.where(schedule_hubs.c.hub_id > after)
    return list(connection.scalars(statement.order_by(schedule_hubs.c.hub_id).limit(limit)))


def in_schedule(connection: Connection, schedule_id: int, hub_ids: Collection[str]) -> set[str]:
    """Those of some hubs that a schedule was set for, whether it is in force for them or not."""
    return set(connection.scalars(_IN_SCHEDULE, {"schedule_id": schedule_id, "hub_ids": members(hub_ids)}))


def write(connection: Connection, changes: Changes, now: datetime) -> None:
    """Write schedule, answers and attempts of a decision; alerts and audit are written by their own modules."""
    new = changes.new_schedule
    if new is not None:
        _INSERT_SCHEDULE.run(
            connection,
            {
                "schedule_id": new.schedule.schedule_id,
                "organisation": new.schedule.organisation,
                "release_id": new.release_id,
                "request_id": new.schedule.request_id,
                "window_start": new.schedule.window.start,
                "window_end": new.schedule.window.end,
                "phase": new.schedule.phase.value,
                "accept_han_impact": new.accept_han_impact,
                "created_at": now,
            },
        )
        of_schedule = {"schedule_id": new.schedule.schedule_id, "in_force": True, "done": False}
        execute_columns(connection, _INSERT_SCHEDULE_HUBS, {"hub_id": new.hub_ids}, of_schedule)
    end_schedules(connection, changes.ended_schedules)
    forget(connection, changes.forgotten, changes.release_id)
    _write_answers(connection, changes.answers, changes.release_id, now)
    write_attempts(connection, changes.attempts, changes.release_id)
    changed_hubs.note(connection, changes.unsuited)


def end_schedules(connection: Connection, ended: Iterable[tuple[int, str]]) -> None:
    """Mark schedules as in force no more for hubs; pairs of schedule id and hub id."""
    execute_many(
        connection,
        _END_SCHEDULES,
        [{"key_schedule": schedule_id, "key_hub": hub_id} for schedule_id, hub_id in ended],
    )


def request_ids(connection: Connection, hub_ids: Collection[str], release_id: str) -> dict[tuple[str, str], str]:
    """By hub and organisation, the RequestID of that Supplier's latest request for this hub and release."""
    found = _REQUEST_IDS.all(connection, {"hub_ids": members(hub_ids), "release_id": release_id})
    return {(hub_id, organisation): request_id for hub_id, organisation, request_id in found}


def deferrals_run_out(connection: Connection, now: datetime, *, limit: int) -> list[tuple[str, str, str]]:
    """Release, hub and organisation of deferred answers whose time has come, the first first."""
    found = connection.execute(_RUN_OUT, {"now": now, "at_most": limit})
    return [(release_id, hub_id, organisation) for release_id, hub_id, organisation in found]


def activated_later(connection: Connection, activated: Mapping[str, datetime]) -> set[str]:
    """Those of some hubs on which any firmware was activated after the time given for each."""
    newest = _ACTIVATED.all(connection, {"hub_ids": members(activated)})
    return {hub_id for hub_id, at in newest if at is not None and at > activated[hub_id]}


def end_all_schedules(
    connection: Connection, hub_ids: Collection[str], release_id: str, *, outcome: bool = True
) -> None:
    """Mark every schedule of a release as in force no more for hubs whose attempt has ended.

    With `outcome` it ended by what the CSP did or did not do, and the schedule counts as used.
    """
    sought = {"hub_ids": members(hub_ids), "key_release": release_id, "outcome": outcome}
    connection.execute(_END_ALL_SCHEDULES, sought)


def forget(connection: Connection, forgotten: Iterable[tuple[str, str]], release_id: str) -> None:
    """Delete the answers of organisations that are no longer responsible; pairs of hub id and organisation."""
    execute_many(
        connection,
        _FORGET,
        [
            {"key_hub": hub_id, "key_organisation": organisation, "key_release": release_id}
            for hub_id, organisation in forgotten
        ],
    )


def _write_answers(connection: Connection, answers: Sequence[AnswerChange], release_id: str, now: datetime) -> None:
    alike, others = _alike(answers, lambda change: (change.organisation, id(change.answer)))
    for some in alike:
        values = _answer_values(some[0], release_id, now)
        execute_columns(connection, _PUT_ANSWERS, {"hub_id": [change.hub_id for change in some]}, values)
    rows = [{"hub_id": change.hub_id, **_answer_values(change, release_id, now)} for change in others]
    execute_many(connection, _PUT_ANSWERS, rows)


def _answer_values(change: AnswerChange, release_id: str, now: datetime) -> dict[str, object]:
    answer = change.answer
    return {
        "release_id": release_id,
        "organisation": change.organisation,
        "approval": answer.approval.value,
        "defer_until": answer.defer_until,
        "schedule_id": None if answer.schedule is None else answer.schedule.schedule_id,
        "request_id": answer.request_id,
        "accept_han_impact": answer.accepts_han_impact,
        "decided_at": now,
    }


def write_attempts(connection: Connection, changes: Sequence[AttemptChange], release_id: str) -> None:
    """Insert new attempts and bring changed ones to what they are now."""
    # One that was Scheduled may be so in another way now.
    scheduled.leave(connection, [one.hub_id for one in changes if one.before is AttemptState.SCHEDULED])
    new = [one for one in changes if one.attempt.attempt_id is None]
    alike, others = _alike(new, lambda change: (change.region, id(change.attempt)))
    for some in alike:
        values = {**_attempt_values(some[0].attempt), "release_id": release_id, "region": some[0].region}
        execute_columns(connection, _INSERT_ATTEMPTS, {"hub_id": [change.hub_id for change in some]}, values)
    execute_many(
        connection,
        _INSERT_ATTEMPTS,
        [
            {**_attempt_values(one.attempt), "hub_id": one.hub_id, "release_id": release_id, "region": one.region}
            for one in others
        ],
    )
    changed = [one.attempt for one in changes if one.attempt.attempt_id is not None]
    execute_many(
        connection, _UPDATE_ATTEMPTS, [{**_attempt_values(attempt), "key": attempt.attempt_id} for attempt in changed]
    )
    scheduled.enter(connection, [one.hub_id for one in changes if one.attempt.state is AttemptState.SCHEDULED])


def _alike(changes: Sequence[T], key: Callable[[T], Hashable]) -> tuple[list[list[T]], list[T]]:
    """Those of which very many differ in nothing but the hub, in groups; and all others."""
    if len(changes) < _WORTH_A_STATEMENT:
        return [], list(changes)
    groups: defaultdict[Hashable, list[T]] = defaultdict(list)
    for change in changes:
        groups[key(change)].append(change)
    return (
        [group for group in groups.values() if len(group) >= _WORTH_A_STATEMENT],
        [change for group in groups.values() if len(group) < _WORTH_A_STATEMENT for change in group],
    )


def _attempt_values(attempt: Attempt) -> dict[str, object]:
    has_outcome = attempt.list_id is not None and not attempt.is_open
    return {
        "number": attempt.number,
        "state": attempt.state.value,
        "is_open": attempt.is_open,
        "organisation": attempt.organisation,
        "window_start": attempt.window.start,
        "window_end": attempt.window.end,
        "pilot": attempt.pilot,
        "compulsory": attempt.compulsory,
        "list_id": attempt.list_id,
        "period_start": None if attempt.period is None else attempt.period.start,
        "period_end": None if attempt.period is None else attempt.period.end,
        "state_at": attempt.state_at,
        "reason": attempt.reason,
        "reported_at": attempt.reported_at,
        "compelled_until": attempt.period.end if attempt.compulsory and attempt.period is not None else None,
        "outcome": attempt.state.value if has_outcome else None,
        "outcome_at": attempt.state_at if has_outcome else None,
    }
