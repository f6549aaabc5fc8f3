"""A receiver and a real processor: what is delivered, what is missed and fetched, what a killed process leaves."""

from __future__ import annotations

import asyncio
import hashlib
import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jsonschema_rs import Draft202012Validator

from signing import Participant, Signer, make_pki
from sr_engine.client import Client, Outcome, approve
from sr_engine.domain.holding import Breach, Thresholds
from sr_engine.messages.build import build_alert
from sr_engine.messages.model import CommsHubAlert, FirmwareUpgradeRequested, QuarantinedRequest
from sr_engine.operations.quarantine import decide, set_thresholds
from sr_engine.parsing import json_schema
from sr_engine.receiver import Message, Pull, PullFailed, Receiver, Response
from tests.client.conftest import options
from tests.gateway.conftest import Served, serving, still
from tests.ports import reserved_port
from tests.receiver.conftest import BROKER, Sender, listening, post
from tests.receiver.conftest import desk as a_desk
from tests.world import FIRMWARE, NOW, A, B, TestHub, edit, make_world

TOKEN = "token-of-supplier-a"
PATH = "/smartdcc/duis"
HUB, OTHER = TestHub(1), TestHub(2)
WAIT = 90


@contextmanager
def processor(directory: Path, receiving_url: str = "http://127.0.0.1:9/") -> Iterator[Served]:
    """A served processor whose Supplier A receives at a URL, with hubs and an open release."""

    def prepare(folder: Path) -> None:
        still(folder)
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        edit(folder / "users.toml", f'eui = "{A.eui}"', f'eui = "{A.eui}"\ntoken_sha256 = "{digest}"')

    suppliers = [replace(A, receiving_url=receiving_url), replace(B, receiving_url="http://127.0.0.1:9/")]
    world = make_world(directory, suppliers=suppliers, prepare=prepare)
    world.add_hubs([HUB, OTHER])
    with serving(world) as served:
        yield served
    world.close()


def _receiver(served: Served, inbox: Path, handled: queue.Queue[Message], **more: object) -> Receiver:
    trust = served.world.directory / "pki" / "trust"
    return Receiver(inbox, trust, handled.put, clock=served.world.clock, **more)  # type: ignore[arg-type]


def test_what_a_request_came_to_after_quarantine_comes_as_a_response(tmp_path: Path) -> None:
    handled: queue.Queue[Message] = queue.Queue()

    with reserved_port() as port, processor(tmp_path / "i", f"http://127.0.0.1:{port}{PATH}") as served:
        world = served.world
        world.run(lambda uow: set_thresholds(uow, A.eui, Breach.DCC, Thresholds(1, None)))
        url = f"http://127.0.0.1:{served.port}"
        receiver = _receiver(served, tmp_path / "inbox.db", handled)
        with listening(receiver, port), Client(url, token=TOKEN, **options(world)) as client:
            world.open_release()
            first, second = (client.send(approve(FIRMWARE, [hub.chf])) for hub in (HUB, OTHER))
            request_id = second.answers[0].request.request_id
            again = client.submit(second.answers[0].request)

            assert (first.outcome, second.outcome, again.outcome) == (Outcome.ACCEPTED, Outcome.HELD, Outcome.HELD)
            # Neither waits for the other.
            news = {type(one.body): one.body for one in (handled.get(timeout=WAIT) for _ in range(2))}
            assert set(news) == {FirmwareUpgradeRequested, QuarantinedRequest}
            reference = news[QuarantinedRequest].event_ref  # type: ignore[union-attr]
            assert client.fetch_response(request_id) is None
            world.run(lambda uow: decide(uow, reference, release=True))
            world.clock.advance(timedelta(seconds=10))
            world.resume()
            response = handled.get(timeout=WAIT)
            assert isinstance(response, Response)
            assert (response.request_id, response.code) == (request_id, "I99")
            fetched = client.fetch_response(request_id)
            assert fetched is not None
            assert fetched.request_id == request_id


def test_what_was_missed_is_fetched_once_and_in_order(tmp_path: Path, sender: Sender) -> None:
    with processor(tmp_path / "i") as served:
        world = served.world
        pull = Pull(f"http://127.0.0.1:{served.port}", TOKEN, every=timedelta(days=1))
        trust = world.directory / "pki" / "trust"

        async def story() -> None:
            handled: list[Message] = []
            receiver = Receiver(tmp_path / "inbox.db", trust, handled.append, clock=world.clock, pull=pull)
            async with receiver.running():
                await receiver.pull_once()
                await asyncio.to_thread(world.open_release)
                await asyncio.to_thread(world.settle)
                assert await receiver.pull_once() == 1
                assert await receiver.pull_once() == 0
                (data,) = [message.data for message in handled] or [b""]
                assert await receiver.receive(data) is False
                async with asyncio.timeout(WAIT):
                    await receiver.settled()
                assert [message.device_ids for message in handled] == [(HUB.chf, OTHER.chf)]

        asyncio.run(story())


