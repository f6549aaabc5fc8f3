"""The largest 11.5 over HTTP, in a country of a million hubs, alone and beside small requests of another Supplier.

`python -m tests.bench.scheduling` measures it alone; `--hubs` for a smaller country, `--engine` for one of them.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from itertools import islice
from math import inf
from pathlib import Path

import aiohttp

from sr_engine.clock import SystemClock
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision, Period, Phase, ScheduleCommsHubFirmware
from tests.bench.burst import serving_apart
from tests.bench.country import Country, chf, suppliers_of
from tests.bench.country_sql import put_country
from tests.bench.cutting import new_release
from tests.bench.exchange import wide
from tests.bench.firmware import memory
from tests.bench.measure import Row
from tests.postgres import PostgresServer, postgres_server
from tests.world import FIRMWARE, A, B

HUBS = 1_000_000
LISTED = 50_000
"""Hubs in one 11.5, at most."""
TIMES = 10
"""Alone; what is left of the hubs beside others."""
PER_SECOND = 20
_BY_LOT = (B.name,) * 4 + (A.name,) * 96
"""So nearly every home has A, and in 8 of 1,000 A and B have both to agree."""
_SERVER = {"shared_buffers": "1GB", "max_wal_size": "4GB"}


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds until each answer had come, and what the gateway had in memory at most, in MB."""

    alone: Sequence[float]
    beside: Sequence[float]
    small: Sequence[float]
    turned_away: int
    """Of the small ones: the processor was too busy."""
    megabytes: float


def rows(engines: Sequence[str] = ("SQLite", "PostgreSQL"), hubs: int = HUBS) -> Iterator[Row]:
    """Measure it on each."""
    for engine in engines:
        if engine == "SQLite":
            yield from _rows(engine, hubs, None)
        else:
            with postgres_server(durable=True, settings=_SERVER) as server:
                yield from _rows(engine, hubs, server)


def _rows(engine: str, hubs: int, server: PostgresServer | None) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        took = measure(Path(name) / "instance", hubs, server)
    what = f"11.5 with {_listed(hubs):,} of {hubs:,} hubs over HTTP, {engine}"
    small = sorted(took.small) or [inf]
    yield Row(f"{what}, median of {TIMES}", statistics.median(took.alone), "s", 1.5)
    yield Row(f"{what}, beside {PER_SECOND} small requests a second", statistics.median(took.beside), "s")
    yield Row("p99 of these", small[len(small) * 99 // 100] * 1e3, "ms", 250)
    yield Row(
        "small requests turned away meanwhile", took.turned_away, f"beside {len(took.small)} that were answered", 0
    )
    yield Row("the longest of all", max(*took.alone, *took.beside, *small), "s", 3)
    yield Row("memory of the gateway at most", took.megabytes, "MB", 400)


def measure(directory: Path, hubs: int, server: PostgresServer | None) -> Took:
    """Each hub is in one 11.5; half of them are sent alone, half beside approvals of the other Supplier."""
    now = SystemClock().now()
    window = Period(now + timedelta(days=5), now + timedelta(days=20))
    url = None if server is None else server.new_database()
    world, release_id, regions = new_release(directory, url, now, prepare=wide)
    try:
        suppliers = partial(suppliers_of, by_lot=_BY_LOT)
        country = Country(release_id, regions, hubs, window, now, suppliers, scheduled=False)
        if server is None:
            world.run(lambda uow: country.put(uow.connection))
        else:
            put_country(world.instance.engine, country, by_lot=_BY_LOT)
            server.execute("VACUUM ANALYZE", url)
        listed = _listed(hubs)
        numbers = [number for number in range(hubs) if A.name in suppliers(number)]
        large = [
            world.signed(A, _schedule(window, some), "11.5")
            for some in (numbers[start : start + listed] for start in range(0, len(numbers) - listed + 1, listed))
        ]
        split = (number for number in range(hubs) if set(suppliers(number)) == {A.name, B.name})
        small = [world.signed(B, _approval(number), "11.6") for number in islice(split, 4_000)]
    finally:
        world.close()
    with serving_apart(directory, "--role", "gateway") as serving:
        alone, beside, others, turned_away = asyncio.run(_send_all(serving.port, large, small))
        megabytes = memory("VmHWM", serving.pid) * 1.048576
    return Took(alone, beside, others, turned_away, megabytes)


def _listed(hubs: int) -> int:
    return min(LISTED, hubs // TIMES // 2)


def _schedule(window: Period, numbers: Sequence[int]) -> ScheduleCommsHubFirmware:
    return ScheduleCommsHubFirmware(FIRMWARE, window, Phase.GENERAL, tuple(map(chf, numbers)))


def _approval(number: int) -> ApproveCommsHubFirmware:
    return ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (chf(number),))


async def _send_all(
    port: int, large: Sequence[bytes], small: Sequence[bytes]
) -> tuple[list[float], list[float], list[float], int]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def send(data: bytes, due: float | None = None) -> float:
            """How long the answer took, from when it was due; infinite if it was turned away."""
            due = time.perf_counter() if due is None else due
            url, headers = f"http://127.0.0.1:{port}/api/v1/serviceD", {"Content-Type": "application/xml"}
            async with session.post(url, data=data, headers=headers) as answer:
                body = await answer.read()
            if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
                return inf
            if answer.status != 200 or b"ResponseCode>I" not in body:
                raise ValueError(f"answered {answer.status}: {body[:400]!r}")
            return time.perf_counter() - due

        async def steadily() -> list[float]:
            start = time.perf_counter()
            async with asyncio.TaskGroup() as tasks:
                sent = []
                for number, data in enumerate(small):
                    due = start + number / PER_SECOND
                    await asyncio.sleep(due - time.perf_counter())
                    if done.is_set():
                        break
                    sent.append(tasks.create_task(send(data, due)))
            return [one.result() for one in sent]

        done = asyncio.Event()
        await send(small[-1])
        alone = [await send(data) for data in large[:TIMES]]
        beside = asyncio.create_task(steadily())
        during = [await send(data) for data in large[TIMES:]]
        done.set()
        answered = [one for one in await beside if one != inf]
        return alone, during, answered, len(beside.result()) - len(answered)


def main(arguments: Sequence[str]) -> None:
    """Measure it alone."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scheduling", description=__doc__)
    parser.add_argument("--hubs", type=int, default=HUBS)
    parser.add_argument("--engine", action="append", choices=("SQLite", "PostgreSQL"))
    asked = parser.parse_args(arguments)
    for one in rows(asked.engine or ("SQLite", "PostgreSQL"), asked.hubs):
        sys.stdout.write(f"{one.name}: {one.figure:.3f} {one.unit} {'' if one.met is None else one.met}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
