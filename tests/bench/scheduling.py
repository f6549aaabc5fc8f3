"""The largest 11.5 over HTTP, in a country of a million hubs, beside small requests of another Supplier.

`python -m tests.bench.scheduling` measures it alone; `--hubs` for a smaller country, `--engine` for one of them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
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
from sr_engine.store import kept_changes
from sr_engine.store.database import open_engine
from sr_engine.store.reading import Reading
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
"""Each once the one before was carried out; what is left of the hubs is sent as soon as the one before was answered."""
PER_SECOND = 20
_BY_LOT = (B.name,) * 4 + (A.name,) * 96
"""So nearly every home has A, and in 8 of 1,000 A and B have both to agree."""
_LOOK_SECONDS = 0.02
"""Between two looks at whether a list was carried out."""
_SERVER = {"shared_buffers": "1GB", "max_wal_size": "4GB"}


@dataclass(frozen=True, slots=True)
class Series:
    """Seconds until each answer had come, of long lists and of the small requests beside them."""

    large: Sequence[float]
    small: Sequence[float]
    turned_away: int
    """Of the small ones: the processor was too busy."""

    @property
    def p99(self) -> float:
        """Of the small ones, in ms."""
        in_order = sorted(self.small) or [inf]
        return in_order[len(in_order) * 99 // 100] * 1e3

    @property
    def longest(self) -> float:
        return max(*self.large, *self.small, 0.0)


@dataclass(frozen=True, slots=True)
class Took:
    """What was measured, and what the gateway had in memory at most, in MB."""

    one_by_one: Series
    """Each list was sent once the one before was carried out."""
    back_to_back: Series
    """Each was sent as soon as the one before was answered, and waits while too much is still to be carried out."""
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
    what = (
        f"11.5 with {_listed(hubs):,} of {hubs:,} hubs over HTTP, beside {PER_SECOND} small requests a second, {engine}"
    )
    one_by_one, back_to_back = took.one_by_one, took.back_to_back
    yield Row(
        f"{what}: each sent once the one before is carried out, median of {TIMES}",
        statistics.median(one_by_one.large),
        "s",
        1.5,
    )
    yield Row("p99 of the small ones, while lists are answered and carried out", one_by_one.p99, "ms", 250)
    turned_away = one_by_one.turned_away + back_to_back.turned_away
    answered = len(one_by_one.small) + len(back_to_back.small)
    yield Row("the longest of all", one_by_one.longest, "s", 3)
    yield Row(
        f"each sent as soon as the one before is answered, median of {len(back_to_back.large)}",
        statistics.median(back_to_back.large),
        "s",
    )
    yield Row("p99 of the small ones beside these", back_to_back.p99, "ms")
    yield Row("the longest of all of these", back_to_back.longest, "s")
    yield Row("small requests turned away in both", turned_away, f"beside {answered} that were answered", 0)
    yield Row("memory of the gateway at most", took.megabytes, "MB", 400)


def measure(directory: Path, hubs: int, server: PostgresServer | None) -> Took:
    """Each hub is in one 11.5; beside them the other Supplier sends approvals."""
    now = SystemClock().now()
    window = Period(now + timedelta(days=5), now + timedelta(days=20))
    url = None if server is None else server.new_database()
    world, release_id, regions = new_release(directory, url, now, prepare=wide)
    engine = open_engine(world.instance.settings.database_url, read_only=True)
    try:
        suppliers = partial(suppliers_of, by_lot=_BY_LOT)
        country = Country(release_id, regions, hubs, window, now, suppliers, scheduled=False)
        if server is None:
            world.run(lambda uow: country.put(uow.connection))
        else:
            put_country(world.instance.engine, country, by_lot=_BY_LOT)
            # As a server does by itself, and no other tables: it would take those that are empty to stay so.
            server.execute("VACUUM ANALYZE devices, registrations", url)
            server.execute("CHECKPOINT", url)
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
    # Else lists would wait for what the country left to be written.
    os.sync()
    with serving_apart(directory, "--role", "gateway") as serving:
        one_by_one, back_to_back = asyncio.run(_send_all(serving.port, Reading(engine), large, small))
        engine.dispose()
        megabytes = memory("VmHWM", serving.pid) * 1.048576
    return Took(one_by_one, back_to_back, megabytes)


def _listed(hubs: int) -> int:
    return min(LISTED, hubs // TIMES // 2)


def _schedule(window: Period, numbers: Sequence[int]) -> ScheduleCommsHubFirmware:
    return ScheduleCommsHubFirmware(FIRMWARE, window, Phase.GENERAL, tuple(map(chf, numbers)))


def _approval(number: int) -> ApproveCommsHubFirmware:
    return ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (chf(number),))


async def _send_all(
    port: int, beside: Reading, large: Sequence[bytes], small: Sequence[bytes]
) -> tuple[Series, Series]:
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

        async def steadily(done: asyncio.Event) -> list[float]:
            start = time.perf_counter()
            sent = []
            async with asyncio.TaskGroup() as tasks:
                for number, data in enumerate(left):
                    due = start + number / PER_SECOND
                    await asyncio.sleep(due - time.perf_counter())
                    if done.is_set():
                        break
                    sent.append(tasks.create_task(send(data, due)))
            return [one.result() for one in sent]

        async def series(lists: Sequence[bytes], *, one_by_one: bool) -> Series:
            done = asyncio.Event()
            others = asyncio.create_task(steadily(done))
            took = []
            for data in lists:
                took.append(await send(data))
                if one_by_one:
                    await asyncio.to_thread(_wait_until_carried_out, beside)
            await asyncio.to_thread(_wait_until_carried_out, beside)
            done.set()
            answered = [one for one in await others if one != inf]
            return Series(took, answered, len(others.result()) - len(answered))

        left = iter(small)
        await send(next(left))
        return await series(large[:TIMES], one_by_one=True), await series(large[TIMES:], one_by_one=False)


def _wait_until_carried_out(beside: Reading) -> None:
    while beside(kept_changes.are_left):
        time.sleep(_LOOK_SECONDS)


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
