"""The outbox: messages signed and committed with what caused them, until their receivers have taken them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select

from sr_engine.store.sets import is_one_of
from sr_engine.store.tables import alerted_hubs, outbox

PENDING = "Pending"
DELIVERED = "Delivered"
PARKED = "Parked"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be sent: `destination` is `user:<EUI>` or `csp:<region>`.

    Messages about one hub are delivered in order; one without `hub_id` is delivered before all later ones.
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
    state: str
    tries: int
    next_try_at: datetime
    delivered_at: datetime | None
    last_error: str | None


def put(connection: Connection, messages: Sequence[Outgoing], now: datetime) -> None:
    """Queue messages, in this order."""
    if messages:
        connection.execute(
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


def destinations(connection: Connection) -> list[str]:
    """Who has something waiting."""
    return list(connection.scalars(select(outbox.c.destination).where(outbox.c.state == PENDING).distinct()))


def waiting(connection: Connection, destination: str, limit: int) -> list[Queued]:
    """The oldest messages waiting for one destination, oldest first, due or not: order needs those not yet due."""
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
        .where(outbox.c.state == PENDING, outbox.c.destination == destination)
        .order_by(outbox.c.outbox_id)
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
                delivered_at=bindparam("new_delivered_at"),
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
    return set(found.tuples())


def record_alerted(connection: Connection, rows: Iterable[tuple[str, str, str, str, str]]) -> None:
    """Record hub, event, organisation, occurrence and message id of new alerts."""
    names = ("hub_id", "event", "organisation", "occurrence", "message_id")
    values = [dict(zip(names, row, strict=True)) for row in rows]
    if values:
        connection.execute(alerted_hubs.insert(), values)
