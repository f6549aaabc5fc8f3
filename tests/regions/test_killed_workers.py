"""Two processes run the triggers of one instance, and the one that holds the leases is killed, again and again.

The instance is real: its own configuration and database, workers as `sr-engine serve --role worker` starts them, a
receiver that speaks HTTP. Its clock runs 6 hours a second; the test is its gateway, its Supplier and its CSPs.
"""

from __future__ import annotations

import os
import queue
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import select

from signing import parse
from sr_engine.bootstrap import open_instance, processor_of
from sr_engine.configuration import ClockSettings
from sr_engine.domain.states import AttemptState
from sr_engine.instance import SupplierSeed, create_instance
from sr_engine.messages.csp import decode_csp_message
from sr_engine.messages.model import Period, ReportStatus, UpgradeList
from sr_engine.operations.releases import open_release
from sr_engine.regions.calendar import due_cuts
from sr_engine.regions.lists import CUT
from sr_engine.store import leases
from sr_engine.store.leases import LeaseState
from sr_engine.store.lists import last_begun, runs_after
from sr_engine.store.outbox import EXPIRED
from sr_engine.store.tables import attempts, outbox, trigger_runs, upgrade_lists
from tests.databases import url_of_instance
from tests.regions.conftest import Nights
from tests.told import TOLD
from tests.world import FIRMWARE, NOW, OLD_VERSION, A, TestHub, World, edit

ROOT = Path(__file__).parents[2]
RATE = 21_600
WAIT = 90
"""Seconds after which the test gives up: the computer may be busy."""
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One POST, and when it came: by the clock that nobody sets, and by that of the workers' logs."""

    message_id: str
    to: str
    body: bytes
    at: float
    logged_at: float


