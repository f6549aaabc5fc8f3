"""The leases of one process: claimed when there is work, kept by a heartbeat, and given back at the end.

What is done in the database under a lease is fenced: each transaction looks whether the lease is still this process's.
What is done outside it, such as sending, cannot be; it is done only while the last renewal is younger than a lease is
long, by a clock that nobody sets (`is_good`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta

from sr_engine.clock import Clock
from sr_engine.store import leases
from sr_engine.store.leases import Lease, LeaseLost
from sr_engine.store.reading import Reading
from sr_engine.store.units_of_work import NO_HUBS, Runs, T, UnitOfWork, Work

__all__ = ["Claims", "Fenced", "Lease", "LeaseLost", "Terms"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """How long leases last and how often they are renewed, in real time."""

    length: timedelta
    heartbeat: timedelta
    clock_rate: float = 1.0
    """How many times as fast as real time the instance's clock runs, by which leases expire."""

    @property
    def length_on_clock(self) -> timedelta:
        """How long a lease lasts on the instance's clock."""
        return self.length * self.clock_rate


@dataclass(frozen=True, slots=True)
class Fenced:
    """Runs units of work that change something only while a lease is held."""

    transactions: Runs
    lease: Lease

    async def run(self, work: Work[T], *, heavy: bool = False, hubs: Collection[str] | None = None) -> T:
        """As `Transactions.run`; raises LeaseLost, nothing having changed, if the lease is another's by now."""

        def fenced(unit_of_work: UnitOfWork) -> T:
            leases.check(unit_of_work.connection, self.lease)
            return work(unit_of_work)

        return await self.transactions.run(fenced, heavy=heavy, hubs=hubs)


class Claims:
    """What a process holds; the same object serves all its parts."""

    def __init__(
        self,
        *,
        transactions: Runs,
        reading: Reading,
        clock: Clock,
        monotonic: Callable[[], float],
        holder: str,
        terms: Terms,
    ) -> None:
        """`holder` is an id that no other process has; `monotonic` tells seconds that only go forward."""
        self.holder = holder
        self._transactions = transactions
        self._reading = reading
        self._clock = clock
        self._monotonic = monotonic
        self._terms = terms
        self._held: dict[str, Lease] = {}
        self._good_until: dict[Lease, float] = {}

    @property
    def held(self) -> tuple[str, ...]:
        """The names of the leases that this process holds, as far as it knows."""
        return tuple(sorted(self._held))

    @property
    def length_on_clock(self) -> timedelta:
        """How long a lease lasts on the instance's clock."""
        return self._terms.length_on_clock

    async def claim(self, name: str) -> Lease | None:
        """The lease of this name, if this process holds it or can have it now; costs no transaction if it cannot."""
        held = self._held.get(name)
        if held is not None:
            if not self.is_good(held):
                await self.renew()
            return self._held.get(name)
        known = await asyncio.to_thread(self._reading, lambda connection: leases.find(connection, name))
        length = self._terms.length_on_clock
        if known is not None and known.holder != self.holder and not known.is_free(self._clock.now(), length):
            return None
        asked_at = self._monotonic()
        lease = await self._transactions.run(
            lambda unit_of_work: leases.claim(unit_of_work.connection, name, self.holder, unit_of_work.now, length),
            hubs=NO_HUBS,
        )
        if lease is not None:
            if known is not None and known.holder is not None:
                log.warning("lease %r taken over from process %s, which no longer renews it", name, known.holder)
            self._note(lease, asked_at)
        return lease

    def is_good(self, lease: Lease) -> bool:
        """True while nobody can have claimed the lease whose clock is right: what cannot be fenced may be done."""
        return self._monotonic() < self._good_until.get(lease, float("-inf"))

    def fenced(self, lease: Lease) -> Fenced:
        """What runs units of work under a lease."""
        return Fenced(self._transactions, lease)

    async def renew(self) -> None:
        """Renew all that is held; what another process has claimed is held no more."""
        before = dict(self._held)
        if not before:
            return
        asked_at, length = self._monotonic(), self._terms.length_on_clock
        still = await self._transactions.run(
            lambda unit_of_work: leases.renew(unit_of_work.connection, self.holder, unit_of_work.now, length),
            hubs=NO_HUBS,
        )
        for name, lease in before.items():
            # What was let go meanwhile stays so.
            if self._held.get(name) != lease:
                continue
            if lease in still:
                self._note(lease, asked_at)
            else:
                log.warning("lease %r lost: it was not renewed in time", name)
                self._forget(lease)

    async def run(self) -> None:
        """Renew at regular intervals until cancelled."""
        while True:
            await asyncio.sleep(self._terms.heartbeat.total_seconds())
            try:
                await self.renew()
            except Exception:
                log.exception("leases cannot be renewed; it is tried again")

    async def give_back(self) -> None:
        """Let others have at once what is held; nothing may be done under it any more."""
        self._held.clear()
        self._good_until.clear()
        await self._transactions.run(
            lambda unit_of_work: leases.give_back(unit_of_work.connection, self.holder, unit_of_work.now), hubs=NO_HUBS
        )

    async def let_go(self, name: str) -> None:
        """Let another have one lease, if it is held; nothing may be under way under it."""
        lease = self._held.get(name)
        if lease is not None:
            self._forget(lease)
            await self._transactions.run(lambda work: leases.let_go(work.connection, lease, work.now), hubs=NO_HUBS)

    def _note(self, lease: Lease, asked_at: float) -> None:
        """The lease lasts from a time that is not before it was asked for."""
        self._held[lease.name] = lease
        self._good_until[lease] = asked_at + self._terms.length.total_seconds()

    def _forget(self, lease: Lease) -> None:
        del self._held[lease.name]
        self._good_until.pop(lease, None)
