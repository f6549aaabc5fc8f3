"""What a connection may take of a processor: nothing for ever, whatever its client does or leaves undone."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from sr_engine.connections import Connection, ConnectionLimits, Crowd
from sr_engine.messages.model import ReadInventory
from sr_engine.serving import Door
from tests.gateway.conftest import WAIT, still
from tests.gateway.guarded import Guarded, append, guarded, guarded_app
from tests.world import A, TestHub, edit, make_world

HUB = TestHub(1)
INVENTORY = ReadInventory(device_id=HUB.chf)
HEAD = "POST /api/v1/serviceD HTTP/1.1\r\nHost: processor\r\nContent-Type: application/xml\r\n"


@contextmanager
def limited(tmp_path: Path, limits: dict[str, int], more: Callable[[Path], None] = lambda _: None) -> Iterator[Guarded]:
    """A world whose connections have some limits of their own."""

    def prepare(directory: Path) -> None:
        still(directory)
        path = directory / "config" / "policy.toml"
        for name, value in limits.items():
            line = next(one for one in path.read_text().splitlines() if one.startswith(f"{name} = "))
            edit(path, f"\n{line}\n", f"\n{name} = {value}\n")
        more(directory)

    world = make_world(tmp_path / "instance", prepare=prepare)
    world.add_hubs([HUB])
    with guarded(world) as served:
        yield served
    world.close()


def read_all(connection: socket.socket) -> bytes:
    try:
        return b"".join(iter(lambda: connection.recv(65536), b""))
    except ConnectionError:
        return b""


def send_for_ever(connection: socket.socket, piece: bytes) -> None:
    for _ in range(2000):
        connection.sendall(piece)


def is_served(served: Guarded) -> bool:
    return served.post(served.world.signed(A, INVENTORY, "8.2")).status == 200


def test_a_connection_that_says_nothing_is_closed(tmp_path: Path) -> None:
    with limited(tmp_path, {"head_seconds": 1}) as served, served.raw() as connection:
        assert read_all(connection) == b""


def test_a_head_that_comes_by_drops_is_answered_408_in_its_time(tmp_path: Path) -> None:
    with limited(tmp_path, {"head_seconds": 1}) as served, served.raw() as connection:
        connection.settimeout(0.1)
        connection.sendall((HEAD + "X-Slow: ").encode())
        said, began = b"", time.monotonic()
        while not said and time.monotonic() - began < WAIT:
            connection.sendall(b"x")
            try:
                said = connection.recv(1000)
            except TimeoutError:
                continue

        assert said.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert b"did not come within 1 s" in said


def test_a_head_that_has_no_end_is_answered_431(tmp_path: Path) -> None:
    with limited(tmp_path, {"head_bytes": 2048}) as served, served.raw() as connection:
        connection.sendall((HEAD + "X-Long: " + 3000 * "x").encode())

        assert read_all(connection).startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
        assert is_served(served)


@pytest.mark.parametrize("after", ["", "0\r\nX-Trailer: "])
def test_a_body_or_trailers_without_end_do_not_keep_a_connection(tmp_path: Path, after: str) -> None:
    def short(directory: Path) -> None:
        edit(directory / "config" / "policy.toml", "message_bytes = 67_108_864", "message_bytes = 1_000_000")

    with limited(tmp_path, {"head_seconds": 600}, short) as served, served.raw() as connection:
        connection.sendall(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n{after}".encode())
        piece = 65536 * b"x" if after else b"10000\r\n" + 65536 * b"x" + b"\r\n"
        with pytest.raises(ConnectionError):
            send_for_ever(connection, piece)

        assert is_served(served)


def test_what_is_still_to_come_of_an_answered_request_is_passed_over_for_a_while(tmp_path: Path) -> None:
    with limited(tmp_path, {"head_seconds": 1}) as served, served.raw() as connection:
        connection.sendall(f"{HEAD}Content-Length: 100000000\r\n\r\n".encode())
        connection.sendall(10_000 * b"x")

        # All of it: the answer, and then the end.
        assert read_all(connection).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_does_not_read_its_answer_is_broken_off(tmp_path: Path) -> None:
    over = threading.Event()

    async def endless(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not over.is_set():
            await send({"type": "http.response.body", "body": 65536 * b"x", "more_body": True})
            await asyncio.sleep(0)

    limits = ConnectionLimits(10, 10, 10, 1, 1, 1024, 1, 1024, 1, 1)
    crowd = Crowd(limits)
    with guarded_app(endless, lambda listener: Door([listener], crowd)) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: processor\r\n\r\n")
            _until(lambda: len(crowd) == 1)
            _until(lambda: len(crowd) == 0)
        over.set()


def test_requests_that_are_sent_without_end_before_the_answers_are_broken_off(tmp_path: Path) -> None:
    with limited(tmp_path, {}) as served, served.raw() as connection:
        with pytest.raises(ConnectionError):
            send_for_ever(connection, 2000 * b"GET /nowhere HTTP/1.1\r\nHost: processor\r\n\r\n")

        assert is_served(served)


def test_of_one_address_there_are_so_many_connections_and_no_more(tmp_path: Path) -> None:
    with limited(tmp_path, {"of_one_address": 3}) as served, ExitStack() as stack:
        held = [stack.enter_context(served.raw()) for _ in range(3)]
        for one in held:
            one.sendall(HEAD.encode())
        _until(lambda: not _answers(served))
        with served.raw() as connection:
            assert b"503 Service Unavailable" in read_all(connection)

        held[0].close()

        _until(lambda: _answers(served))


def test_an_address_that_opens_more_and_more_connections_is_turned_away_and_no_other(tmp_path: Path) -> None:
    with limited(tmp_path, {"new_of_one_address_per_second": 1}) as served, ExitStack() as stack:
        elsewhere = ("127.0.0.2", 0)
        opened = [
            stack.enter_context(socket.create_connection(("127.0.0.1", served.port), WAIT, source_address=elsewhere))
            for _ in range(20)
        ]

        assert b"503 Service Unavailable" in read_all(opened[-1])
        assert is_served(served)


def test_with_every_connection_taken_an_idle_one_gives_way(tmp_path: Path) -> None:
    with limited(tmp_path, {"most": 3}) as served, ExitStack() as stack:
        held = [stack.enter_context(served.raw()) for _ in range(3)]
        for one in held:
            one.sendall(HEAD.encode())

        assert is_served(served)

        assert read_all(held[0]) == b""


def test_an_answer_leaves_whose_connection_gives_way_as_soon_as_it_is_written() -> None:
    crowd = Crowd(ConnectionLimits(1, 10, 10, 1, 1, 1024, 1, 1024, 1, 1))

    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
        await send({"type": "http.response.body", "body": b"answer"})
        # In the same turn of the event loop another connection is made.
        another = Connection(uvicorn.Config(answer, ws="none", log_config=None), ServerState(), {}, crowd=crowd)
        assert crowd.join(another, "127.0.0.2", asyncio.get_running_loop().time())

    with (
        guarded_app(answer, lambda listener: Door([listener], crowd)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=WAIT) as connection,
    ):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: processor\r\n\r\n")
        assert read_all(connection).endswith(b"answer")


def test_connections_of_a_proxy_are_not_counted_as_those_of_one_address(tmp_path: Path) -> None:
    def proxy(directory: Path) -> None:
        append(directory, '[proxy]\naddresses = ["127.0.0.1"]\nclient_certificate = "optional"')

    with limited(tmp_path, {"of_one_address": 1}, proxy) as served, ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(served.raw()).sendall(HEAD.encode())

        assert is_served(served)


def test_half_closed_connections_end(tmp_path: Path) -> None:
    with limited(tmp_path, {}) as served, served.raw() as connection:
        connection.sendall(HEAD.encode())
        connection.shutdown(socket.SHUT_WR)

        assert read_all(connection) == b""


def test_requests_that_follow_one_another_on_a_connection_are_all_answered(tmp_path: Path) -> None:
    with limited(tmp_path, {"head_seconds": 1, "head_bytes": 1024}) as served, served.raw() as connection:
        one = b"GET /health/live HTTP/1.1\r\nHost: processor\r\nX: " + 500 * b"x" + b"\r\n\r\n"
        last = one.replace(b"X: ", b"Connection: close\r\nX: ")
        connection.sendall(20 * one + last[:100])
        time.sleep(0.2)
        connection.sendall(last[100:])

        assert read_all(connection).count(b"HTTP/1.1 200 OK") == 21


def _answers(served: Guarded) -> bool:
    try:
        return is_served(served)
    except (ConnectionError, AssertionError):
        return False


def _until(true: Callable[[], bool]) -> None:
    for _ in range(WAIT * 10):
        if true():
            return
        time.sleep(0.1)
    raise TimeoutError(f"it did not come true within {WAIT} s")
