"""`serve --workers`: several processes of one role on one port, started again when they die, and stopped together."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import func, select

from sr_engine.messages.model import ApproveCommsHubFirmware, Decision, Phase, ScheduleCommsHubFirmware
from sr_engine.operations.audit_verification import verify
from sr_engine.store.leases import all_leases
from sr_engine.store.tables import decisions, exchanges
from tests.databases import KIND
from tests.gateway.conftest import WAIT, HttpAnswer, Served
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, World, edit, make_world

HUBS = [TestHub(number, A.name, B.name) for number in range(1, 41)]
_MAIN = "from sr_engine.cli.main import main; main()"


@dataclass(frozen=True, slots=True)
class Together:
    """The processes that serve a world, and the one that started them."""

    served: Served
    parent: subprocess.Popen[str]
    log: Path

    def children(self) -> list[int]:
        """Those that are there now."""
        pid = self.parent.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]

    def stop(self) -> tuple[int, str]:
        """Tell them to; the exit code, and what was said last."""
        self.parent.terminate()
        said, _ = self.parent.communicate(timeout=WAIT)
        return self.parent.returncode, said


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    def prepare(directory: Path) -> None:
        edit(directory / "config" / "policy.toml", "tick_seconds = 30", "tick_seconds = 1")
        with (directory / "sr-engine.toml").open("a", encoding="utf-8") as settings:
            settings.write(f"\n[clock]\nanchored_at = {datetime.now(UTC).isoformat()}\n")
            settings.write(f"starts_at = {NOW.isoformat()}\nrate = 1\n")

    world = make_world(tmp_path / "instance", prepare=prepare)
    world.add_hubs(HUBS)
    world.open_release()
    body = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, tuple(hub.chf for hub in HUBS))
    assert world.send(A, body, "11.5").code == "I0"
    yield world
    world.close()


@contextmanager
def serving_together(world: World, *options: str) -> Iterator[Together]:
    """Serve a world by two processes of a third one's."""
    log = world.directory / "log"
    command = ["serve", "--dir", str(world.directory), "--port", "0", "--workers", "2", *options]
    with log.open("w") as errors:
        parent = subprocess.Popen(
            [sys.executable, "-c", _MAIN, *command], stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        assert parent.stdout is not None
        ready = parent.stdout.readline()
        assert ready.startswith("ready: http://127.0.0.1:"), log.read_text("utf-8")
        yield Together(Served(world, int(ready.split()[1].rpartition(":")[2])), parent, log)
    finally:
        if parent.poll() is None:
            parent.kill()
        parent.communicate(timeout=WAIT)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def answered(served: Served, request: bytes) -> HttpAnswer:
    """As a client does: send the same again as long as nobody answers."""
    deadline = time.monotonic() + WAIT
    while True:
        try:
            return served.post(request)
        except (OSError, http.client.HTTPException):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def approvals(world: World, hubs: Sequence[TestHub] = HUBS) -> list[bytes]:
    return [world.signed(B, ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (hub.chf,)), "11.6") for hub in hubs]


def taken(world: World) -> tuple[int, int]:
    """Decisions of the Supplier that approves, and exchanges beside the schedule; the audit trail is whole."""
    with world.instance.reading_engine.connect() as connection:
        assert verify(connection, []).intact
        decided = connection.scalar(select(func.count()).where(decisions.c.organisation == B.name)) or 0
        return decided, (connection.scalar(select(func.count(exchanges.c.exchange_id))) or 0) - 1


