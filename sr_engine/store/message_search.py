"""Messages that were taken and sent, by what an operator knows: a RequestID, a hub, a sender, a code, a time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, select, union

from sr_engine.store import told
from sr_engine.store.looking_back import Budget, Found, Trail
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import (
    alerted_hubs,
    attempts,
    decisions,
    exchanges,
    held_requests,
    outbox,
    schedule_hubs,
    schedules,
    upgrade_lists,
)

_TRAIL = Trail(exchanges, exchanges.c.exchange_id, exchanges.c.received_at)
_LINE: Select[Any] = select(
    exchanges.c.exchange_id,
    exchanges.c.interface,
    exchanges.c.message_key,
    exchanges.c.command_variant,
    exchanges.c.sender_eui,
    exchanges.c.service_reference_variant,
    exchanges.c.received_at,
    exchanges.c.code,
    exchanges.c.detail,
)
_OF_KEYS = (
    _LINE.where(is_one_of(exchanges.c.interface, "interfaces"), is_one_of(exchanges.c.message_key, "keys"))
    .order_by(exchanges.c.exchange_id.desc())
    .limit(bindparam("at_most"))
)
_FINAL: Select[Any] = select(
    held_requests.c.reason,
    held_requests.c.held_at,
    held_requests.c.ended_at,
    held_requests.c.code,
    held_requests.c.detail,
    held_requests.c.response,
    held_requests.c.event_ref,
).where(held_requests.c.exchange_id == bindparam("exchange_id"))
_REQUESTS_OF_HUB = union(
    select(schedules.c.request_id)
    .join(schedule_hubs, schedule_hubs.c.schedule_id == schedules.c.schedule_id)
    .where(schedule_hubs.c.hub_id == bindparam("hub_id")),
    select(decisions.c.request_id).where(decisions.c.hub_id == bindparam("hub_id")),
)
_ALERTS_OF_HUB = union(
    select(alerted_hubs.c.message_id).where(alerted_hubs.c.hub_id == bindparam("hub_id")),
    select(outbox.c.message_id).where(outbox.c.hub_id == bindparam("hub_id"), told.BY_ITSELF),
)
_LISTS_OF_HUB = (
    select(upgrade_lists.c.message_id)
    .distinct()
    .join(attempts, attempts.c.list_id == upgrade_lists.c.list_id)
    .where(attempts.c.hub_id == bindparam("hub_id"))
)
_SENT: Select[Any] = select(
    outbox.c.outbox_id,
    outbox.c.message_id,
    outbox.c.kind,
    outbox.c.event,
    outbox.c.destination,
    outbox.c.hub_id,
    outbox.c.state,
    outbox.c.tries,
    outbox.c.created_at,
    outbox.c.next_try_at,
    outbox.c.delivered_at,
    outbox.c.last_error,
)
_SENT_OF = (
    _SENT.where(is_one_of(outbox.c.message_id, "message_ids"))
    .order_by(outbox.c.outbox_id.desc())
    .limit(bindparam("at_most"))
)


@dataclass(frozen=True, slots=True)
class ExchangeLine:
    """A message that was taken, and how it was answered, without what either said."""

    exchange_id: int
    interface: str
    message_key: str
    command_variant: int
    sender_eui: str
    service_reference_variant: str
    received_at: datetime
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Final:
    """What became of a request that was held."""

    reason: str
    held_at: datetime
    ended_at: datetime | None
    code: str | None
    detail: str | None
    response: bytes | None
    event_ref: str | None


@dataclass(frozen=True, slots=True)
class WholeExchange:
    """A message that was taken and what it was answered, byte for byte; empty once that was pruned."""

    line: ExchangeLine
    received: bytes
    answer: bytes
    final: Final | None


@dataclass(frozen=True, slots=True)
class SentLine:
    """A message of the outbox, without its body."""

    outbox_id: int
    message_id: str
    kind: str
    event: str
    destination: str
    hub_id: str | None
    state: str
    tries: int
    created_at: datetime
    next_try_at: datetime
    delivered_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Sought:
    """What messages that were taken have to be like; what is None does not matter."""

    sender_euis: Collection[str] | None = None
    code: str | None = None
    variant: str | None = None
    """Service Reference Variant, or the name of a CSP's message."""
    interface: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Not then any more."""


@dataclass(frozen=True, slots=True)
class OfHub:
    """What is on record of the messages about a hub, newest first; at most so many of each as were asked for."""

    taken: tuple[ExchangeLine, ...]
    """Requests by which it was scheduled or answered for."""
    sent: tuple[SentLine, ...]
    """Alerts about it, and the lists it stands on."""


def search(
    connection: Connection, sought: Sought, *, before: int | None = None, limit: int, budget: Budget
) -> Found[ExchangeLine]:
    """Messages that were taken, newest first, from a row number on back."""
    statement, values = _LINE, dict[str, object]()
    if sought.sender_euis is not None:
        statement = statement.where(is_one_of(exchanges.c.sender_eui, "senders"))
        values["senders"] = members(sorted(sought.sender_euis))
    for column, value in (
        (exchanges.c.code, sought.code),
        (exchanges.c.service_reference_variant, sought.variant),
        (exchanges.c.interface, sought.interface),
    ):
        if value is not None:
            statement = statement.where(column == bindparam(f"sought_{column.name}"))
            values[f"sought_{column.name}"] = value
    if sought.until is not None:
        beyond = _TRAIL.number_at(connection, sought.until) + 1
        before = beyond if before is None else min(before, beyond)
    found = _TRAIL.search(connection, statement, values, before=before, since=sought.since, limit=limit, budget=budget)
    return Found(tuple(_line(row) for row in found.rows), found.before, found.full, found.back_to)


def of_keys(
    connection: Connection, keys: Collection[str], interfaces: Collection[str], limit: int
) -> list[ExchangeLine]:
    """Messages by their RequestIDs or MessageIDs, newest first, whatever their Command Variant."""
    sought = {"interfaces": members(sorted(interfaces)), "keys": members(sorted(keys)), "at_most": limit}
    return [_line(row) for row in connection.execute(_OF_KEYS, sought)]


def of_hub(connection: Connection, hub_id: str, interfaces: Collection[str], limit: int) -> OfHub:
    """Messages about a hub, by the canonical id of its CHF, as far as tables of what was agreed and sent name it.

    Requests that were refused, and those that took a schedule back, are found in the audit trail only.
    """
    requests = {request_id.upper() for request_id in connection.scalars(_REQUESTS_OF_HUB, {"hub_id": hub_id})}
    sent = {*connection.scalars(_ALERTS_OF_HUB, {"hub_id": hub_id})}
    sent |= {*connection.scalars(_LISTS_OF_HUB, {"hub_id": hub_id})}
    found = connection.execute(_SENT_OF, {"message_ids": members(sorted(sent)), "at_most": limit})
    return OfHub(tuple(of_keys(connection, requests, interfaces, limit)), tuple(SentLine(*row) for row in found))


def whole(connection: Connection, exchange_id: int) -> WholeExchange | None:
    """One message with its answer; None for an unknown one."""
    row = connection.execute(
        _LINE.add_columns(exchanges.c.received, exchanges.c.answer).where(exchanges.c.exchange_id == exchange_id)
    ).one_or_none()
    if row is None:
        return None
    held = connection.execute(_FINAL, {"exchange_id": exchange_id}).one_or_none()
    return WholeExchange(_line(row), row.received, row.answer, None if held is None else Final(*held))


def sent(connection: Connection, message_id: str) -> SentLine | None:
    """One message of the outbox; None for an unknown one."""
    row = connection.execute(_SENT.where(outbox.c.message_id == message_id)).one_or_none()
    return None if row is None else SentLine(*row)


def _line(row: Row[Any]) -> ExchangeLine:
    return ExchangeLine(*tuple(row)[:9])
