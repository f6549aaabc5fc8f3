"""Messages as a processor sends them, and receivers asked over HTTP or as an ASGI application."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import logging
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from signing import Participant, Pki, Signer, Trust, make_pki
from sr_engine.clock import FixedClock
from sr_engine.messages.build import build_alert, build_response
from sr_engine.messages.model import CommsHubAlert, FirmwareUpgradeRequested
from sr_engine.parsing import Parser
from sr_engine.receiver import HandlerRetries, Message, Receiver
from tests.world import eui

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
BROKER, SUPPLIER = "90-B3-D5-1F-30-00-00-02", "00-00-5E-EF-10-00-00-A1"
XML = {"content-type": "application/xml"}
AT_ONCE = HandlerRetries(tries=3, first_wait=0, longest_wait=0)


@dataclass
class Sender:
    """A processor's key, and what it signs."""

    pki: Pki
    signer: Signer
    trust: Trust
    codes: Iterator[int] = field(default_factory=lambda: itertools.count(0xA500))

    def alert(self, *hubs: int) -> bytes:
        """News of one hub, or a release for several; no two are the same."""
        code = f"{next(self.codes):04X}"
        if len(hubs) == 1:
            body: CommsHubAlert | FirmwareUpgradeRequested = CommsHubAlert(eui(0xC0, hubs[0]), code)
        else:
            body = FirmwareUpgradeRequested("CHF", code, tuple(eui(0xC0, hub) for hub in hubs))
        return self.signer.sign(build_alert(schema_version="5.4", alert_code="N62", body=body, at=NOW))

    def message(self, data: bytes) -> Message:
        """What a receiver reads of it."""
        return Parser.trusting(self.trust).message(data, at=NOW)

    def response(self, counter: int = 1) -> bytes:
        root = build_response(
            schema_version="5.4",
            request_id=f"{SUPPLIER}:{BROKER}:{counter}",
            response_id=f"{BROKER}:{SUPPLIER}:{counter}",
            code="I99",
            at=NOW,
            service_reference="11.6",
            service_reference_variant="11.6",
            result=None,
        )
        return self.signer.sign(root)


@pytest.fixture(scope="session")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Sender:
    pki = make_pki(tmp_path_factory.mktemp("receiver-pki"), [], now=NOW)
    signer = Signer(pki.issue(Participant("broker", BROKER, "89")))
    return Sender(pki, signer, Trust.from_directory(pki.trust_directory))


@dataclass
class Desk:
    """A receiver that runs, its handler's messages, and what it answers."""

    receiver: Receiver
    handled: list[Message]

    async def post(
        self, data: bytes, headers: Mapping[str, str] = XML, *, method: str = "POST", chunks: int = 1
    ) -> tuple[int, bytes]:
        """What the ASGI application answers: status and body."""
        size = -(-len(data) // chunks) or 1
        pieces = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
        events = [
            {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
            for number, piece in enumerate(pieces, 1)
        ]
        sent: list[Any] = []

        async def receive() -> Any:
            return events.pop(0) if events else {"type": "http.disconnect"}

        async def send(event: Any) -> None:
            sent.append(event)

        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": method, "path": "/", "headers": encoded}
        await self.receiver(scope, receive, send)
        return sent[0]["status"], sent[1]["body"]


@asynccontextmanager
async def desk(inbox: Path, sender: Sender, handler: Any = None, **options: Any) -> AsyncIterator[Desk]:
    """A receiver until the end of the block; without a handler, what it is given is kept in `handled`."""
    handled: list[Message] = []
    options = {"retries": AT_ONCE, "clock": FixedClock(NOW), **options}
    receiver = Receiver(inbox, sender.trust, handler or handled.append, **options)
    async with receiver.running():
        yield Desk(receiver, handled)


class _Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set()


@contextmanager
def listening(app: Any, port: int = 0) -> Iterator[int]:
    """Serve an ASGI application over HTTP until the end of the block; the port."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        server = _Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            assert server.listening.wait(90), "the server did not start"
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(90)


def post(port: int, path: str, data: bytes, headers: Mapping[str, str] = XML) -> tuple[int, bytes]:
    """What is answered over HTTP: status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
    try:
        connection.request("POST", path, data, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


async def settled(desk: Desk) -> None:
    async with asyncio.timeout(90):
        await desk.receiver.settled()


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "sr_engine.receiver")
