"""Gateways and workers of several computers, which share a database and nothing else, come and go under load.

Each has a folder of its own with the configuration and the keys. They are told to stop, or killed; Suppliers send on,
the same again where there was no answer, and their receivers now and then do not take what comes.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import func, select

from sr_engine.messages.model import ApproveCommsHubFirmware, Decision, Phase, ScheduleCommsHubFirmware
from sr_engine.operations.audit_verification import verify
from sr_engine.store import tidings
from sr_engine.store.leases import all_leases
from sr_engine.store.outbox import DELIVERED
from sr_engine.store.tables import decisions, exchanges, outbox
from tests.databases import url_of_instance
from tests.outbox import messages
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, World, edit, make_world

ROOT = Path(__file__).parents[2]
WAIT = 90
"""Seconds after which the test gives up: the computer may be busy."""
CLIENTS = 4
HUBS_OF_A_CLIENT = 3
GATEWAYS = ("gateway", "all")
KINDS = ("gateway", "worker", "all", "gateway --workers 2", "worker --workers 2")


class Receiver:
    """The Suppliers' receiving adapters, which refuse a tenth of what comes, and take it when it comes again."""

    def __init__(self, seed: int) -> None:
        self.taken: list[tuple[str, str, bytes]] = []
        """Message, whom it was for, and its bytes, in the order in which they were taken."""
        self._chance = random.Random(seed)
        self._guard = threading.Lock()
        self.url = ""

    @contextmanager
    def listening(self) -> Iterator[None]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with suppress(OSError):  # whoever sent it is gone
                    self.send_response(receiver.take(self.headers["DUIS-Message-ID"], self.path[1:], body))
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # connections of those that are killed are reset

        with Server(("127.0.0.1", 0), Handler) as server:
            self.url = f"http://127.0.0.1:{server.server_port}"
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            try:
                yield
            finally:
                server.shutdown()

    def take(self, message_id: str, to: str, body: bytes) -> int:
        with self._guard:
            if self._chance.random() < 0.1:
                return self._chance.choice((400, 503))
            self.taken.append((message_id, to, body))
            return 204


