"""Sends what is in the outbox: at least once, in order per hub, with back-off, and parked after the last try."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime

import aiohttp
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from sr_engine.claims import Claims, Lease, LeaseLost
from sr_engine.clock import Clock
from sr_engine.configuration import Delivery
from sr_engine.store import audit, outbox, undelivered
from sr_engine.store.outbox import Attempted, Queued
from sr_engine.store.transactions import UnitOfWork

log = logging.getLogger(__name__)

SENT_TOGETHER = 64
"""Messages of one destination whose tries are recorded together, at most."""
RECORDED_BEHIND = 16
"""Such groups that may wait to be recorded while the next is sent."""

_LEASE = "delivery:"

Resolve = Callable[[str], str | None]
"""The URL of a destination as configured now, None if it has none any more."""


class Dispatcher:
    """Delivers to every destination independently of the others, and to one only while it holds its lease.

    So the order per hub is kept, and no message is sent by two processes at once: one that was paused for longer than a
    lease lasts sends nothing more. What it was sending then may come twice, with the same id and bytes.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        clock: Clock,
        policy: Delivery,
        resolve: Resolve,
        claims: Claims,
        poll_seconds: float = 1.0,
    ) -> None:
        self._engine = engine
        self._claims = claims
        self._clock = clock
        self._policy = policy
        self._resolve = resolve
        self._poll_seconds = poll_seconds
        self._wake = asyncio.Event()
        self._senders: dict[str, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """Look into the outbox now rather than at the next poll."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        timeout = aiohttp.ClientTimeout(
            total=self._policy.total_timeout.total_seconds(), connect=self._policy.connect_timeout.total_seconds()
        )
        # Each destination keeps to its own limit; several may share a host without waiting for one another.
        connector = aiohttp.TCPConnector(limit=0)
        # Without cookies: several receivers may share a host, and none may be told from another's.
        async with aiohttp.ClientSession(
            timeout=timeout, connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            try:
                while True:
                    self._wake.clear()
                    try:
                        await self._start_senders(session)
                    except SQLAlchemyError:
                        log.exception("the outbox cannot be read; it is tried again")
                    # Not wait_for: before Python 3.12 it may swallow a cancellation that comes with the wake-up.
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._poll_seconds):
                            await self._wake.wait()
            finally:
                for task in self._senders.values():
                    task.cancel()
                await asyncio.gather(*self._senders.values(), return_exceptions=True)

    async def _start_senders(self, session: aiohttp.ClientSession) -> None:
        # Looking through a long queue takes its time, and requests are answered in this event loop.
        for destination in await asyncio.to_thread(self._due):
            task = self._senders.get(destination)
            if task is None or task.done():
                self._senders[destination] = asyncio.create_task(self._send_all(session, destination))

    def _due(self) -> list[str]:
        with self._engine.connect() as connection:
            return outbox.destinations(connection, self._clock.now())

    async def _send_all(self, session: aiohttp.ClientSession, destination: str) -> None:
        """Send to one destination until nothing of it is due, or it is another process's.

        What was sent is recorded while the next is sent, for a long transaction may have the database; until then it
        stays in hand and is not sent again.
        """
        in_hand: set[int] = set()
        recording: set[asyncio.Task[None]] = set()
        try:
            lease = await self._claims.claim(f"{_LEASE}{destination}")
            while lease is not None and self._claims.is_good(lease):
                chosen = await asyncio.to_thread(self._choose, destination, frozenset(in_hand))
                if chosen:
                    results = await self._send_some(session, chosen, lease)
                    in_hand.update(result.outbox_id for result in results)
                    recording.add(asyncio.create_task(self._record(results, in_hand, lease)))
                elif not recording:
                    return
                if not chosen or len(recording) >= RECORDED_BEHIND:
                    done, recording = await asyncio.wait(recording, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
        except LeaseLost as lost:
            log.warning("delivery to %s stops: %s", destination, lost)
        except Exception:
            log.exception("delivery to %s failed; it is tried again", destination)
        finally:
            # Also when delivery is told to stop: what was taken is recorded, so that it is not sent again.
            await asyncio.gather(*recording, return_exceptions=True)

    async def _record(self, results: Sequence[Attempted], in_hand: set[int], lease: Lease) -> None:
        destination = lease.name.removeprefix(_LEASE)
        await self._claims.fenced(lease).run(lambda unit_of_work: _write(unit_of_work, results, destination))
        in_hand.difference_update(result.outbox_id for result in results)

    def _choose(self, destination: str, in_hand: Collection[int]) -> list[Queued]:
        with self._engine.connect() as connection:
            found = outbox.sendable(connection, destination, self._clock.now(), SENT_TOGETHER + len(in_hand))
        return [message for message in found if message.outbox_id not in in_hand]

    async def _send_some(
        self, session: aiohttp.ClientSession, chosen: Sequence[Queued], lease: Lease
    ) -> list[Attempted]:
        """Send messages about different hubs side by side, as long as the lease is good."""
        queue = list(reversed(chosen))
        results: list[Attempted] = []

        async def work() -> None:
            while queue and self._claims.is_good(lease):
                results.append(await self._send(session, queue.pop()))

        workers = min(len(chosen), self._policy.concurrency_per_destination)
        await asyncio.gather(*(work() for _ in range(workers)))
        return results

    async def _send(self, session: aiohttp.ClientSession, message: Queued) -> Attempted:
        url = self._resolve(message.destination)
        error: str | None
        if url is None:
            error = "no address is configured for this destination"
        else:
            error = await post(session, url, message.body, message.message_id)
        return settle(message, error, self._clock.now(), self._policy)


def _write(unit_of_work: UnitOfWork, results: Sequence[Attempted], destination: str) -> None:
    """Record what came of tries; that a message was given up, or a list came late, stands in the audit trail."""
    outbox.settle(unit_of_work.connection, results)
    delivered = {one.message_id: one.delivered_at for one in results if one.delivered_at is not None}
    late = undelivered.had_late(unit_of_work.connection, delivered) if destination.startswith("csp:") else []
    audit.record(
        unit_of_work.connection,
        [
            audit.Entry(
                unit_of_work.now,
                "processor",
                "list late",
                f"{one.region}: list {one.list_id} reached its CSP after {one.period_start:%Y-%m-%dT%H:%MZ}, "
                "when its night had begun",
                one.message_id,
            )
            for one in late
        ],
    )
    audit.record(
        unit_of_work.connection,
        [
            audit.Entry(
                unit_of_work.now,
                "processor",
                "parked",
                f"message {result.message_id} parked after {result.tries} tries: {result.last_error}",
                result.message_id,
            )
            for result in results
            if result.state == outbox.PARKED
        ],
    )


async def post(session: aiohttp.ClientSession, url: str, body: bytes, message_id: str) -> str | None:
    """POST one message; None if it was taken, otherwise what went wrong."""
    headers = {"Content-Type": "application/xml", "DUIS-Message-ID": message_id}
    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            if 200 <= response.status < 300:
                return None
            return f"HTTP {response.status}"
    except TimeoutError:
        return "no answer in time"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


def settle(message: Queued, error: str | None, now: datetime, policy: Delivery) -> Attempted:
    """What a try makes of a message: delivered, tried again later, or parked after the last try."""
    tries = message.tries + 1
    if error is None:
        return Attempted(message.outbox_id, message.message_id, outbox.DELIVERED, tries, now, now, None)
    if tries >= policy.max_tries:
        log.warning("message %s parked after %d tries: %s", message.message_id, tries, error)
        return Attempted(message.outbox_id, message.message_id, outbox.PARKED, tries, now, None, error)
    wait = policy.back_off[min(tries, len(policy.back_off)) - 1]
    return Attempted(message.outbox_id, message.message_id, outbox.PENDING, tries, now + wait, None, error)
