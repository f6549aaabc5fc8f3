"""Processes that serve, each in a seat: killed, told to stop, or made to stand still, and started again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.processes import Nursery

READY_WITHIN_SECONDS = 60.0
STOPS_WITHIN_SECONDS = 60.0
KILLED, STOPPED, STOOD_STILL = "killed", "told to stop", "stood still"
_LOOK_SECONDS = 0.02
_ENVIRONMENT = {"SQLITE_CACHE_KIB": "4096"}
"""As shipped, each connection keeps up to 64 MB of pages: filling that for half an hour would be taken for growth."""
_AWAY_SECONDS = (0.0, 1.5)
_STILL_SECONDS = (1.2, 2.2)
"""Longer than a lease lasts, so that another takes the work over; shorter than a database waits for a lock."""
_DEEDS = {KILLED: 6, STOPPED: 2, STOOD_STILL: 2}
"""How often each, beside the others."""


@dataclass
class Seat:
    """One process after the other, with the same task."""

    name: str
    arguments: Callable[[], Sequence[str]]
    """Those of `sr-engine`, drawn anew for each process."""
    nursery: Nursery
    directory: Path
    wrong: list[str]
    """What should not have happened."""
    steady: bool
    """It is never killed, so that its memory can be judged."""
    process: int = 0
    number: int = 0
    is_up: bool = False

    @property
    def life(self) -> str:
        """The name of the process that sits here now."""
        return f"{self.name} {self.number}"

    @property
    def log(self) -> Path:
        return self.directory / f"{self.name.replace(' ', '-')}-{self.number}.log"

    async def start(self) -> None:
        """Start a process and wait until it is ready."""
        self.number += 1
        self.log.touch()
        self.process = await self.nursery.start(list(self.arguments()), _ENVIRONMENT, self.log)
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while "ready: " not in self.log.read_text(encoding="utf-8", errors="replace"):
            if time.monotonic() > deadline or await self.nursery.end_of(self.process, 0.0) is not None:
                raise RuntimeError(f"{self.life} did not start; {self.log} says why")
            await asyncio.sleep(_LOOK_SECONDS)
        self.is_up = True

    async def kill(self) -> None:
        """End it, whatever it is doing."""
        await self._end(signal.SIGKILL, -signal.SIGKILL)

    async def stop(self) -> None:
        """Tell it to stop; what does not end well is noted."""
        await self._end(signal.SIGTERM, 0)

    async def _end(self, how: signal.Signals, wanted: int) -> None:
        self.is_up = False
        with suppress(ProcessLookupError):
            os.kill(self.process, how)
        status = await self.nursery.end_of(self.process, STOPS_WITHIN_SECONDS)
        if status != wanted:
            self.wrong.append(f"{self.life}, sent {how.name}, ended with {status}; {self.log}")

    async def stand_still(self, seconds: float) -> None:
        """Let it do nothing for a time, as on a computer that is out of breath."""
        os.kill(self.process, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(self.process, signal.SIGCONT)

    async def ended_by_itself(self) -> bool:
        """Whether it has, which is noted once."""
        if not self.is_up or await self.nursery.end_of(self.process, 0.0) is None:
            return False
        self.is_up = False
        status = await self.nursery.end_of(self.process, 0.0)
        self.wrong.append(f"{self.life} ended with {status} by itself; {self.log}")
        return True


@dataclass
class Faults:
    """Does things to processes at random moments, which follow from a seed."""

    seats: Sequence[Seat]
    chance: random.Random
    pause: float
    """Seconds between two, in the middle."""
    done: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By what was done, and to whom."""

    async def run(self, stopped: asyncio.Event) -> None:
        """Go on until `stopped`; then nobody stands still, and whoever is to be started is."""
        while not stopped.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self.chance.uniform(0.3, 1.7) * self.pause):
                    await stopped.wait()
                    return
            for seat in self.seats:
                if await seat.ended_by_itself():
                    await seat.start()
            (deed,) = self.chance.choices(list(_DEEDS), list(_DEEDS.values()))
            await self._do(deed)

    async def _do(self, deed: str) -> None:
        if deed == STOOD_STILL:
            # Only those that take no requests: of the others somebody would wait for the answer, and try another.
            seat = self.chance.choice([one for one in self.seats if "worker" in one.name])
            await seat.stand_still(self.chance.uniform(*_STILL_SECONDS))
        else:
            seat = self.chance.choice([one for one in self.seats if not one.steady])
            await (seat.kill() if deed == KILLED else seat.stop())
            await asyncio.sleep(self.chance.uniform(*_AWAY_SECONDS))
            await seat.start()
        self.done[deed, seat.name] += 1
