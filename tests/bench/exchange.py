"""A whole exchange over HTTP: an 11.6 for one hub, from bytes to a signed answer that is on disk, 32 at a time.

The gateway is a process of its own, of which the CPU time is taken. Beside it, in the same round, another process does
in short bursts what it is compared with: one P-256 verification and one signature. For where two processors are two
threads of one core, both cost a quarter more CPU beside clients and a database that keep the other one busy than they
do alone, and the busier the machine the more; compared with the raw cost alone, the figure would say how much of a core
a processor is here. Rounds without that process tell whether it makes an exchange cheaper or dearer itself.
`python -m tests.bench.exchange` measures it alone.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

import aiohttp

from sr_engine.clock import SystemClock
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision
from tests.bench.burst import Serving, serving_apart
from tests.bench.measure import Row
from tests.bench.raw import Beside, beside, processors, processors_worth, raw_cost
from tests.postgres import postgres_server
from tests.world import FIRMWARE, A, TestHub, World, edit, make_world

CONNECTIONS = 32
ROUNDS = 20
"""With the raw work beside them, and half as many without; the median is taken, of what is measured in equal terms.

So many, for what else the machine does makes an exchange a tenth dearer or cheaper for seconds at a time.
"""
PER_ROUND = 1_000
TARGET = 6
"""Times the raw cost."""
TWO_GATEWAYS, WORTH_OF = 1.7, 4
"""What two gateways should do beside one, where they, PostgreSQL and the clients have a processor's worth each."""
ALLOWED_FOR = 0.9
"""Of that many: all processors at once run somewhat slower than one."""


@dataclass(frozen=True, slots=True)
class Exchanged:
    """Of one round: CPU seconds of the gateways per exchange, exchanges a second, and the raw cost meanwhile."""

    cpu: float
    per_second: float
    raw: float | None = None

    @property
    def ratio(self) -> float:
        """How many times the raw cost an exchange took."""
        if not self.raw:
            raise ValueError("nothing was measured beside this round")
        return self.cpu / self.raw


@dataclass(frozen=True, slots=True)
class Measured:
    """All rounds of an instance: those with the raw work beside them, and those without."""

    beside_raw: Sequence[Exchanged]
    undisturbed: Sequence[Exchanged]

    def of_each(self, figure: Callable[[Exchanged], float], *, undisturbed: bool = False) -> float:
        """The median of the rounds."""
        return median(map(figure, self.undisturbed if undisturbed else self.beside_raw))

    def rows(self, what: str) -> list[Row]:
        """What is said of it."""
        raw = [one.raw for one in self.beside_raw if one.raw is not None]
        return [
            Row(what, self.of_each(lambda one: one.ratio), "x raw verify + sign beside it", TARGET),
            Row(
                "the same, in the best round",
                min(one.ratio for one in self.beside_raw),
                "x raw verify + sign beside it",
            ),
            Row("the same, exchanges", self.of_each(lambda one: one.per_second, undisturbed=True), "1/s"),
            Row("the same, CPU", self.of_each(lambda one: one.cpu) * 1e6, "µs"),
            Row(
                "the same, CPU without the raw work beside it",
                self.of_each(lambda one: one.cpu, undisturbed=True) * 1e6,
                "µs",
            ),
            Row("raw verify + sign beside it", mean(raw) * 1e6, "µs"),
        ]


def rows() -> list[Row]:
    """Measure it on SQLite, on PostgreSQL, and there with two gateways."""
    alone = raw_cost()
    sqlite = measure(None, 1)
    with postgres_server(durable=True) as server:
        one, two = (measure(server.new_database(), gateways) for gateways in (1, 2))
    what = f"11.6 for one hub over HTTP, {CONNECTIONS} connections, one gateway"
    return [
        Row("raw verify + sign alone", alone * 1e6, "µs"),
        *sqlite.rows(f"{what}, SQLite"),
        *one.rows(f"{what}, PostgreSQL"),
        *_two_beside_one(one, two),
    ]


def _two_beside_one(one: Measured, two: Measured) -> list[Row]:
    worth = processors_worth(processors())
    fit = worth >= ALLOWED_FOR * WORTH_OF
    name = "two gateways on PostgreSQL beside one: throughput"
    if not fit:
        name += f" (here all processors are worth {worth:.1f}; {WORTH_OF} are needed)"
    once, twice = (each.of_each(lambda one: one.per_second, undisturbed=True) for each in (one, two))
    return [
        Row(name, twice / once, "x", TWO_GATEWAYS if fit else None, True),
        Row("two processes of raw verify + sign beside one: throughput", processors_worth(2), "x"),
    ]


def measure(database_url: str | None, gateways: int) -> Measured:
    """The rounds of an instance of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        world = make_world(folder / "instance", SystemClock().now(), prepare=wide, database_url=database_url)
        # In the first two they warm up, one of each kind.
        kinds = [number % 3 != 1 for number in range(ROUNDS * 3 // 2 + 2)]
        hubs = [TestHub(number) for number in range(1, 1 + PER_ROUND * len(kinds))]
        world.add_hubs(hubs)
        world.open_release()
        requests = [request(world, hub) for hub in hubs]
        world.close()
        serving = [stack.enter_context(serving_apart(world.directory, "--role", "gateway")) for _ in range(gateways)]
        raw = stack.enter_context(beside())
        found: dict[bool, list[Exchanged]] = {True: [], False: []}
        for number, is_beside in enumerate(kinds):
            some = requests[number * PER_ROUND : (number + 1) * PER_ROUND]
            done = _measured_beside(raw, serving, some) if is_beside else asyncio.run(_round(serving, some))
            if number > 1:
                found[is_beside].append(done)
    return Measured(found[True], found[False])


def _measured_beside(raw: Beside, serving: Sequence[Serving], requests: Sequence[bytes]) -> Exchanged:
    with raw.measuring() as costs:
        done = asyncio.run(_round(serving, requests))
    return Exchanged(done.cpu, done.per_second, mean(costs))


def request(world: World, hub: TestHub) -> bytes:
    return world.signed(A, ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (hub.chf,)), "11.6")


def wide(directory: Path) -> None:
    """Nobody sends too much."""
    policy = directory / "config" / "policy.toml"
    edit(policy, "operating_threshold_per_second = 2_000", "operating_threshold_per_second = 100_000")
    edit(policy, "allocation_per_second = 100", "allocation_per_second = 100_000")
    edit(policy, "requests_per_hour = 20_000", "requests_per_hour = 1_000_000")


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
