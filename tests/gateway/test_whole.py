"""Requests that come at once, in pieces, or several together: each is answered, in the order that they came in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sr_engine.messages.model import ReadInventory
from tests.gateway.conftest import still
from tests.gateway.guarded import Guarded, guarded
from tests.world import A, TestHub, make_world

HUB = TestHub(1)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Guarded]:
    world = make_world(tmp_path / "instance", prepare=still)
    world.add_hubs([HUB])
    with guarded(world) as here:
        yield here
    world.close()


def message(served: Guarded, request_id: str, *, path: str = "/api/v1/serviceD", more: str = "") -> bytes:
    """A request as it goes over a connection."""
    body = served.world.signed(A, ReadInventory(device_id=HUB.chf), "8.2", request_id=request_id)
    head = f"POST {path} HTTP/1.1\r\nHost: processor\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}"
    return f"{head}\r\n{more}\r\n".encode() + body


def answers_to(served: Guarded, *pieces: bytes) -> list[tuple[str, str]]:
    """Status and RequestID of each answer on a connection of its own, which the last request closes."""
    with served.raw() as connection:
        for piece in pieces:
            connection.sendall(piece)
        said = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    return re.findall(r"HTTP/1.1 (\d{3}) .*?(?:<sr:RequestID>(.*?)</sr:RequestID>|</problem>)", said, re.DOTALL)


def test_a_request_is_answered_the_same_at_once_and_in_pieces(served: Guarded) -> None:
    one, other = (served.world.request_id(A) for _ in range(2))
    whole = message(served, one, more="Connection: close\r\n")
    pieces = message(served, other, more="Connection: close\r\n")
    middle = pieces.index(b"\r\n\r\n") + 4

    assert answers_to(served, whole) == [("200", one)]
    assert answers_to(served, pieces[:20], pieces[20:middle], pieces[middle:-1], pieces[-1:]) == [("200", other)]


def test_requests_that_come_together_are_answered_in_their_order(served: Guarded) -> None:
    ids = [served.world.request_id(A) for _ in range(4)]
    together = b"".join(message(served, one) for one in ids[:3])
    last = message(served, ids[3], more="Connection: close\r\n")

    assert answers_to(served, together + last[:500], last[500:]) == [("200", one) for one in ids]


def test_what_is_posted_elsewhere_or_otherwise_is_told_so(served: Guarded) -> None:
    close = "Connection: close\r\n"
    slash = message(served, served.world.request_id(A), path="/api/v1/serviceD/", more=close)
    put = message(served, served.world.request_id(A), more=close).replace(b"POST", b"PUT", 1)

    assert answers_to(served, slash) == [("404", "")]
    assert answers_to(served, put) == [("405", "")]
