"""A world served as `sr-engine serve` does: TLS, limits of connections, and settings about both."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from sr_engine.application import application
from sr_engine.cli.serve import door_of
from sr_engine.serving import Door, GuardedServer
from sr_engine.transport import incoming_tls, watched_tls
from tests.gateway.conftest import WAIT, XML_HEADERS, HttpAnswer
from tests.world import World


@dataclass(frozen=True, slots=True)
class Guarded:
    """Where a world is served."""

    world: World
    port: int

    def post(
        self,
        data: bytes,
        tls: ssl.SSLContext | None = None,
        *,
        path: str = "/api/v1/serviceD",
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """Send bytes over a connection of its own, with more headers than need be."""
        connection: http.client.HTTPConnection
        if tls is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)
        else:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=WAIT, context=tls)
        try:
            connection.request("POST", path, body=data, headers={**XML_HEADERS, **(headers or {})})
            answer = connection.getresponse()
            return HttpAnswer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def raw(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=WAIT)


@contextmanager
def guarded(world: World) -> Iterator[Guarded]:
    """Serve a world until the end of the block."""
    incoming = incoming_tls(world.instance.settings)
    app = application(world.instance, watched=watched_tls(world.instance.settings, {}, incoming))
    with guarded_app(app, lambda listener: door_of(world.instance, [listener], incoming)) as port:
        yield Guarded(world, port)


@contextmanager
def guarded_app(app: Any, door: Callable[[socket.socket], Door]) -> Iterator[int]:
    """Serve an ASGI application through a door until the end of the block; its port."""
    listening = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            app, loop="uvloop", http="httptools", ws="none", lifespan="auto", log_config=None, proxy_headers=False
        )
        server = GuardedServer(config, listening.set, [door(listener)])
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            assert listening.wait(WAIT), "the server did not start"
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(WAIT)


def append(directory: Path, text: str) -> None:
    """Add tables to the settings of an instance."""
    with (directory / "sr-engine.toml").open("a", encoding="utf-8") as settings:
        settings.write(f"\n{text}\n")
