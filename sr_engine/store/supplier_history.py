"""What is on record of a hub for its Supplier: its own doings, what it was told, and the attempts it may know of.

Read by hub from the tables that are in order of hubs; the audit trail, which has no such order, is not read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, bindparam, select, union_all

from sr_engine.domain.states import OPEN, AttemptState
from sr_engine.messages.model import Period
from sr_engine.store import told
from sr_engine.store.tables import (
    alerted_hubs,
    arrivals,
    attempts,
    decisions,
    exclusions,
    outbox,
    schedule_hubs,
    schedules,
)


class EventKind(StrEnum):
    """What an event of a history is."""

    RESPONSIBLE = "Responsible"
    """The Supplier became responsible for the hub."""
    SCHEDULED = "Scheduled"
    """The Supplier set a schedule for it."""
    ANSWERED = "Answered"
    """The Supplier's present answer."""
    EXCLUDED = "Excluded"
    """The Supplier keeps it out."""
    ATTEMPT = "Attempt"
    """What has become of an attempt so far."""
    ALERT = "Alert"
    """The Supplier was told something."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the history of a hub, as its Supplier may see it."""

    at: datetime
    kind: EventKind
    what: str = ""
    """The answer, the state of the attempt, or what the alert tells."""
    release_id: str | None = None
    attempt: int | None = None
    """As this Supplier counts."""
    window: Period | None = None
    until: datetime | None = None
    schedule_id: int | None = None
    message_id: str | None = None
    """The alert's, by which it can be fetched."""
    reason: str | None = None


_HUB: ColumnElement[str] = bindparam("hub_id")
_ORGANISATION: ColumnElement[str] = bindparam("organisation")
_SCHEDULES = (
    select(schedules)
    .join_from(schedule_hubs, schedules)
    .where(schedule_hubs.c.hub_id == _HUB, schedules.c.organisation == _ORGANISATION)
)
_ANSWERS = select(decisions).where(decisions.c.hub_id == _HUB, decisions.c.organisation == _ORGANISATION)
_EXCLUSION = select(exclusions).where(exclusions.c.hub_id == _HUB, exclusions.c.organisation == _ORGANISATION)
_ARRIVALS = select(arrivals).where(arrivals.c.hub_id == _HUB, arrivals.c.organisation == _ORGANISATION)
_ATTEMPTS = select(attempts).where(attempts.c.hub_id == _HUB)
_ALERTS = union_all(
    select(alerted_hubs.c.event, alerted_hubs.c.message_id, outbox.c.created_at)
    .join_from(alerted_hubs, outbox, outbox.c.message_id == alerted_hubs.c.message_id)
    .where(alerted_hubs.c.hub_id == _HUB, alerted_hubs.c.organisation == _ORGANISATION),
    select(outbox.c.event, outbox.c.message_id, outbox.c.created_at).where(
        outbox.c.hub_id == _HUB, outbox.c.organisation == _ORGANISATION, told.BY_ITSELF
    ),
)


def of_hub(
    connection: Connection, hub_id: str, organisation: str, since: datetime, release_ids: Collection[str]
) -> list[Event]:
    """The events of a hub at some releases, oldest first, from when its Supplier became responsible."""
    sought = {"hub_id": hub_id, "organisation": organisation}
    found = [Event(since, EventKind.RESPONSIBLE)]
    found += [
        Event(
            row.created_at,
            EventKind.SCHEDULED,
            row.phase,
            row.release_id,
            window=Period(row.window_start, row.window_end),
            schedule_id=row.schedule_id,
        )
        for row in connection.execute(_SCHEDULES, sought)
    ]
    found += [
        Event(row.decided_at, EventKind.ANSWERED, row.approval, row.release_id, until=row.defer_until)
        for row in connection.execute(_ANSWERS, sought)
    ]
    found += [Event(row.set_at, EventKind.EXCLUDED, until=row.until) for row in connection.execute(_EXCLUSION, sought)]
    found += _attempts(connection, sought, since)
    found += [
        Event(row.created_at, EventKind.ALERT, row.event, message_id=row.message_id)
        for row in connection.execute(_ALERTS, sought)
    ]
    wanted = {*release_ids, None}
    return sorted((one for one in found if one.at >= since and one.release_id in wanted), key=lambda one: one.at)


def _attempts(connection: Connection, sought: dict[str, str], since: datetime) -> Iterator[Event]:
    """Attempts from before the Supplier came are left out and the others counted from there; as in `seen_by`."""
    came = {row.release_id: row for row in connection.execute(_ARRIVALS, sought)}
    for row in connection.execute(_ATTEMPTS, sought):
        arrival = came.get(row.release_id)
        number = row.number - (0 if arrival is None else arrival.attempts_before)
        state = AttemptState(row.state)
        # One that goes on when a Supplier comes is its own from then on.
        at = max(row.state_at, since) if state in OPEN else row.state_at
        if number >= 1:
            yield Event(
                at,
                EventKind.ATTEMPT,
                (AttemptState.CANCELLED if state is AttemptState.VOIDED else state).value,
                row.release_id,
                attempt=number,
                window=None if row.period_start is None else Period(row.period_start, row.period_end),
                reason=row.reason,
            )