@dataclass
class Computer:
    """A process, and its folder."""

    kind: str
    process: int
    folder: Path
    port: int

    @property
    def takes_requests(self) -> bool:
        return self.kind.split()[0] in GATEWAYS

    @property
    def log(self) -> str:
        log = self.folder / "log"
        return log.read_text("utf-8") if log.exists() else ""

    @property
    def is_ready(self) -> bool:
        return "ready: " in self.log

    @property
    def is_alive(self) -> bool:
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return False
        return True

    def others(self) -> list[int]:
        """The processes that it has started."""
        with suppress(OSError):
            return [int(one) for one in Path(f"/proc/{self.process}/task/{self.process}/children").read_text().split()]
        return []


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request about one hub, and its answer."""

    hub_id: str
    decision: Decision
    request: bytes
    answer: bytes


@dataclass
class Stage:
    """All that runs, and what came of it."""

    world: World
    receiver: Receiver
    starter: subprocess.Popen[str]
    chance: random.Random
    computers: list[Computer] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    started: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    sending: threading.Event = field(default_factory=threading.Event)
    failures: list[BaseException] = field(default_factory=list)
    _signing: threading.Lock = field(default_factory=threading.Lock)

    # --- computers ---

    def add(self, kind: str) -> Computer:
        """A new computer with its own folder, once it is ready."""
        self.started += 1
        folder = self.world.directory.parent / f"computer-{self.started}"
        shutil.copytree(self.world.directory, folder)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        role, *options = kind.split()
        arguments = ["--dir", str(folder), "--role", role, "--port", str(port), *options]
        assert self.starter.stdin is not None
        assert self.starter.stdout is not None
        print(json.dumps([str(folder / "log"), arguments]), file=self.starter.stdin, flush=True)
        computer = Computer(kind, int(self.starter.stdout.readline()), folder, port)
        until(lambda: computer.is_ready, f"{kind} is ready:\n{computer.log}")
        self.computers.append(computer)
        self.changes[f"{role} added"] += 1
        return computer

    def remove(self, computer: Computer, how: signal.Signals) -> None:
        self.computers.remove(computer)
        self.changes[f"{computer.kind.split()[0]} {how.name}"] += 1
        with suppress(ProcessLookupError):
            os.kill(computer.process, how)

    def change(self) -> None:
        """Something happens to the computers; there is always one more of what is needed."""
        removable = [
            one
            for one in self.computers
            if any(other.takes_requests for other in self.computers if other is not one)
            and any(not other.kind.startswith("gateway") for other in self.computers if other is not one)
        ]
        if removable and len(self.computers) > 2 and self.chance.random() < 0.6:
            victim = self.chance.choice(removable)
            others = victim.others()
            if others and self.chance.random() < 0.5:
                # One of several is killed, and started again by the one that is left.
                self.changes["one of several SIGKILL"] += 1
                os.kill(self.chance.choice(others), signal.SIGKILL)
                return
            self.remove(victim, self.chance.choice((signal.SIGTERM, signal.SIGKILL)))
        else:
            self.add(self.chance.choice(KINDS))

    # --- Suppliers ---

    def client(self, number: int) -> None:
        """Approve and decline hubs by turns, each only once the request before has been answered."""
        try:
            chance = random.Random(number)
            hubs = [TestHub(1 + number * HUBS_OF_A_CLIENT + n, A.name, B.name) for n in range(HUBS_OF_A_CLIENT)]
            said = dict.fromkeys((hub.chf for hub in hubs), Decision.DECLINE)
            while self.sending.is_set():
                hub = chance.choice(hubs)
                decision = Decision.APPROVE if said[hub.chf] is Decision.DECLINE else Decision.DECLINE
                said[hub.chf] = decision
                with self._signing:
                    request = self.world.signed(B, ApproveCommsHubFirmware(FIRMWARE, decision, (hub.chf,)), "11.6")
                answer = self.answer(request, chance)
                self.exchanges.append(Exchange(hub.chf, decision, request, answer))
                time.sleep(0.05 * chance.random())
        except BaseException as failure:
            self.failures.append(failure)
            raise

    def answer(self, request: bytes, chance: random.Random) -> bytes:
        """The answer of whatever gateway gives one."""
        deadline = time.monotonic() + WAIT
        while time.monotonic() < deadline:
            ports = [one.port for one in self.computers if one.takes_requests]
            with suppress(OSError, http.client.HTTPException):
                status, body = post(chance.choice(ports), request)
                if status == 200:
                    return body
                assert status == 503, body
            time.sleep(0.02)
        raise AssertionError(f"no answer within {WAIT} seconds")

    # --- looking ---

    def all_delivered(self) -> bool:
        with self.world.instance.reading_engine.connect() as connection:
            left = select(outbox.c.message_id).where(outbox.c.state != DELIVERED).limit(1)
            return connection.scalar(left) is None and not tidings.are_left(connection)

    def held(self) -> set[str]:
        with self.world.instance.reading_engine.connect() as connection:
            return {one.name for one in all_leases(connection) if one.holder is not None}


def post(port: int, request: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    with contextlib.closing(connection):
        connection.request("POST", "/api/v1/serviceD", body=request, headers={"Content-Type": "application/xml"})
        answer = connection.getresponse()
        return answer.status, answer.read()


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@contextmanager
def staged(directory: Path, seed: int) -> Iterator[Stage]:
    receiver = Receiver(seed)

    def prepare(folder: Path) -> None:
        for supplier in (A, B):
            edit(folder / "users.toml", supplier.receiving_url, f"{receiver.url}/{supplier.eui}")
        policy = folder / "config" / "policy.toml"
        edit(policy, "\nlength_seconds = 20", "\nlength_seconds = 2")
        edit(policy, "heartbeat_seconds = 5", "heartbeat_seconds = 0.5")
        edit(policy, "back_off_seconds = [5, 30, 120, 600, 1_800, 3_600, 10_800]", "back_off_seconds = [1]")
        edit(policy, "circuit_seconds = [10, 30, 60, 120]", "circuit_seconds = [1]")
        edit(policy, "operating_threshold_per_second = 2_000", "operating_threshold_per_second = 100_000")
        with (folder / "sr-engine.toml").open("a", encoding="utf-8") as settings:
            settings.write(f"\n[clock]\nanchored_at = {datetime.now(UTC).isoformat()}\n")
            settings.write(f"starts_at = {NOW.isoformat()}\nrate = 1\n")

    with receiver.listening():
        world = make_world(directory / "instance", prepare=prepare, database_url=url_of_instance("postgresql"))
        command = [sys.executable, "-m", "tests.postgresql.computers"]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as starter:
            stage = Stage(world, receiver, starter, random.Random(seed))
            try:
                yield stage
            finally:
                stage.sending.clear()
                for computer in stage.computers:
                    with suppress(ProcessLookupError):
                        os.kill(computer.process, signal.SIGKILL)
                starter.kill()
                world.close()


def play(stage: Stage, changes: int) -> None:
    """Send, while computers come and go; then let everything be delivered, and stop."""
    hubs = [TestHub(1 + n, A.name, B.name) for n in range(CLIENTS * HUBS_OF_A_CLIENT)]
    stage.world.add_hubs(hubs)
    stage.world.open_release()
    body = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, tuple(hub.chf for hub in hubs))
    assert stage.world.send(A, body, "11.5").code == "I0"
    stage.add("gateway")
    stage.add("worker")
    stage.sending.set()
    clients = [threading.Thread(target=stage.client, args=(number,), daemon=True) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for _ in range(changes):
        answered = len(stage.exchanges)
        until(lambda: len(stage.exchanges) >= answered + 2 * CLIENTS or bool(stage.failures), "requests are answered")  # noqa: B023 - used at once
        stage.change()
    stage.sending.clear()
    for client in clients:
        client.join(WAIT)
    assert stage.failures == []
    until(stage.all_delivered, "everything is delivered")


def stop(stage: Stage) -> None:
    """Tell all to; they give back what they hold."""
    stopped = list(stage.computers)
    for computer in stopped:
        stage.remove(computer, signal.SIGTERM)
    until(lambda: not any(computer.is_alive for computer in stopped), "they stop")
    for computer in stopped:
        assert computer.log.endswith("stopped\n")
    # What was killed holds until its lease has run out, and nobody has claimed it since.
    with stage.world.instance.reading_engine.connect() as connection:
        holders = {one.holder for one in all_leases(connection)}
    for computer in stopped:
        assert not holders & set(re.findall(r"this is process (r[0-9a-f]{31})", computer.log))


def check(stage: Stage) -> None:
    """Nothing lost, nothing doubled, each Supplier told of each hub in order, and the trail whole."""
    world, exchanged = stage.world, stage.exchanges
    with world.instance.reading_engine.connect() as connection:
        assert verify(connection, []).intact
        number = connection.scalar(select(func.count(exchanges.c.exchange_id)))
        of_other = decisions.c.organisation == B.name
        rows = connection.execute(select(decisions.c.hub_id, decisions.c.approval).where(of_other))
        decided = {row.hub_id: row.approval for row in rows}
        queued = messages(connection)
    # Each request is in force once, the last of each hub as it was said.
    assert number == 1 + len(exchanged)
    last = {one.hub_id: one.decision for one in exchanged}
    assert {hub: decided[hub] for hub in last} == {
        hub: "Approved" if decision is Decision.APPROVE else "Declined" for hub, decision in last.items()
    }
    # What was taken is what was queued, byte for byte, however often it came.
    sent = {row.message_id: (row.destination, row.body) for row in queued}
    came = {message_id: (f"user:{to}", body) for message_id, to, body in stage.receiver.taken}
    assert came == sent
    assert set(stage.receiver.taken) == {(name, to[5:], body) for name, (to, body) in sent.items()}
    # Told once of each change.
    told = Counter(
        row.hub_id for row in queued if row.event == "other_supplier_answer_changed" and A.eui in row.destination
    )
    assert told == Counter(one.hub_id for one in exchanged)
    # In order, repeats aside.
    in_order: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    for row in queued:
        in_order[row.destination, row.hub_id].append(row.message_id)
    of = {row.message_id: (row.destination, row.hub_id) for row in queued}
    first: dict[tuple[str, str | None], dict[str, None]] = defaultdict(dict)
    for message_id, _, _ in stage.receiver.taken:
        first[of[message_id]].setdefault(message_id)
    assert {key: list(ids) for key, ids in first.items()} == in_order


@pytest.mark.parametrize(
    ("changes", "seed"), [pytest.param(3, 4, marks=pytest.mark.slow), pytest.param(150, 2, marks=pytest.mark.slow)]
)
def test_computers_that_come_and_go_under_load_lose_nothing_and_double_nothing(
    tmp_path: Path, changes: int, seed: int
) -> None:
    with staged(tmp_path, seed) as stage:
        play(stage, changes)
        # The same again is answered by the same bytes, whoever is asked.
        ports = [one.port for one in stage.computers if one.takes_requests]
        for one in stage.exchanges[:: max(1, len(stage.exchanges) // 200)]:
            assert post(stage.chance.choice(ports), one.request) == (200, one.answer)
        stop(stage)
        check(stage)
        repeats = len(stage.receiver.taken) - len({one[0] for one in stage.receiver.taken})
        print(
            f"{len(stage.exchanges)} requests, {len(stage.receiver.taken) - repeats} messages, {repeats} came again; "
            + ", ".join(f"{what}: {number}" for what, number in sorted(stage.changes.items()))
        )
