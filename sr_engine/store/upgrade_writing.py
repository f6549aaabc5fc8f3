"""Writing what a decision changed: schedules, answers and attempts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, Update, bindparam, exists
from sqlalchemy.dialects.postgresql import Insert, insert

from sr_engine.domain.agreement import AttemptChange
from sr_engine.domain.changes import AnswerChange, Changes, NewSchedule
from sr_engine.domain.portions import Portion
from sr_engine.domain.states import AttemptState
from sr_engine.domain.upgrades import Attempt
from sr_engine.store import changed_hubs, scheduled, sharing
from sr_engine.store.bulk import execute_columns, execute_many
from sr_engine.store.prepared import Prepared
from sr_engine.store.sets import is_one_of_many, members
from sr_engine.store.tables import attempts, decisions, schedule_hubs, schedules

T = TypeVar("T", AnswerChange, AttemptChange)
Many = Sequence[tuple[T, Sequence[str]]]
"""Changes, each with the hubs for which it is the same."""

UPGRADES = "upgrades"
"""What is known of hubs and their upgrades while a transaction is shared: by CHF id."""

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
        .where(schedule_hubs.c.in_force, is_one_of_many(schedule_hubs.c.hub_id, "hub_ids"), of_release)
        .values(in_force=False, done=bindparam("outcome"))
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
_END_ALL_SCHEDULES = Prepared(_end_all_schedules())
_FORGET = Prepared(
    decisions.delete().where(
        decisions.c.hub_id == bindparam("key_hub"),
        decisions.c.organisation == bindparam("key_organisation"),
        decisions.c.release_id == bindparam("key_release"),
    )
)


def write(connection: Connection, changes: Changes, now: datetime) -> None:
    """Write schedule, answers and attempts of a decision; alerts and audit are written by their own modules."""
    shared = sharing.of(connection)
    if shared is None:
        _write(connection, changes, now)
    else:
        with shared.sparing(UPGRADES, changes.concerned()):
            _write(connection, changes, now)


def _write(connection: Connection, changes: Changes, now: datetime) -> None:
    new = changes.new_schedule
    if new is not None:
        open_schedule(connection, new, now)
        put_in_schedule(connection, new.schedule.schedule_id, new.hub_ids)
    end_schedules(connection, changes.ended_schedules)
    forget(connection, changes.forgotten, changes.release_id)
    answers = _alike(changes.each(changes.answers), lambda change: (change.organisation, id(change.answer)))
    _write_answers(connection, answers, changes.release_id, now)
    _write_all_attempts(connection, changes.each(changes.attempts), changes.release_id)
    changed_hubs.note(connection, [hub_id for one in changes.unsuited for hub_id in changes.hubs(one)])


def write_portion(connection: Connection, portion: Portion, release_id: str, now: datetime) -> None:
    """The same for a portion of a decision, whose schedule is open."""
    if portion.schedule_id is not None:
        put_in_schedule(connection, portion.schedule_id, portion.hubs(portion.scheduled))
    end_schedules(connection, portion.ended_schedules)
    forget(connection, portion.forgotten, release_id)
    _write_answers(connection, portion.each(portion.answers), release_id, now)
    _write_attempts(connection, portion.each(portion.attempts), release_id)
    changed_hubs.note(connection, portion.unsuited)


def open_schedule(connection: Connection, new: NewSchedule, now: datetime) -> None:
    """Write the schedule, without its hubs."""
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


def put_in_schedule(connection: Connection, schedule_id: int, hub_ids: Sequence[str]) -> None:
    """From now on the schedule is in force for some more hubs."""
    of_schedule = {"schedule_id": schedule_id, "in_force": True, "done": False}
    execute_columns(connection, _INSERT_SCHEDULE_HUBS, {"hub_id": hub_ids}, of_schedule)


def end_schedules(connection: Connection, ended: Iterable[tuple[int, str]]) -> None:
    """Mark schedules as in force no more for hubs; pairs of schedule id and hub id."""
    execute_many(
        connection,
        _END_SCHEDULES,
        [{"key_schedule": schedule_id, "key_hub": hub_id} for schedule_id, hub_id in ended],
    )


def end_all_schedules(
    connection: Connection, hub_ids: Collection[str], release_id: str, *, outcome: bool = True
) -> None:
    """Mark every schedule of a release as in force no more for hubs whose attempt has ended.

    With `outcome` it ended by what the CSP did or did not do, and the schedule counts as used.
    """
    sought = {"hub_ids": members(hub_ids), "key_release": release_id, "outcome": outcome}
    _END_ALL_SCHEDULES.run(connection, sought)


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


def _write_answers(connection: Connection, answers: Many[AnswerChange], release_id: str, now: datetime) -> None:
    rows: list[Mapping[str, object]] = []
    for change, hub_ids in answers:
        values = _answer_values(change, release_id, now)
        if len(hub_ids) >= _WORTH_A_STATEMENT:
            execute_columns(connection, _PUT_ANSWERS, {"hub_id": hub_ids}, values)
        else:
            rows += [{"hub_id": hub_id, **values} for hub_id in hub_ids]
    shared = sharing.of(connection)
    if shared is None:
        _put_answers(connection, rows)
        return
    for row in rows:
        shared.keep(decisions.name, _put_answers, row, (row["hub_id"], release_id, row["organisation"]))


def _put_answers(connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
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
    _write_all_attempts(connection, [(change, (change.hub_id,)) for change in changes], release_id)


def _write_all_attempts(connection: Connection, changes: Many[AttemptChange], release_id: str) -> None:
    if changes:
        alike = _alike(changes, lambda change: (change.region, change.before, id(change.attempt)))
        _write_attempts(connection, alike, release_id)


def _write_attempts(connection: Connection, changes: Many[AttemptChange], release_id: str) -> None:
    # One that was Scheduled may be so in another way now.
    scheduled.leave(connection, _hubs_of(changes, lambda change: change.before is AttemptState.SCHEDULED))
    new: list[Mapping[str, object]] = []
    changed: list[Mapping[str, object]] = []
    for change, hub_ids in changes:
        values = _attempt_values(change.attempt)
        if change.attempt.attempt_id is not None:
            changed.append({**values, "key": change.attempt.attempt_id})
            continue
        values |= {"release_id": release_id, "region": change.region}
        if len(hub_ids) >= _WORTH_A_STATEMENT:
            execute_columns(connection, _INSERT_ATTEMPTS, {"hub_id": hub_ids}, values)
        else:
            new += [{**values, "hub_id": hub_id} for hub_id in hub_ids]
    execute_many(connection, _INSERT_ATTEMPTS, new)
    execute_many(connection, _UPDATE_ATTEMPTS, changed)
    scheduled.enter(connection, _hubs_of(changes, lambda change: change.attempt.state is AttemptState.SCHEDULED))


def _hubs_of(changes: Many[AttemptChange], wanted: Callable[[AttemptChange], bool]) -> list[str]:
    return [hub_id for change, hub_ids in changes if wanted(change) for hub_id in hub_ids]


def _alike(changes: Many[T], key: Callable[[T], Hashable]) -> Many[T]:
    """Very many with those together that differ in nothing but the hub."""
    if len(changes) < _WORTH_A_STATEMENT:
        return changes
    groups: dict[Hashable, tuple[T, list[str]]] = {}
    for change, hub_ids in changes:
        groups.setdefault(key(change), (change, []))[1].extend(hub_ids)
    return list(groups.values())


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
