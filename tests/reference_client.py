"""A double of the reference client that DCC publishes for its test bench, as FACTS HT2 to HT9 describe it.

It sends requests and receives Responses and alerts over real HTTP, and is as strict, as forgetful and as impatient as
the original. Asynchronous Responses land in `correlated` or `uncorrelated`, alerts in `alerts`.
"""

from __future__ import annotations

import asyncio
import gzip
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import aiohttp
from lxml import etree

from signing import DocumentRefused, NotAuthenticated, ParsedDocument, ProfileRefused, Trust, Verifier, parse
from sr_engine.messages.schema import Schema, SchemaRefused
from sr_engine.signservice.service import AcceptedRoles, MessageJudge

TOTAL_SECONDS = 3
BODY_LIMIT = 100 * 1024
"""Of a callback, after it has been unpacked."""
CALLBACK_PATH = "/smartdcc/duis"
WAIT = 90
"""Seconds after which a test gives up."""
_SR = "{http://www.dccinterface.co.uk/ServiceUserGateway}"


class Thrown(Exception):
    """What the client makes of an answer that it does not take."""


@dataclass(frozen=True, slots=True)
class Message:
    """A Response or an alert, valid and genuine."""

    data: bytes = field(repr=False)
    root: etree._Element = field(repr=False)

    def text(self, name: str) -> str | None:
        """The text of the first element of a name."""
        return self.root.findtext(f".//{_SR}{name}")

    @property
    def code(self) -> str | None:
        return self.text("ResponseCode")

    @property
    def request_id(self) -> str | None:
        return self.root.findtext(f"{_SR}Header/{_SR}RequestID")

    @property
    def response_id(self) -> str | None:
        return self.root.findtext(f"{_SR}Header/{_SR}ResponseID")

    @property
    def alert_code(self) -> str | None:
        return self.text("DCCAlertCode")


@dataclass(frozen=True, slots=True)
class Correlated:
    """A Response that came of its own, and the request it answers."""

    request: bytes = field(repr=False)
    response: Message


@dataclass
class ReferenceClient:
    """One client; `trust` it with the certificates of a processor before the first message."""

    schema: Schema
    now: Callable[[], datetime]
    url: str = ""
    """Where it receives."""
    correlated: list[Correlated] = field(default_factory=list)
    uncorrelated: list[Message] = field(default_factory=list)
    alerts: list[Message] = field(default_factory=list)
    callback_statuses: list[int] = field(default_factory=list)
    _judge: MessageJudge | None = None
    _pending: dict[str, bytes] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def trust(self, trust_directory: Path) -> None:
        """Take the certificates of a folder for those of the DCC."""
        verifier = Verifier(Trust.from_directory(trust_directory))
        self._judge = MessageJudge(verifier, AcceptedRoles(requests=(), responses={"89"}), accept_unsigned=True)

    def send(self, request: bytes, port: int, service: str = "serviceD") -> Message:
        """Post a signed request and return the answer; raises Thrown, or TimeoutError after three seconds in all.

        It is remembered only once the answer is there, and only if that says that a Response will follow.
        """
        answer = self._checked(asyncio.run(_post(f"http://127.0.0.1:{port}/api/v1/{service}", request)))
        if answer.code == "I99" and answer.request_id is not None:
            with self._changed:
                self._pending[answer.request_id] = request
        return answer

    def receive(self, data: bytes) -> int:
        """Take a message that was posted here; return the HTTP status."""
        try:
            message = self._checked(data)
        except Thrown:
            return self._said(400)
        with self._changed:
            request_id = message.request_id
            if request_id is None:
                self.alerts.append(message)
            elif (request := self._pending.pop(request_id, None)) is not None:
                self.correlated.append(Correlated(request, message))
            else:
                self.uncorrelated.append(message)
        return self._said(204)

    def refuse(self, status: int) -> int:
        """Note that what was posted here was not even looked at."""
        return self._said(status)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Let messages come until something is so."""
        with self._changed:
            assert self._changed.wait_for(condition, WAIT), "what was waited for did not come"

    def _said(self, status: int) -> int:
        with self._changed:
            self.callback_statuses.append(status)
            self._changed.notify_all()
        return status

    def _checked(self, data: bytes) -> Message:
        if self._judge is None:
            raise Thrown("no certificates are trusted yet")
        try:
            document: ParsedDocument = parse(data)
            self.schema.check(document)
            self._judge.verified(document, self.now())
        except (DocumentRefused, SchemaRefused, ProfileRefused, NotAuthenticated) as refused:
            raise Thrown(str(refused)) from None
        return Message(data, etree.fromstring(data))


async def _post(url: str, data: bytes) -> bytes:
    timeout = aiohttp.ClientTimeout(total=TOTAL_SECONDS)
    headers = {"Content-Type": "application/xml"}
    async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url, data=data, headers=headers) as it:
        body = await it.read()
        if not 200 <= it.status < 300:
            raise Thrown(f"HTTP {it.status}: {body.decode(errors='replace')}")
        if it.content_type != "application/xml":
            raise Thrown(f"the answer is {it.content_type}, not application/xml")
        return body


_UNPACK: Mapping[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}


class _Callback(BaseHTTPRequestHandler):
    """Unpacks what comes, within the limit, and hands it to the client."""

    protocol_version = "HTTP/1.1"
    client: ReferenceClient

    def do_POST(self) -> None:
        client = self.client
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        content_type = self.headers.get_content_type()
        unpack = _UNPACK.get(self.headers.get("Content-Encoding", "identity"))
        if self.path != CALLBACK_PATH:
            self._answer(client.refuse(404))
        elif content_type != "application/xml" or unpack is None:
            self._answer(client.refuse(415))
        else:
            self._answer(self._taken(unpack, body))

    def _taken(self, unpack: Callable[[bytes], bytes], body: bytes) -> int:
        try:
            data = unpack(body)
        except (OSError, zlib.error):
            return self.client.refuse(400)
        return self.client.refuse(413) if len(data) > BODY_LIMIT else self.client.receive(data)

    def _answer(self, status: int) -> None:
        self.send_response_only(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Nothing: what was answered is in `callback_statuses`."""


@contextmanager
def listening(client: ReferenceClient) -> Iterator[ReferenceClient]:
    """Let a client receive at its `url` until the end of the block."""
    handler = type("Callback", (_Callback,), {"client": client})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        client.url = f"http://127.0.0.1:{server.server_address[1]}{CALLBACK_PATH}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield client
        finally:
            server.shutdown()
            thread.join(WAIT)
