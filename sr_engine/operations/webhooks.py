"""Webhooks: made, removed, and sent again once they were parked."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from sr_engine.operations.api_tokens import OPERATOR
from sr_engine.sealing import NotSealed, Sealer
from sr_engine.store import audit, changes, webhooks
from sr_engine.store.changes import Position
from sr_engine.store.units_of_work import UnitOfWork
from sr_engine.store.webhooks import Webhook

SECRET_PREFIX = "whsec_"  # noqa: S105 - with which secrets begin


class WebhookRefused(Exception):
    """It cannot be done; the text says why."""


class KeyUsedBefore(Exception):
    """Something else was made under the same key."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A webhook that is to be, under an id that the request has."""

    webhook_id: str
    user_eui: str
    url: str
    kinds: tuple[str, ...] | None
    who: str


def make(unit_of_work: UnitOfWork, wanted: Wanted, begin: Position, sealer: Sealer, *, most: int) -> Webhook:
    """Make it, once; its secret is drawn here. Raises WebhookRefused and KeyUsedBefore."""
    connection, now = unit_of_work.connection, unit_of_work.now
    known = webhooks.find(connection, wanted.webhook_id)
    if known is not None:
        if (known.url, known.kinds) != (wanted.url, wanted.kinds):
            raise KeyUsedBefore
        return known
    if webhooks.count(connection, wanted.user_eui) >= most:
        raise WebhookRefused(f"you have {most} webhooks, and can have no more: remove one first")
    secret = SECRET_PREFIX + secrets.token_urlsafe(32)
    made = Webhook(
        webhook_id=wanted.webhook_id,
        user_eui=wanted.user_eui,
        url=wanted.url,
        secret=sealer.seal(secret.encode(), _purpose(wanted.webhook_id)),
        kinds=wanted.kinds,
        created_at=now,
        sent=begin,
        delivered_at=None,
        tries=0,
        next_try_at=now,
        last_error=None,
        parked_at=None,
    )
    webhooks.add(connection, made)
    _record(unit_of_work, made, f"user:{made.user_eui}", "webhook made", wanted.who)
    return made


def secret_of(webhook: Webhook, sealer: Sealer) -> str:
    """With which its messages are signed; raises WebhookRefused if it was sealed with another key."""
    try:
        return sealer.open(webhook.secret, _purpose(webhook.webhook_id)).decode()
    except NotSealed:
        raise WebhookRefused("its secret was sealed with another key file: remove it and make a new one") from None


def remove(unit_of_work: UnitOfWork, webhook: Webhook, who: str) -> None:
    """Have nothing sent there any more."""
    webhooks.remove(unit_of_work.connection, webhook.webhook_id)
    _record(unit_of_work, webhook, f"user:{webhook.user_eui}", "webhook removed", who)


def take_away(unit_of_work: UnitOfWork, webhook_id: str) -> Webhook:
    """The same by the operator, whoever made it; raises WebhookRefused if there is none."""
    known = webhooks.find(unit_of_work.connection, webhook_id)
    if known is None:
        raise _unknown(webhook_id)
    webhooks.remove(unit_of_work.connection, webhook_id)
    _record(unit_of_work, known, OPERATOR, "webhook removed", known.url)
    return known


def resend(unit_of_work: UnitOfWork, webhook_id: str, *, leave_out: bool = False) -> Webhook:
    """Send on to a webhook from where it was, parked or not; with `leave_out` from what is newest now.

    Raises WebhookRefused if there is none.
    """
    connection = unit_of_work.connection
    known = webhooks.find(connection, webhook_id)
    if known is None:
        raise _unknown(webhook_id)
    sent = changes.end(connection) if leave_out else known.sent
    # At once, by whatever clock.
    after = replace(known, sent=sent, tries=0, next_try_at=known.created_at, last_error=None, parked_at=None)
    webhooks.settle(connection, known, after)
    more = "what had not been sent is left out" if leave_out else "from where it was"
    _record(unit_of_work, known, OPERATOR, "webhook sent again", more)
    return after


def parked(unit_of_work: UnitOfWork, webhook: Webhook) -> None:
    """Record that nothing is sent to a webhook any more."""
    _record(unit_of_work, webhook, "processor", "webhook parked", f"after {webhook.tries} tries: {webhook.last_error}")


def _unknown(webhook_id: str) -> WebhookRefused:
    return WebhookRefused(f"there is no webhook {webhook_id}: `sr-engine webhook list` shows all")


def _purpose(webhook_id: str) -> str:
    return f"webhook {webhook_id}"


def _record(unit_of_work: UnitOfWork, webhook: Webhook, actor: str, action: str, detail: str) -> None:
    said = f"{webhook.webhook_id} of {webhook.user_eui}, {detail}"
    audit.record(unit_of_work.connection, [audit.Entry(unit_of_work.now, actor, action, said)])
