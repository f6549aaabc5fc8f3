"""Held requests over real HTTP: the answer first, the Response to the Supplier's own address after it, and to fetch."""

from __future__ import annotations

import hashlib
import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sr_engine.bootstrap import list_cutter
from sr_engine.domain.holding import Breach, Thresholds
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    CommsHubFirmwareResult,
    Decision,
    Phase,
    ReadInventory,
    ScheduleCommsHubFirmware,
)
from sr_engine.operations.quarantine import set_thresholds
from sr_engine.pipeline.answer import Answer
from sr_engine.regions.calendar import cut_time, open_periods
from sr_engine.store.sla import lists_delivered
from tests.gateway.conftest import WAIT, HttpAnswer, Served, serving, still
from tests.world import FIRMWARE, WINDOW, A, B, TestHub, World, bound, edit, make_world, short_leases

TOKEN, OTHER_TOKEN, OPERATOR, CSP = "token-of-supplier-a", "token-of-supplier-b", "token-of-the-operator", "token-csp"
HUB = TestHub(1)
READ = ReadInventory(device_id=HUB.chf)


class Inbox:
    """A Supplier's receiving adapter, which keeps what comes."""

    def __init__(self) -> None:
        self.bodies: queue.Queue[bytes] = queue.Queue()
        self.url = ""

    @contextmanager
    def listening(self, port: int = 0) -> Iterator[None]:
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.put(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
            self.url = f"http://127.0.0.1:{server.server_port}/duis"
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join(WAIT)


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _with_tokens(directory: Path, url: str) -> None:
    still(directory)
    short_leases(directory)
    users = directory / "users.toml"
    for supplier, token in ((A, TOKEN), (B, OTHER_TOKEN)):
        known = f'receiving_url = "{supplier.receiving_url}"\n'
        edit(users, known, f'receiving_url = "{url}"\ntoken_sha256 = "{_sha256(token)}"\n')
    edit(
        directory / "config" / "regions.toml",
        "[region.Central]\n",
        f'[region.Central]\ntoken_sha256 = "{_sha256(CSP)}"\n',
    )
    settings = directory / "sr-engine.toml"
    settings.write_text(f'{settings.read_text()}\n[operator]\ntoken_sha256 = "{_sha256(OPERATOR)}"\n')


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    with inbox.listening():
        yield inbox


@pytest.fixture
def served(tmp_path: Path, inbox: Inbox) -> Iterator[Served]:
    world = make_world(tmp_path / "instance", prepare=lambda directory: _with_tokens(directory, inbox.url))
    world.add_hubs([HUB])
    world.open_release()
    with serving(world) as running:
        yield running
    world.close()


def get(served: Served, path: str, token: str | None = TOKEN) -> HttpAnswer:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return served.post(b"", path, headers=headers, method="GET")


def responses(world: World, inbox: Inbox, number: int) -> list[str]:
    """RequestIDs of the Responses that have come; alerts are passed over."""
    found: list[str] = []
    while len(found) < number:
        decoded = world.decoded(Answer(200, inbox.bodies.get(timeout=WAIT), ""))
        if decoded.request_id is not None:
            found.append(decoded.request_id.text)
    return found


def test_the_response_comes_to_the_suppliers_address_after_the_answer(served: Served, inbox: Inbox) -> None:
    world = served.world
    first, second = world.request_id(A), world.request_id(A)

    waiting = served.post(world.signed(A, READ, "8.2", request_id=second, preceding=first))
    assert served.decoded(waiting).code == "I99"
    assert served.decoded(served.post(world.signed(A, READ, "8.2", request_id=first))).code == "I0"

    assert responses(world, inbox, 1) == [second]


def test_a_user_fetches_what_was_sent_to_it_and_nothing_else(served: Served, inbox: Inbox) -> None:
    world = served.world
    first, second = world.request_id(A), world.request_id(A)
    served.post(world.signed(A, READ, "8.2", request_id=second, preceding=first))
    assert get(served, f"/api/v1/responses/{second}").status == 404
    served.post(world.signed(A, READ, "8.2", request_id=first))
    responses(world, inbox, 1)

    listed = json.loads(get(served, "/api/v1/messages").body)["messages"]

    assert {one["kind"] for one in listed} == {"alert", "response"}
    (response,) = [one for one in listed if one["kind"] == "response"]
    body = get(served, f"/api/v1/messages/{response['message_id']}")
    assert (body.status, body.headers["Content-Type"]) == (200, "application/xml")
    assert hashlib.sha256(body.body).hexdigest() == response["sha256"]
    assert get(served, f"/api/v1/responses/{second.lower()}").body == body.body
    after = json.loads(get(served, f"/api/v1/messages?after={listed[0]['message_id']}&limit=1").body)["messages"]
    assert [one["message_id"] for one in after] == [listed[1]["message_id"]]

    foreign = json.loads(get(served, "/api/v1/messages", OTHER_TOKEN).body)["messages"]
    assert not {one["message_id"] for one in foreign} & {one["message_id"] for one in listed}
    for path in (f"/api/v1/messages/{response['message_id']}", f"/api/v1/responses/{second}"):
        assert get(served, path, OTHER_TOKEN).status == 404
        for token in (None, "wrong", OPERATOR):
            assert get(served, path, token).status == 401
    assert get(served, f"/api/v1/messages?after={response['message_id']}", OTHER_TOKEN).status == 400


def test_a_csp_fetches_the_lists_of_its_region(served: Served) -> None:
    world = served.world
    hubs = [TestHub(2), TestHub(3, region="North")]
    world.add_hubs(hubs)
    body = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, tuple(hub.chf for hub in hubs))
    assert world.send(A, body, "11.5").code == "I0"
    cutter = list_cutter(world.instance)
    for name in ("Central", "North"):
        region = world.instance.configuration.regions[name]
        night = next(open_periods(region, WINDOW))
        due = cut_time(region, night)
        world.run(bound(cutter.run, region, due, night))

    (listed,) = json.loads(get(served, "/api/v1/messages", CSP).body)["messages"]

    assert listed["kind"] == "upgrade_list"
    assert not listed["delivered"]
    fetched = get(served, f"/api/v1/messages/{listed['message_id']}", CSP).body
    assert hubs[0].chf.encode() in fetched
    assert hubs[1].chf.encode() not in fetched
    # It has it now, and may fetch it again.
    assert json.loads(get(served, "/api/v1/messages", CSP).body)["messages"] == [{**listed, "delivered": True}]
    assert get(served, f"/api/v1/messages/{listed['message_id']}", CSP).body == fetched
    with world.instance.reading_engine.connect() as connection:
        (taken,) = lists_delivered(connection, "Central", world.clock.now(), world.clock.now() + timedelta(hours=1))
    assert taken.delivered_at == world.clock.now()
    assert get(served, f"/api/v1/messages/{listed['message_id']}").status == 404


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=" + "9" * 5_000, "after=nothing"])
def test_a_wrong_question_is_answered_with_what_is_wrong(served: Served, query: str) -> None:
    answer = get(served, f"/api/v1/messages?{query}")
    assert answer.status == 400
    assert query.partition("=")[0] in json.loads(answer.body)["detail"]


