"""11.1 over real HTTP, at its largest and through a stop of the processor, and what a real CSP receives of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from signing import Signer, parse
from sr_engine.messages.csp import build_csp_message
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import MeterFirmwareReport, ReportEntry, ReportStatus, UpdateFirmware
from sr_engine.simulator.party import MAX_BODY
from tests.firmware import ENTRY, IMAGE, VERSION, Meters, esme, hash_of, listed, ota
from tests.gateway.conftest import WAIT, serving, still
from tests.world import BROKER, A, TestHub, World, edit, eui, make_world, reopen

HUBS = [TestHub(1, gas=None), TestHub(2, gas=None)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path / "instance", prepare=still)
    world.add_hubs(HUBS)
    listed(world, ENTRY)
    yield world
    world.close()


def test_the_largest_11_1_is_taken_and_what_the_csp_is_sent_of_it_is_no_larger_than_it_takes(world: World) -> None:
    payload = bytes(10_240_000 - 56)
    listed(world, replace(ENTRY, image_hash=hash_of(payload)))
    ids = (esme(HUBS[0]), *(eui(0xE1, number) for number in range(49_999)))
    with serving(world) as served:
        answer = served.post(world.signed(A, UpdateFirmware(ota(payload), VERSION, ids), "11.1"))

        assert served.decoded(answer).code == "W110101"
    image, meter_list = Meters(world).sent()
    assert Meters(world).lists()[0].hubs == {HUBS[0].chf: (esme(HUBS[0]),)}
    for message in (image, meter_list):
        assert len(Signer(world.key(A.name)).sign(build_csp_message(message))) < MAX_BODY
    assert Meters(world).images()[0].image == ota(payload)


def test_a_request_answered_before_a_stop_gets_the_same_answer_after_it_and_is_carried_out_once(world: World) -> None:
    data = world.signed(A, UpdateFirmware(IMAGE, VERSION, (esme(HUBS[0]), eui(0xE1, 1))), "11.1")
    with serving(world) as served:
        first = served.post(data)
    again = reopen(world)
    with serving(again) as served:
        second = served.post(data)

    assert first.status == second.status == 200
    assert first.body == second.body
    assert len(Meters(again).lists()) == len(Meters(again).images()) == 1
    again.close()


def test_a_csp_reports_over_http(world: World) -> None:
    meters = Meters(world)
    meters.update([esme(hub) for hub in HUBS])
    (meter_list,) = meters.lists()
    now = world.clock.now()
    report = MeterFirmwareReport(
        RequestId.make(meters.region().csp_eui, BROKER, 1),
        now,
        meter_list.list_id,
        "Central",
        (ReportEntry(esme(HUBS[0]), ReportStatus.DELIVERED, now), ReportEntry(esme(HUBS[1]), ReportStatus.FAILED, now)),
    )
    with serving(world) as served:
        data = Signer(world.csp_key("Central")).sign(build_csp_message(report))
        answers = [served.post(data, "/api/v1/csp") for _ in range(2)]
        strange = served.post(data.replace(meter_list.list_id.encode(), b"another"), "/api/v1/csp")
        back = served.post(Signer(world.csp_key("Central")).sign(build_csp_message(meter_list)), "/api/v1/csp")

        assert [(one.status, one.detail) for one in answers] == [(204, "2 devices brought forward")] * 2
        assert strange.status == 403
        assert back.status == 400
        assert "MeterFirmwareList" in back.detail
        assert [alert.alert_code for alert in meters.alerts()] == ["N60", "N61"]


@contextmanager
def receiving(received: list[bytes], statuses: list[int], enough: threading.Event, count: int) -> Iterator[str]:
    """A CSP that listens; `statuses` are answered in turn, then 204."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(statuses.pop(0) if statuses else 204)
            self.send_header("Content-Length", "0")
            self.end_headers()
            if len(received) == count:
                enough.set()

        def log_message(self, *_arguments: object) -> None:
            """Nothing: tests are quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/central"
    finally:
        server.shutdown()
        thread.join(WAIT)
        server.server_close()


def test_a_csp_receives_the_image_and_then_the_list_however_often_the_image_has_to_be_sent(tmp_path: Path) -> None:
    received: list[bytes] = []
    enough = threading.Event()

    with receiving(received, [503, 503], enough, 4) as url:

        def prepare(directory: Path) -> None:
            still(directory)
            edit(directory / "config" / "regions.toml", "http://127.0.0.1:8090/central", url)
            waits = "back_off_seconds = [5, 30, 120, 600, 1_800, 3_600, 10_800]"
            edit(directory / "config" / "policy.toml", waits, "back_off_seconds = [1]")

        world = make_world(tmp_path / "instance", prepare=prepare)
        world.add_hubs(HUBS)
        listed(world, ENTRY)
        with serving(world) as served:
            served.post(world.signed(A, UpdateFirmware(IMAGE, VERSION, (esme(HUBS[0]),)), "11.1"))
            for _ in range(WAIT * 4):
                # The back-off is of the processor's clock, which stands still but for this.
                world.clock.set(world.clock.now() + timedelta(seconds=1))
                if enough.wait(0.25):
                    break
        world.close()

    assert enough.is_set()
    names = [str(parse(body).root.tag).rpartition("}")[2] for body in received]
    assert names == ["FirmwareImage", "FirmwareImage", "FirmwareImage", "MeterFirmwareList"]
    assert len(set(received[:3])) == 1, "the same bytes each time"
