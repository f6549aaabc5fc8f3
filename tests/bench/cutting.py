"""Planning and cutting the lists of a night for very many hubs: how long, how much per hub, in how much memory."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select

from sr_engine.bootstrap import Instance, list_cutter, open_instance
from sr_engine.clock import FixedClock
from sr_engine.configuration import Region
from sr_engine.messages.model import Period
from sr_engine.operations.releases import open_release
from sr_engine.regions.calendar import cut_time, open_periods
from sr_engine.regions.lists import ListCutter, Portion
from sr_engine.regions.night_plan import NightPlan
from sr_engine.store.tables import attempts
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import UnitOfWork
from tests.bench.country import Country
from tests.bench.country_sql import put_country
from tests.bench.firmware import memory
from tests.bench.measure import Row
from tests.databases import give_a_copy_of_its_database
from tests.postgres import PostgresServer, postgres_server
from tests.world import FIRMWARE, NOW, OLD_VERSION, WINDOW, World, make_world

HUBS = (100_000, 1_000_000)
LIST_SIZE = 20_000
_ROUNDS = 2
_SERVER = {"shared_buffers": "1GB", "max_wal_size": "4GB"}
"""As on a server with 4 GB of memory; each commit waits for the disk."""


def rows() -> Iterator[Row]:
    """Measure in processes of their own; the best of rounds."""
    yield from _rows("SQLite", None, limit=12)
    with postgres_server(durable=True, settings=_SERVER) as server:
        yield from _rows("PostgreSQL", server, limit=25)


def _rows(engine: str, server: PostgresServer | None, *, limit: int) -> Iterator[Row]:
    best: dict[tuple[int, int], dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        for hubs in HUBS:
            url = None if server is None else server.new_database()
            prepare(Path(name) / "instance", hubs, url)
            if server is not None:
                # What a server does by itself in time: it plans by what it knows of its tables.
                server.execute("VACUUM ANALYZE", url)
            for percent in (100, 10):
                found = [_one(Path(name), percent, server) for _ in range(_ROUNDS)]
                best[hubs, percent] = {key: min(one[key] for one in found) for key in found[0]}
            shutil.rmtree(Path(name) / "instance")
    few, many = HUBS
    for percent, what in ((100, "all of them fit"), (10, "one in ten fits")):
        found_one = best[many, percent]
        night = f"lists planned and cut, {engine}, {many:,} hubs in 6 regions, {what}"
        yield Row(night, found_one["seconds"], "s", limit)
        yield Row(f"{night}, CPU", found_one["cpu"], "s CPU")
        yield Row(f"{night}, the longest that a small request waited", found_one["waited"], "s")
        yield Row(f"{night}, peak memory beyond the idle processor", found_one["mb"], "MB", 500)
        per_hub = found_one["cpu"] / many / (best[few, percent]["cpu"] / few)
        yield Row(f"the same, CPU per hub beside {few:,} hubs", per_hub, "x", 1.3)


def prepare(directory: Path, hubs: int, database_url: str | None = None) -> None:
    """An instance with hubs that wait."""
    world, release_id, regions = new_release(directory, database_url)
    try:
        country = Country(release_id, regions, hubs, WINDOW, NOW)
        if database_url is None:
            world.run(lambda uow: country.put(uow.connection))
        else:
            put_country(world.instance.engine, country)
    finally:
        world.close()


def new_release(
    directory: Path,
    database_url: str | None,
    now: datetime = NOW,
    prepare: Callable[[Path], None] = lambda directory: None,
) -> tuple[World, str, tuple[str, ...]]:
    """A new instance with a release that is open in all its regions; the id of that, and the regions.

    `prepare` may change its files before it is opened.
    """
    url = database_url or "sqlite:///sr-engine.db"
    world = make_world(directory, now, prepare=prepare, database_url=url, durable=True)
    instance = world.instance
    regions = tuple(instance.configuration.regions)
    release, _ = world.run(
        lambda uow: open_release(
            uow,
            configuration=instance.configuration,
            alerts=instance.alerts,
            draw_id=instance.draw_id,
            firmware=FIRMWARE,
            image_hash="AB" * 32,
            regions=regions,
            reachable_from=(OLD_VERSION,),
        )
    )
    return world, release.release_id, regions


def _one(folder: Path, percent: int, server: PostgresServer | None) -> dict[str, float]:
    shutil.copytree(folder / "instance", folder / "copy")
    copy = None if server is None else give_a_copy_of_its_database(folder / "copy", server)
    command = [sys.executable, "-m", "tests.bench.cutting", str(folder / "copy"), str(percent)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    shutil.rmtree(folder / "copy")
    if server is not None and copy is not None:
        # Else the server would clear up in it while the next one is measured.
        server.execute(f"DROP DATABASE {copy.rpartition('/')[2]}")
    return found


def measure(directory: Path, percent: int) -> dict[str, float]:
    """Cut one night of every region, beside small requests; `percent` of the hubs have a place in it."""
    instance = open_instance(directory, clock=FixedClock(NOW))
    with instance.reading_engine.connect() as connection:
        waiting = {row.region: row.hubs for row in connection.execute(_WAITING)}
    regions = [
        replace(one, hubs_per_night=waiting[one.name] * percent // 100, list_size=LIST_SIZE)
        for one in instance.configuration.regions.values()
    ]
    idle = memory("VmRSS")
    wall, used = time.perf_counter(), time.process_time()
    listed, waited = asyncio.run(_cut_all(instance, regions))
    seconds, cpu = time.perf_counter() - wall, time.process_time() - used
    if listed != sum(one.hubs_per_night for one in regions):
        raise ValueError(f"{listed} hubs were listed, not {sum(one.hubs_per_night for one in regions)}")
    return {"seconds": seconds, "cpu": cpu, "waited": waited, "mb": (memory("VmHWM") - idle) * 1.048576}


_WAITING = select(attempts.c.region, func.count().label("hubs")).group_by(attempts.c.region)


async def _cut_all(instance: Instance, regions: Sequence[Region]) -> tuple[int, float]:
    """Hubs listed, and how long a small request waited at most.

    The alerts that follow are written between other work, and are no part of it.
    """
    nights = [(region, next(open_periods(region, WINDOW))) for region in regions]
    now = max(cut_time(region, period) for region, period in nights)
    transactions = Transactions(instance.engine, FixedClock(now))

    cutter = list_cutter(instance)
    cutting = asyncio.gather(*(cut_night(cutter, transactions, region, period, now) for region, period in nights))
    longest = 0.0
    while not cutting.done():
        began = time.perf_counter()
        await transactions.run(lambda unit_of_work: unit_of_work.now)
        longest = max(longest, time.perf_counter() - began)
        await asyncio.sleep(0.01)
    return sum(await cutting), longest


async def cut_night(
    cutter: ListCutter, transactions: Transactions, region: Region, period: Period, now: datetime
) -> int:
    """Cut the lists of a region for a period as its trigger does; how many hubs are on them."""
    due = cut_time(region, period)

    def run(unit_of_work: UnitOfWork) -> Portion:
        return cutter.run(unit_of_work, region, due, period, plan)

    listed, more = 0, True
    plan: NightPlan | None = None
    while more:
        plan = plan or await asyncio.to_thread(cutter.look, region, due, period, now)
        portion = await transactions.run(run, heavy=True)
        listed, more, plan = listed + portion.listed, portion.more, portion.plan
    return listed


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.stdout.write(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]))))
    else:
        for one in rows():
            sys.stdout.write(f"{one.name}: {one.figure:.2f} {one.unit} {'' if one.met is None else one.met}\n")
