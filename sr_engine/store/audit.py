"""The audit trail: append-only, who did what when, from which state to which."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from sr_engine.domain.agreement import AttemptChange
from sr_engine.domain.changes import AnswerChange
from sr_engine.store.tables import audit

_INSERT = audit.insert()

CHAIN = 1
"""The one writer's chain: SQLite has one writer at a time, whichever process it is in."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record; `hubs` are canonical ids. `actor` is `user:<EUI>`, `csp:<region>`, `operator` or `processor`."""

    at: datetime
    actor: str
    action: str
    detail: str
    message_key: str | None = None
    release_id: str | None = None
    from_state: str | None = None
    to_state: str | None = None
    hubs: Collection[str] = ()


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
            "hub_count": len(entry.hubs),
            "hubs": ",".join(sorted(entry.hubs)) if entry.hubs else None,
            "detail": entry.detail,
        }
        for entry in entries
    ]
    if rows:
        connection.execute(_INSERT, rows)


def transitions(
    changes: Iterable[AttemptChange], *, at: datetime, actor: str, release_id: str, message_key: str | None
) -> list[Entry]:
    """One record per event, transition and reason, with the hubs that made it."""
    groups: dict[tuple[str, str | None, str, str | None], list[str]] = {}
    for change in changes:
        before = None if change.before is None else change.before.value
        key = (change.event.value, before, change.attempt.state.value, change.attempt.reason)
        groups.setdefault(key, []).append(change.hub_id)
    return [
        Entry(at, actor, f"attempt {event}", reason or "", message_key, release_id, before, after, tuple(hub_ids))
        for (event, before, after, reason), hub_ids in groups.items()
    ]


def newest(connection: Connection, limit: int) -> list[Entry]:
    """The newest records, newest first."""
    found = connection.execute(select(audit).order_by(audit.c.audit_id.desc()).limit(limit))
    return [
        Entry(
            row.at,
            row.actor,
            row.action,
            row.detail,
            row.message_key,
            row.release_id,
            row.from_state,
            row.to_state,
            tuple(row.hubs.split(",")) if row.hubs else (),
        )
        for row in found
    ]


def answers(
    changes: Iterable[AnswerChange], *, at: datetime, actor: str, release_id: str, message_key: str | None
) -> list[Entry]:
    """One record per answer given, with the hubs it was given for."""
    groups: dict[str, list[str]] = {}
    for change in changes:
        groups.setdefault(change.answer.approval.value, []).append(change.hub_id)
    return [
        Entry(at, actor, "answer", "", message_key, release_id, None, approval, tuple(hub_ids))
        for approval, hub_ids in groups.items()
    ]
