"""Sending requests to whatever answers at an address."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from sr_engine.messages.build import build_response, serialise_unsigned
from tests.cli.conftest import Run
from tests.world import BROKER, NOW, A


def answer(code: str) -> bytes:
    return serialise_unsigned(
        build_response(
            schema_version="5.4",
            request_id=f"{A.eui}:{BROKER}:1",
            code=code,
            at=NOW,
            service_reference="11.6",
            service_reference_variant="11.6",
            result=None,
        )
    )


@dataclass
class Peer:
    """A server that gives every request the same answer and remembers what came."""

    url: str = ""
    status: int = 200
    body: bytes = b""
    received: list[tuple[str, str, bytes]] = field(default_factory=list)


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            peer.received.append((self.path, self.headers["Content-Type"], data))
            self.send_response(peer.status)
            self.send_header("DUIS-Response-Detail", "in words")
            self.send_header("Content-Length", str(len(peer.body)))
            self.end_headers()
            self.wfile.write(peer.body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        peer.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield peer
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("code", "exit_code"), [("I0", 0), ("I99", 0), ("W110501", 0), ("E110503", 1), ("E100", 1)])
def test_the_exit_code_follows_the_response_code(run: Run, peer: Peer, code: str, exit_code: int) -> None:
    peer.body = answer(code)

    done = run("submit", "-", "--url", peer.url, stdin=b"<r/>")

    assert done.exit_code == exit_code
    assert done.stderr == f"HTTP 200, {code}: in words\n"
    assert done.stdout_bytes == peer.body + b"\n"


def test_the_file_is_posted_as_it_is_to_the_service_named(run: Run, peer: Peer, tmp_path: Path) -> None:
    peer.body = answer("I99")
    (tmp_path / "r.xml").write_bytes(b"<r>\r\n</r>")

    run("submit", tmp_path / "r.xml", "--url", f"{peer.url}/", "--service", "serviceS")

    assert peer.received == [("/api/v1/serviceS", "application/xml", b"<r>\r\n</r>")]


@pytest.mark.parametrize(("status", "body"), [(400, b"<problem/>"), (503, b""), (200, b"hello"), (200, b"<other/>")])
def test_what_was_not_taken_as_a_request_is_exit_code_2(run: Run, peer: Peer, status: int, body: bytes) -> None:
    peer.status, peer.body = status, body

    done = run("submit", "-", "--url", peer.url, stdin=b"<r/>")

    assert (done.exit_code, done.stderr) == (2, f"HTTP {status}: in words\n")
    assert done.stdout_bytes.strip() == body


def test_nobody_at_the_address_is_exit_code_2(run: Run) -> None:
    done = run("submit", "-", "--url", "http://127.0.0.1:1", stdin=b"<r/>")

    assert done.exit_code == 2
    assert done.stderr == "sr-engine: http://127.0.0.1:1/api/v1/serviceD did not answer: Connection refused\n"


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1:8080", "http://", "http://127.0.0.1:x"])
def test_an_address_that_is_none_is_exit_code_2(run: Run, url: str) -> None:
    done = run("submit", "-", "--url", url, stdin=b"<r/>")

    assert done.exit_code == 2
    assert "is not an http or https address" in done.stderr


def test_a_file_that_is_not_there_is_exit_code_2(run: Run, tmp_path: Path) -> None:
    done = run("submit", tmp_path / "none.xml")

    assert (done.exit_code, done.stderr) == (2, f"sr-engine: {tmp_path / 'none.xml'}: No such file or directory\n")
