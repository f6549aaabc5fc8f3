"""The crash matrix on one engine: an instance under load, its processes killed at named points, then the invariants."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy import func, select

from sr_engine.bootstrap import Instance
from sr_engine.delivery.telling import remind
from sr_engine.domain.states import WITH_CSP
from sr_engine.store import tables
from sr_engine.store.outbox import PENDING
from tests.crash.collecting import collect
from tests.crash.country import homes, make_country
from tests.crash.evidence import Evidence
from tests.crash.invariants import violations
from tests.crash.load import Load
from tests.crash.points import GATEWAY, WORKER, Plans, all_points
from tests.crash.processes import Keeper, Nursery, Slot, Tally
from tests.crash.receivers import Receivers, behaviour_of
from tests.ports import reserved_port
from tests.postgres import PostgresServer

HUBS_PER_KILL = 12
AT_ONCE = 3
QUIET_WITHIN_SECONDS = 120
SERVER_STOP_EVERY = 12
"""Of so many kills one is of the database server at some moment, beside those at points of their own."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one engine."""

    engine: str
    seed: int
    tally: Tally
    evidence: Evidence
    violations: list[str]
    seconds: float
    tries: int

    @property
    def rows(self) -> list[str]:
        """The points that this engine has."""
        return all_points(with_server=self.engine == "postgresql")

    @property
    def unmet(self) -> list[str]:
        """Those at which nothing was killed."""
        return [one for one in self.rows if not self.tally.kills[one]]


@dataclass(frozen=True, slots=True)
class Play:
    """What is to be played, and how much of it."""

    directory: Path
    """A folder that is not there yet."""
    engine: str
    kills: int
    seed: int
    server: PostgresServer | None = None
    """Of this play alone, for it is stopped too; without one the engine is SQLite."""
    whole: bool = True
    """Processes have time to work before they are killed, and in the end nothing is with a CSP any more."""
    only: Sequence[str] = ()
    """Parts of the names of the points that are wanted; none: all."""
    say: Callable[[str], None] = lambda _: None
    """Told of progress."""


def play(wanted: Play) -> Result:
    """Kill so often, let all come to rest, and judge."""
    return asyncio.run(_play(wanted))


async def _play(wanted: Play) -> Result:
    engine, seed, server, whole = wanted.engine, wanted.seed, wanted.server, wanted.whole
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        nursery = Nursery()
        opening = asyncio.create_task(nursery.open())
        stack.push_async_callback(nursery.close)
        receivers = Receivers(seed)
        stack.push_async_callback(receivers.close)
        await receivers.listen()
        port = stack.enter_context(reserved_port())
        known = homes(200 + HUBS_PER_KILL * wanted.kills)
        instance = make_country(
            wanted.directory,
            url=receivers.url,
            port=port,
            database_url="sqlite:///sr-engine.db" if server is None else server.new_database(),
            known=known,
        )
        stack.callback(dispose, instance)
        await opening
        url = f"http://127.0.0.1:{port}"
        receivers.take_part(instance, wanted.directory, [url], behaviour_of(seed))
        load = Load(instance, wanted.directory, [url], known, seed, at_once=AT_ONCE if whole else 1)
        rows = all_points(with_server=server is not None)
        tally = Tally(wanted.kills, rows if whole and not wanted.only else ())
        slots = [
            Slot(
                role,
                Plans(role, seed, with_server=server is not None, quick=not whole, only=wanted.only),
                nursery,
                wanted.directory,
                tally,
                server,
                random.Random(f"{seed} {role} roles"),
            )
            for role in (GATEWAY, WORKER)
        ]
        loading = asyncio.create_task(load.run())
        keeping = _keep(wanted, tally, slots)
        await _kill(slots, loading, tally, wanted.say)
        if keeping is not None:
            await _let_go(keeping)
        if tally.missed:
            wanted.say(f"{engine}: not reached in time: {dict(tally.missed)}")
        wanted.say(f"{engine}: {tally.kills.total()} kills in {time.monotonic() - began:.0f} s, {load.tries} POSTs")
        for slot in slots:
            await slot.start()
        load.stopped.set()
        await loading
        await rest(instance, receivers, whole=whole)
        await load.repeat_all()
        await receivers.stop_acting()
        at_rest = await rest(instance, receivers, whole=False)
        for slot in slots:
            await slot.stop()
        # What has happened by itself since everything was at rest is still to be told.
        instance.transactions.run_now(remind)
        evidence = collect(instance, load, receivers, known, at_rest)
        found = [*tally.wrong, *violations(evidence)]
        return Result(engine, seed, tally, evidence, found, time.monotonic() - began, load.tries)


def _keep(wanted: Play, tally: Tally, slots: list[Slot]) -> asyncio.Task[None] | None:
    if wanted.server is None:
        return None
    stops = max(1, wanted.kills // SERVER_STOP_EVERY)
    keeper = Keeper(wanted.server, tally, slots, random.Random(f"{wanted.seed} server"), stops)
    return asyncio.create_task(keeper.run())


async def _let_go(keeping: asyncio.Task[None]) -> None:
    """The server stays as it is, and it runs."""
    # One that was stopped by the last process is still to be started.
    await asyncio.sleep(0.2)
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping


async def _kill(slots: list[Slot], loading: asyncio.Task[None], tally: Tally, say: Callable[[str], None]) -> None:
    killing = [asyncio.create_task(slot.run()) for slot in slots]
    told = 0
    while not all(one.done() for one in killing):
        going_on = [one for one in (*killing, loading) if not one.done()]
        await asyncio.wait(going_on, timeout=1, return_when=asyncio.FIRST_COMPLETED)
        for one in (loading, *killing):
            if one.done():
                one.result()
        if tally.kills.total() >= told + 25:
            told = tally.kills.total()
            say(f"  {told} kills")


class Csps(Protocol):
    """All CSPs of an instance."""

    @property
    def lists_are_done(self) -> bool:
        """Every CSP has reported on all that it has taken."""


async def rest(instance: Instance, csps: Csps, *, whole: bool, within: float = QUIET_WITHIN_SECONDS) -> datetime:
    """Wait until nothing is under way that began before now, and if `whole` no hub is with a CSP; returns that now.

    Time goes on: what happens by itself meanwhile is not waited for.
    """
    began, deadline = instance.clock.now(), time.monotonic() + within
    while time.monotonic() < deadline:
        is_quiet = not await asyncio.to_thread(_under_way, instance, began, whole=whole)
        if is_quiet and (not whole or csps.lists_are_done):
            break
        await asyncio.sleep(0.1)
    # What is left after so long shows as lost.
    return began


def _under_way(instance: Instance, began: datetime, *, whole: bool) -> bool:
    wanted = [
        select(func.count()).select_from(tables.kept_changes),
        select(func.count()).where(tables.tidings.c.at <= began),
        select(func.count()).where(tables.firmware_tidings.c.at <= began),
        select(func.count()).where(tables.outbox.c.state == PENDING, tables.outbox.c.created_at <= began),
        select(func.count()).where(tables.held_requests.c.ended_at.is_(None)),
    ]
    if whole:
        wanted.append(select(func.count()).where(tables.attempts.c.state.in_([one.value for one in WITH_CSP])))
    with instance.reading_engine.connect() as connection:
        return any(connection.scalar(one) for one in wanted)


def dispose(instance: Instance) -> None:
    """Close its connections to the database."""
    instance.engine.dispose()
    instance.reading_engine.dispose()