def test_a_processor_that_does_not_answer_as_it_should_is_asked_again_later(tmp_path: Path, sender: Sender) -> None:
    async def story() -> None:
        for url, why in (("http://127.0.0.1:1", "cannot be asked"), (None, "no place to pull from")):
            pull = None if url is None else Pull(url, TOKEN, every=timedelta(days=1))
            async with a_desk(tmp_path / "inbox.db", sender, pull=pull) as desk:
                with pytest.raises(PullFailed, match=why):
                    await desk.receiver.pull_once()

    asyncio.run(story())
    with processor(tmp_path / "i") as served:

        async def strange() -> None:
            pull = Pull(f"http://127.0.0.1:{served.port}", "another token", every=timedelta(days=1))
            async with a_desk(tmp_path / "inbox.db", sender, pull=pull) as desk:
                with pytest.raises(PullFailed, match="HTTP 401"):
                    await desk.receiver.pull_once()

        asyncio.run(strange())


_PROGRAM = """
import os, signal, sys, time
from pathlib import Path
import asyncio
import uvicorn
from sr_engine.clock import FixedClock
from sr_engine.receiver import JsonLines, Receiver
from datetime import UTC, datetime

folder, trust, port, when = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
lines = JsonLines(folder / "lines")

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def handler(message):
    if when == "answered and not handled":
        time.sleep(600)
    lines(message)
    if when == "written and not noted":
        die()

receiver = Receiver(folder / "inbox.db", trust, handler, clock=FixedClock(datetime(2026, 11, 23, 9, tzinfo=UTC)))

async def app(scope, receive, send):
    async def answer(event):
        if event["type"] == "http.response.start" and when == "kept and not answered":
            die()
        await send(event)
        if event["type"] == "http.response.body" and when == "answered and not handled":
            asyncio.get_running_loop().call_later(0.2, die)
    await receiver(scope, receive, answer)

class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print("ready", flush=True)

Server(uvicorn.Config(app, port=port, log_config=None)).run()
"""


@contextmanager
def _running(folder: Path, trust: Path, port: int, when: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", _PROGRAM, str(folder), str(trust), str(port), when]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    "when",
    [
        "kept and not answered",
        pytest.param("answered and not handled", marks=pytest.mark.slow),
        pytest.param("written and not noted", marks=pytest.mark.slow),
    ],
)
def test_a_receiver_that_is_killed_gets_the_alert_again_and_handles_it_once(tmp_path: Path, when: str) -> None:
    with reserved_port() as port, processor(tmp_path / "i", f"http://127.0.0.1:{port}{PATH}") as served:
        world, lines = served.world, tmp_path / "lines"
        trust = world.directory / "pki" / "trust"
        with _running(tmp_path, trust, port, when) as killed:
            world.open_release()
            world.settle()
            assert killed.wait(WAIT) == -signal.SIGKILL
        with _running(tmp_path, trust, port, "never"):
            _until(lambda: _delivered(served))
            # What came after it is proof that the first is done with.
            world.open_release(replace(FIRMWARE, version="9003"))
            _until(lambda: lines.is_file() and lines.read_bytes().count(b"\n") >= 2)

        read = [json.loads(line) for line in lines.read_text().splitlines()]
        assert [one["body"]["firmware_version"] for one in read] == ["9002", "9003"]


def _delivered(served: Served) -> bool:
    """Whether all has been taken; until then time goes by, for what was not taken is sent again later."""
    served.world.clock.advance(timedelta(seconds=10))
    answer = served.post(b"", "/api/v1/messages", headers={"Authorization": f"Bearer {TOKEN}"}, method="GET")
    listed = json.loads(answer.body)["messages"]
    return bool(listed) and all(one["delivered"] for one in listed)


@pytest.mark.slow
def test_the_command_writes_a_line_for_each_message_and_stops_when_told(tmp_path: Path) -> None:
    pki = make_pki(tmp_path / "pki", [], now=datetime.now(UTC) - timedelta(days=1))
    signer = Signer(pki.issue(Participant("broker", BROKER, "89")))
    codes = ("A501", "A502")
    alerts = [
        signer.sign(build_alert(schema_version="5.4", alert_code="N62", body=CommsHubAlert(HUB.chf, code), at=NOW))
        for code in codes
    ]
    lines = tmp_path / "lines.jsonl"
    lines.write_bytes(b'{"type":"Alert","sha256":"half a line')
    command = [sys.executable, "-m", "sr_engine", "receive", "--trust", str(pki.trust_directory), "--port", "0"]
    command += ["--inbox", str(tmp_path / "inbox.db"), "--out", str(lines)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            ready = process.stderr.readline()
            port = int(ready.rpartition(PATH)[0].rpartition(":")[2])
            statuses = [post(port, PATH, data)[0] for data in (alerts[0], alerts[0], alerts[1])]
            statuses += [post(port, PATH, b"<a/>")[0], post(port, "/elsewhere", alerts[0])[0]]
            _until(lambda: lines.read_bytes().count(b"\n") == 2)
        finally:
            process.terminate()
        assert process.wait(WAIT) == 0

    assert statuses == [204, 204, 204, 400, 404]
    read = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [one["event"] for one in read] == ["SCHEDULED", "LISTED"]
    for one in read:
        Draft202012Validator(json_schema()).validate(one)


def _until(so: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(WAIT * 50):
        if so():
            return
        pause.wait(0.02)
    raise AssertionError("what was waited for did not come")
