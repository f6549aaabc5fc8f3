"""What simulated Suppliers and CSPs have in common: a key, a receiver, and a way to send."""

from __future__ import annotations

import asyncio
import hashlib
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import aiohttp
from aiohttp import web

from signing import ParsedDocument, Signer, SigningError, SoftwareKey, Trust, VerifiedDocument, Verifier, parse
from sr_engine import configuration
from sr_engine.clock import Clock
from sr_engine.configuration import SETTINGS_FILE, clock_of

BROKER_ROLES = frozenset({"89"})
MAX_BODY = 16 * 1024 * 1024
Handle = Callable[[VerifiedDocument], Awaitable[None]]
"""Does what a message asks for."""


@dataclass
class Party:
    """One participant: `handle` is called once for each message received whose signature is good."""

    name: str
    key: SoftwareKey
    signer: Signer
    verifier: Verifier
    clock: Clock
    base_url: str
    stats: Counter[str] = field(default_factory=Counter)
    counter: int = 0
    step: int = 1
    """From one counter to the next: several who share an EUI keep out of each other's numbers."""
    _seen: set[bytes] = field(default_factory=set)

    @classmethod
    def load(cls, directory: Path, name: str, base_url: str) -> Party:
        """Take name's key from the PKI of an instance, and the instance's clock."""
        folder = directory / "pki" / name
        key = SoftwareKey.load(folder / "key.pem", folder / "certificate.pem")
        clock = clock_of(configuration.load_settings(directory / SETTINGS_FILE))
        verifier = Verifier(Trust.from_directory(directory / "pki" / "trust"))
        return cls(name, key, Signer(key), verifier, clock, base_url)

    def next_id(self, target: str) -> str:
        """A fresh RequestID or MessageID of this party."""
        self.counter += self.step
        return f"{self.key.eui}:{target}:{self.counter}"

    def verify(self, data: bytes) -> VerifiedDocument:
        """The message, if the processor signed it; raises SigningError otherwise, and counts both."""
        try:
            document: ParsedDocument = parse(data)
            verified = self.verifier.verify(document, roles=BROKER_ROLES, at=self.clock.now())
        except SigningError:
            self.stats["signatures refused"] += 1
            raise
        self.stats["signatures verified"] += 1
        return verified

    async def take(self, data: bytes, handle: Handle, again: Handle | None = None) -> None:
        """Have a message handled; one that was before is for `again`, or for nobody.

        Raises SigningError if the processor has not signed it.
        """
        digest = hashlib.sha256(data).digest()
        if digest in self._seen:
            self.stats["repeats"] += 1
            if again is not None:
                await again(self.verify(data))
            return
        verified = self.verify(data)
        self._seen.add(digest)
        await handle(verified)

    def receives(self, path: str, handle: Handle, again: Handle | None = None) -> web.RouteDef:
        """A route that takes messages at `path`: 204 once handled, 400 if the signature is not good."""

        async def receive(request: web.Request) -> web.Response:
            try:
                await self.take(await request.read(), handle, again)
            except SigningError as refused:
                return web.Response(status=400, text=str(refused))
            return web.Response(status=204)

        return web.post(path, receive)

    async def post(self, session: aiohttp.ClientSession, path: str, data: bytes) -> tuple[int, bytes, str]:
        """Send a signed message to the processor: status, body, and the detail in words."""
        headers = {"Content-Type": "application/xml"}
        async with session.post(self.base_url + path, data=data, headers=headers) as response:
            return response.status, await response.read(), response.headers.get("DUIS-Response-Detail", "")


def application(routes: Iterable[web.RouteDef], parties: Sequence[Party]) -> web.Application:
    """An application that takes what the routes do, and tells at `/stats` what its parties have counted together."""

    async def tell(_request: web.Request) -> web.Response:
        return web.json_response(stats_of(parties))

    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_routes(routes)
    app.router.add_get("/stats", tell)
    return app


def stats_of(parties: Iterable[Party]) -> dict[str, int]:
    """What parties have counted, together."""
    total: Counter[str] = Counter()
    for party in parties:
        total.update(party.stats)
    return dict(total)


async def serve_until_told(
    app: web.Application,
    ports: Iterable[int],
    work: Sequence[Callable[[aiohttp.ClientSession], Awaitable[None]]],
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve on loopback and do all `work` beside it until SIGTERM or SIGINT; a failure of any work is raised."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    for port in ports:
        await web.TCPSite(runner, "127.0.0.1", port).start()
    ready()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        working = asyncio.gather(*(one(session) for one in work))
        told: asyncio.Future[object] = asyncio.ensure_future(stop.wait())
        await asyncio.wait([cast("asyncio.Future[object]", working), told], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            # A failure is raised here and ends the process; success waits to be told to stop.
            working.result()
            await stop.wait()
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
    await runner.cleanup()
