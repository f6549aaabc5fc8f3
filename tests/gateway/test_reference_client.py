"""The published reference client, in a double of it, works with a served processor as it is."""

from __future__ import annotations

import gzip
import http.client
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from signing import Signer
from sr_engine.messages.build import build_response
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Decision,
    Phase,
    ReadInventory,
    ScheduleCommsHubFirmware,
)
from sr_engine.messages.schema import Schema
from sr_engine.resources import data_directory
from sr_engine.store.tables import outbox
from tests.gateway.conftest import Served, serving, still
from tests.reference_client import BODY_LIMIT, ReferenceClient, Thrown, listening
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, make_world

HUB, SPLIT = TestHub(1), TestHub(2, gas=B.name)
XML = {"Content-Type": "application/xml"}


@dataclass(frozen=True, slots=True)
class Pair:
    """A served processor, and the client of Supplier A that receives from it."""

    served: Served
    client: ReferenceClient

    def response(self, request_id: str, *, code: str = "I0") -> bytes:
        """An asynchronous Response as the processor would send it."""
        originator, target, counter = request_id.split(":")
        root = build_response(
            schema_version="5.4",
            request_id=request_id,
            response_id=f"{target}:{originator}:{counter}",
            code=code,
            at=NOW,
            service_reference="11.6",
            service_reference_variant="11.6",
            result=None,
        )
        return Signer(self.served.world.key("broker")).sign(root)

    def call_back(self, data: bytes, headers: Mapping[str, str] = XML) -> int:
        """What the client answers to a POST."""
        parts = urlsplit(self.client.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        try:
            connection.request("POST", parts.path, body=data, headers=dict(headers))
            answer = connection.getresponse()
            assert answer.read() == b""
            return answer.status
        finally:
            connection.close()


@contextmanager
def paired(directory: Path, schema: Schema) -> Iterator[Pair]:
    with listening(ReferenceClient(schema, lambda: NOW)) as client:
        world = make_world(directory, suppliers=[replace(A, receiving_url=client.url), B], prepare=still)
        client.trust(world.directory / "pki" / "trust")
        world.add_hubs([HUB, SPLIT])
        with serving(world) as served:
            yield Pair(served, client)
        world.close()


@pytest.fixture(scope="module")
def ours() -> Schema:
    """The schema by which that of a client has to be replaced for the uplift's requests."""
    return Schema(data_directory("xsd") / "duis.xsd")


@pytest.fixture
def pair(tmp_path: Path, ours: Schema) -> Iterator[Pair]:
    with paired(tmp_path / "instance", ours) as pair:
        yield pair


@pytest.fixture
def unmodified(tmp_path: Path, duis_reference: Path) -> Iterator[Pair]:
    """A client with the official schema, as it comes."""
    with paired(tmp_path / "instance", Schema(duis_reference / "schema" / "DUIS-5.4.xsd")) as pair:
        yield pair


@pytest.mark.reference
def test_an_unmodified_client_matches_what_is_answered_later_with_what_it_sent(unmodified: Pair) -> None:
    client, world = unmodified.client, unmodified.served.world
    ids = [world.request_id(A) for _ in range(9)]
    read = ReadInventory(device_id=HUB.chf)

    for before, one in pairwise(ids):
        data = world.signed(A, read, "8.2", request_id=one, preceding=before)
        assert client.send(data, unmodified.served.port).code == "I99"
    assert client.send(world.signed(A, read, "8.2", request_id=ids[0]), unmodified.served.port).code == "I0"

    client.wait_until(lambda: len(client.correlated) == len(ids) - 1)
    # Responses wait for nobody: any of them may be the first to arrive.
    assert sorted(one.response.request_id or "" for one in client.correlated) == sorted(ids[1:])
    assert {one.response.code for one in client.correlated} == {"I0"}
    # What is carried out at once must not overtake its own answer either.
    for _ in range(10):
        data = world.signed(A, read, "8.2", preceding=ids[0])
        assert client.send(data, unmodified.served.port).code == "I99"
    client.wait_until(lambda: len(client.correlated) + len(client.uncorrelated) == len(ids) - 1 + 10)
    assert client.uncorrelated == []


@pytest.mark.reference
def test_an_unmodified_client_reads_the_inventory_and_takes_alerts(unmodified: Pair) -> None:
    client, world = unmodified.client, unmodified.served.world

    answer = client.send(world.signed(A, ReadInventory(device_id=HUB.chf), "8.2"), unmodified.served.port)
    nothing = client.send(world.signed(A, ReadInventory(uprn=1), "8.2"), unmodified.served.port)
    world.open_release()
    world.settle()
    client.wait_until(lambda: len(client.alerts) == 1)

    assert (answer.code, answer.response_id, answer.text("DeviceID")) == ("I0", None, HUB.chf)
    assert nothing.code == "E080201"
    (alert,) = client.alerts
    assert (alert.alert_code, alert.code, alert.response_id) == ("N59", "I0", None)
    assert alert.text("DeviceList") == f"{HUB.chf},{SPLIT.chf}"
    assert client.callback_statuses == [204]


@pytest.mark.reference
def test_an_unmodified_client_takes_every_alert_of_a_schedule_though_not_the_answer_to_it(unmodified: Pair) -> None:
    client, world = unmodified.client, unmodified.served.world
    world.open_release()
    schedule = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (SPLIT.chf,))

    with pytest.raises(Thrown, match=r"11\.5"):
        client.send(world.signed(A, schedule, "11.5"), unmodified.served.port)
    approval = ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (SPLIT.chf,))
    assert unmodified.served.post(world.signed(B, approval, "11.6")).status == 200
    client.wait_until(lambda: len(client.alerts) == 3)

    assert [alert.text("AlertCode") for alert in client.alerts] == [None, "A507", "A501"]
    assert set(client.callback_statuses) == {204}


