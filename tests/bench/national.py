"""`python -m tests.bench.national`: a release for the hubs of a whole country, planned night after night on PostgreSQL.

Everybody has agreed already; each region lists as many hubs a night as it takes to be done in the nights given. The
processor's own planning and cutting is measured, on a server of its own that waits for the disk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select

from sr_engine.bootstrap import Instance, list_cutter, open_instance
from sr_engine.clock import FixedClock
from sr_engine.messages.model import Period
from sr_engine.regions.calendar import cut_time, open_periods
from sr_engine.store.tables import attempts
from sr_engine.store.transactions import Transactions
from tests.bench.country import Country
from tests.bench.country_sql import put_country
from tests.bench.cutting import cut_night, new_release
from tests.bench.firmware import memory
from tests.bench.measure import Row
from tests.postgres import PostgresServer, postgres_server
from tests.world import NOW

REPORT = Path("bench-national.json")
BYTES_PER_HUB = 4_200
"""Of disk while it runs: the rows, their indexes, the log."""
_SETTINGS = {
    "shared_buffers": "2GB",
    "maintenance_work_mem": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "wal_compression": "on",
    "effective_cache_size": "8GB",
}


_WAITING = select(attempts.c.region, func.count().label("hubs")).group_by(attempts.c.region)


@dataclass(frozen=True, slots=True)
class Night:
    """What one night of all regions took; memory is of the planning process, in MB, at the night's end."""

    hubs: int
    seconds: float
    memory: float


def main(arguments: Sequence[str]) -> None:
    """Measure, print a table and write bench-national.json."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.national", description=__doc__)
    parser.add_argument("--hubs", type=int, default=15_000_000)
    parser.add_argument("--nights", type=int, default=60, help="in which all hubs are listed")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        free = shutil.disk_usage(name).free
        if free < asked.hubs * BYTES_PER_HUB:
            parser.error(f"{asked.hubs * BYTES_PER_HUB / 1e9:.0f} GB of disk are needed, {free / 1e9:.0f} are free")
        with postgres_server(durable=True, settings=_SETTINGS) as server:
            rows = list(_rows(server, Path(name) / "instance", asked.hubs, asked.nights))
    table = Table("what", "figure", "unit", "target", "met")
    for row in rows:
        target = "" if row.target is None else f"<= {row.target:g}"
        table.add_row(row.name, f"{row.figure:,.2f}", row.unit, target, {True: "yes", False: "NO", None: ""}[row.met])
    Console().print(table)
    REPORT.write_text(json.dumps([row.as_json() for row in rows], indent=2) + "\n", encoding="utf-8")


def _rows(server: PostgresServer, directory: Path, hubs: int, nights: int) -> Iterator[Row]:
    began = time.perf_counter()
    url = server.new_database()
    window = Period(NOW + timedelta(days=2), NOW + timedelta(days=3 * nights + 30))
    world, release_id, regions = new_release(directory, url)
    try:
        put_country(world.instance.engine, Country(release_id, regions, hubs, window, NOW), say=_say)
    finally:
        world.close()
    server.execute("VACUUM ANALYZE", url)
    what = f"{hubs:,} hubs on PostgreSQL"
    yield Row(f"{what}, put into the database", time.perf_counter() - began, "s")
    yield Row(f"{what}, database before", _gigabytes(server, url), "GB")
    instance = open_instance(directory, clock=FixedClock(NOW))
    try:
        began = time.perf_counter()
        played = list(_nights(instance, hubs, nights, window))
        seconds = time.perf_counter() - began
    finally:
        instance.engine.dispose()
        instance.reading_engine.dispose()
    listed = sum(night.hubs for night in played)
    if listed != hubs:
        raise ValueError(f"{listed} hubs were listed, not {hubs}")
    in_order = sorted(night.seconds for night in played)
    yield Row(f"{what}, nights of all regions", len(played), "nights")
    yield Row(f"{what}, planned and cut", seconds, "s")
    yield Row(f"{what}, a night: median", in_order[len(in_order) // 2], "s")
    yield Row(f"{what}, a night: longest", in_order[-1], "s")
    yield Row(f"{what}, a hub", seconds / hubs * 1e6, "us")
    yield Row(f"{what}, memory of the planner at most", max(night.memory for night in played), "MB")
    third = max(1, len(played) // 3)
    early = max(night.memory for night in played[:third])
    yield Row(f"{what}, memory in the last third of nights beside the first", played[-1].memory / early, "x", 1.1)
    yield Row(f"{what}, database afterwards", _gigabytes(server, url), "GB")


def _nights(instance: Instance, hubs: int, nights: int, window: Period) -> Iterator[Night]:
    """Cut night after night until nothing is left."""
    with instance.reading_engine.connect() as connection:
        waiting = {row.region: row.hubs for row in connection.execute(_WAITING)}
    regions = [
        replace(one, hubs_per_night=-(-waiting[one.name] // nights), list_size=20_000)
        for one in instance.configuration.regions.values()
    ]
    calendars = [(region, islice(open_periods(region, window), nights)) for region in regions]
    cutter = list_cutter(instance)
    left = hubs
    while left > 0:
        began = time.perf_counter()
        listed = 0
        for region, calendar in calendars:
            period = next(calendar, None)
            if period is not None:
                now = cut_time(region, period)
                transactions = Transactions(instance.engine, FixedClock(now))
                listed += asyncio.run(cut_night(cutter, transactions, region, period, now))
        if listed == 0:
            return
        left -= listed
        night = Night(listed, time.perf_counter() - began, memory("VmRSS") * 1.048576)
        _say(f"{listed:,} hubs listed in {night.seconds:.1f} s, {left:,} left, {night.memory:.0f} MB")
        yield night


def _gigabytes(server: PostgresServer, url: str) -> float:
    return float(str(server.ask("SELECT pg_database_size(current_database())", url))) / 1e9


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
