"""The largest 11.1 in devices, from bytes to a signed answer on disk: how long, in how much memory, what CSPs get."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import func, select

from sr_engine.bootstrap import open_instance, processor_of
from sr_engine.clock import FixedClock
from sr_engine.domain.deliveries import CplEntry
from sr_engine.messages.model import UpdateFirmware
from sr_engine.pipeline.process import Admitted
from sr_engine.store.tables import firmware_lists, outbox
from tests.bench.measure import Row
from tests.firmware import VERSION, esme, hash_of, listed, ota
from tests.world import NOW, A, TestHub, make_world

METERS = 50_000
IMAGE_BYTES = 500_000
REGIONS = ("North", "Central", "South")
_ROUNDS = 3


def rows() -> list[Row]:
    """Measure in processes of their own, for what this one has used before is no part of it; the best of rounds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _prepare(folder / "instance", folder / "request.xml")
        found = []
        for number in range(_ROUNDS):
            shutil.copytree(folder / "instance", folder / str(number))
            place, request = str(folder / str(number)), str(folder / "request.xml")
            command = [sys.executable, "-m", "tests.bench.firmware", place, request]
            found.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    best = min(found, key=lambda one: one["seconds"])
    what = f"11.1: {IMAGE_BYTES // 1000} KB image, {METERS:,} meters, without HTTP"
    return [
        Row(f"{what}, own commit", best["seconds"], "s", 1.5),
        Row(f"{what}, CPU", min(one["cpu"] for one in found), "s CPU"),
        Row(f"{what}, peak memory beyond the idle processor", max(one["mib"] for one in found), "MiB"),
        *_received(best["received"]),
    ]


def _received(received: dict[str, list[float]]) -> Iterator[Row]:
    for region, (devices, list_bytes, image_bytes) in sorted(received.items()):
        yield Row(
            f"list for CSP {region}: {devices:,.0f} meters, after an image of {image_bytes:,.0f} bytes",
            list_bytes / 1e6,
            "MB",
        )


def _prepare(directory: Path, request: Path) -> None:
    payload = os.urandom(IMAGE_BYTES)
    world = make_world(directory)
    try:
        hubs = [TestHub(number, gas=None, region=REGIONS[number % len(REGIONS)]) for number in range(METERS)]
        world.add_hubs(hubs)
        listed(world, CplEntry("2B7E", "METER", "ESME", VERSION, hash_of(payload), "Active"))
        body = UpdateFirmware(ota(payload), VERSION, tuple(esme(hub) for hub in hubs))
        request.write_bytes(world.signed(A, body, "11.1"))
    finally:
        world.close()


def memory(what: str, pid: int | None = None) -> float:
    """What a process, or this one, has in memory now (VmRSS) or had at most (VmHWM), in MiB."""
    for line in Path(f"/proc/{pid or 'self'}/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == what:
            return int(value.split()[0]) / 1024
    raise ValueError(f"the status of the process has no {what}")


def _measure(directory: Path, data: bytes) -> dict[str, object]:
    """One request on an instance that has answered nothing yet."""
    instance = open_instance(directory, clock=FixedClock(NOW))
    processor = processor_of(instance)
    idle = memory("VmRSS")
    wall, cpu = time.perf_counter(), time.process_time()
    admitted = processor.admit("serviceD", data, NOW)
    if not isinstance(admitted, Admitted):
        raise TypeError(f"the request was not admitted: {admitted}")
    answer = instance.transactions.run_now(lambda work: processor.execute(work, admitted))
    seconds, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = memory("VmHWM")
    if answer.code != "I99":
        raise ValueError(f"the request was answered {answer.code}: {answer.detail}")
    image = outbox.alias("image")
    with instance.reading_engine.connect() as connection:
        found = connection.execute(
            select(
                firmware_lists.c.region,
                firmware_lists.c.device_count,
                func.length(outbox.c.body),
                func.length(image.c.body),
            )
            .join(outbox, outbox.c.message_id == firmware_lists.c.message_id)
            .join(image, image.c.message_id == firmware_lists.c.image_message_id)
        )
        received = {region: counts for region, *counts in found}
    return {"seconds": seconds, "cpu": cpu, "mib": peak - idle, "received": received}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure(Path(sys.argv[1]), Path(sys.argv[2]).read_bytes())))
