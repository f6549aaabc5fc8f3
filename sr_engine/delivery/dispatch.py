"""Sends what is in the outbox: at least once, in order per hub, with back-off, and parked after the last try.

Processes that deliver share the destinations out among them: each belongs to one of them, which all work out alike from
who is there, and holds its lease. So they send side by side, and to one destination only one does.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial

import aiohttp
from sqlalchemy import Engine

from sr_engine.claims import Claims, Lease, LeaseLost
from sr_engine.clock import Clock
from sr_engine.configuration import Delivery
from sr_engine.delivery.circuit import Breaker
from sr_engine.delivery.having import record_late
from sr_engine.delivery.resolving import OwnThreads
from sr_engine.delivery.sharing import REACHES, Shares, shares
from sr_engine.delivery.tries import NO_ADDRESS, error_of, parked, post, settle
from sr_engine.store import audit, circuits, leases, outbox
from sr_engine.store.circuits import OpenCircuit
from sr_engine.store.outbox import Attempted, Queued
from sr_engine.store.units_of_work import NO_HUBS, UnitOfWork

log = logging.getLogger(__name__)

SENT_TOGETHER = 64
"""Messages of one destination whose tries are recorded together, at most."""
RECORDED_BEHIND = 16
"""Such groups that may wait to be recorded while the next is sent."""
GROUP_SECONDS = 1.0
"""After which what a slow receiver has taken is recorded, though there is more to be sent together."""
STOP_SECONDS = 5.0
"""That what is on its way has to be taken once delivery is told to stop."""

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
        randbelow: Callable[[int], int],
        monotonic: Callable[[], float] = time.monotonic,
        poll_seconds: float | None = None,
        stop_seconds: float = STOP_SECONDS,
        tls: Mapping[str, ssl.SSLContext] | None = None,
        count: Callable[[str, str], None] = lambda _kind, _result: None,
    ) -> None:
        """`poll_seconds` takes the place of the policy's; `randbelow` draws how long is waited after a failure.

        `tls` says, by kind of destination, what is shown there and who is trusted; otherwise whom the system trusts.
        `count` is told of each try, by kind of destination, whether the message was taken, refused, or the try failed.
        """
        self._tls = tls or {}
        self._count = count
        self._engine = engine
        self._claims = claims
        self._clock = clock
        self._policy = policy
        self._resolve = resolve
        self._randbelow = randbelow
        self._monotonic = monotonic
        self._poll_seconds = policy.poll.total_seconds() if poll_seconds is None else poll_seconds
        self._stop_seconds = stop_seconds
        self._wake = asyncio.Event()
        self._stopping = False
        self._senders: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        """Destinations of which something was due while they were sent to: it may have come after the last choice."""
        self._shares = Shares()

    def wake(self) -> None:
        """Look into the outbox now rather than at the next poll."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled; what is on its way then has a little time to be taken."""
        timeout = aiohttp.ClientTimeout(
            total=self._policy.total_timeout.total_seconds(), connect=self._policy.connect_timeout.total_seconds()
        )
        async with AsyncExitStack() as open_sessions:
            sessions = {
                kind: await open_sessions.enter_async_context(self._session(timeout, self._tls.get(kind, True)))
                for kind in outbox.KINDS_OF_DESTINATIONS
            }
            try:
                while True:
                    self._wake.clear()
                    try:
                        await self._start_senders(sessions)
                    except Exception:
                        log.exception("the outbox cannot be looked through; it is tried again")
                    # Not wait_for: before Python 3.12 it may swallow a cancellation that comes with the wake-up.
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._poll_seconds):
                            await self._wake.wait()
            finally:
                self._stopping = True
                if self._senders:
                    await asyncio.wait(self._senders.values(), timeout=self._stop_seconds)
                for task in self._senders.values():
                    task.cancel()
                await asyncio.gather(*self._senders.values(), return_exceptions=True)

    def _session(self, timeout: aiohttp.ClientTimeout, tls: ssl.SSLContext | bool) -> aiohttp.ClientSession:
        # Each destination keeps to its own limit; several may share a host without waiting for one another.
        connector = aiohttp.TCPConnector(limit=0, resolver=OwnThreads(), ssl=tls)
        # Without cookies: several receivers may share a host, and none may be told from another's.
        return aiohttp.ClientSession(
            timeout=timeout, connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        )

    async def _start_senders(self, sessions: Mapping[str, aiohttp.ClientSession]) -> None:
        await self._claims.claim(leases.presence_of(self._claims.holder))
        # Looking through a long queue takes its time, and requests are answered in this event loop.
        due, self._shares = await asyncio.to_thread(self._look)
        self._senders = {name: task for name, task in self._senders.items() if not task.done()}
        for destination in due:
            if destination in self._senders:
                self._again.add(destination)
            elif self._is_ours(destination):
                session = sessions[destination.partition(":")[0]]
                sender = asyncio.create_task(self._send_all(session, destination))
                sender.add_done_callback(partial(self._done, destination))
                self._senders[destination] = sender
        for name in self._claims.held:
            if self._is_to_be_let_go(name):
                await self._claims.let_go(name)

    def _look(self) -> tuple[list[str], Shares]:
        with self._engine.connect() as connection:
            now = self._clock.now()
            due = outbox.destinations(connection, now)
            closed = circuits.closed_to_all(connection, now, max(self._policy.circuit))
            shared = shares(connection, now, self._claims.length_on_clock)
        return [destination for destination in due if destination not in closed], shared

    def _done(self, destination: str, _sender: asyncio.Task[None]) -> None:
        if destination in self._again:
            self._again.discard(destination)
            self.wake()

    def _is_to_be_let_go(self, name: str) -> bool:
        destination = name.removeprefix(REACHES).removeprefix(_LEASE)
        if name == destination or destination in self._senders:
            return False
        # What has failed again is reached no longer.
        return destination in self._shares.probes if name.startswith(REACHES) else not self._is_ours(destination)

    def _is_ours(self, destination: str) -> bool:
        """Whether it falls to this process: each of those that are there says the same of it."""
        return self._shares.owner_of(destination, self._claims.holder) == self._claims.holder

    def _goes_on(self, lease: Lease) -> bool:
        return not self._stopping and self._claims.is_good(lease)

    async def _send_all(self, session: aiohttp.ClientSession, destination: str) -> None:
        """Send to one destination until nothing of it is due, or it is another process's.

        What was sent is recorded while the next is sent, for a long transaction may have the database; until then it
        stays in hand and is not sent again.
        """
        in_hand: set[int] = set()
        recording: set[asyncio.Task[None]] = set()
        try:
            lease = await self._claims.claim(f"{_LEASE}{destination}")
            if lease is None:
                return
            opened = await asyncio.to_thread(self._circuit, destination)
            breaker = Breaker(destination, opened, self._policy, self._randbelow)
            while self._goes_on(lease) and self._is_ours(destination):
                most = breaker.admits(self._clock.now(), SENT_TOGETHER)
                chosen = await asyncio.to_thread(self._choose, destination, frozenset(in_hand), most) if most else []
                if chosen:
                    results: list[Attempted] = []
                    before = breaker.opened
                    try:
                        await self._send_some(session, chosen, lease, breaker, results)
                        if before is not None and breaker.opened is None:
                            await self._keep(destination)
                    finally:
                        # Also of what was cut short: what was taken is recorded, so that it is not sent again.
                        in_hand.update(result.outbox_id for result in results)
                        record = self._record(results, in_hand, lease, before, breaker.opened)
                        recording.add(asyncio.create_task(record))
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
            await asyncio.gather(*recording, return_exceptions=True)

    async def _keep(self, destination: str) -> None:
        """Go on sending to a destination that has just been reached again, if another could not reach it."""
        if self._shares.owner_by_name(destination, self._claims.holder) != self._claims.holder:
            await self._claims.claim(f"{REACHES}{destination}")
        probes = {name: number for name, number in self._shares.probes.items() if name != destination}
        reached_by = {**self._shares.reached_by, destination: self._claims.holder}
        self._shares = replace(self._shares, probes=probes, reached_by=reached_by)

    def _circuit(self, destination: str) -> OpenCircuit | None:
        with self._engine.connect() as connection:
            return circuits.find(connection, destination)

    async def _record(
        self,
        results: Sequence[Attempted],
        in_hand: set[int],
        lease: Lease,
        before: OpenCircuit | None,
        after: OpenCircuit | None,
    ) -> None:
        destination = lease.name.removeprefix(_LEASE)
        refusals = [error_of(status) for status in self._policy.refusals_of_one]

        def write(unit_of_work: UnitOfWork) -> None:
            _write(unit_of_work, results, destination)
            if after is not None and after != before:
                circuits.keep(unit_of_work.connection, after)
            elif after is None and before is not None:
                circuits.close(unit_of_work.connection, destination)
                outbox.retry_now(unit_of_work.connection, destination, refusals, unit_of_work.now)

        await self._claims.fenced(lease).run(write, hubs=NO_HUBS)
        in_hand.difference_update(result.outbox_id for result in results)

    def _choose(self, destination: str, in_hand: Collection[int], most: int) -> list[Queued]:
        with self._engine.connect() as connection:
            found = outbox.sendable(connection, destination, self._clock.now(), most + len(in_hand))
        return [message for message in found if message.outbox_id not in in_hand][:most]

    async def _send_some(
        self,
        session: aiohttp.ClientSession,
        chosen: Sequence[Queued],
        lease: Lease,
        breaker: Breaker,
        results: list[Attempted],
    ) -> None:
        """Send messages about different hubs side by side, as long as the lease is good and the circuit as it was.

        Adds what came of each to `results`; what it has not come to is chosen again.
        """
        queue = list(reversed(chosen))
        opened = breaker.opened
        until = self._monotonic() + GROUP_SECONDS

        async def work() -> None:
            while queue and self._goes_on(lease) and breaker.opened == opened and self._monotonic() < until:
                results.append(await self._send(session, queue.pop(), breaker, probing=opened is not None))

        workers = min(len(chosen), self._policy.concurrency_per_destination)
        await asyncio.gather(*(work() for _ in range(workers)))

    async def _send(
        self, session: aiohttp.ClientSession, message: Queued, breaker: Breaker, *, probing: bool
    ) -> Attempted:
        if message.damage is not None:
            return parked(message, message.tries, message.damage, self._clock.now())
        url = self._resolve(message.destination)
        reply = NO_ADDRESS if url is None else await post(session, url, message.body, message.message_id)
        now = self._clock.now()
        breaker.note(reply, now, probing=probing)
        failed = reply.is_failure(self._policy.refusals_of_one)
        result = "taken" if reply.error is None else "failed" if failed else "refused"
        self._count(message.destination.partition(":")[0], result)
        return settle(message, reply.error, now, self._policy, self._randbelow, not_before=reply.asked_to_wait)


def _write(unit_of_work: UnitOfWork, results: Sequence[Attempted], destination: str) -> None:
    """Record what came of tries; that a message was given up, or a list came late, stands in the audit trail."""
    outbox.settle(unit_of_work.connection, results)
    delivered = {one.message_id: one.delivered_at for one in results if one.delivered_at is not None}
    if destination.startswith("csp:"):
        record_late(unit_of_work, delivered)
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