def test_a_long_response_is_sent_in_part_and_fetched_whole(served: Served, inbox: Inbox) -> None:
    world = served.world
    first, second = world.request_id(A), world.request_id(A)
    served.post(world.signed(A, READ, "8.2", request_id=first))
    strangers = tuple(TestHub(number).chf for number in range(1_000, 6_000))
    body = ApproveCommsHubFirmware(FIRMWARE, Decision.DECLINE, (HUB.chf, *strangers))
    served.post(world.signed(A, body, "11.6", request_id=second, preceding=first))
    responses(world, inbox, 1)

    whole = served.decoded(get(served, f"/api/v1/responses/{second}"))

    assert isinstance(whole.result, CommsHubFirmwareResult)
    assert sum(map(len, whole.result.refused.values())) == 5_000


def test_the_operator_sees_and_decides_what_is_in_quarantine(served: Served, inbox: Inbox) -> None:
    world = served.world
    world.run(lambda uow: set_thresholds(uow, A.eui, Breach.DCC, Thresholds(1, None)))
    body = ApproveCommsHubFirmware(FIRMWARE, Decision.DECLINE, (HUB.chf,))
    request_ids = [world.request_id(A) for _ in range(3)]
    for one in request_ids:
        assert served.decoded(served.post(world.signed(A, body, "11.6", request_id=one))).code == "I99"

    held = json.loads(get(served, "/operator/quarantine", OPERATOR).body)["quarantined"]

    assert [one["request_id"] for one in held] == request_ids[1:]
    references = [one["quarantine_event_ref"] for one in held]
    for token in (None, TOKEN):
        assert get(served, "/operator/quarantine", token).status == 401
    bearer = {"Authorization": f"Bearer {OPERATOR}"}
    for reference, word in zip(references, ("release", "delete"), strict=True):
        path = f"/operator/quarantine/{reference}/{word}"
        assert served.post(b"", path, headers={}).status == 401
        assert served.post(b"", path, headers=bearer).status == 204
        assert served.post(b"", path, headers=bearer).status == 404
    assert sorted(responses(world, inbox, 2)) == sorted(request_ids[1:])


def test_a_processor_killed_with_requests_waiting_answers_each_once(tmp_path: Path) -> None:
    inbox = Inbox()
    with inbox.listening():
        now = datetime.now(UTC)
        world = make_world(tmp_path / "instance", now, prepare=lambda directory: _with_tokens(directory, inbox.url))
        world.add_hubs([HUB])
        first, *rest = (world.request_id(A) for _ in range(6))
        with elsewhere(world) as killed:
            for before, one in zip([first, *rest], rest, strict=False):
                killed.post(world.signed(A, READ, "8.2", request_id=one, preceding=before))
        with elsewhere(world) as killed:
            killed.post(world.signed(A, READ, "8.2", request_id=first))
            inbox.bodies.get(timeout=WAIT)
        with elsewhere(world):
            deadline = time.monotonic() + WAIT
            while any(one.code is None for one in _ends(world)) and time.monotonic() < deadline:
                time.sleep(0.05)
        assert [one.code for one in _ends(world)] == ["I0"] * 5
        sent = [one.request_id.text for one in world.sent(A, "response") if one.request_id is not None]
        assert sent == rest
        world.close()


def _ends(world: World) -> list[Any]:
    from sqlalchemy import select

    from sr_engine.store.tables import held_requests

    with world.instance.reading_engine.connect() as connection:
        return list(connection.execute(select(held_requests.c.code).order_by(held_requests.c.held_id)))


@contextmanager
def elsewhere(world: World) -> Iterator[Served]:
    """Serve the world's folder in a process of its own, which is killed at the end of the block."""
    command = [sys.executable, "-m", "sr_engine", "serve", "--dir", str(world.directory), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        try:
            yield Served(world, int(ready.split(" (")[0].rpartition(":")[2]))
        finally:
            process.send_signal(signal.SIGKILL)
