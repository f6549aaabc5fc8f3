"""Sends what is in the outbox: at least once, in order per hub, with back-off, and parked after the last try."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime

import aiohttp
from sqlalchemy import Engine

from sr_engine.clock import Clock
from sr_engine.configuration import Delivery
from sr_engine.store import outbox
from sr_engine.store.outbox import Attempted, Queued
from sr_engine.store.transactions import Transactions

log = logging.getLogger(__name__)

READ_AHEAD = 512
"""Messages of one destination that are looked at together."""

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
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=self._policy.concurrency_per_destination)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector, auto_decompress=False) as session:
            try:
                while True:
                    self._wake.clear()
                    self._start_senders(session)
                    try:
                        await asyncio.wait_for(self._wake.wait(), self._poll_seconds)
                    except TimeoutError:
                        continue
            finally:
                for task in self._senders.values():
                    task.cancel()
                await asyncio.gather(*self._senders.values(), return_exceptions=True)

    def _start_senders(self, session: aiohttp.ClientSession) -> None:
        with self._engine.connect() as connection:
            waiting = outbox.destinations(connection)
        for destination in waiting:
            task = self._senders.get(destination)
            if task is None or task.done():
                self._senders[destination] = asyncio.create_task(self._send_all(session, destination))

    async def _send_all(self, session: aiohttp.ClientSession, destination: str) -> None:
        """Send to one destination until nothing of it is due."""
        try:
            while chosen := self._choose(destination):
                await self._record(await self._send_some(session, chosen))
        except Exception:
            log.exception("delivery to %s failed; it is tried again", destination)

    async def _record(self, results: Sequence[Attempted]) -> None:
        await self._transactions.run(lambda unit_of_work: outbox.settle(unit_of_work.connection, results))

    def _choose(self, destination: str) -> list[Queued]:
        with self._engine.connect() as connection:
            waiting = outbox.waiting(connection, destination, READ_AHEAD)
        return choose(waiting, self._clock.now())

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
    except aiohttp.ClientError as error:
        return f"{type(error).__name__}"


def choose(waiting: Sequence[Queued], now: datetime) -> list[Queued]:
    """The messages that may be sent now, side by side: the oldest of each hub, if it is due.

    `waiting` is in the order of the queue. A message without a hub goes alone, when it is the oldest of all.
    """
    chosen: list[Queued] = []
    held: set[str] = set()
    for message in waiting:
        if message.hub_id is None:
            if not chosen and not held and message.next_try_at <= now:
                return [message]
            break
        if message.hub_id in held:
            continue
        held.add(message.hub_id)
        if message.next_try_at <= now:
            chosen.append(message)
    return chosen


def settle(message: Queued, error: str | None, now: datetime, policy: Delivery) -> Attempted:
    """What a try makes of a message: delivered, tried again later, or parked after the last try."""
    tries = message.tries + 1
    if error is None:
        return Attempted(message.outbox_id, outbox.DELIVERED, tries, now, now, None)
    if tries >= policy.max_tries:
        log.warning("message %s parked after %d tries: %s", message.message_id, tries, error)
        return Attempted(message.outbox_id, outbox.PARKED, tries, now, None, error)
    wait = policy.back_off[min(tries, len(policy.back_off)) - 1]
    return Attempted(message.outbox_id, outbox.PENDING, tries, now + wait, None, error)
