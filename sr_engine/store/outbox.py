"""The outbox: messages signed and committed with what caused them, until their receivers have taken them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    select,
)

from sr_engine.store.bulk import execute_many
from sr_engine.store.sets import is_one_of
from sr_engine.store.tables import alerted_hubs, outbox

PENDING = "Pending"
DELIVERED = "Delivered"
PARKED = "Parked"

ALERT = "alert"
UPGRADE_LIST = "upgrade_list"


def _pending(table: FromClause) -> ColumnElement[bool]:
    """Written out, not bound: SQLite then sees that its indexes of what is waiting serve."""
    return table.c.state == literal_column(f"'{PENDING}'")


_PENDING = _pending(outbox)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be sent: `kind` is ALERT or UPGRADE_LIST, `destination` is `user:<EUI>` or `csp:<region>`.

    Messages about one hub are delivered in order; an alert without `hub_id` is delivered before all later ones. Upgrade
    lists are independent of one another, for no hub stands on two that are under way.
    """

    message_id: str
    kind: str
    destination: str
    event: str
    body: bytes
    hub_id: str | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """A message in the queue, as far as delivery needs it."""

    outbox_id: int
    message_id: str
    destination: str
    hub_id: str | None
    body: bytes
    tries: int
    next_try_at: datetime


@dataclass(frozen=True, slots=True)
class Attempted:
    """What came of one try: `state` Delivered, Parked, or Pending with the time of the next."""

    outbox_id: int
    message_id: str
    state: str
    tries: int
    next_try_at: datetime
    delivered_at: datetime | None
    last_error: str | None


def put(connection: Connection, messages: Sequence[Outgoing], now: datetime) -> None:
    """Queue messages, in this order."""
    execute_many(
        connection,
        outbox.insert(),
        [
            {
                "message_id": message.message_id,
                "kind": message.kind,
                "destination": message.destination,
                "hub_id": message.hub_id,
                "event": message.event,
                "body": message.body,
                "created_at": now,
                "state": PENDING,
                "tries": 0,
                "next_try_at": now,
            }
            for message in messages
        ],
    )


def destinations(connection: Connection, now: datetime) -> list[str]:
    """Who has a message waiting that is due."""
    return list(
        connection.scalars(select(outbox.c.destination).where(_PENDING, outbox.c.next_try_at <= now).distinct())
    )


def sendable(connection: Connection, destination: str, now: datetime, limit: int) -> list[Queued]:
    """Messages for one destination that are due and may be sent side by side, longest due first.

    Of each hub that is the oldest message waiting. An alert without a hub is sent alone, once it is the oldest of all,
    and until it has been nothing later is. A list waits for no other: one that a CSP does not take must not cost the
    others their nights.
    """
    waiting = outbox.alias("waiting")
    same_queue = and_(_pending(waiting), waiting.c.destination == destination)
    barrier = connection.scalar(
        select(func.min(waiting.c.outbox_id)).where(
            same_queue, waiting.c.hub_id.is_(None), waiting.c.kind != UPGRADE_LIST
        )
    )
    oldest_of_hub = ~exists().where(
        same_queue, waiting.c.hub_id == outbox.c.hub_id, waiting.c.outbox_id < outbox.c.outbox_id
    )
    oldest_of_all = ~exists().where(same_queue, waiting.c.outbox_id < outbox.c.outbox_id)
    may_go = (outbox.c.kind == UPGRADE_LIST) | (outbox.c.hub_id.is_not(None) & oldest_of_hub)
    if barrier is not None:
        before = (outbox.c.outbox_id < barrier) & may_go
        may_go = before | ((outbox.c.outbox_id == barrier) & oldest_of_all)
    found = connection.execute(
        select(
            outbox.c.outbox_id,
            outbox.c.message_id,
            outbox.c.destination,
            outbox.c.hub_id,
            outbox.c.body,
            outbox.c.tries,
            outbox.c.next_try_at,
        )
        .where(_PENDING, outbox.c.destination == destination, outbox.c.next_try_at <= now, may_go)
        .order_by(outbox.c.next_try_at, outbox.c.outbox_id)
        .limit(limit)
    )
    return [Queued(*row) for row in found]


def settle(connection: Connection, results: Sequence[Attempted]) -> None:
    """Record what came of tries."""
    if results:
        connection.execute(
            outbox.update()
            .where(outbox.c.outbox_id == bindparam("key"))
            .values(
                state=bindparam("new_state"),
                tries=bindparam("new_tries"),
                next_try_at=bindparam("new_next_try_at"),
                # Of a message that is sent again, when it was delivered first.
                # A function gives its parameter no type of itself.
                delivered_at=func.coalesce(
                    outbox.c.delivered_at, bindparam("new_delivered_at", type_=outbox.c.delivered_at.type)
                ),
                last_error=bindparam("new_last_error"),
            ),
            [
                {
                    "key": result.outbox_id,
                    "new_state": result.state,
                    "new_tries": result.tries,
                    "new_next_try_at": result.next_try_at,
                    "new_delivered_at": result.delivered_at,
                    "new_last_error": result.last_error,
                }
                for result in results
            ],
        )


def send_again(connection: Connection, message_id: str, now: datetime) -> bool:
    """Queue a message once more, with the same bytes and id; False if there is none."""
    result = connection.execute(
        outbox.update().where(outbox.c.message_id == message_id).values(state=PENDING, tries=0, next_try_at=now)
    )
    return result.rowcount == 1


def counts(connection: Connection) -> dict[tuple[str, str, str], int]:
    """How many messages there are by kind, event and state."""
    found = connection.execute(
        select(outbox.c.kind, outbox.c.event, outbox.c.state, func.count()).group_by(
            outbox.c.kind, outbox.c.event, outbox.c.state
        )
    )
    return {(kind, event, state): number for kind, event, state, number in found}


def already_alerted(connection: Connection, event: str, hub_ids: Collection[str]) -> set[tuple[str, str, str]]:
    """Hub, organisation and occurrence of alerts of this event that exist for these hubs."""
    found = connection.execute(
        select(alerted_hubs.c.hub_id, alerted_hubs.c.organisation, alerted_hubs.c.occurrence).where(
            alerted_hubs.c.event == event, is_one_of(alerted_hubs.c.hub_id, hub_ids)
        )
    )
    return {(hub_id, organisation, occurrence) for hub_id, organisation, occurrence in found}


def record_alerted(connection: Connection, rows: Iterable[tuple[str, str, str, str, str]]) -> None:
    """Record hub, event, organisation, occurrence and message id of new alerts."""
    names = ("hub_id", "event", "organisation", "occurrence", "message_id")
    values = [dict(zip(names, row, strict=True)) for row in rows]
    execute_many(connection, alerted_hubs.insert(), values)
