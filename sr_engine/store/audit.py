"""The audit trail: append-only, who did what when, from which state to which.

`audit_chain` links the records of each transaction, so that a change of any of them is found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, bindparam, exists, func, select

from sr_engine.domain.agreement import AttemptChange
from sr_engine.domain.changes import AnswerChange
from sr_engine.domain.states import AttemptEvent, AttemptState
from sr_engine.store import sharing
from sr_engine.store.bulk import execute_many
from sr_engine.store.dialects import position_in
from sr_engine.store.prepared import Prepared
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import audit, audit_checkpoints
from sr_engine.value_objects import value_object

CHAIN = 1
"""The one writer's chain: SQLite has one writer at a time, whichever process it is in."""

UNLINKED = "sr_engine.audit.unlinked"
"""What a connection's `info` holds once records were appended that are in no link yet."""

_INSERT = Prepared(audit.insert())
_NEWEST = select(audit).order_by(audit.c.audit_id.desc()).limit(bindparam("limit"))
# Ids have one length and stand between commas: one is never a part of another.
_NAMES_HUB = and_(audit.c.hubs.is_not(None), position_in(audit.c.hubs, bindparam("hub_id")) > 0)
_OF_HUB = select(audit).where(_NAMES_HUB).order_by(audit.c.audit_id)
_NEWEST_ID = Prepared(select(func.max(audit.c.audit_id)))
_HUBS_SINCE = Prepared(select(audit.c.hubs).where(audit.c.audit_id > bindparam("audit_id"), audit.c.hubs.is_not(None)))
_BEGINNING = select(func.min(audit.c.at))
_PRUNED = select(exists(audit_checkpoints.c.chain_id))
_OF_ATTEMPTS = (
    select(audit.c.release_id, audit.c.attempt_number, audit.c.to_state, audit.c.hubs)
    .where(audit.c.attempt_number.is_not(None))
    .order_by(audit.c.audit_id)
)


@value_object
class Entry:
    """One record; `hubs` are canonical ids. `actor` is `user:<EUI>`, `csp:<region>`, `upstream`, `operator` or
    `processor`.

    Where the states are those of attempts, `attempt_number` says which attempt of each hub at the release it is.
    """

    at: datetime
    actor: str
    action: str
    detail: str
    message_key: str | None = None
    release_id: str | None = None
    from_state: str | None = None
    to_state: str | None = None
    hubs: Collection[str] = ()
    attempt_number: int | None = None


def said(detail: str, how: str) -> str:
    """What a record says of something, with `how` it was asked for if that was not at the machine itself."""
    return f"{detail} ({how})" if how else detail


def record(connection: Connection, entries: Iterable[Entry]) -> None:
    """Append records."""
    rows = [
        {
            "chain_id": CHAIN,
            "at": entry.at,
            "actor": entry.actor,
            "action": entry.action,
            "message_key": entry.message_key,
            "release_id": entry.release_id,
            "from_state": entry.from_state,
            "to_state": entry.to_state,
            "attempt_number": entry.attempt_number,
            "hub_count": len(entry.hubs),
            "hubs": ",".join(sorted(entry.hubs)) if entry.hubs else None,
            "detail": entry.detail,
        }
        for entry in entries
    ]
    if not rows:
        return
    connection.info[UNLINKED] = True
    shared = sharing.of(connection)
    if shared is None:
        _append(connection, rows)
        return
    for row in rows:
        shared.keep(audit.name, _append, row)


