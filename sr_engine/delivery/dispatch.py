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

from sr_engine.clock import Clock
from sr_engine.configuration import Delivery
from sr_engine.store import audit, outbox
from sr_engine.store.outbox import Attempted, Queued
from sr_engine.store.transactions import Transactions, UnitOfWork

log = logging.getLogger(__name__)

SENT_TOGETHER = 64
"""Messages of one destination whose tries are recorded together, at most."""
RECORDED_BEHIND = 16
"""Such groups that may wait to be recorded while the next is sent."""

Resolve = Callable[[str], str | None]
"""The URL of a destination as configured now, None if it has none any more."""


class Dispatcher:
    """Delivers to every destination independently of the others."""

    def __init__(
        self,
        *,
        engine: Engine,
        transactions: Transactions,
        clock: Clock,
        policy: Delivery,
        resolve: Resolve,
        poll_seconds: float = 1.0,
    ) -> None:
        self._engine = engine
        self._transactions = transactions
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
        """Send to one destination until nothing of it is due.

        What was sent is recorded while the next is sent, for a long transaction may have the database; until then it
        stays in hand and is not sent again.
        """
        in_hand: set[int] = set()
        recording: set[asyncio.Task[None]] = set()
        try:
            while True:
                chosen = await asyncio.to_thread(self._choose, destination, frozenset(in_hand))
                if chosen:
                    results = await self._send_some(session, chosen)
                    in_hand.update(result.outbox_id for result in results)
                    recording.add(asyncio.create_task(self._record(results, in_hand)))
                elif not recording:
                    return
                if not chosen or len(recording) >= RECORDED_BEHIND:
                    done, recording = await asyncio.wait(recording, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
        except Exception:
            log.exception("delivery to %s failed; it is tried again", destination)
        finally:
            # Also when delivery is told to stop: what was taken is recorded, so that it is not sent again.
            await asyncio.gather(*recording, return_exceptions=True)

    async def _record(self, results: Sequence[Attempted], in_hand: set[int]) -> None:
        await self._transactions.run(lambda unit_of_work: _write(unit_of_work, results))
        in_hand.difference_update(result.outbox_id for result in results)

    def _choose(self, destination: str, in_hand: Collection[int]) -> list[Queued]:
        with self._engine.connect() as connection:
            found = outbox.sendable(connection, destination, self._clock.now(), SENT_TOGETHER + len(in_hand))
        return [message for message in found if message.outbox_id not in in_hand]

    async def _send_some(self, session: aiohttp.ClientSession, chosen: Sequence[Queued]) -> list[Attempted]:
        """Send messages about different hubs side by side."""
        queue = list(reversed(chosen))
        results: list[Attempted] = []

        async def work() -> None:
            while queue:
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


def _write(unit_of_work: UnitOfWork, results: Sequence[Attempted]) -> None:
    """Record what came of tries; that a message was given up stands in the audit trail."""
    outbox.settle(unit_of_work.connection, results)
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
