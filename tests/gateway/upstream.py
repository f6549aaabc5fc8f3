"""An upstream DCC that really listens, and receives for Suppliers besides: what it answers is chosen by the test."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from tests.gateway.conftest import WAIT, still
from tests.world import A, edit

ANSWER = (
    b'<?xml version="1.0" encoding="utf-8"?>\n<x:Answer  xmlns:x=\'urn:upstream\'>\r\n<!-- as it came --></x:Answer>\n'
)
"""Not as this processor would write anything."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def answering(_request: web.Request) -> web.StreamResponse:
    return web.Response(body=ANSWER, content_type="application/xml", charset="utf-8")


def giving(status: int = 200, body: bytes = ANSWER, **headers: str) -> Handler:
    """An upstream that always answers like this."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=body, headers={"Content-Type": "application/xml"} | named)

    return handler


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came."""

    path: str
    content_type: str
    body: bytes


@dataclass
class Upstream:
    """What came, and what is answered."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    delivered: list[bytes] = field(default_factory=list)
    """What the Supplier received, whose adapter listens here too."""
    handler: Handler = answering
    came: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Counts what came and has not been waited for."""
    go: threading.Event = field(default_factory=threading.Event)
    """Set to let `holding` answer."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(Asked(request.path, request.headers["Content-Type"], await request.read()))
        self.came.release()
        return await self.handler(request)

    async def receive(self, request: web.Request) -> web.StreamResponse:
        self.delivered.append(await request.read())
        self.came.release()
        return web.Response(status=204)

    async def holding(self, request: web.Request) -> web.StreamResponse:
        """Answer only once the test says so."""
        await asyncio.to_thread(self.go.wait, WAIT)
        return await answering(request)

    def wait_until_asked(self) -> None:
        assert self.came.acquire(timeout=WAIT), "nothing came"

    def prepare(self, *lines: str) -> Callable[[Path], None]:
        """A still instance that relays to this upstream, and whose Supplier A receives here."""

        def change(directory: Path) -> None:
            still(directory)
            settings = directory / "sr-engine.toml"
            relay = "\n".join((f'\n[relay]\nurl = "{self.url}/dcc/"', *lines))
            settings.write_text(settings.read_text(encoding="utf-8") + relay + "\n", encoding="utf-8")
            edit(directory / "users.toml", A.receiving_url, f"{self.url}/in")

        return change


@contextmanager
def upstream(tls: ssl.SSLContext | None = None) -> Iterator[Upstream]:
    """Listen on the loopback address until the end of the block, by https if there is something to do so with."""
    here = Upstream()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/in", here.receive)
    app.router.add_post("/dcc/{path:.*}", here.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)

    async def start() -> str:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        return f"{'http' if tls is None else 'https'}://127.0.0.1:{runner.addresses[0][1]}"

    here.url = asyncio.run_coroutine_threadsafe(start(), loop).result(WAIT)
    try:
        yield here
    finally:
        here.go.set()
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(WAIT)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WAIT)
        loop.close()
