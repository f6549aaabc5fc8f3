"""Reports of CSPs over HTTP to two processes on PostgreSQL: how soon they are taken, and all alerts signed and queued.

`python -m tests.bench.intake REPORTS HUBS` measures it with so many reports of so many hubs each.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
from sqlalchemy import Connection, Engine, func, select

from signing import Signer
from sr_engine.clock import SystemClock
from sr_engine.instance import SupplierSeed
from sr_engine.messages.csp import build_csp_message
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import Period, ReportEntry, ReportStatus, UpgradeReport
from sr_engine.store import lists, outbox, tidings
from sr_engine.store.tables import attempts
from sr_engine.store.tables import outbox as outbox_table
from tests.bench.burst import Serving, serving_apart
from tests.bench.country import SUPPLIERS, Country, chf, suppliers_of
from tests.bench.measure import Row
from tests.postgres import PostgresServer, postgres_server
from tests.world import BROKER, World, eui, make_world, on_connection

REPORTS, HUBS = 1_000, 1_000
PROCESSES = 2
SECONDS = 90
"""For 1,000,000 hubs."""
_AT_ONCE = 4
"""Reports that a CSP has on their way to a process."""
_GIVE_UP_AFTER = timedelta(minutes=20)


def split_in_three(number: int) -> tuple[str, str | None]:
    """As in the country, but every third home has two Suppliers, and each has gas."""
    electricity, _ = suppliers_of(number)
    return electricity, electricity if number % 3 else SUPPLIERS[(SUPPLIERS.index(electricity) + 3) % len(SUPPLIERS)]


def alerts_of(hubs: int) -> int:
    """One for each hub and Supplier."""
    return hubs + (hubs + 2) // 3


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds since the first report was sent, and CPU seconds."""

    hubs: int
    answered: float
    queued: float
    cpu: float
    """Of the two processes."""
    database_cpu: float


def rows(reports: int = REPORTS, hubs_each: int = HUBS) -> list[Row]:
    """Measure it."""
    taken = measure(reports, hubs_each)
    alerts = alerts_of(taken.hubs)
    what = f"{reports:,} reports of {hubs_each:,} hubs, one third split homes, to {PROCESSES} processes on PostgreSQL"
    target = SECONDS * taken.hubs / (REPORTS * HUBS)
    return [
        Row(f"{what}: all taken", taken.answered, "s", target),
        Row(f"{what}: all {alerts:,} alerts signed and queued", taken.queued, "s", target),
        Row("alerts signed and queued, beside the taking of reports", alerts / taken.queued, "1/s"),
        Row("CPU of the processes, per hub", taken.cpu / taken.hubs * 1e6, "us"),
        Row("CPU of PostgreSQL, per hub", taken.database_cpu / taken.hubs * 1e6, "us"),
    ]


def measure(reports: int, hubs_each: int) -> Taken:
    """Everything is there when the clock starts but the reports."""
    with ExitStack() as stack:
        server = stack.enter_context(postgres_server(durable=True))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = server.new_database()
        world = prepare(folder / "instance", reports, hubs_each, url)
        stack.callback(world.close)
        letters = written(world, reports, hubs_each)
        server.execute("VACUUM ANALYZE", url)
        # What was loaded is on disk before anything is measured.
        server.execute("CHECKPOINT", url)
        os.sync()
        processes = [stack.enter_context(serving_apart(world.directory, "--role", "gateway")) for _ in range(PROCESSES)]
        return asyncio.run(_post_all(world.instance.reading_engine, server, processes, letters, reports * hubs_each))


def prepare(directory: Path, reports: int, hubs_each: int, database_url: str) -> World:
    """Hubs that stand on lists whose night is over: each report is about one list."""
    now = SystemClock().now()
    seeds = tuple(
        SupplierSeed(name, eui(0x10, number), "http://127.0.0.1:9/in") for number, name in enumerate(SUPPLIERS, 1)
    )
    world = make_world(directory, now, suppliers=seeds, database_url=database_url, durable=True)
    release_id = world.open_release()
    window = Period(now - timedelta(days=2), now + timedelta(days=10))
    country = Country(release_id, ("Central",), reports * hubs_each, window, now, split_in_three)
    world.run(lambda uow: country.put(uow.connection))
    for number in range(reports):
        world.run(on_connection(_put_on_list, release_id, number, hubs_each, world.clock.now()))
    return world


