"""What an exchange with the sign/verify service costs its processes, as multiples of the bare cryptography."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from signing import Participant, make_pki
from sr_engine.clock import SystemClock
from sr_engine.messages.build import serialise_unsigned
from sr_engine.messages.compose import build_request
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision
from tests.bench.measure import Row, cpu_seconds
from tests.world import BROKER, FIRMWARE, A, TestHub

_ROUNDS = 15
_CALLERS = 8
_CALLS = 50


class _Callers:
    """Callers that each keep a connection, send at the same time, and wait for all the answers."""

    def __init__(self, port: int) -> None:
        self._sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(_CALLERS)]
        self._answers = [one.makefile("rb") for one in self._sockets]

    def call(self, path: str, message: bytes) -> bytes:
        """Send a message from every caller and return one of the messages that came back."""
        body = json.dumps({"message": base64.b64encode(message).decode()}).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        for one in self._sockets:
            one.sendall(head + body)
        contents = [_read(answer) for answer in self._answers]
        return base64.b64decode(json.loads(contents[0])["message"])

    def close(self) -> None:
        for answer in self._answers:
            answer.close()
        for one in self._sockets:
            one.close()


def _read(answer: BinaryIO) -> bytes:
    status = answer.readline()
    length = 0
    while (line := answer.readline().lower()) not in {b"\r\n", b""}:
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    content = answer.read(length)
    if not status.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"the service answered {status!r} {content[:300]!r}")
    return content


def rows() -> list[Row]:
    """Measure them: on one worker for the cost, on two for the use of both cores."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_pki(folder / "pki", [Participant(A.name, A.eui, "87")], now=SystemClock().now())
        unsigned = _request()
        with _serving(folder, workers=1) as (process, port):
            callers = _Callers(port)
            signed = callers.call("/sign", unsigned)
            costs = _costs(process, callers, signed=signed, unsigned=unsigned)
            callers.close()
        with _serving(folder, workers=2) as (process, port):
            shares = _shares(process, port, signed)
    return [
        Row(
            f"/verify over HTTP, {len(signed) / 1000:.1f} KB, CPU of the server",
            costs["verify"] / costs["raw verify"],
            "x raw verification",
            6,
        ),
        Row(
            f"/sign over HTTP, {len(unsigned) / 1000:.1f} KB unsigned, CPU of the server",
            costs["sign"] / costs["raw sign"],
            "x raw signature",
            12,
        ),
        Row("CPU share of the less busy of two workers", min(shares) / sum(shares), "of 1", 0.2, at_least=True),
    ]


def _costs(process: int, callers: _Callers, *, signed: bytes, unsigned: bytes) -> dict[str, float]:
    """CPU seconds of each: the best of rounds in which each takes its turn."""
    key = ec.generate_private_key(ec.SECP256R1())
    algorithm = ec.ECDSA(hashes.SHA256())
    data = b"x" * 700
    signature, public = key.sign(data, algorithm), key.public_key()
    raw: dict[str, Callable[[], object]] = {
        "raw verify": lambda: public.verify(signature, data, algorithm),
        "raw sign": lambda: key.sign(data, algorithm),
    }
    found: dict[str, list[float]] = {"verify": [], "sign": [], "raw verify": [], "raw sign": []}
    for _ in range(_ROUNDS):
        for name, seconds in cpu_seconds(raw, rounds=3).items():
            found[name].append(seconds)
        for name, message in (("verify", signed), ("sign", unsigned)):
            before = _cpu(process)
            for _ in range(_CALLS):
                callers.call(f"/{name}", message)
            found[name].append((_cpu(process) - before) / (_CALLS * _CALLERS))
    return {name: min(values) for name, values in found.items()}


def _shares(process: int, port: int, message: bytes) -> list[float]:
    """CPU seconds of each worker while callers that connect anew every time keep them busy."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    workers = [int(one) for one in children]
    before = [_cpu(one) for one in workers]
    for _ in range(_CALLS):
        callers = _Callers(port)
        callers.call("/verify", message)
        callers.close()
    return [_cpu(one) - earlier for one, earlier in zip(workers, before, strict=True)]


def _cpu(process: int) -> float:
    """Seconds that the threads of a process have run so far."""
    times = [path.read_text(encoding="ascii").split()[0] for path in Path(f"/proc/{process}/task").glob("*/schedstat")]
    return sum(int(one) for one in times) / 1e9


def _request() -> bytes:
    root = build_request(
        schema_version="5.4",
        request_id=f"{A.eui}:{BROKER}:1",
        command_variant=8,
        service_reference="11.6",
        service_reference_variant="11.6",
        body=ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, tuple(TestHub(n).chf for n in range(1, 11))),
    )
    return serialise_unsigned(root)


@contextmanager
def _serving(folder: Path, *, workers: int) -> Iterator[tuple[int, int]]:
    """The service in a process of its own; yields its process id and port."""
    keys = ("--keys", str(folder / "pki"), "--trust", str(folder / "pki" / "trust"))
    arguments = ["sign-server", *keys, "--counters", str(folder / "counters"), "--port", "0", "--workers", str(workers)]
    process = subprocess.Popen(
        [sys.executable, "-c", "from sr_engine.cli.main import main; main()", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line.startswith("ready: "):
            raise RuntimeError("the service did not start; the lines above say why")
        yield process.pid, int(line.rpartition(":")[2])
    finally:
        process.terminate()
        process.wait()
