"""From a commit in one process to the delivery by another on PostgreSQL: woken by the commit, and looking by itself.

`python -m tests.bench.waking MESSAGES` measures it with so many messages, one after the other.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from sr_engine.clock import SystemClock
from sr_engine.store import notices, outbox
from sr_engine.store.outbox import Outgoing
from tests.bench.burst import serving_apart
from tests.bench.measure import Row
from tests.gateway.test_held import Inbox
from tests.postgres import postgres_server
from tests.world import A, World, edit, make_world

MESSAGES = 60
MILLISECONDS = 100
"""From the commit to the arrival, in the middle, on a computer that does something else too."""


def measure(world: World, inbox: Inbox, messages: int, *, woken: bool) -> list[float]:
    """Seconds from each commit to the arrival of its message; between two some time passes, drawn by chance."""
    chance, took = random.Random(messages), []
    for number in range(messages):
        time.sleep(chance.random())
        body = f"<m>{woken}{number}</m>".encode()
        message = Outgoing(world.instance.draw_id(), outbox.ALERT, f"user:{A.eui}", "hub_listed", body)

        def leave(uow: object, message: Outgoing = message) -> None:
            outbox.put(uow.connection, [message], uow.now)  # type: ignore[attr-defined]
            if not woken:
                notices.forget(uow.connection)  # type: ignore[attr-defined]

        world.run(leave)
        committed = time.perf_counter()
        while inbox.bodies.get(timeout=60) != body:
            pass
        took.append(max(0.0, time.perf_counter() - committed))
    return took


def rows(messages: int = MESSAGES) -> Iterator[Row]:
    """The middle of each, and the slowest twentieth."""
    inbox = Inbox()
    with postgres_server(durable=True) as server, inbox.listening(), tempfile.TemporaryDirectory() as folder:

        def prepare(directory: Path) -> None:
            edit(directory / "users.toml", A.receiving_url, inbox.url)

        world = make_world(Path(folder) / "instance", prepare=prepare, database_url=server.new_database())
        world.instance.transactions._clock = SystemClock()
        with serving_apart(world.directory, "--role", "worker"):
            for woken in (True, False):
                took = measure(world, inbox, messages, woken=woken)
                how = "woken" if woken else "looking each second"
                limit = MILLISECONDS if woken else None
                yield Row(f"commit to delivery by another process, {how}: median", _median(took), "ms", limit)
                yield Row(f"commit to delivery by another process, {how}: 95 %", _late(took), "ms")
        world.close()


def _median(took: Sequence[float]) -> float:
    return 1000 * statistics.median(took)


def _late(took: Sequence[float]) -> float:
    return 1000 * sorted(took)[int(0.95 * (len(took) - 1))]


if __name__ == "__main__":
    for row in rows(*map(int, sys.argv[1:])):
        print(f"{row.name:<70}{row.figure:10.1f} {row.unit}")