def _put_on_list(connection: Connection, release_id: str, number: int, hubs_each: int, now: datetime) -> None:
    period = _night(now)
    message = outbox.Outgoing(f"{number:032x}", outbox.UPGRADE_LIST, "csp:Central", "upgrade_list", b"<list/>")
    outbox.put(connection, [message], period.start)
    ends = now + timedelta(days=10)
    hub_ids = _hubs(number, hubs_each)
    new = lists.NewList(f"{number:032x}", "Central", release_id, period, hub_ids, message.message_id, ends)
    lists.add_list(connection, new, period.start - timedelta(hours=8))
    connection.execute(
        attempts.update()
        .where(attempts.c.hub_id.in_(hub_ids))
        .values(state="Accepted", list_id=new.list_id, period_start=period.start, period_end=period.end)
    )


def _night(now: datetime) -> Period:
    return Period(now - timedelta(hours=10), now - timedelta(hours=4))


def _hubs(number: int, hubs_each: int) -> list[str]:
    return [chf(hub) for hub in range(number * hubs_each, (number + 1) * hubs_each)]


def written(world: World, reports: int, hubs_each: int) -> list[bytes]:
    """The reports, signed: all hubs Activated within their night."""
    now, key = world.clock.now(), world.csp_key("Central")
    signer, night = Signer(key), _night(now)
    letters = []
    for number in range(reports):
        entries = tuple(
            ReportEntry(hub_id, ReportStatus.ACTIVATED, night.start + timedelta(seconds=10 * place))
            for place, hub_id in enumerate(_hubs(number, hubs_each))
        )
        message_id = RequestId.make(key.eui, BROKER, number + 1)
        report = UpgradeReport(message_id, now, f"{number:032x}", "Central", entries)
        letters.append(signer.sign(build_csp_message(report)))
    return letters


async def _post_all(
    engine: Engine, server: PostgresServer, processes: Sequence[Serving], letters: Sequence[bytes], hubs: int
) -> Taken:
    pids = [process.pid for process in processes]
    cpu, database_cpu = _cpu(*pids), server.cpu_seconds()
    start = time.perf_counter()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        for number, process in enumerate(processes):
            waiting = iter(letters[number :: len(processes)])
            for _ in range(_AT_ONCE):
                tasks.create_task(_post(session, f"http://127.0.0.1:{process.port}/api/v1/csp", waiting))
    answered = time.perf_counter() - start
    deadline = start + _GIVE_UP_AFTER.total_seconds()
    while await asyncio.to_thread(_anything_left, engine):
        if time.perf_counter() > deadline:
            raise TimeoutError("somebody is still to be told something")
        await asyncio.sleep(0.1)
    queued = time.perf_counter() - start
    cpu, database_cpu = _cpu(*pids) - cpu, server.cpu_seconds() - database_cpu
    with engine.connect() as connection:
        alerts = connection.scalar(select(func.count()).where(outbox_table.c.kind == outbox.ALERT))
        done = connection.scalar(select(func.count()).where(attempts.c.state == "Activated"))
    if (alerts, done) != (alerts_of(hubs), hubs):
        raise ValueError(f"{alerts} alerts of {done} hubs, not {alerts_of(hubs)} of {hubs}")
    return Taken(hubs, answered, queued, cpu, database_cpu)


async def _post(session: aiohttp.ClientSession, url: str, letters: Iterator[bytes]) -> None:
    for letter in letters:
        async with session.post(url, data=letter, headers={"Content-Type": "application/xml"}) as answer:
            if answer.status != 204:
                raise ValueError(f"a report was answered {answer.status}: {await answer.text()}")


def _anything_left(engine: Engine) -> bool:
    with engine.connect() as connection:
        return tidings.are_left(connection)


def _cpu(*pids: int) -> float:
    """CPU seconds that some processes have used."""
    used = 0
    for pid in pids:
        values = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        used += int(values[11]) + int(values[12])
    return used / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    for one in rows(*map(int, sys.argv[1:])):
        sys.stdout.write(f"{one.name}: {one.figure:.1f} {one.unit} {'' if one.met is None else one.met}\n")
