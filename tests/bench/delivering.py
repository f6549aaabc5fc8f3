"""Alerts of many hubs, from what is to be told to what their receivers have taken, by two workers on PostgreSQL.

`python -m tests.bench.delivering HUBS` measures it with so many hubs, each told to one Supplier.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from aiohttp import web
from sqlalchemy import Engine, func, select

from sr_engine.clock import SystemClock
from sr_engine.configuration import AlertEvent
from sr_engine.instance import SupplierSeed
from sr_engine.messages.model import Period
from sr_engine.store import tidings
from sr_engine.store.outbox import ALERT, DELIVERED
from sr_engine.store.tables import outbox
from sr_engine.store.transactions import Transactions
from tests.bench.burst import serving_apart
from tests.bench.country import SUPPLIERS, Country, chf
from tests.bench.measure import Row
from tests.postgres import postgres_server
from tests.world import World, eui, make_world

HUBS = 20_000
WORKERS = 2
A_SECOND = 1_000
_GIVE_UP_AFTER_SECONDS = 600.0


def rows(hubs: int = HUBS) -> Iterator[Row]:
    """Measure it."""
    with ExitStack() as stack:
        server = stack.enter_context(postgres_server(durable=True))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        receiving_url = stack.enter_context(_receiving())
        world, release_id = _prepared(folder / "instance", hubs, server.new_database(), receiving_url)
        stack.callback(world.close)
        for _ in range(WORKERS):
            stack.enter_context(serving_apart(world.directory, "--role", "worker"))
        began = time.perf_counter()
        _tell(world, release_id, hubs)
        _wait_until_delivered(world.instance.reading_engine, hubs, began + _GIVE_UP_AFTER_SECONDS)
        seconds = time.perf_counter() - began
    what = (
        f"alerts of {hubs:,} hubs to {len(SUPPLIERS)} Suppliers signed and delivered, {WORKERS} workers on PostgreSQL"
    )
    yield Row(what, hubs / seconds, "1/s", A_SECOND, True)


def _prepared(directory: Path, hubs: int, database_url: str, receiving_url: str) -> tuple[World, str]:
    now = SystemClock().now()
    seeds = tuple(SupplierSeed(name, eui(0x10, number), receiving_url) for number, name in enumerate(SUPPLIERS, 1))
    world = make_world(directory, now, suppliers=seeds, database_url=database_url, durable=True)
    release_id = world.open_release()
    window = Period(now + timedelta(days=2), now + timedelta(days=10))
    world.run(lambda uow: Country(release_id, ("Central",), hubs, window, now).put(uow.connection))
    return world, release_id


def _tell(world: World, release_id: str, hubs: int) -> None:
    """Leave it to be told, and nothing more."""
    by_supplier = {
        name: [chf(hub) for hub in range(number, hubs, len(SUPPLIERS))] for number, name in enumerate(SUPPLIERS)
    }
    alone = Transactions(world.instance.engine, SystemClock())
    alone.run_now(
        lambda uow: world.instance.alerts.post_alike(uow, AlertEvent.HUB_LISTED, release_id, "bench", by_supplier)
    )


def _wait_until_delivered(engine: Engine, hubs: int, until: float) -> None:
    delivered = select(func.count()).where(
        outbox.c.kind == ALERT, outbox.c.event == AlertEvent.HUB_LISTED.value, outbox.c.state == DELIVERED
    )
    while time.perf_counter() < until:
        with engine.connect() as connection:
            if not tidings.are_left(connection) and connection.scalar(delivered) == hubs:
                return
        time.sleep(0.2)
    raise TimeoutError("not all alerts were delivered")


@contextmanager
def _receiving() -> Iterator[str]:
    """A receiver in a process of its own that takes whatever comes; its address."""
    command = [sys.executable, "-m", "tests.bench.delivering", "receive"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip() if process.stdout else ""
        finally:
            process.terminate()


async def _receive() -> None:
    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/in", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"http://127.0.0.1:{runner.addresses[0][1]}/in\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.argv[1:] == ["receive"]:
        asyncio.run(_receive())
    else:
        for one in rows(*map(int, sys.argv[1:])):
            sys.stdout.write(f"{one.name}: {one.figure:.0f} {one.unit} {one.met}\n")
