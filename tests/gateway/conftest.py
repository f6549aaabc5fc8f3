"""A real server on a free port, and a client that sends bytes as they are."""

from __future__ import annotations

import http.client
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from signing import parse
from sr_engine.application import application
from sr_engine.gateway.working import Role
from sr_engine.messages.decode import DecodedResponse, decode_response
from tests.world import World, edit

XML_HEADERS: Mapping[str, str] = {"Content-Type": "application/xml"}
WAIT = 90
"""Seconds after which a test gives up."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def detail(self) -> str:
        return self.headers.get("DUIS-Response-Detail", "")


@dataclass(frozen=True, slots=True)
class Served:
    """A world behind a server that listens on the loopback address."""

    world: World
    port: int

    def post(
        self,
        data: bytes,
        service: str = "serviceD",
        *,
        headers: Mapping[str, str] = XML_HEADERS,
        method: str = "POST",
        origin: str = "127.0.0.1",
    ) -> HttpAnswer:
        """Send bytes to a service, or to another path if `service` begins with a slash, from a loopback address."""
        path = service if service.startswith("/") else f"/api/v1/{service}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT, source_address=(origin, 0))
        try:
            connection.request(method, path, body=data, headers=dict(headers))
            answer = connection.getresponse()
            return HttpAnswer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def decoded(self, answer: HttpAnswer) -> DecodedResponse:
        """Verify that the processor signed the answer, and decode it."""
        verified = self.world.instance.verifier.verify(parse(answer.body), roles={"89"}, at=self.world.clock.now())
        return decode_response(verified)


class _Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set()


@contextmanager
def serving(
    world: World, *, role: Role = Role.ALL, monotonic: Callable[[], float] = time.monotonic
) -> Iterator[Served]:
    """Serve a world until the end of the block."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        app = application(world.instance, role=role, monotonic=monotonic)
        config = uvicorn.Config(
            app,
            log_config=None,
            lifespan="on",
            access_log=False,
        )
        server = _Server(config)
        app.state.is_stopping = lambda: server.should_exit
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            assert server.listening.wait(WAIT), "the server did not start"
            yield Served(world, listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(WAIT)


def still(directory: Path) -> None:
    """Let nothing happen by itself: no region trigger fires while a test runs."""
    edit(directory / "config" / "policy.toml", "tick_seconds = 30", "tick_seconds = 3600")


def limit_in_flight(number: int) -> Callable[[Path], None]:
    """A still instance that works on at most `number` requests at a time."""

    def prepare(directory: Path) -> None:
        still(directory)
        edit(directory / "config" / "policy.toml", "requests_in_flight = 64", f"requests_in_flight = {number}")

    return prepare


@pytest.fixture(autouse=True)
def quiet_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
