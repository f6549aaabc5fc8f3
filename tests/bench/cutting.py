"""Planning and cutting the lists of a night for very many hubs: how long, how much per hub, in how much memory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sr_engine.bootstrap import Instance, list_cutter, open_instance
from sr_engine.clock import FixedClock
from sr_engine.configuration import Region
from sr_engine.messages.model import Period
from sr_engine.operations.releases import open_release
from sr_engine.regions.calendar import cut_time, open_periods
from sr_engine.regions.lists import ListCutter, Portion
from sr_engine.store.transactions import Transactions
from tests.bench.country import Country
from tests.bench.firmware import memory
from tests.bench.measure import Row
from tests.world import FIRMWARE, NOW, OLD_VERSION, WINDOW, make_world

HUBS = (100_000, 1_000_000)
LIST_SIZE = 20_000
_ROUNDS = 2


def rows() -> Iterator[Row]:
    """Measure in processes of their own; the best of rounds."""
    best: dict[tuple[int, int], dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        for hubs in HUBS:
            prepare(Path(name) / "instance", hubs)
            for percent in (100, 10):
                found = [_one(Path(name), percent) for _ in range(_ROUNDS)]
                best[hubs, percent] = {key: min(one[key] for one in found) for key in found[0]}
            shutil.rmtree(Path(name) / "instance")
    few, many = HUBS
    for percent, what in ((100, "all of them fit"), (10, "one in ten fits")):
        found_one = best[many, percent]
        night = f"lists planned and cut, {many:,} hubs in 6 regions, {what}"
        yield Row(night, found_one["seconds"], "s", 12)
        yield Row(f"{night}, CPU", found_one["cpu"], "s CPU")
        yield Row(f"{night}, longest transaction", found_one["longest"], "s")
        yield Row(f"{night}, peak memory", found_one["mib"], "MiB", 500)
        per_hub = found_one["cpu"] / many / (best[few, percent]["cpu"] / few)
        yield Row(f"the same, CPU per hub beside {few:,} hubs", per_hub, "x", 1.3)


def prepare(directory: Path, hubs: int) -> None:
    """An instance with hubs that wait."""
    world = make_world(directory)
    try:
        regions = tuple(world.instance.configuration.regions)
        release, _ = world.run(
            lambda uow: open_release(
                uow,
                configuration=world.instance.configuration,
                alerts=world.instance.alerts,
                draw_id=world.instance.draw_id,
                firmware=FIRMWARE,
                image_hash="AB" * 32,
                regions=regions,
                reachable_from=(OLD_VERSION,),
            )
        )
        country = Country(release.release_id, regions, hubs, WINDOW, NOW)
        world.run(lambda uow: country.put(uow.connection))
    finally:
        world.close()


def _one(folder: Path, percent: int) -> dict[str, float]:
    shutil.copytree(folder / "instance", folder / "copy")
    command = [sys.executable, "-m", "tests.bench.cutting", str(folder / "copy"), str(percent)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    shutil.rmtree(folder / "copy")
    return found


def measure(directory: Path, percent: int) -> dict[str, float]:
    """Cut one night of every region; `percent` of the hubs have a place in it."""
    instance = open_instance(directory, clock=FixedClock(NOW))
    cutter = list_cutter(instance)
    regions = instance.configuration.regions.values()
    waiting = {one.name: _waiting(instance, one) for one in regions}
    seconds = cpu = longest = 0.0
    listed = 0
    for region in regions:
        room = replace(region, hubs_per_night=waiting[region.name] * percent // 100, list_size=LIST_SIZE)
        period = next(open_periods(region, WINDOW))
        wall, used = time.perf_counter(), time.process_time()
        hubs, one = _cut(instance, cutter, room, period)
        seconds, cpu = seconds + time.perf_counter() - wall, cpu + time.process_time() - used
        listed, longest = listed + hubs, max(longest, one)
    expected = sum(number * percent // 100 for number in waiting.values())
    if listed != expected:
        raise ValueError(f"{listed} hubs were listed, not {expected}")
    return {"seconds": seconds, "cpu": cpu, "longest": longest, "mib": memory("VmHWM")}


def _waiting(instance: Instance, region: Region) -> int:
    from sqlalchemy import func, select

    from sr_engine.store.tables import attempts

    with instance.reading_engine.connect() as connection:
        return connection.scalar(select(func.count()).where(attempts.c.region == region.name)) or 0


def _cut(instance: Instance, cutter: ListCutter, region: Region, period: Period) -> tuple[int, float]:
    """As the region's trigger does; the alerts that follow are written between other work, and are no part of it."""
    due = cut_time(region, period)
    transactions = Transactions(instance.engine, FixedClock(due))
    portion, listed, longest = Portion(0, more=True), 0, 0.0
    while portion.more:
        plan = portion.plan or cutter.look(region, due, period, due)
        began = time.perf_counter()
        portion = transactions.run_now(lambda uow, plan=plan: cutter.run(uow, region, due, period, plan))  # type: ignore[misc]
        longest = max(longest, time.perf_counter() - began)
        listed += portion.listed
    return listed, longest


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]))))
