"""What the HTTP side promises whatever a request says: overload, broken connections, clean headers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sr_engine.gateway.fairness import HEAD_BYTES
from sr_engine.messages.model import ReadInventory
from tests.gateway.conftest import WAIT, XML_HEADERS, Served, limit_in_flight, serving, still
from tests.world import A, TestHub, World, edit, make_world

HUB = TestHub(1)
INVENTORY = ReadInventory(device_id=HUB.chf)


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Served]:
    """A processor that works on one request at a time."""
    world = make_world(tmp_path, prepare=limit_in_flight(1))
    world.add_hubs([HUB])
    with serving(world) as served:
        yield served
    world.close()


@contextmanager
def half_sent(served: Served, data: bytes) -> Iterator[socket.socket]:
    """A request whose head the processor has taken up, and whose body is still to come."""
    head = (
        "POST /api/v1/serviceD HTTP/1.1\r\nHost: processor\r\nContent-Type: application/xml\r\n"
        f"Content-Length: {len(data)}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", served.port), timeout=WAIT) as connection:
        connection.sendall(head.encode())
        assert b"100 Continue" in connection.recv(1000)
        yield connection


def take_the_only_place(served: Served, connection: socket.socket, data: bytes) -> None:
    """Send so much of a request that it is known whose it is."""
    connection.sendall(data[:HEAD_BYTES])
    for _ in range(10_000):
        if served.post(b"").status == 503:
            return
    raise AssertionError("it took no place")


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_request_too_many_is_told_when_to_come_back_and_changes_nothing(narrow: Served) -> None:
    first, second = (narrow.world.signed(A, INVENTORY, "8.2").ljust(2 * HEAD_BYTES) for _ in range(2))
    with half_sent(narrow, first) as connection:
        take_the_only_place(narrow, connection, first)
        before = narrow.world.snapshot()

        answer = narrow.post(second)

        assert answer.status == 503
        assert answer.headers["Retry-After"] == "5"
        assert answer.headers["Content-Type"] == "application/problem+xml"
        assert "send it again in 5 s" in answer.detail
        assert narrow.world.snapshot() == before
        connection.sendall(first[HEAD_BYTES:])
        assert b" 200 OK" in read_all(connection)
    assert narrow.decoded(narrow.post(second)).code == "I0"


def test_half_a_request_is_none_and_gives_its_place_back(narrow: Served) -> None:
    data = narrow.world.signed(A, INVENTORY, "8.2").ljust(2 * HEAD_BYTES)
    before = narrow.world.snapshot()
    with half_sent(narrow, data) as connection:
        take_the_only_place(narrow, connection, data)

    statuses = [narrow.post(b"").status for _ in range(3)]
    while statuses[-1] == 503:
        statuses.append(narrow.post(b"").status)
        assert len(statuses) < 10_000, "the place was never given back"

    assert statuses[-1] == 400
    assert narrow.world.snapshot() == before
    assert narrow.decoded(narrow.post(data)).code == "I0"


def test_a_body_sent_in_chunks_is_one_body_and_cannot_grow_past_the_limit(narrow: Served) -> None:
    import http.client

    def chunks(data: bytes) -> Iterator[bytes]:
        yield from (data[start : start + 500_000] for start in range(0, len(data), 500_000))

    def post(data: bytes) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", narrow.port, timeout=WAIT)
        connection.request(
            "POST", "/api/v1/serviceD", body=chunks(data), headers=dict(XML_HEADERS), encode_chunked=True
        )
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    good = narrow.world.signed(A, INVENTORY, "8.2")
    assert post(good.ljust(1_000_000)) == 200
    assert post(good.ljust(16 * 1024 * 1024 + 1)) == 413


@pytest.mark.parametrize(
    "content_type", ["application/xml", "Application/XML", "application/xml; charset=utf-8", "application/xml;a=b"]
)
def test_the_media_type_may_be_written_in_any_usual_way(narrow: Served, content_type: str) -> None:
    answer = narrow.post(narrow.world.signed(A, INVENTORY, "8.2"), headers={"Content-Type": content_type})

    assert narrow.decoded(answer).code == "I0"


def test_a_get_is_told_the_method_and_that_the_server_lives(narrow: Served) -> None:
    refused = narrow.post(b"", method="GET")

    assert (refused.status, refused.headers["Allow"]) == (405, "POST")
    alive = narrow.post(b"", "/health/live", method="GET", headers={})
    assert (alive.status, alive.body) == (200, b"alive\n")
    assert "takes GET, HEAD only" in narrow.post(b"", "/health/live").detail.replace("HEAD, GET", "GET, HEAD")


def test_a_list_is_no_longer_than_the_operator_allows_each_hub_counted_once(tmp_path: Path) -> None:
    from sr_engine.messages.model import ApproveCommsHubFirmware, Decision
    from tests.world import FIRMWARE

    def prepare(directory: Path) -> None:
        still(directory)
        edit(directory / "config" / "policy.toml", "list_max_devices = 50_000", "list_max_devices = 2")

    def asking(world: World, *device_ids: str) -> bytes:
        return world.signed(A, ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, device_ids), "11.6")

    world = make_world(tmp_path, prepare=prepare)
    hubs = [TestHub(number) for number in range(3)]
    world.add_hubs(hubs)
    world.open_release()
    with serving(world) as served:
        too_long = served.post(asking(world, *(hub.chf for hub in hubs)))
        twice = served.post(asking(world, hubs[0].chf, hubs[1].chf, hubs[0].chf.lower()))

        assert too_long.status == 400
        assert "DeviceIDList holds 3 different ids, at most 2 are taken" in too_long.detail
        assert served.decoded(twice).code == "I99"
    world.close()


def test_a_body_that_does_not_come_gives_its_place_up(tmp_path: Path) -> None:
    def impatient(directory: Path) -> None:
        limit_in_flight(1)(directory)
        edit(directory / "config" / "policy.toml", "body_seconds = 20", "body_seconds = 1")

    world = make_world(tmp_path, prepare=impatient)
    world.add_hubs([HUB])
    with serving(world) as served:
        first, second = (world.signed(A, INVENTORY, "8.2") for _ in range(2))
        with half_sent(served, first) as connection:
            connection.sendall(first[:100])
            answer = connection.recv(65536)

            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"did not come within 1 s" in answer
            assert served.post(second).status == 200
    world.close()