def _append(connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    execute_many(connection, _INSERT, rows)


def transitions(
    changes: Iterable[AttemptChange],
    *,
    at: datetime,
    actor: str,
    release_id: str,
    message_key: str | None,
    many: Iterable[tuple[AttemptChange, Sequence[str]]] = (),
) -> list[Entry]:
    """One record per event, transition, attempt number and reason, with the hubs that made it.

    Of `many` each stands for several hubs.
    """
    alike: dict[Alike, list[str]] = {}
    for change in changes:
        alike.setdefault(_alike(change), []).append(change.hub_id)
    for change, hub_ids in many:
        alike.setdefault(_alike(change), []).extend(hub_ids)
    return of_alike(alike, at=at, actor=actor, release_id=release_id, message_key=message_key)


def _alike(change: AttemptChange) -> Alike:
    attempt = change.attempt
    return Alike(change.event, change.before, attempt.state, attempt.number, attempt.reason)


class Alike(NamedTuple):
    """What transitions of one record have in common beside the release."""

    event: AttemptEvent
    before: AttemptState | None
    after: AttemptState
    number: int
    reason: str | None


def of_alike(
    alike: Mapping[Alike, Collection[str]], *, at: datetime, actor: str, release_id: str, message_key: str | None
) -> list[Entry]:
    """One record for each, with the hubs that made it."""
    return [
        Entry(
            at,
            actor,
            _attempt(one.event.value),
            one.reason or "",
            message_key,
            release_id,
            None if one.before is None else one.before.value,
            one.after.value,
            hub_ids,
            one.number,
        )
        for one, hub_ids in alike.items()
    ]


def listed(hub_ids: Mapping[int, Collection[str]], *, at: datetime, release_id: str, message_key: str) -> list[Entry]:
    """What `transitions` records of hubs that were put on a list, given by the number of their attempt."""
    before, after = AttemptState.SCHEDULED.value, AttemptState.LISTED.value
    action = _attempt(AttemptEvent.LISTED)
    return [
        Entry(at, "processor", action, "", message_key, release_id, before, after, some, number)
        for number, some in hub_ids.items()
    ]


def _attempt(event: str) -> str:
    return f"attempt {event}"


def answers(
    changes: Iterable[AnswerChange],
    *,
    at: datetime,
    actor: str,
    release_id: str,
    message_key: str | None,
    many: Iterable[tuple[AnswerChange, Sequence[str]]] = (),
) -> list[Entry]:
    """One record per answer given, with the hubs it was given for; of `many` each stands for several."""
    groups: dict[str, list[str]] = {}
    for change in changes:
        groups.setdefault(change.answer.approval.value, []).append(change.hub_id)
    for change, hub_ids in many:
        groups.setdefault(change.answer.approval.value, []).extend(hub_ids)
    return [
        Entry(at, actor, "answer", "", message_key, release_id, None, approval, tuple(hub_ids))
        for approval, hub_ids in groups.items()
    ]


def newest(
    connection: Connection, limit: int, *, release_ids: Collection[str] | None = None, hub_id: str | None = None
) -> list[Entry]:
    """The newest records, newest first: all, or those about some releases, or naming a hub by the id of its CHF.

    Reads as much of the trail as it takes to find so many.
    """
    statement = _NEWEST
    values: dict[str, object] = {"limit": limit}
    if release_ids is not None:
        statement = statement.where(is_one_of(audit.c.release_id, "release_ids"))
        values["release_ids"] = members(release_ids)
    if hub_id is not None:
        statement = statement.where(_NAMES_HUB)
        values["hub_id"] = hub_id
    return [_entry_of(row) for row in connection.execute(statement, values)]


def newest_id(connection: Connection) -> int:
    """The number of the newest record, 0 if there is none."""
    return int(_NEWEST_ID.scalar(connection) or 0)


def hubs_named_since(connection: Connection, audit_id: int) -> set[str]:
    """The hubs that are named by the records after one."""
    return {hub_id for row in _HUBS_SINCE.all(connection, {"audit_id": audit_id}) for hub_id in row.hubs.split(",")}


def pruned_up_to(connection: Connection) -> datetime | None:
    """The time of the oldest record there is, if what was before it has been pruned; else None."""
    if not connection.scalar(_PRUNED):
        return None
    beginning: datetime | None = connection.scalar(_BEGINNING)
    return beginning


def of_hub(connection: Connection, hub_id: str) -> list[Entry]:
    """The records that name a hub by the canonical id of its CHF, oldest first; reads the whole trail."""
    return [_entry_of(row) for row in connection.execute(_OF_HUB, {"hub_id": hub_id})]


@dataclass(frozen=True, slots=True)
class Transition:
    """That the attempts of this number at these hubs went to a state."""

    release_id: str
    attempt_number: int
    state: AttemptState
    hubs: Collection[str]


def transitions_recorded(connection: Connection) -> Iterator[Transition]:
    """Every transition of attempts on record, oldest first."""
    for release_id, number, state, hubs in connection.execute(_OF_ATTEMPTS):
        yield Transition(release_id, number, AttemptState(state), hubs.split(","))


def _entry_of(row: Row[Any]) -> Entry:
    return Entry(
        row.at,
        row.actor,
        row.action,
        row.detail,
        row.message_key,
        row.release_id,
        row.from_state,
        row.to_state,
        tuple(row.hubs.split(",")) if row.hubs else (),
        row.attempt_number,
    )
