"""The triggers of the regions: what is due lives in the tables; APScheduler only says when to look.

Several processes may look: each trigger is the business of the one that holds its lease."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from sr_engine.claims import Claims, LeaseLost
from sr_engine.configuration import Region
from sr_engine.messages.model import Period
from sr_engine.regions.calendar import due_cuts
from sr_engine.regions.lists import CUT, ListCutter, Portion
from sr_engine.regions.night_plan import NightPlan
from sr_engine.regions.outcomes import MISSED_AT_ONCE, Outcomes
from sr_engine.store import lists
from sr_engine.store.units_of_work import Runs, UnitOfWork

log = logging.getLogger(__name__)


Chore = Callable[[UnitOfWork], bool]
"""A piece of work in a transaction of its own; says whether there is more to do at once."""


async def _carry_out(transactions: Runs, chore: Chore) -> None:
    while await transactions.run(chore, heavy=True):
        pass


async def _all(pieces: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Do one after another, whatever fails; raises what did, unless the lease is lost: then nothing more is done."""
    failures: list[Exception] = []
    for piece in pieces:
        try:
            await piece()
        except LeaseLost:
            raise
        except Exception as failure:
            failures.append(failure)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise ExceptionGroup("several pieces of work failed", failures)


@dataclass(frozen=True, slots=True)
class Housekeeping:
    """What has to be done at its time whatever the region: registrations and terms that take effect."""

    name: str
    transactions: Runs
    chores: Sequence[Chore]
    after_work: Callable[[], None]
    """Called when messages may have been queued."""

    async def tick(self) -> None:
        try:
            await _all(partial(_carry_out, self.transactions, chore) for chore in self.chores)
        finally:
            self.after_work()


@dataclass(frozen=True, slots=True)
class RegionTriggers:
    """Runs what is due in one region; each piece in a transaction of its own, so that it happens once or not at all."""

    region: Region
    transactions: Runs
    cutter: ListCutter
    outcomes: Outcomes
    after_work: Callable[[], None]
    """Called when messages may have been queued."""
    chores: Sequence[Chore] = ()
    """What decides which hubs may be listed, and is done before lists are cut."""
    beside: Sequence[Chore] = ()
    """What lists do not depend on, and is done whatever became of them."""

    @property
    def name(self) -> str:
        return self.region.name

    async def tick(self) -> None:
        """Do the chores, cut the lists due since the last time, then time out and chase, and what is beside all this.

        A part that fails keeps none of the others back, nor does a night that cannot be planned; but nothing is cut
        unless the chores before are done.
        """
        beside = (partial(_carry_out, self.transactions, chore) for chore in self.beside)
        try:
            await _all((self._list, self._time_out_all, self._chase_all, *beside))
        finally:
            self.after_work()

    async def _list(self) -> None:
        for chore in self.chores:
            await _carry_out(self.transactions, chore)
        due = await self.transactions.run(self._due)
        await _all(partial(self._cut, due_at, period) for due_at, period in due)

    async def _time_out_all(self) -> None:
        while await self.transactions.run(self._time_out, heavy=True) == MISSED_AT_ONCE:
            pass

    async def _chase_all(self) -> None:
        await self.transactions.run(lambda unit_of_work: self.outcomes.chase(unit_of_work, self.region))

    def _due(self, unit_of_work: UnitOfWork) -> list[tuple[datetime, Period]]:
        """The nights whose lists are due and not cut, also one whose cutting has failed: others are cut meanwhile."""
        connection, now, name = unit_of_work.connection, unit_of_work.now, self.region.name
        last = lists.last_begun(connection, name, CUT, now)
        if last is None:
            # The first look of a new instance: nothing can have been agreed for a night that has begun.
            last = now
            lists.record_run(connection, name, CUT, last, last)
        done = lists.runs_after(connection, name, CUT, last, now)
        return [(due_at, period) for due_at, period in due_cuts(self.region, last, now) if period.start not in done]

    async def _cut(self, due_at: datetime, period: Period) -> None:
        """Plan beside what is written, then cut list by list: small requests pass in between."""

        plans: list[NightPlan] = []

        def run(unit_of_work: UnitOfWork) -> Portion:
            # Done again after a failure it plans anew: what it took off the plan then was not listed.
            return self.cutter.run(unit_of_work, self.region, due_at, period, plans.pop() if plans else None)

        portion, listed = Portion(0, more=True), 0
        while portion.more:
            if portion.plan is None:
                now = await self.transactions.run(lambda unit_of_work: unit_of_work.now)
                plan = await asyncio.to_thread(self.cutter.look, self.region, due_at, period, now)
                portion = replace(portion, plan=plan)
            plans = [portion.plan] if portion.plan is not None else []
            portion = await self.transactions.run(run, heavy=True)
            listed += portion.listed
        if listed:
            log.info("region %s: %d hubs listed for %s", self.region.name, listed, period.start.isoformat())
        self.after_work()

    def _time_out(self, unit_of_work: UnitOfWork) -> int:
        return self.outcomes.time_out(unit_of_work, self.region)


class Trigger(Protocol):
    """Something that looks for due work."""

    @property
    def name(self) -> str: ...

    async def tick(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Leased:
    """A trigger of which several processes may have one, and that is run by the one that holds its lease.

    Once another process has the lease, what is left of a look changes nothing.
    """

    trigger: Housekeeping | RegionTriggers
    claims: Claims

    @property
    def name(self) -> str:
        return self.trigger.name

    async def tick(self) -> None:
        """Look for due work, if the lease is or can be this process's."""
        lease = await self.claims.claim(f"trigger:{self.name}")
        if lease is None:
            return
        try:
            await replace(self.trigger, transactions=self.claims.fenced(lease)).tick()
        except LeaseLost as lost:
            log.warning("trigger %s stops: %s", self.name, lost)


class Ticker:
    """Makes every trigger look for due work at regular intervals; a look that takes longer than one is not doubled."""

    def __init__(self, triggers: Sequence[Trigger], interval: timedelta) -> None:
        self._scheduler = AsyncIOScheduler(timezone="UTC")
        self._interval = interval
        self._waking: asyncio.Task[None] | None = None
        for trigger in triggers:
            self._scheduler.add_job(
                _look,
                "interval",
                args=[trigger],
                seconds=interval.total_seconds(),
                max_instances=1,
                coalesce=True,
                misfire_grace_time=None,
                id=trigger.name,
            )

    def start(self) -> None:
        self._scheduler.start()
        self._waking = asyncio.create_task(self._wake())

    def stop(self) -> None:
        if self._waking is not None:
            self._waking.cancel()
        self._scheduler.shutdown(wait=False)

    async def _wake(self) -> None:
        """The scheduler goes by the computer's clock: if that is set back, it would sleep until it has caught up."""
        while True:
            await asyncio.sleep(self._interval.total_seconds())
            now = datetime.now(UTC)
            for job in self._scheduler.get_jobs():
                if job.next_run_time > now + 2 * self._interval:
                    job.modify(next_run_time=now)


async def _look(trigger: Trigger) -> None:
    try:
        await trigger.tick()
    except asyncio.CancelledError:
        # The process stops; what was not finished is still due.
        log.info("trigger %s is left to another process", trigger.name)
    except Exception:
        # What failed is still due and is tried at the next tick; the other triggers go on.
        log.exception("trigger %s failed", trigger.name)
