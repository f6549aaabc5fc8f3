"""A backup that is taken while requests are answered is an instance that answers them the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sr_engine.backup import restoring, taking
from sr_engine.bootstrap import open_instance, processor_of
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision, Phase, ScheduleCommsHubFirmware
from sr_engine.store import audit, leases
from sr_engine.store.dialects import POSTGRESQL, SQLITE
from sr_engine.store.outbox import PENDING
from sr_engine.store.tables import outbox
from tests.databases import empty_url, url_of_instance
from tests.gateway.conftest import HttpAnswer, Served, serving, still
from tests.outbox import messages
from tests.world import FIRMWARE, NOW, SECONDS, WINDOW, A, B, TestHub, World, edit, make_world

HUBS = [TestHub(number, A.name, B.name) for number in range(1, 121)]
BEFORE = 40
"""How many requests have been answered when the backup begins."""


class Receiver(ThreadingHTTPServer):
    """Takes whatever comes, and remembers it by its id."""

    def __init__(self) -> None:
        self.got: dict[str, bytes] = {}
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Receiver)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got[self.headers["DUIS-Message-ID"]] = body
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(params=[SQLITE, pytest.param(POSTGRESQL, marks=pytest.mark.slow)])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def world(tmp_path: Path, kind: str) -> Iterator[World]:
    """Hubs that one Supplier has scheduled and the other is to approve; nobody takes messages."""

    def prepare(directory: Path) -> None:
        still(directory)
        nobody_takes(directory)

    world = make_world(
        tmp_path / "instance",
        database_url=url_of_instance(kind),
        prepare=prepare,
    )
    world.add_hubs(HUBS)
    world.open_release()
    schedule = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, tuple(hub.chf for hub in HUBS))
    assert world.send(A, schedule, "11.5").code == "I0"
    yield world
    world.close()


def nobody_takes(directory: Path) -> None:
    for port in (8091, 8092):
        edit(directory / "users.toml", f"http://127.0.0.1:{port}/", "http://127.0.0.1:9/")


def pending(world: World) -> dict[str, bytes]:
    with world.instance.reading_engine.connect() as connection:
        return {one.message_id: one.body for one in messages(connection, outbox.c.state == PENDING)}


def test_what_was_answered_before_it_began_is_answered_the_same_and_what_waited_goes_out(
    world: World, tmp_path: Path, kind: str, receiver: Receiver
) -> None:
    requests = [
        world.signed(B, ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (hub.chf,)), "11.6") for hub in HUBS
    ]
    answers: dict[bytes, HttpAnswer] = {}
    begun = threading.Event()

    def send(served: Served, request: bytes) -> None:
        answers[request] = served.post(request)
        if len(answers) >= BEFORE:
            begun.set()

    with serving(world) as served, ThreadPoolExecutor(4) as pool:
        sending = [pool.submit(send, served, request) for request in requests]
        assert begun.wait(SECONDS)
        answered = dict(answers)
        taken = taking.take(world.directory, tmp_path / "backup", taken_at=NOW, with_keys=True)
        for one in sending:
            one.result()
    world.settle()
    assert taken.dump.kind == kind
    queued = pending(world)

    (tmp_path / "database").mkdir()
    url = empty_url(tmp_path / "database", kind)
    restored = restoring.restore(tmp_path / "backup", tmp_path / "restored", database_url=url)

    assert restored.audit.intact
    assert restored.key is None
    for port in (8091, 8092):
        text = (tmp_path / "restored" / "users.toml").read_text()
        text = text.replace("http://127.0.0.1:9/", f"http://127.0.0.1:{receiver.server_port}/{port}/")
        (tmp_path / "restored" / "users.toml").write_text(text)
    # What had been tried in vain is due again.
    world.clock.advance(timedelta(hours=2))
    instance = open_instance(tmp_path / "restored", clock=world.clock)
    copy = World(tmp_path / "restored", instance, world.clock, processor_of(instance))
    try:
        waiting = pending(copy)
        assert len(waiting) == restored.waiting > len(HUBS)
        with instance.reading_engine.connect() as connection:
            assert {one.holder for one in leases.all_leases(connection)} == {None}
        with serving(copy) as served:
            again = {request: served.post(request) for request in requests}
            wait_for(lambda: waiting.keys() <= receiver.got.keys())
        assert all(again[request].body == answer.body for request, answer in answered.items())
        assert {served.decoded(answer).code for answer in again.values()} == {"I99"}
        # With the same ids and bytes, as far as they were in the backup; no other message has an id of these.
        assert all(receiver.got[message_id] == body for message_id, body in waiting.items())
        assert all(waiting[message_id] == queued[message_id] for message_id in waiting.keys() & queued.keys())
        with instance.reading_engine.connect() as connection:
            (record,) = (one for one in audit.newest(connection, 1000) if one.action == "instance restored")
            assert record.detail.startswith(f"from a backup taken at {NOW.isoformat()} ")
    finally:
        copy.close()


def wait_for(condition: object) -> None:
    assert callable(condition)
    tick = threading.Event()
    for _ in range(SECONDS * 100):
        if condition():
            return
        tick.wait(0.01)
    raise TimeoutError
