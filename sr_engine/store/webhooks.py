"""Webhooks: whose, where to, and up to where all has been sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select

from sr_engine.store.changes import Position
from sr_engine.store.tables import UtcDateTime, webhooks


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as it is kept."""

    webhook_id: str
    user_eui: str
    url: str
    secret: str
    """Sealed."""
    kinds: tuple[str, ...] | None
    created_at: datetime
    sent: Position
    """Up to where all has been sent."""
    delivered_at: datetime | None
    tries: int
    next_try_at: datetime
    last_error: str | None
    parked_at: datetime | None


_ONE = select(webhooks).where(webhooks.c.webhook_id == bindparam("webhook_id"))
_OF_USER = select(webhooks).where(webhooks.c.user_eui == bindparam("user_eui")).order_by(webhooks.c.created_at)
_DUE = (
    select(webhooks)
    .where(webhooks.c.parked_at.is_(None), webhooks.c.next_try_at <= bindparam("now", type_=UtcDateTime))
    .order_by(webhooks.c.next_try_at)
)
_ALL = select(webhooks).order_by(webhooks.c.created_at)


def add(connection: Connection, one: Webhook) -> None:
    """Insert a webhook."""
    connection.execute(
        webhooks.insert().values(
            webhook_id=one.webhook_id,
            user_eui=one.user_eui,
            url=one.url,
            secret=one.secret,
            kinds=None if one.kinds is None else ",".join(one.kinds),
            created_at=one.created_at,
            sent_audit_id=one.sent.audit_id,
            sent_offset=one.sent.offset,
            delivered_at=one.delivered_at,
            tries=one.tries,
            next_try_at=one.next_try_at,
            last_error=one.last_error,
            parked_at=one.parked_at,
        )
    )


def find(connection: Connection, webhook_id: str) -> Webhook | None:
    """A webhook by its id."""
    row = connection.execute(_ONE, {"webhook_id": webhook_id}).one_or_none()
    return None if row is None else _webhook_of(row)


def of_user(connection: Connection, user_eui: str) -> list[Webhook]:
    """The webhooks of a User, oldest first."""
    return [_webhook_of(row) for row in connection.execute(_OF_USER, {"user_eui": user_eui})]


def all_webhooks(connection: Connection) -> list[Webhook]:
    """All webhooks, oldest first."""
    return [_webhook_of(row) for row in connection.execute(_ALL)]


def due(connection: Connection, now: datetime) -> list[Webhook]:
    """Those to which something may be sent now."""
    return [_webhook_of(row) for row in connection.execute(_DUE, {"now": now})]


def remove(connection: Connection, webhook_id: str) -> None:
    """Remove a webhook."""
    connection.execute(webhooks.delete().where(webhooks.c.webhook_id == webhook_id))


def count(connection: Connection, user_eui: str) -> int:
    """How many a User has."""
    return int(connection.scalar(select(func.count()).where(webhooks.c.user_eui == user_eui)) or 0)


def settle(connection: Connection, before: Webhook, after: Webhook) -> bool:
    """Write what came of sending; false, nothing being written, if somebody has changed the webhook meanwhile."""
    written = connection.execute(
        webhooks.update()
        .where(
            webhooks.c.webhook_id == before.webhook_id,
            webhooks.c.sent_audit_id == before.sent.audit_id,
            webhooks.c.sent_offset == before.sent.offset,
            webhooks.c.tries == before.tries,
        )
        .values(
            sent_audit_id=after.sent.audit_id,
            sent_offset=after.sent.offset,
            delivered_at=after.delivered_at,
            tries=after.tries,
            next_try_at=after.next_try_at,
            last_error=after.last_error,
            parked_at=after.parked_at,
        )
    )
    return written.rowcount == 1


def _webhook_of(row: Row[Any]) -> Webhook:
    return Webhook(
        webhook_id=row.webhook_id,
        user_eui=row.user_eui,
        url=row.url,
        secret=row.secret,
        kinds=None if row.kinds is None else tuple(row.kinds.split(",")),
        created_at=row.created_at,
        sent=Position(row.sent_audit_id, row.sent_offset),
        delivered_at=row.delivered_at,
        tries=row.tries,
        next_try_at=row.next_try_at,
        last_error=row.last_error,
        parked_at=row.parked_at,
    )
