"""A PKI, the service on a clock that stands still, and a client that sends bytes as they are."""

from __future__ import annotations

import base64
import http.client
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from signing import Participant, Pki, SoftwareKey, Trust, VerifiedDocument, Verifier, make_pki, parse
from sr_engine.clock import FixedClock
from sr_engine.resources import data_directory
from sr_engine.signservice.server import Options, Parts, parts_of, server_config
from sr_engine.signservice.service import AcceptedRoles

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
SUPPLIER, OTHER, BROKER = "90-B3-D5-1F-30-01-00-00", "90-B3-D5-1F-30-02-00-00", "90-B3-D5-1F-30-00-00-02"
WAIT = 90
"""Seconds after which a test gives up."""

_NAMESPACE = "http://www.dccinterface.co.uk/ServiceUserGateway"
PLACEHOLDER = (
    '<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><!-- none yet --><ds:Object>anything</ds:Object>'
    "</ds:Signature>"
)


def request(
    *, originator: str = SUPPLIER, counter: object = 1000, gap: str = "", signature: str = "", version: str = "5.4"
) -> bytes:
    """An 8.2 request as text; `gap` stands between its elements."""
    text = (
        f'<sr:Request xmlns:sr="{_NAMESPACE}" schemaVersion="{version}">~<sr:Header>~'
        f"<sr:RequestID>{originator}:{BROKER}:{counter}</sr:RequestID>~<sr:CommandVariant>8</sr:CommandVariant>~"
        "<sr:ServiceReference>8.2</sr:ServiceReference>~<sr:ServiceReferenceVariant>8.2</sr:ServiceReferenceVariant>~"
        "</sr:Header>~<sr:Body>~<sr:ReadInventory>~<sr:DeviceID>00-00-5E-EF-10-00-00-01</sr:DeviceID>~"
        f"</sr:ReadInventory>~</sr:Body>~{signature}~</sr:Request>"
    )
    return text.replace("~", gap).encode()


def response(*, code: str = "E100", result: str = "") -> bytes:
    """An unsigned answer to an 8.2 request."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><sr:Response xmlns:sr="{_NAMESPACE}" schemaVersion="5.4">\n<sr:Header>'
        f"<sr:RequestID>{SUPPLIER}:{BROKER}:1000</sr:RequestID><sr:ResponseCode>{code}</sr:ResponseCode>"
        "<sr:ResponseDateTime>2026-11-23T09:00:00Z</sr:ResponseDateTime></sr:Header><sr:Body><sr:ResponseMessage>"
        "<sr:ServiceReference>8.2</sr:ServiceReference><sr:ServiceReferenceVariant>8.2</sr:ServiceReferenceVariant>"
        f"{result}</sr:ResponseMessage></sr:Body></sr:Response>"
    ).encode()


def until(reached: Callable[[], bool]) -> None:
    """Ask again until it is so."""
    deadline = time.monotonic() + WAIT
    while not reached():
        assert time.monotonic() < deadline, "it was never reached"
        time.sleep(0.005)


def counter_of(message: bytes) -> int:
    """The counter in the RequestID of a message."""
    return int(message.partition(b"</sr:RequestID>")[0].rpartition(b":")[2])


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    content: dict[str, Any]

    @property
    def message(self) -> bytes:
        return base64.b64decode(self.content["message"])

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and error code."""
        return self.status, self.content["errorCode"]


@dataclass(frozen=True, slots=True)
class Api:
    """A client of the service."""

    port: int
    headers: Mapping[str, str]
    tls: ssl.SSLContext | None = None

    def sign(self, message: bytes, **more: object) -> HttpAnswer:
        return self.post("/sign", message, **more)

    def verify(self, message: bytes) -> HttpAnswer:
        return self.post("/verify", message)

    def post(self, path: str, message: bytes, **more: object) -> HttpAnswer:
        return self.send(path, json.dumps({"message": base64.b64encode(message).decode(), **more}).encode())

    def send(self, path: str, body: bytes, method: str = "POST") -> HttpAnswer:
        connection = (
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)
            if self.tls is None
            else http.client.HTTPSConnection("127.0.0.1", self.port, timeout=WAIT, context=self.tls)
        )
        try:
            connection.request(method, path, body=body, headers=dict(self.headers))
            answer = connection.getresponse()
            return HttpAnswer(answer.status, answer.headers, json.loads(answer.read()))
        finally:
            connection.close()

    def with_headers(self, **headers: str) -> Api:
        return replace(self, headers=headers)


class _Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set()


@contextmanager
def serving(options: Options, parts: Parts) -> Iterator[Api]:
    """Serve until the end of the block."""
    server = _Server(server_config(parts.application, options.tls))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            assert server.listening.wait(WAIT), "the server did not start"
            yield Api(listener.getsockname()[1], {})
        finally:
            server.should_exit = True
            thread.join(WAIT)


@dataclass(frozen=True, slots=True)
class Bench:
    """A PKI in a folder of its own, and the options of a service that uses it."""

    pki: Pki
    clock: FixedClock
    options: Options
    stack: ExitStack

    def key(self, name: str) -> SoftwareKey:
        folder = self.pki.directory / name
        return SoftwareKey.load(folder / "key.pem", folder / "certificate.pem")

    def verified(self, message: bytes, role: str = "87") -> VerifiedDocument:
        trust = Trust.from_directory(self.pki.trust_directory)
        return Verifier(trust).verify(parse(message), roles={role}, at=self.clock.now())

    def parts(self, **changes: Any) -> Parts:
        return self.stack.enter_context(parts_of(replace(self.options, **changes)))

    def serve(self, **changes: Any) -> Api:
        options = replace(self.options, **changes)
        return self.stack.enter_context(serving(options, self.parts(**changes)))


@contextmanager
def a_bench(folder: Path) -> Iterator[Bench]:
    participants = [
        Participant("supplier", SUPPLIER, "87"),
        Participant("other", OTHER, "87"),
        Participant("broker", BROKER, "89"),
    ]
    pki = make_pki(folder / "pki", participants, now=NOW)
    clock = FixedClock(NOW)
    options = Options(
        keys=pki.directory,
        trust=pki.trust_directory,
        counters=folder / "counters",
        schema=data_directory("xsd") / "duis.xsd",
        roles=AcceptedRoles({"87"}, {"89"}),
        crl_grace=timedelta(hours=24),
        clock=clock,
    )
    with ExitStack() as stack:
        yield Bench(pki, clock, options, stack)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """For tests that change nothing of it."""
    with a_bench(tmp_path_factory.mktemp("sign")) as bench:
        yield bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """For a test that changes keys, certificates or the clock."""
    with a_bench(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def api(shared: Bench) -> Api:
    """The service as it is without any option."""
    return shared.serve()


@pytest.fixture(autouse=True)
def logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sr_engine")
