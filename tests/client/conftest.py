"""A served processor, and clients of its Suppliers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sr_engine.client import Client, Retries
from sr_engine.instance import SupplierSeed
from tests.gateway.conftest import Served, serving, still
from tests.world import A, B, TestHub, World, edit, make_world

TOKEN = "token-of-supplier-a"
HUBS = [TestHub(number) for number in range(1, 5)]
SPLIT = TestHub(5, gas=B.name)
UNCOMMISSIONED = TestHub(6, status="Pending")
OF_OTHERS = TestHub(7, electricity=B.name, gas=B.name)
SOON = Retries(tries=4, timeout=90, first_wait=0, longest_wait=0)
"""As the default, without waiting."""


def _with_token(directory: Path) -> None:
    import hashlib

    still(directory)
    # Small pages, so that few hubs fill several.
    edit(directory / "config" / "policy.toml", "\npage_devices = 200", "\npage_devices = 2")
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    edit(directory / "users.toml", f'eui = "{A.eui}"', f'eui = "{A.eui}"\ntoken_sha256 = "{digest}"')


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A processor with a release and some hubs, which the tests of a module share."""
    world = make_world(tmp_path_factory.mktemp("client") / "instance", prepare=_with_token)
    world.add_hubs([*HUBS, SPLIT, UNCOMMISSIONED, OF_OTHERS])
    world.open_release()
    with serving(world) as served:
        yield served
    world.close()


def options(world: World, supplier: SupplierSeed = A, **more: Any) -> dict[str, Any]:
    """What a client of a Supplier needs to know; all draw from one file, for the clock stands still."""
    return {
        "key": world.key(supplier.name),
        "trust": world.directory / "pki" / "trust",
        "counters": world.directory / "client-counters",
        "clock": world.clock,
        "retries": SOON,
        **more,
    }


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    """The client of Supplier A."""
    with Client(f"http://127.0.0.1:{served.port}", token=TOKEN, **options(served.world)) as client:
        yield client


@dataclass(frozen=True, slots=True)
class Said:
    """One answer of a stand-in; None of everything closes the connection without one."""

    status: int | None
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    missing: int = 0
    """Bytes of the body that were announced and do not come."""


@dataclass
class StandIn:
    """A server that answers as it is told, and keeps what came."""

    url: str = ""
    answers: list[Said | Callable[[bytes], Said]] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, data: bytes) -> Said:
        with self.lock:
            self.received.append(data)
            said = self.answers.pop(0)
        return said(data) if callable(said) else said


@contextmanager
def standing_in(*answers: Said | Callable[[bytes], Said]) -> Iterator[StandIn]:
    """Answer what comes with these, one after another."""
    stand_in = StandIn(answers=list(answers))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            said = stand_in.answer(self.rfile.read(int(self.headers["Content-Length"])))
            if said.status is None:
                self.close_connection = True
                return
            # Whoever asked may have gone away meanwhile.
            with suppress(ConnectionError):
                self.send_response(said.status)
                for name, value in said.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(said.body) + said.missing))
                self.close_connection = self.close_connection or said.missing > 0
                self.end_headers()
                self.wfile.write(said.body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        stand_in.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield stand_in
        finally:
            server.shutdown()
            thread.join(20)