class Receiver:
    """All CSPs and the Supplier; while `hold` is set, the next list has no answer until `go_on` is."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.new_lists: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self.hold, self.held, self.go_on = threading.Event(), threading.Event(), threading.Event()
        self.held_one: Arrival | None = None
        self.url = ""

    @contextmanager
    def listening(self) -> Iterator[None]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.take(Arrival(self.headers["DUIS-Message-ID"], self.path, body, time.monotonic(), time.time()))
                try:
                    self.send_response(204)
                    self.end_headers()
                except OSError:
                    pass  # whoever sent it is gone

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            self.url = f"http://127.0.0.1:{server.server_port}"
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            try:
                yield
            finally:
                server.shutdown()

    def take(self, arrival: Arrival) -> None:
        self.arrivals.append(arrival)
        if not arrival.to.startswith("/csp"):
            return
        if self.hold.is_set():
            self.hold.clear()
            self.held_one = arrival
            self.held.set()
            self.go_on.wait(WAIT)
        self.new_lists.put(arrival)


@dataclass
class Worker:
    """One process, and the id under which it holds leases."""

    process: int
    log: Path

    @property
    def holder(self) -> str | None:
        found = re.search(r"this is process (r[0-9a-f]{31})", self.log.read_text() if self.log.exists() else "")
        return None if found is None else found[1]

    @property
    def is_alive(self) -> bool:
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return False
        return True


@dataclass
class Stage:
    """The instance, its workers, and what the test does as its gateway, Supplier and CSPs."""

    world: World
    receiver: Receiver
    nursery: subprocess.Popen[str]
    rounds: int
    workers: list[Worker] = field(default_factory=list)
    scheduled: list[TestHub] = field(default_factory=list)
    killed_at: list[float] = field(default_factory=list)
    takeovers: list[float] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    nights: dict[str, Nights] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        return self.world.clock.now()

    def start(self) -> Worker:
        assert self.nursery.stdin is not None
        assert self.nursery.stdout is not None
        log = self.world.directory / f"worker-{len(self.killed_at)}-{len(self.workers)}.log"
        print(log, file=self.nursery.stdin, flush=True)
        worker = Worker(int(self.nursery.stdout.readline()), log)
        self.workers.append(worker)
        return worker

    def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + WAIT
        while not condition():
            assert time.monotonic() < deadline, f"{what}: not within {WAIT} seconds"
            self.be_the_csps()
            time.sleep(0.02)

    def leases(self) -> dict[str, LeaseState]:
        with self.world.instance.reading_engine.connect() as connection:
            return {one.name: one for one in leases.all_leases(connection)}

    def holder_of(self, name: str) -> Worker:
        """The living worker that holds a lease, once one does."""
        found: list[Worker] = []

        def look() -> bool:
            lease = self.leases().get(name)
            found[:] = [one for one in self.workers if lease is not None and one.holder == lease.holder]
            return bool(found)

        self.until(look, f"{name} is held")
        return found[0]

    def schedule(self, hubs: list[TestHub]) -> None:
        window = Period(self.now, self.now + 60 * DAY)
        self.nights["Central"].schedule(hubs, window=window)
        self.scheduled += hubs

    def be_the_csps(self) -> None:
        """Take each new list: all hubs accepted, and upgraded at once."""
        while not self.receiver.new_lists.empty():
            arrival = self.receiver.new_lists.get()
            verified = self.world.instance.verifier.verify(parse(arrival.body), roles={"89"}, at=self.now)
            message = decode_csp_message(verified)
            assert isinstance(message, UpgradeList)
            if message.list_id in self.seen:
                continue
            self.seen.add(message.list_id)
            nights = self.nights[message.region]
            ids = {hub_id for entry in message.entries for hub_id in entry.device_ids}
            mine = [hub for hub in self.scheduled if hub.chf in ids]
            nights.acknowledge(message.list_id, mine)
            nights.report(message.list_id, *(nights.saw(hub, ReportStatus.ACTIVATED) for hub in mine))

    def regions_looked_at(self) -> int:
        with self.world.instance.reading_engine.connect() as connection:
            return len(connection.scalars(select(trigger_runs.c.region).distinct()).all())

    def done_up_to(self, moment: datetime) -> bool:
        """All lists that were to be cut by then have been, and those cut by then have been sent."""
        now = self.world.clock.now()
        with self.world.instance.reading_engine.connect() as connection:
            waiting = select(outbox.c.message_id).where(
                outbox.c.kind == "upgrade_list", outbox.c.state == "Pending", outbox.c.created_at <= moment
            )
            due = (
                period.start
                for name, nights in self.nights.items()
                for last in [last_begun(connection, name, CUT, now) or moment]
                for _, period in due_cuts(nights.region, last, moment)
                if period.start not in runs_after(connection, name, CUT, last, now)
            )
            return next(due, None) is None and connection.scalar(waiting.limit(1)) is None

    def takeovers_of(self, destination: str) -> list[float]:
        """When delivery to somebody passed from one process to another without being given back, to the second."""
        said = "".join(log.read_text() for log in self.world.directory.glob("worker-*.log"))
        found = re.findall(rf"(\S+)Z WARNING \S+ lease 'delivery:{re.escape(destination)}' taken over", said)
        return [datetime.fromisoformat(f"{at}+00:00").timestamp() for at in found]

    def destination(self, arrival: Arrival) -> str:
        """Whom a message was for, as delivery calls it."""
        of_region = (name for name, nights in self.nights.items() if nights.region.endpoint.endswith(arrival.to))
        region = next(of_region, None)
        return f"user:{A.eui}" if region is None else f"csp:{region}"

    def came_to_csps(self) -> list[Arrival]:
        return [one for one in self.receiver.arrivals if one.to.startswith("/csp")]

    def kill(self, worker: Worker) -> None:
        os.kill(worker.process, signal.SIGKILL)
        self.killed_at.append(time.monotonic())
        self.workers.remove(worker)

    def all_triggers_are_held_by_the_living(self) -> bool:
        alive = {one.holder for one in self.workers}
        held = [one for name, one in self.leases().items() if name.startswith("trigger:")]
        return len(held) == 1 + len(self.nights) and all(one.holder in alive for one in held)


def prepare(directory: Path, receiver: Receiver, lease_seconds: int) -> None:
    create_instance(
        directory,
        now=NOW - DAY,
        suppliers=(SupplierSeed(A.name, A.eui, f"{receiver.url}/supplier"),),
        clock=ClockSettings(datetime.now(UTC), NOW, RATE),
        database_url=url_of_instance(),
    )
    regions = directory / "config" / "regions.toml"
    text = regions.read_text(encoding="utf-8")
    text = re.sub(r"http://127.0.0.1:8090", f"{receiver.url}/csp", text)
    every_day = '"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"'
    for key, value in (("weekdays", f"[{every_day}]"), ("blackout_dates", "[]"), ("lead_time_hours", "120")):
        text = re.sub(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
    regions.write_text(text, encoding="utf-8")
    policy = directory / "config" / "policy.toml"
    edit(policy, "tick_seconds = 30", "tick_seconds = 1")
    edit(policy, "\nlength_seconds = 20", f"\nlength_seconds = {lease_seconds}")
    edit(policy, "heartbeat_seconds = 5", f"heartbeat_seconds = {lease_seconds / 4}")
    edit(policy, "back_off_seconds = [5, 30, 120, 600, 1_800, 3_600, 10_800]", "back_off_seconds = [3_600]")


@contextmanager
def staged(directory: Path, rounds: int, lease_seconds: int) -> Iterator[Stage]:
    receiver = Receiver()
    with receiver.listening():
        prepare(directory, receiver, lease_seconds)
        command = [sys.executable, "-m", "tests.regions.nursery", "--dir", str(directory), "--role", "worker"]
        instance = open_instance(directory)
        world = World(directory, instance, instance.clock, processor_of(instance))  # type: ignore[arg-type]  # not fixed
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nursery:
            stage = Stage(world, receiver, nursery, rounds)
            stage.nights = {name: Nights(world, region) for name, region in instance.configuration.regions.items()}
            try:
                yield stage
            finally:
                receiver.go_on.set()
                for worker in stage.workers:
                    if worker.is_alive:
                        os.kill(worker.process, signal.SIGKILL)
                nursery.kill()
                world.close()


def play(stage: Stage) -> None:
    """Schedule hubs in every region, kill whoever works, and start another, round by round."""
    world, names = stage.world, list(stage.nights)
    hubs = [TestHub(1 + n, region=names[n % len(names)]) for n in range(len(names) * stage.rounds)]
    world.add_hubs(hubs)
    regions = world.instance.configuration.regions
    world.run(
        lambda uow: open_release(
            uow,
            configuration=world.instance.configuration,
            alerts=world.instance.alerts,
            draw_id=world.instance.draw_id,
            firmware=FIRMWARE,
            image_hash="AB" * 32,
            regions=list(regions),
            reachable_from=(OLD_VERSION,),
        )
    )
    chance = random.Random(stage.rounds)
    stage.start()
    stage.start()
    stage.until(lambda: all(one.holder for one in stage.workers), "two workers run")
    # Nights that are cut late, at the first look, would be over before others have taken over.
    stage.until(lambda: stage.regions_looked_at() == len(names), "every region has been looked at")
    for number in range(stage.rounds):
        stage.schedule(hubs[number * len(names) : (number + 1) * len(names)])
        victim = choose(stage, number, chance)
        stage.kill(victim)
        stage.receiver.go_on.set()
        killed_at, replacement = stage.killed_at[-1], stage.start()
        stage.until(stage.all_triggers_are_held_by_the_living, "somebody takes over")
        stage.takeovers.append(time.monotonic() - killed_at)
        moment = stage.now
        stage.until(lambda: stage.done_up_to(moment), "what fell due is done")  # noqa: B023 - used at once
        stage.until(lambda: replacement.holder is not None, "another worker runs")  # noqa: B023 - used at once
    stage.until(lambda: len(activated(stage)) == len(hubs), "all hubs are upgraded")


def choose(stage: Stage, number: int, chance: random.Random) -> Worker:
    """Whom to kill, at the moment this returns: the worker that is sending a list, or holds the triggers."""
    if number % 3 == 0:
        # Between the arrival of a list and its answer.
        for event in (stage.receiver.held, stage.receiver.go_on):
            event.clear()
        stage.receiver.hold.set()
        stage.until(stage.receiver.held.is_set, "a list is sent")
        assert stage.receiver.held_one is not None
        return stage.holder_of(f"delivery:{stage.destination(stage.receiver.held_one)}")
    region = chance.choice(list(stage.nights))
    holder = stage.holder_of(f"trigger:{region}")
    if number % 3 == 1:
        # About when it cuts: at some moment of the first tick after lists have fallen due.
        due_at, _ = next(iter(due_cuts(stage.nights[region].region, stage.now, stage.now + 3 * DAY)))
        moment = due_at + chance.random() * timedelta(seconds=RATE)
        stage.until(lambda: stage.now >= moment, "lists fall due")
    else:
        time.sleep(chance.random())
    return holder


def activated(stage: Stage) -> list[str]:
    with stage.world.instance.reading_engine.connect() as connection:
        state = attempts.c.state == AttemptState.ACTIVATED.value
        return list(connection.scalars(select(attempts.c.hub_id).where(state)))


def stop(stage: Stage) -> None:
    """Tell the workers to stop; they give back what they hold."""
    for worker in stage.workers:
        os.kill(worker.process, signal.SIGTERM)
    stage.until(lambda: not any(one.is_alive for one in stage.workers), "the workers stop")
    assert all(worker.log.read_text().endswith("stopped\n") for worker in stage.workers)
    assert {one.holder for one in stage.leases().values()} == {None}


def check(stage: Stage) -> dict[str, float]:
    """Each due trigger done once, no list sent twice without a kill between, none missing; returns what was counted."""
    world = stage.world
    with world.instance.reading_engine.connect() as connection:
        runs = connection.execute(select(trigger_runs.c.region, trigger_runs.c.period_start)).all()
        lists = connection.execute(select(upgrade_lists.c.list_id, upgrade_lists.c.message_id)).all()
        rows = connection.execute(select(TOLD.c.event, TOLD.c.hub_id)).all()
        told = Counter((row.event, row.hub_id) for row in rows)
        too_late = set(connection.scalars(select(outbox.c.message_id).where(outbox.c.state == EXPIRED)))
        numbers = Counter(connection.scalars(select(attempts.c.hub_id)))
    # Every night has its run, from the first look on.
    by_region: dict[str, list[datetime]] = defaultdict(list)
    for region, start in sorted(runs):
        by_region[region].append(start)
    assert by_region.keys() == stage.nights.keys()
    for name, starts in by_region.items():
        region = stage.nights[name].region
        expected = [period.start for _, period in due_cuts(region, starts[0], starts[-1] - region.lead_time)]
        assert starts[1:] == expected
    said = Counter(one.split(" cut ")[0] for one in stage.nights["Central"].said("cut") if " cut " in one)
    assert set(said.values()) <= {1}
    # Every list came, and hubs stand on one only.
    came: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in stage.receiver.arrivals:
        came[arrival.message_id].append(arrival)
    assert {message_id for _, message_id in lists} == {one.message_id for one in stage.came_to_csps()} | too_late
    hubs = {hub.chf for hub in stage.scheduled}
    assert set(activated(stage)) == hubs
    # One that was not sent before its night was over counts as returned; that takes a computer that stands still.
    assert {hub: told["hub_listed", hub] - told["hub_returned", hub] for hub in hubs} == dict.fromkeys(hubs, 1)
    assert {hub: told["hub_activated", hub] for hub in hubs} == dict.fromkeys(hubs, 1)
    assert numbers == dict.fromkeys(hubs, 1)
    # What came twice came as it was, and because whoever sent it could not note that it had been taken: he was killed,
    # or the computer left him standing for longer than a lease lasts.
    repeats: Counter[str] = Counter()
    for of_message in came.values():
        assert len({one.body for one in of_message}) == 1
        for first, second in pairwise(of_message):
            killed = any(first.at <= killed <= second.at for killed in stage.killed_at)
            takeovers = stage.takeovers_of(stage.destination(first))
            assert killed or any(first.logged_at - 1 <= one <= second.logged_at for one in takeovers)
            repeats["after a kill" if killed else "after a standstill"] += 1
    return {
        "rounds": stage.rounds,
        "triggers due": sum(len(starts) - 1 for starts in by_region.values()),
        "lists": len(lists),
        "lists too late": len(too_late),
        "hubs": len(hubs),
        "messages": len(came),
        **{f"sent again {why}": number for why, number in repeats.items()},
        "lists sent again": len(stage.came_to_csps()) - len({one.message_id for one in stage.came_to_csps()}),
        "seconds to take over, median": round(sorted(stage.takeovers)[len(stage.takeovers) // 2], 2),
        "seconds to take over, most": round(max(stage.takeovers), 2),
    }


@pytest.mark.parametrize(("rounds", "lease_seconds"), [(2, 1), pytest.param(200, 2, marks=pytest.mark.slow)])
def test_workers_killed_again_and_again_do_all_that_is_due_once(
    tmp_path: Path, rounds: int, lease_seconds: int
) -> None:
    with staged(tmp_path / "instance", rounds, lease_seconds) as stage:
        play(stage)
        stop(stage)
        print(check(stage))