def test_two_gateways_answer_the_same_alike_while_one_is_killed_and_another_takes_its_place(world: World) -> None:
    requests = approvals(world)
    with serving_together(world, "--role", "gateway") as together, ThreadPoolExecutor(8) as pool:
        before = together.children()
        # Each comes twice at once, and may come to both.
        twice = [pool.submit(answered, together.served, request) for request in requests for _ in range(2)]
        until(lambda: sum(one.done() for one in twice) >= len(HUBS) // 2, "some are answered")
        os.kill(before[0], signal.SIGKILL)
        answers = [one.result() for one in twice]
        until(lambda: len(together.children()) == 2 and before[0] not in together.children(), "another is started")
        assert answered(together.served, requests[0]).body == answers[0].body
        assert together.stop() == (0, "stopped\n")
        assert "a process ended (-9) and is started again in 0.5 s" in together.log.read_text("utf-8")
        warned = "SQLite has one writer at a time: 2 processes" in together.log.read_text("utf-8")
        assert warned is (KIND == "sqlite")

    assert {together.served.decoded(answer).code for answer in answers} == {"I99"}
    assert [one.body for one in answers[::2]] == [one.body for one in answers[1::2]]
    assert taken(world) == (len(HUBS), len(HUBS))


def test_told_to_stop_they_answer_what_they_have_taken_and_give_back_what_they_hold(world: World) -> None:
    requests = approvals(world)
    with serving_together(world) as together, ThreadPoolExecutor(8) as pool:

        def held() -> set[str]:
            with world.instance.reading_engine.connect() as connection:
                return {one.name for one in all_leases(connection) if one.holder is not None}

        until(lambda: sum(name.startswith("worker:") for name in held()) == 2, "both work")
        until(lambda: any(name.startswith("trigger:") for name in held()), "triggers are looked after")

        def post(request: bytes) -> HttpAnswer | None:
            with suppress(OSError, http.client.HTTPException):
                return together.served.post(request)
            return None

        sent = [pool.submit(post, request) for request in requests]
        until(lambda: any(one.done() for one in sent), "one is answered")
        assert together.stop() == (0, "stopped\n")
        answers = [one.result() for one in sent]
        assert held() == set()

    known = [answer for answer in answers if answer is not None]
    assert {together.served.decoded(answer).code for answer in known} == {"I99"}
    # Nothing was taken of those that were turned away.
    assert taken(world) == (len(known), len(known))


def test_they_do_not_outlive_the_one_that_started_them(world: World) -> None:
    with serving_together(world, "--role", "worker") as together:
        children = together.children()
        assert len(children) == 2
        together.parent.kill()
        until(lambda: not any(Path(f"/proc/{one}").exists() and _lives(one) for one in children), "they end")


def _lives(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    return False


DIES = """
import os, signal, sys, time
from sr_engine.processes import Processes

def work(number, ready, parent):
    print(f"{time.monotonic()}", flush=True)
    if len(sys.argv) > 1:
        os._exit(3)
    ready()
    os._exit(3)

Processes(work, 1, stop_within_seconds=60).run(lambda: None)
"""


TOLD = """
import os, signal, time
from sr_engine.processes import Processes

def tell():
    os.kill(os.getpid(), signal.SIGTERM)

def work(number, ready, parent):
    ready()
    time.sleep(60)

os.register_at_fork(after_in_{}=tell)
Processes(work, 2, stop_within_seconds=50).run(lambda: os.kill(os.getpid(), signal.SIGTERM))
"""


@pytest.mark.parametrize("first", ["parent", "child"])
def test_told_to_stop_while_one_has_just_been_started_none_has_to_be_killed(first: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TOLD.format(first)], capture_output=True, text=True, timeout=WAIT, check=False
    )
    assert "is killed" not in done.stderr
    # One that is told before it has begun ends there, and so could not start.
    assert done.returncode == {"parent": 0, "child": 1}[first]


@pytest.mark.slow
def test_one_that_dies_again_and_again_is_started_ever_later() -> None:
    with subprocess.Popen([sys.executable, "-c", DIES], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None
        at = [float(parent.stdout.readline()) for _ in range(4)]
        parent.terminate()
    waits = [later - earlier for earlier, later in pairwise(at)]
    assert [wait >= least for wait, least in zip(waits, (0.5, 1.0, 2.0), strict=True)] == [True] * 3
    assert parent.returncode == 0


def test_one_that_cannot_start_at_first_ends_them_all() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIES, "at once"], capture_output=True, text=True, timeout=WAIT, check=False
    )
    assert done.returncode == 1
    assert "ProcessFailed: a process could not start" in done.stderr
