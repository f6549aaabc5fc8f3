"""A whole exchange over HTTP: an 11.6 for one hub, from bytes to a signed answer that is on disk, 32 at a time.

The gateway is a process of its own, of which the CPU time is taken; the raw cost is that of one P-256 verification and
one signature, measured in the same run. `python -m tests.bench.exchange` measures it alone.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sr_engine.clock import SystemClock
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision
from tests.bench.burst import Serving, serving_apart
from tests.bench.measure import Row, cpu_seconds
from tests.postgres import postgres_server
from tests.world import FIRMWARE, A, TestHub, World, edit, make_world

CONNECTIONS = 32
ROUNDS = 4
"""The best is taken: what else the machine does only adds."""
PER_ROUND = 1_000
TARGET = 6
"""Times the raw cost."""


@dataclass(frozen=True, slots=True)
class Exchanged:
    """Of one round: CPU seconds of the gateways per exchange, and exchanges a second."""

    cpu: float
    per_second: float


def rows() -> list[Row]:
    """Measure it on SQLite, on PostgreSQL, and there with two gateways."""
    raw = raw_cost()
    sqlite = measure(None, 1)
    with postgres_server(durable=True) as server:
        one, two = (measure(server.new_database(), gateways) for gateways in (1, 2))
    what = f"11.6 for one hub over HTTP, {CONNECTIONS} connections, one gateway"
    return [
        Row(f"{what}, SQLite", sqlite.cpu / raw, "x raw verify + sign", TARGET),
        Row("the same, exchanges", sqlite.per_second, "1/s"),
        Row(f"{what}, PostgreSQL", one.cpu / raw, "x raw verify + sign", TARGET),
        Row("the same, exchanges", one.per_second, "1/s"),
        Row("two gateways on PostgreSQL beside one: throughput", two.per_second / one.per_second, "x", 1.7, True),
    ]


def raw_cost() -> float:
    """CPU seconds of one verification and one signature."""
    key, data, algorithm = ec.generate_private_key(ec.SECP256R1()), b"x" * 700, ec.ECDSA(hashes.SHA256())
    signature, public = key.sign(data, algorithm), key.public_key()
    return cpu_seconds({"raw": lambda: (public.verify(signature, data, algorithm), key.sign(data, algorithm))})["raw"]


def measure(database_url: str | None, gateways: int) -> Exchanged:
    """The best round of an instance of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        world = make_world(folder / "instance", SystemClock().now(), prepare=wide, database_url=database_url)
        hubs = [TestHub(number) for number in range(1, 1 + PER_ROUND * (ROUNDS + 1))]
        world.add_hubs(hubs)
        world.open_release()
        requests = [request(world, hub) for hub in hubs]
        world.close()
        serving = [stack.enter_context(serving_apart(world.directory, "--role", "gateway")) for _ in range(gateways)]
        rounds = [
            asyncio.run(_round(serving, requests[start : start + PER_ROUND]))
            for start in range(0, len(requests), PER_ROUND)
        ]
    # In the first they warm up.
    return min(rounds[1:], key=lambda one: one.cpu)


def request(world: World, hub: TestHub) -> bytes:
    return world.signed(A, ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (hub.chf,)), "11.6")


def wide(directory: Path) -> None:
    """Nobody sends too much."""
    policy = directory / "config" / "policy.toml"
    edit(policy, "operating_threshold_per_second = 2_000", "operating_threshold_per_second = 100_000")
    edit(policy, "allocation_per_second = 100", "allocation_per_second = 100_000")


async def _round(serving: Sequence[Serving], requests: Sequence[bytes]) -> Exchanged:
    before, start = cpu_of(serving), time.perf_counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.TaskGroup() as tasks:
        for number, process in enumerate(serving):
            waiting = iter(requests[number :: len(serving)])
            for _ in range(CONNECTIONS // len(serving)):
                tasks.create_task(_send(session, process.port, waiting))
    seconds = time.perf_counter() - start
    return Exchanged((cpu_of(serving) - before) / len(requests), len(requests) / seconds)


async def _send(session: aiohttp.ClientSession, port: int, requests: Iterator[bytes]) -> None:
    url, headers = f"http://127.0.0.1:{port}/api/v1/serviceD", {"Content-Type": "application/xml"}
    for data in requests:
        async with session.post(url, data=data, headers=headers) as answer:
            body = await answer.read()
            if answer.status != 200 or b"ResponseCode>I" not in body:
                raise ValueError(f"answered {answer.status}: {body[:400]!r}")


def cpu_of(serving: Sequence[Serving]) -> float:
    """CPU seconds that some processes have used so far, to a microsecond."""
    used = 0.0
    for process in serving:
        for task in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
            used += int(task.read_text(encoding="ascii").split()[0]) / 1e9
    return used


if __name__ == "__main__":
    for one in rows():
        sys.stdout.write(f"{one.name}: {one.figure:.2f} {one.unit} {'' if one.met is None else one.met}\n")
