"""Above the operating threshold only Users over their allocation are turned away (FACTS RQ28), over real HTTP."""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sr_engine.gateway.fairness import HEAD_BYTES
from sr_engine.messages.model import ReadInventory
from tests.gateway.conftest import WAIT, HttpAnswer, Served, limit_in_flight, serving, still
from tests.gateway.test_fairness import Hand
from tests.world import A, B, TestHub, edit, make_world

HUB = TestHub(1, electricity=A.name, gas=B.name)
INVENTORY = ReadInventory(device_id=HUB.chf)


def _small(directory: Path) -> None:
    """Two requests a second are A's, one anybody else's, and five all of theirs."""
    still(directory)
    policy = directory / "config" / "policy.toml"
    edit(policy, "operating_threshold_per_second = 2_000", "operating_threshold_per_second = 5")
    edit(policy, "allocation_per_second = 100", "allocation_per_second = 1")
    edit(policy, "unauthenticated_per_second = 10", "unauthenticated_per_second = 2")
    users = directory / "users.toml"
    edit(users, f'eui = "{A.eui}"', f'eui = "{A.eui}"\nallocation_per_second = 2')


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def served(tmp_path: Path, hand: Hand) -> Iterator[Served]:
    world = make_world(tmp_path, prepare=_small)
    world.add_hubs([HUB])
    with serving(world, monotonic=hand) as running:
        yield running
    world.close()


def _burst(served: Served, number: int) -> list[HttpAnswer]:
    return [served.post(served.world.signed(A, INVENTORY, "8.2")) for _ in range(number)]


def test_only_the_user_over_its_allocation_is_told_when_to_come_back(served: Served, hand: Hand) -> None:
    statuses = [answer.status for answer in _burst(served, 5)]
    before = served.world.snapshot()

    refused = served.post(served.world.signed(A, INVENTORY, "8.2"))

    assert statuses == [200] * 5, "below the threshold everybody may send more than its allocation"
    assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
    assert refused.headers["Content-Type"] == "application/problem+xml"
    assert "no room for more requests of yours; send it again in 5 s" in refused.detail
    assert served.world.snapshot() == before
    assert served.post(served.world.signed(B, INVENTORY, "8.2")).status == 200

    hand.seconds += 0.5  # half a second later A has one of its own again, and all together two and a half
    assert [answer.status for answer in _burst(served, 3)] == [200, 200, 503]


def test_csps_and_the_registration_feed_do_not_suffer_from_users_nor_from_those_who_are_none(served: Served) -> None:
    _burst(served, 6)

    assert [served.post(b"garbage").status for _ in range(2)] == [400, 503], "those who are no User share one"
    assert [served.post(b"garbage", "/api/v1/csp").status for _ in range(2)] == [400, 503]


def test_a_large_request_there_is_no_room_for_is_turned_away_before_it_has_all_come(served: Served) -> None:
    _burst(served, 6)
    beginning = served.world.signed(A, INVENTORY, "8.2").ljust(8192)
    head = (
        "POST /api/v1/serviceD HTTP/1.1\r\nHost: processor\r\nContent-Type: application/xml\r\n"
        f"Content-Length: {16 * 1024 * 1024}\r\nConnection: close\r\n\r\n"
    )

    with socket.create_connection(("127.0.0.1", served.port), timeout=WAIT) as connection:
        connection.sendall(head.encode() + beginning)

        assert connection.recv(65536).startswith(b"HTTP/1.1 503 ")


def test_a_request_claimed_for_another_user_uses_up_that_one_s_share_and_gets_nothing_by_it(served: Served) -> None:
    """The claim decides the order of work only: who signed decides the answer."""
    forged = served.world.signed(B, INVENTORY, "8.2", request_id=served.world.request_id(A))

    answers = Counter(served.post(forged).body.count(b">E100<") for _ in range(5))

    assert answers == {1: 5}
    assert served.post(served.world.signed(A, INVENTORY, "8.2")).status == 503
    assert served.post(served.world.signed(B, INVENTORY, "8.2")).status == 200


def test_whoever_sends_nothing_or_little_slowly_keeps_no_user_out(tmp_path: Path) -> None:
    """Nobody that is known: requests of which no body comes, and as many of which no more than the beginning does."""
    world = make_world(tmp_path, prepare=limit_in_flight(8))
    world.add_hubs([HUB])
    with serving(world) as served, ExitStack() as connections:

        def begin(path: str, beginning: bytes) -> socket.socket:
            head = (
                f"POST {path} HTTP/1.1\r\nHost: processor\r\nContent-Type: application/xml\r\n"
                "Content-Length: 100000\r\nConnection: close\r\nExpect: 100-continue\r\n\r\n"
            )
            connection = socket.create_connection(("127.0.0.1", served.port), timeout=WAIT)
            connections.enter_context(connection)
            connection.sendall(head.encode())
            assert b"100 Continue" in connection.recv(1000)
            connection.sendall(beginning)
            return connection

        silent = [begin("/api/v1/serviceD", b"") for _ in range(8)]
        assert served.post(world.signed(A, INVENTORY, "8.2")).status == 200
        slow = [begin("/api/v1/serviceD", b" " * HEAD_BYTES) for _ in range(6)]
        slow += [begin("/api/v1/csp", b" " * HEAD_BYTES) for _ in range(2)]
        # Their beginnings have been read once there is no place for one more.
        while (full := served.post(b"").status) != 503:
            assert full == 400

        assert served.post(world.signed(A, INVENTORY, "8.2")).status == 200
        assert slow[5].recv(65536).startswith(b"HTTP/1.1 503 "), "it gave way, and is told so"
        silent[0].sendall(world.signed(A, INVENTORY, "8.2").ljust(100000))
        assert silent[0].recv(65536).startswith(b"HTTP/1.1 200 ")
    world.close()


def _forged(served: Served) -> bytes:
    """A request in A's name with a signature of another request."""
    signatures = re.compile(rb"(SignatureValue>)[^<]+")
    other = signatures.search(served.world.signed(A, INVENTORY, "8.2"))
    assert other is not None
    return signatures.sub(other[0], served.world.signed(A, INVENTORY, "8.2"), count=1)


def test_a_flood_of_bad_signatures_from_elsewhere_uses_up_nothing_of_the_user_it_names(
    served: Served, hand: Hand
) -> None:
    def flood() -> list[int]:
        return [served.post(_forged(served), origin="127.0.0.2").status for _ in range(5)]

    assert flood() == [200] * 5, "mistakes, as far as anybody knows: E100"
    hand.seconds += 1
    assert flood() == [200] * 5
    assert [answer.status for answer in _burst(served, 2)] == [200] * 2, "its allocation"


def test_a_flood_of_bad_signatures_uses_up_what_it_is_named_for_until_it_is_in_doubt(served: Served) -> None:
    for _ in range(5):
        served.post(_forged(served))

    assert served.post(served.world.signed(A, INVENTORY, "8.2")).status == 503
