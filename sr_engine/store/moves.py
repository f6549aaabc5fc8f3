"""Attempts that go from one state to another and stay otherwise what they are: many at a time, as rows.

Named tuples, not data classes: a night of a large region has a million of them, and they cost a fifth.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from sr_engine.domain.states import OPEN, AttemptEvent, AttemptState
from sr_engine.domain.upgrades import Attempt
from sr_engine.store import scheduled
from sr_engine.store.bulk import execute_columns
from sr_engine.store.prepared import Prepared
from sr_engine.store.sets import is_one_of_many, members
from sr_engine.store.tables import attempts, upgrade_lists

_STATES: Mapping[str, AttemptState] = {state.value: state for state in AttemptState}
_VALUES = ("state", "is_open", "state_at", "reason", "outcome", "outcome_at")
_ON_LIST = Prepared(
    select(
        attempts.c.hub_id,
        attempts.c.attempt_id,
        attempts.c.number,
        attempts.c.state,
        attempts.c.list_id,
    ).where(attempts.c.list_id == bindparam("list_id"), is_one_of_many(attempts.c.hub_id, "hub_ids"))
)
_REPLACED_BY = Prepared(select(upgrade_lists.c.list_id).where(upgrade_lists.c.replaces == bindparam("list_id")))
_MOVE = Prepared(
    attempts.update()
    .where(attempts.c.attempt_id == bindparam("key"))
    .values({name: bindparam(name) for name in _VALUES})
)
_MOVE_BY_REPORT = Prepared(
    attempts.update()
    .where(attempts.c.attempt_id == bindparam("key"))
    .values({name: bindparam(name) for name in (*_VALUES, "reported_at")})
)


class Standing(NamedTuple):
    """Where an attempt at a hub stands."""

    hub_id: str
    attempt_id: int
    number: int
    state: AttemptState
    list_id: str | None


class Move(NamedTuple):
    """An attempt, the event that has happened to it, the state that follows, since when and why."""

    standing: Standing
    event: AttemptEvent
    state: AttemptState
    at: datetime
    reason: str | None


def standing_of(hub_id: str, attempt: Attempt) -> Standing:
    """Where a stored attempt stands; raises ValueError for one that is not stored."""
    if attempt.attempt_id is None:
        raise ValueError(f"attempt {attempt.number} at {hub_id} is not stored")
    return Standing(hub_id, attempt.attempt_id, attempt.number, attempt.state, attempt.list_id)


def on_list_or_replacement(connection: Connection, list_id: str, hub_ids: Collection[str]) -> dict[str, Standing]:
    """By hub, the attempts that stand on a list; of hubs that it does not hold any more, on what has replaced it."""
    found: dict[str, Standing] = {}
    left = [list_id]
    while left and len(found) < len(hub_ids):
        one = left.pop()
        wanted = members(hub_ids if not found else [hub_id for hub_id in hub_ids if hub_id not in found])
        rows = _ON_LIST.tuples(connection, {"list_id": one, "hub_ids": wanted})
        for hub_id, attempt_id, number, state, on_list in rows:
            found[hub_id] = Standing(hub_id, attempt_id, number, _STATES[state], on_list)
        if len(found) < len(hub_ids):
            left += [row.list_id for row in _REPLACED_BY.all(connection, {"list_id": one})]
    return found


def write(connection: Connection, moves: Sequence[Move], *, reported_at: datetime | None = None) -> None:
    """Bring attempts to the states that follow; `reported_at` if a report says so."""
    if not moves:
        return
    scheduled.leave(connection, [one.standing.hub_id for one in moves if one.standing.state is AttemptState.SCHEDULED])
    has_outcome = [one.standing.list_id is not None and one.state not in OPEN for one in moves]
    columns: dict[str, Sequence[object]] = {
        "state": [move.state.value for move in moves],
        "is_open": [move.state in OPEN for move in moves],
        "state_at": [move.at for move in moves],
        "reason": [move.reason for move in moves],
        "outcome": [move.state.value if it_has else None for move, it_has in zip(moves, has_outcome, strict=True)],
        "outcome_at": [move.at if it_has else None for move, it_has in zip(moves, has_outcome, strict=True)],
        "key": [move.standing.attempt_id for move in moves],
    }
    if reported_at is None:
        execute_columns(connection, _MOVE, columns)
    else:
        execute_columns(connection, _MOVE_BY_REPORT, columns, {"reported_at": reported_at})
    scheduled.enter(connection, [one.standing.hub_id for one in moves if one.state is AttemptState.SCHEDULED])
