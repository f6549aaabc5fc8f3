"""Sends changes to webhooks: at least once, in their order, with back-off, and parked after the last try.

A webhook is a place in the feed, not a queue: whatever becomes of a receiver, nothing is kept for it and nothing lost.
What is sent is signed with HMAC-SHA256 over its time and body, so that it can be neither changed nor played again.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus

import aiohttp

from sr_engine.api.addresses import Reachable
from sr_engine.api.changes import marked
from sr_engine.api.desk import Desk
from sr_engine.api.models import ChangeSeen
from sr_engine.claims import Claims, Lease, LeaseLost
from sr_engine.configuration import Webhooks
from sr_engine.delivery.resolving import OwnThreads
from sr_engine.delivery.tries import failure_of
from sr_engine.domain.eligibility import Applicant
from sr_engine.operations import webhooks as operations
from sr_engine.operations.changes import ChangeKind, Pruned, SupplierChanges
from sr_engine.store import webhooks
from sr_engine.store.units_of_work import Runs, UnitOfWork
from sr_engine.store.webhooks import Webhook

log = logging.getLogger(__name__)

LEASE = "webhooks"
VERSION = "v1"
ID, TIMESTAMP, SIGNATURE = "SR-Webhook-ID", "SR-Webhook-Timestamp", "SR-Webhook-Signature"
_PARTS = 1_000_000
_WORTH_WRITING = 200
"""Records that hold nothing for a Supplier, from which on it is written that they have been looked through."""
_LONGEST_ERROR = 200


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """What a receiver compares: HMAC-SHA256 over the time in seconds since 1970, a dot, and the body."""
    signed = f"{timestamp}.".encode() + body
    return f"{VERSION}={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


def is_genuine(secret: str, headers: Mapping[str, str], body: bytes, now: int, *, window: int) -> bool:
    """What a receiver does: true if the message is signed with the secret and not older or newer than `window` s."""
    try:
        timestamp = int(headers[TIMESTAMP])
        given = headers[SIGNATURE]
    except (KeyError, ValueError):
        return False
    return abs(now - timestamp) <= window and hmac.compare_digest(given, signature(secret, timestamp, body))


@dataclass(frozen=True, slots=True)
class Sending:
    """Sends in one process at a time, which holds the lease."""

    desk: Desk
    claims: Claims
    randbelow: Callable[[int], int]

    @property
    def policy(self) -> Webhooks:
        return self.desk.policy.webhooks

    async def run(self) -> None:
        """Until cancelled."""
        timeout = aiohttp.ClientTimeout(total=self.policy.timeout.total_seconds())
        connector = aiohttp.TCPConnector(resolver=OwnThreads(), socket_factory=Reachable(self.policy).socket)
        async with aiohttp.ClientSession(
            timeout=timeout, connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            under_way: dict[str, asyncio.Task[None]] = {}
            try:
                while True:
                    try:
                        await self._look(session, under_way)
                    except Exception:
                        log.exception("webhooks cannot be looked through; it is tried again")
                    await asyncio.sleep(self.policy.poll.total_seconds())
            finally:
                for task in under_way.values():
                    task.cancel()
                await asyncio.gather(*under_way.values(), return_exceptions=True)

    async def _look(self, session: aiohttp.ClientSession, under_way: dict[str, asyncio.Task[None]]) -> None:
        """Begin to send to all that something may be sent to; nobody waits for a receiver that is slow."""
        for webhook_id in [one for one, task in under_way.items() if task.done()]:
            del under_way[webhook_id]
        now = self.desk.clock.now()
        due = await self.desk.read(lambda connection: webhooks.due(connection, now))
        if not due:
            return
        lease = await self.claims.claim(LEASE)
        if lease is not None:
            for one in due:
                if one.webhook_id not in under_way:
                    under_way[one.webhook_id] = asyncio.create_task(self._send_all(session, one, lease))

    async def _send_all(self, session: aiohttp.ClientSession, webhook: Webhook, lease: Lease) -> None:
        """Send until all is sent, or it fails."""
        one: Webhook | None = webhook
        try:
            while one is not None and self.claims.is_good(lease):
                one = await self.send_next(session, one, self.claims.fenced(lease))
        except LeaseLost as lost:
            log.warning("webhooks are left to another process: %s", lost)
        except Exception:
            log.exception("nothing could be sent to webhook %s; it is tried again", webhook.webhook_id)

    async def send_next(self, session: aiohttp.ClientSession, webhook: Webhook, runs: Runs) -> Webhook | None:
        """Send the next changes and record what came of it; the webhook as it is then, if there may be more to send."""
        user = self.desk.users.by_eui(webhook.user_eui)
        if user is None or not self.desk.users.is_active(user):
            return None
        viewer = Applicant(user.organisation_id, frozenset(role.value for role in user.roles))
        kinds = None if webhook.kinds is None else [ChangeKind(kind) for kind in webhook.kinds]
        limit = self.policy.changes_together
        try:
            found = await self.desk.read(
                lambda connection: self.desk.changes.read(connection, viewer, webhook.sent, limit, kinds)
            )
            error = await self._post(session, webhook, found) if found.changes else None
        except Pruned:
            error = "what comes next has been pruned; have it sent again with --leave-out"
            found = SupplierChanges((), webhook.sent, more=False)
        except operations.WebhookRefused as refused:
            error = str(refused)
        looked_at = found.position.audit_id - webhook.sent.audit_id
        if error is None and not found.changes and looked_at < _WORTH_WRITING:
            # Nothing for this Supplier: looked through again from where it was.
            return None
        after = self._after(webhook, found, error)
        done = await runs.run(lambda uow: _write(uow, webhook, after))
        return after if done and error is None and found.more else None

    def _after(self, webhook: Webhook, found: SupplierChanges, error: str | None) -> Webhook:
        now = self.desk.clock.now()
        if error is None:
            delivered = now if found.changes else webhook.delivered_at
            return replace(
                webhook, sent=found.position, delivered_at=delivered, tries=0, next_try_at=now, last_error=None
            )
        tries = webhook.tries + 1
        longest = self.policy.back_off[min(tries, len(self.policy.back_off)) - 1]
        wait = longest * ((self.randbelow(_PARTS) + 1) / _PARTS)
        parked_at = now if tries >= self.policy.max_tries else None
        return replace(webhook, tries=tries, next_try_at=now + wait, last_error=error, parked_at=parked_at)

    async def _post(self, session: aiohttp.ClientSession, webhook: Webhook, found: SupplierChanges) -> str | None:
        """What went wrong; None if it was taken."""
        desk = self.desk
        # What the operator allows may have changed since it was made.
        if (objection := Reachable(self.policy).objection(webhook.url)) is not None:
            return objection
        seen = [ChangeSeen.of(one, marked(desk, webhook.user_eui, one)) for one in found.changes]
        body = b'{"changes":[' + b",".join(one.model_dump_json().encode() for one in seen) + b"]}"
        now = desk.clock.now()
        headers = self._headers(webhook, body, now)
        try:
            async with session.post(webhook.url, data=body, headers=headers, allow_redirects=False) as response:
                with suppress(TimeoutError, aiohttp.ClientError, OSError):
                    await response.content.read(65_536)
                if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
                    return None
                return f"HTTP {response.status}"
        except TimeoutError:
            return "no answer in time"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return failure_of(error)[:_LONGEST_ERROR]

    def _headers(self, webhook: Webhook, body: bytes, now: datetime) -> dict[str, str]:
        """Its id is that of its content: sent again with more in it, it must not be taken for the same."""
        timestamp = int(now.timestamp())
        secret = operations.secret_of(webhook, self.desk.sealer)
        return {
            "Content-Type": "application/json",
            ID: self.desk.sealer.mark(f"message {webhook.webhook_id} {hashlib.sha256(body).hexdigest()}"),
            TIMESTAMP: str(timestamp),
            SIGNATURE: signature(secret, timestamp, body),
        }


def _write(unit_of_work: UnitOfWork, before: Webhook, after: Webhook) -> bool:
    written = webhooks.settle(unit_of_work.connection, before, after)
    if written and after.parked_at is not None:
        operations.parked(unit_of_work, after)
    return written