def test_with_our_schema_it_schedules_and_remembers_nothing_for_the_answer_is_complete(pair: Pair) -> None:
    client, world = pair.client, pair.served.world
    world.open_release()
    request_id = world.request_id(A)
    body = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (HUB.chf,))

    answer = client.send(world.signed(A, body, "11.5", request_id=request_id), pair.served.port)

    assert (answer.code, answer.request_id, answer.text("AcceptedDeviceCount")) == ("I0", request_id, "1")
    assert pair.call_back(pair.response(request_id)) == 204
    assert (client.correlated, len(client.uncorrelated)) == ([], 1)


def test_the_largest_alert_fits_what_it_takes(pair: Pair) -> None:
    client, world = pair.client, pair.served.world
    world.add_hubs(TestHub(number, gas=None) for number in range(3, 4_002))

    world.open_release()
    world.settle()
    client.wait_until(lambda: len(client.callback_statuses) == 2)

    assert client.callback_statuses == [204, 204]
    lengths = sorted((len((alert.text("DeviceList") or "").split(",")) for alert in client.alerts), reverse=True)
    assert lengths == [4_000, 1]
    assert 96_000 < max(len(alert.data) for alert in client.alerts) < BODY_LIMIT


def test_what_it_has_taken_counts_as_delivered(pair: Pair) -> None:
    world = pair.served.world

    world.open_release()
    world.settle()
    pair.client.wait_until(lambda: len(pair.client.alerts) == 1)

    def delivered() -> bool:
        with world.instance.reading_engine.connect() as connection:
            found = connection.scalars(select(outbox.c.state).where(outbox.c.destination == f"user:{A.eui}"))
            return list(found) == ["Delivered"]

    # The client has answered; that this is recorded follows at once, while the processor works on other things.
    posted = 0
    while not delivered():
        assert pair.served.post(b"").status == 400
        posted += 1
        assert posted < 10_000, "it was never recorded"


# --- What a double has to do like the original ------------------------------------------------------------------------


def test_a_response_is_correlated_once_and_not_before_the_answer_was_there(pair: Pair) -> None:
    client, world = pair.client, pair.served.world
    world.open_release()
    request_id = world.request_id(A)
    body = ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (HUB.chf,))
    request = world.signed(A, body, "11.6", request_id=request_id)

    assert pair.call_back(pair.response(request_id)) == 204
    assert client.send(request, pair.served.port).code == "I99"
    assert pair.call_back(pair.response(request_id.lower())) == 204
    assert pair.call_back(pair.response(request_id)) == 204
    assert pair.call_back(pair.response(request_id, code="E4")) == 204

    (correlated,) = client.correlated
    assert (correlated.request, correlated.response.code) == (request, "I0")
    assert [one.request_id for one in client.uncorrelated] == [request_id, request_id.lower(), request_id]


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)], ids=["gzip", "deflate"]
)
def test_it_takes_packed_bodies(pair: Pair, encoding: str, pack: object) -> None:
    assert callable(pack)
    data = pack(pair.response(f"{A.eui}:{B.eui}:1"))

    assert pair.call_back(data, XML | {"Content-Encoding": encoding}) == 204


def test_it_answers_400_to_what_is_not_valid_or_not_genuine_and_does_not_look_at_more_than_100_kb(pair: Pair) -> None:
    good = pair.response(f"{A.eui}:{B.eui}:1")
    forged = Signer(pair.served.world.key(B.name)).sign_bytes(good)

    assert pair.call_back(good.replace(b">I0<", b">I1<")) == 400
    assert pair.call_back(good.replace(b">I0<", b">E4<")) == 400
    assert pair.call_back(forged) == 400
    assert pair.call_back(good.ljust(BODY_LIMIT + 1)) == 413
    assert pair.call_back(gzip.compress(good.ljust(BODY_LIMIT + 1)), XML | {"Content-Encoding": "gzip"}) == 413
    assert pair.call_back(good, XML | {"Content-Encoding": "gzip"}) == 400
    assert pair.call_back(good, {"Content-Type": "text/plain"}) == 415
    assert pair.client.uncorrelated == []


class _Stubborn(BaseHTTPRequestHandler):
    """A server that answers as its path says: a status, or nothing at all."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        what = self.path.rpartition("/")[2]
        if what == "silence":
            # The client gives up first and closes; until then nothing comes.
            self.rfile.read(1)
            return
        self.send_response(HTTPStatus(int(what)))
        self.send_header("Content-Type", "application/xml" if what != "200" else "text/xml")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


def test_it_throws_unless_the_answer_is_2xx_and_application_xml_within_3_seconds(ours: Schema) -> None:
    client = ReferenceClient(ours, lambda: NOW)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Stubborn) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        port = server.server_address[1]

        with pytest.raises(Thrown, match="HTTP 503"):
            client.send(b"x", port, "503")
        with pytest.raises(Thrown, match="text/xml"):
            client.send(b"x", port, "200")
        with pytest.raises(TimeoutError):
            client.send(b"x", port, "silence")

        server.shutdown()
        thread.join()
