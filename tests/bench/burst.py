"""What one User's burst does to another's requests, over HTTP to a processor in a process of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from sr_engine.clock import SystemClock
from sr_engine.instance import SupplierSeed
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision
from tests.bench.measure import Row
from tests.world import FIRMWARE, A, B, TestHub, World, edit, make_world

ALLOCATION = 10
"""Requests per second of either User."""
THRESHOLD = 40
NORMAL = 5
"""Requests per second of the User that keeps to its allocation."""
TIMES = 10
"""How many times its allocation the other one sends."""
_HUB = TestHub(1, electricity=A.name, gas=B.name)


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one User's requests: seconds from when each was due until its answer had come, and statuses."""

    seconds: tuple[float, ...]
    statuses: Counter[int]

    @property
    def p99(self) -> float:
        return sorted(self.seconds)[len(self.seconds) * 99 // 100]


@dataclass(frozen=True, slots=True)
class Burst:
    """The quiet User alone, then beside a burst; and the one that burst."""

    alone: Sent
    beside: Sent
    bursting: Sent


def measure(seconds: int) -> Burst:
    """Send for so long alone and for so long beside the burst."""
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder) / "instance", SystemClock().now(), prepare=_small)
        world.add_hubs([_HUB])
        world.open_release()
        warm, alone, beside = (_requests(world, B, NORMAL * seconds) for _ in range(3))
        bursting = _requests(world, A, TIMES * ALLOCATION * seconds)
        world.close()
        with serving_apart(world.directory) as serving:
            port = serving.port
            asyncio.run(_send(port, warm[:20], per_second=NORMAL))
            (first,) = asyncio.run(_side_by_side(port, (alone, NORMAL)))
            second, third = asyncio.run(_side_by_side(port, (beside, NORMAL), (bursting, TIMES * ALLOCATION)))
    return Burst(first, second, third)


def rows() -> list[Row]:
    """Measure it."""
    burst = measure(10)
    refused = burst.beside.statuses.total() - burst.beside.statuses[200]
    return [
        Row(f"p99 of a User at {NORMAL} requests a second, alone", burst.alone.p99 * 1e3, "ms"),
        Row(f"the same beside one at {TIMES} times its allocation", burst.beside.p99 * 1e3, "ms"),
        Row("its requests that were turned away", refused, "of " + str(burst.beside.statuses.total()), 0),
    ]


@dataclass(frozen=True, slots=True)
class Serving:
    """A process that serves an instance."""

    port: int
    pid: int


@contextmanager
def serving_apart(directory: Path, *options: str, log: Path = Path(os.devnull)) -> Iterator[Serving]:
    """Serve an instance in a process of its own; what it logs is added to `log`."""
    program = (sys.executable, "-c", "from sr_engine.cli.main import main; main()")
    with (
        log.open("a", encoding="utf-8") as errors,
        subprocess.Popen(
            [*program, "serve", "--dir", str(directory), "--port", "0", *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line.startswith("ready: "):
                raise RuntimeError("the processor did not start")
            yield Serving(int(line.split()[1].rpartition(":")[2]), process.pid)
        finally:
            process.terminate()


def _small(directory: Path) -> None:
    policy = directory / "config" / "policy.toml"
    edit(policy, "operating_threshold_per_second = 2_000", f"operating_threshold_per_second = {THRESHOLD}")
    edit(policy, "allocation_per_second = 100", f"allocation_per_second = {ALLOCATION}")


def _requests(world: World, supplier: SupplierSeed, number: int) -> list[bytes]:
    body = ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (_HUB.chf,))
    return [world.signed(supplier, body, "11.6") for _ in range(number)]


async def _side_by_side(port: int, *streams: tuple[Sequence[bytes], int]) -> list[Sent]:
    return await asyncio.gather(*(_send(port, requests, per_second=rate) for requests, rate in streams))


async def _send(port: int, requests: Sequence[bytes], *, per_second: int) -> Sent:
    """Send each when it is due, whether or not the earlier ones have been answered."""
    taken: list[float] = []
    statuses = Counter[int]()
    url, headers = f"http://127.0.0.1:{port}/api/v1/serviceD", {"Content-Type": "application/xml"}

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one(due: float, data: bytes) -> None:
            async with session.post(url, data=data, headers=headers) as answer:
                await answer.read()
                statuses[answer.status] += 1
            taken.append(time.perf_counter() - due)

        start = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number, data in enumerate(requests):
                due = start + number / per_second
                await asyncio.sleep(due - time.perf_counter())
                tasks.create_task(one(due, data))
    return Sent(tuple(taken), statuses)
