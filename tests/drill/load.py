"""Suppliers that send requests all the time and note each answer, and receive what they are sent."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import count
from pathlib import Path

import aiohttp
from aiohttp import web

from signing import Signer, SoftwareKey
from sr_engine.messages.compose import build_request
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import Firmware, Period, Phase, ScheduleCommsHubFirmware
from sr_engine.replay.homes import MANUFACTURER, MODEL, Home
from tests.crash.sending import post_until_answered
from tests.world import BROKER

FIRMWARE = Firmware(MANUFACTURER, MODEL, "9002")
SENDERS = 4
TIMEOUT_SECONDS = 30
_SERVICE = "/api/v1/serviceD"
_CODE = re.compile(rb"ResponseCode>([^<]+)<")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Sent:
    """A request and its first answer."""

    data: bytes = field(repr=False)
    answer: bytes = field(repr=False)
    status: int
    tries: int
    began: float
    ended: float
    """Of the monotonic clock: when it was sent first, and when its answer had come."""

    @property
    def code(self) -> str:
        """The ResponseCode, or else the HTTP status."""
        found = _CODE.search(self.answer)
        return f"HTTP {self.status}" if found is None else found[1].decode()


class Load:
    """Sends an 11.5 for one hub after another, so many a second."""

    def __init__(self, url: str, keys: Sequence[SoftwareKey], homes: Sequence[Home], rate: float) -> None:
        self.sent: list[Sent] = []
        self.stopped = asyncio.Event()
        self._answered = asyncio.Event()
        self._url = url + _SERVICE
        self._signers = [Signer(key) for key in keys]
        self._euis = [key.eui for key in keys]
        self._homes = iter(homes)
        self._counter = count(1)
        self._pause = SENDERS / rate

    async def run(self) -> None:
        """Send until stopped; none is left without an answer."""
        async with _session() as session, asyncio.TaskGroup() as group:
            for _ in range(SENDERS):
                group.create_task(self._send_all(session))

    async def _send_all(self, session: aiohttp.ClientSession) -> None:
        while not self.stopped.is_set():
            due = time.monotonic() + self._pause
            home = next(self._homes, None)
            if home is None:
                raise RuntimeError("all hubs are scheduled: give the drill more of them")
            self.sent.append(await post(session, self._url, self._request(home)))
            self._answered.set()
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _request(self, home: Home) -> bytes:
        """Of the home's electricity Supplier, whose turn it is by the home's number."""
        number = home.number % len(self._signers)
        start = datetime.now(UTC) + 5 * _DAY
        body = ScheduleCommsHubFirmware(FIRMWARE, Period(start, start + 20 * _DAY), Phase.GENERAL, (home.chf,))
        root = build_request(
            schema_version="5.4",
            request_id=RequestId.make(self._euis[number], BROKER, next(self._counter)).text,
            command_variant=8,
            service_reference="11.5",
            service_reference_variant="11.5",
            body=body,
        )
        return self._signers[number].sign(root)

    async def first_answer_after(self, moment: float) -> Sent:
        """Wait for it; raises TimeoutError."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                self._answered.clear()
                if later := [one for one in self.sent if one.ended > moment]:
                    return min(later, key=lambda one: one.ended)
                await self._answered.wait()

    async def again(self, requests: Sequence[Sent]) -> list[Sent]:
        """Send the same bytes once more, in order."""
        async with _session() as session:
            return [await post(session, self._url, one.data) for one in requests]


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))


async def post(session: aiohttp.ClientSession, url: str, data: bytes) -> Sent:
    """Send until it is answered, however long nobody is there to do so."""
    began, rounds = time.monotonic(), 0
    while True:
        rounds += 1
        with suppress(TimeoutError):
            answer = await post_until_answered(session, [url], data)
            return Sent(data, answer.body, answer.status, answer.tries + rounds - 1, began, time.monotonic())


class Receivers:
    """Takes what Suppliers are sent; the digests of all that came under an id, in order."""

    def __init__(self) -> None:
        self.arrived: dict[str, list[str]] = defaultdict(list)
        self._runner: web.AppRunner | None = None

    async def listen(self) -> str:
        """Listen on a free port; returns its address."""
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_post("/{supplier}", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def _take(self, request: web.Request) -> web.Response:
        digest = hashlib.sha256(await request.read()).hexdigest()
        self.arrived[request.headers["DUIS-Message-ID"]].append(digest)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()


def keys_of(directory: Path, names: Sequence[str]) -> list[SoftwareKey]:
    """The keys of Suppliers of an instance."""
    folders = [directory / "pki" / name for name in names]
    return [SoftwareKey.load(one / "key.pem", one / "certificate.pem") for one in folders]
