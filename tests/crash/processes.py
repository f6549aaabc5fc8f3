"""Processes that are killed and started again, one after another, until there have been enough kills."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.hooks import REACHED
from tests.crash.points import ANYWHERE, GATEWAY, SERVER_ANYWHERE, Plan, Plans
from tests.postgres import PostgresServer

ROOT = Path(__file__).parents[2]
AFTER_STOP_SECONDS = 2.0
"""How long a process works on after it has stopped the server, before it is killed."""
MORE_KILLS = 1.4
SLICE_SECONDS = 0.25
RESTART_SECONDS = 0.3
"""After which a process is started again that found no database server."""
ALL_PERCENT = 25
"""Of processes that take requests: they do everything else too, and so compete for the leases."""
_START_SECONDS = 60


class Nursery:
    """Starts processes quickly; knows which have ended, and how."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._started: asyncio.Queue[int] = asyncio.Queue()
        self._ended: dict[int, asyncio.Future[int]] = {}
        self._guard = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Load the program."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.crash.nursery"),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            match line.split():
                case [b"started", process]:
                    self._ended[int(process)] = asyncio.get_running_loop().create_future()
                    self._started.put_nowait(int(process))
                case [b"ended", process, status]:
                    self._ended[int(process)].set_result(int(status))

    async def start(self, arguments: list[str], environment: dict[str, str], log: Path) -> int:
        """Start a process; returns its id."""
        assert self._process is not None
        assert self._process.stdin is not None
        wanted = {"arguments": arguments, "environment": environment, "log": str(log)}
        async with self._guard:
            self._process.stdin.write(json.dumps(wanted).encode() + b"\n")
            return await asyncio.wait_for(self._started.get(), _START_SECONDS)

    async def end_of(self, process: int, within: float | None = None) -> int | None:
        """The status a process ended with, below 0 for a signal; None if it goes on for longer than `within`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                return await asyncio.shield(self._ended[process])
        return None

    async def close(self) -> None:
        """Kill whatever is left."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        if self._reading is not None:
            await self._reading


@dataclass
class Tally:
    """Kills by point, and what went wrong with processes that should have gone on."""

    wanted: int
    required: Collection[str] = ()
    """Points each of which is to be met, be it by more kills than were wanted, up to `MORE_KILLS` times as many."""
    server_is_away: bool = False
    kills: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    missed: Counter[str] = field(default_factory=Counter)
    """Points that were not reached in time; they come again."""

    @property
    def done(self) -> bool:
        total = self.kills.total()
        unmet = any(not self.kills[one] for one in self.required)
        return total >= (self.wanted * MORE_KILLS if unmet else self.wanted)

    def count(self, point: str) -> None:
        self.kills[point] += 1


@dataclass
class Slot:
    """One process of a role, killed by its plan and replaced by the next."""

    role: str
    plans: Plans
    nursery: Nursery
    directory: Path
    tally: Tally
    server: PostgresServer | None
    chance: random.Random
    process: int = 0
    number: int = 0

    async def run(self) -> None:
        """Kill and start until there have been enough kills; leaves the last one dead."""
        while not self.tally.done:
            await self._live_and_die(self.plans.next())

    async def start(self, plan: Plan | None = None) -> None:
        """Start a process; without a plan one that goes on."""
        self.number += 1
        environment = {}
        if plan is not None:
            environment = {"CRASH_AT": f"{plan.point.what}: {plan.point.where}", "CRASH_PASS": str(plan.at_pass)}
            environment["CRASH_AFTER"] = str(plan.after_seconds)
            if plan.point.stops_server and self.server is not None:
                environment["CRASH_SERVER"] = str(self.server.folder)
        role = "all" if self.role == GATEWAY and self.chance.random() * 100 < ALL_PERCENT else self.role
        arguments = ["serve", "--dir", str(self.directory), "--role", role]
        self.process = await self.nursery.start(arguments, environment, self.log)

    @property
    def log(self) -> Path:
        return self.directory / f"{self.role}-{self.number}.log"

    async def _live_and_die(self, plan: Plan) -> None:
        await self.start(plan)
        status = await self._end_within(plan.seconds)
        if status is not None and self._found_no_database():
            # Whoever runs the processor starts it again then.
            await asyncio.sleep(RESTART_SECONDS)
            self.plans.missed(plan)
            return
        reached = self.reached()
        if reached is None:
            self.plans.missed(plan)
            self.tally.missed[str(plan.point)] += 1
        if reached is not None and plan.point.stops_server:
            # `Keeper` counts it; the process has to live through it.
            status = await self._end_within(AFTER_STOP_SECONDS)
            reached = None
        if status is None:
            with suppress(ProcessLookupError):
                os.kill(self.process, signal.SIGKILL)
            status = await self.nursery.end_of(self.process)
            reached = self.reached() if not plan.point.stops_server else None
        if status != -signal.SIGKILL:
            self.tally.wrong.append(f"{self.log.name}, to be killed at {plan.point}, ended with {status} by itself")
        self.tally.count(reached or ANYWHERE)

    async def _end_within(self, seconds: float) -> int | None:
        """As `Nursery.end_of`; the time while there is no database server does not count.

        Returns as soon as the process has stopped the server.
        """
        before = self.reached()
        while seconds > 0:
            status = await self.nursery.end_of(self.process, SLICE_SECONDS)
            if status is not None or self.reached() != before:
                return status
            if not self.tally.server_is_away:
                seconds -= SLICE_SECONDS
        return None

    def reached(self) -> str | None:
        """The point at which the process has killed itself, or stopped the server."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        _, found, rest = text.rpartition(REACHED)
        return rest.partition("\n")[0] if found else None

    def _found_no_database(self) -> bool:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return text.startswith("sr-engine: the database") and "ready:" not in text

    async def stop(self) -> None:
        """Tell the process to stop; what does not end well is noted."""
        os.kill(self.process, signal.SIGTERM)
        status = await self.nursery.end_of(self.process, _START_SECONDS)
        if status != 0:
            self.tally.wrong.append(f"{self.log.name}, told to stop, ended with {status}")


@dataclass
class Keeper:
    """Starts the database server again whenever it was stopped, and stops it now and then at some moment."""

    server: PostgresServer
    tally: Tally
    slots: list[Slot]
    chance: random.Random
    stops: int = 0
    """How often it is stopped at some moment."""

    async def run(self) -> None:
        """Keep until cancelled; no start is left half done."""
        next_at = time.monotonic() + self.chance.uniform(2, 4)
        while True:
            await asyncio.sleep(0.02)
            if self.stops and time.monotonic() >= next_at and self.server.is_running:
                self.stops -= 1
                next_at = time.monotonic() + self.chance.uniform(3, 9)
                self.tally.server_is_away = True
                await asyncio.to_thread(self.server.stop, signal.SIGQUIT)
                self.tally.count(SERVER_ANYWHERE)
            elif not self.server.is_running:
                self.tally.server_is_away = True
                self._count()
            else:
                continue
            await asyncio.shield(asyncio.to_thread(self._start))

    def _count(self) -> None:
        """One of the processes has stopped it, and says where."""
        for slot in self.slots:
            reached = slot.reached()
            if reached is not None and (slot.role, slot.number) not in self._counted:
                self._counted.add((slot.role, slot.number))
                self.tally.count(f"server stopped, {reached}")
                return
        self.tally.wrong.append("the database server has ended by itself")

    def _start(self) -> None:
        self.server.stop()
        self.server.start()
        self.tally.server_is_away = False

    _counted: set[tuple[str, int]] = field(default_factory=set)
