"""Whoever means ill, in a process of its own: `python -m tests.bench.attackers KIND PORT ADDRESS CONNECTIONS [FILE]`.

Prints `ready` once it is at it, and when it is told to stop, what it has counted, as JSON. It comes from ADDRESS, one
of the loopback addresses. FILE holds messages for the kinds that send some, JSON of texts.
"""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import socket
import struct
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

BIG = 100_000_000
"""Bytes of a body that is too large."""
_PIECE = 65_536
_AGAIN_SECONDS = 0.05
_SLOWLY_SECONDS = 1.0
_AT_ONCE = 100
"""Connections that are opened at a time, in the beginning."""
_LIMIT_SECONDS = 30.0
_FILES = 50
"""Open ones beside connections."""
_HEAD = "POST /api/v1/serviceD HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/xml\r\n{more}\r\n\r\n"


@dataclass
class Attack:
    """What is done over each connection, again and again."""

    port: int
    address: str
    messages: Sequence[bytes] = ()
    counts: Counter[str] = field(default_factory=Counter)
    turn: Iterator[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.turn = cycle(self.messages)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection from its address."""
        opened = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(self.address, 0))
        self.counts["connections"] += 1
        return opened

    def head(self, more: str) -> bytes:
        """The head of a request with one more line, or some."""
        return _HEAD.format(more=more).encode()

    async def answer(self, reader: asyncio.StreamReader) -> None:
        """Read an answer and count its status."""
        async with asyncio.timeout(_LIMIT_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(line.partition(b":")[2]) for line in head.lower().splitlines() if b"content-length:" in line), 0
            )
            await reader.readexactly(length)
        self.counts[f"HTTP {head.split()[1].decode()}"] += 1

    # --- Kinds ---

    async def slow_head(self) -> None:
        """A byte of a head each second."""
        _, writer = await self.connect()
        writer.write(b"POST /api/v1/serviceD HTTP/1.1\r\nX-Slow: ")
        await self._slowly(writer)

    async def slow_body(self) -> None:
        """A byte of a body each second, of which nobody knows yet whose it is."""
        _, writer = await self.connect()
        writer.write(self.head("Content-Length: 100000") + b"<")
        await self._slowly(writer)

    async def slow_claim(self) -> None:
        """As much of a body as says whose it is, and then a byte each second."""
        _, writer = await self.connect()
        message = next(self.turn)
        writer.write(self.head(f"Content-Length: {len(message) + 100_000}") + message + b" " * 8_192)
        await self._slowly(writer)

    async def _slowly(self, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await writer.drain()
                await asyncio.sleep(_SLOWLY_SECONDS)
                writer.write(b"x")
        finally:
            writer.transport.abort()

    async def big_declared(self) -> None:
        """A body of 100 MB that says so."""
        await self._big(self.head(f"Content-Length: {BIG}"), chunked=False)

    async def big_chunked(self) -> None:
        """A body of 100 MB, in chunks, that does not."""
        await self._big(self.head("Transfer-Encoding: chunked"), chunked=True)

    async def _big(self, head: bytes, *, chunked: bool) -> None:
        reader, writer = await self.connect()
        piece = b"<" + b"x" * (_PIECE - 1)
        framed = b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece
        try:
            writer.write(head)
            for _ in range(BIG // _PIECE):
                writer.write(framed)
                await writer.drain()
                self.counts["kilobytes"] += len(piece) // 1024
                if reader._buffer:  # type: ignore[attr-defined] # an answer came early, and the rest is sent all the same
                    self.counts["answered before the end"] += 1
                    break
            await self.answer(reader)
        finally:
            writer.transport.abort()

    async def flood(self) -> None:
        """Messages one after the other, as fast as they are answered, over one connection."""
        reader, writer = await self.connect()
        try:
            while True:
                message = next(self.turn)
                writer.write(self.head(f"Content-Length: {len(message)}") + message)
                await self.answer(reader)
        finally:
            writer.transport.abort()

    async def half_closed(self) -> None:
        """Half a body, and no more to come, though answers would be read."""
        reader, writer = await self.connect()
        message = next(self.turn)
        try:
            writer.write(self.head(f"Content-Length: {len(message)}") + message[: len(message) // 2])
            writer.write_eof()
            async with asyncio.timeout(_LIMIT_SECONDS):
                await reader.read()
        finally:
            writer.transport.abort()

    async def reset(self) -> None:
        """A whole message, and the connection broken off before its answer."""
        _, writer = await self.connect()
        message = next(self.turn)
        own: socket.socket = writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.write(self.head(f"Content-Length: {len(message)}") + message)
        await writer.drain()
        writer.transport.abort()
        await asyncio.sleep(0)


async def _again(attack: Attack, once: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await once()
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            attack.counts[type(error).__name__] += 1
            await asyncio.sleep(_AGAIN_SECONDS)


async def _attack(kind: str, attack: Attack, connections: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    once: Callable[[], Awaitable[None]] = getattr(attack, kind)
    tasks = []
    for number in range(connections):
        tasks.append(asyncio.create_task(_again(attack, once)))
        if number % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)
    print("ready", flush=True)
    await stop.wait()
    for task in tasks:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)
    print(json.dumps(attack.counts), flush=True)


def main() -> None:
    """Attack until told to stop."""
    kind, port, address, connections, *files = sys.argv[1:]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < int(connections) + _FILES:
        sys.exit(
            f"{connections} connections need a limit of {int(connections) + _FILES} open files, not {most}: ulimit -n"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    messages = [one.encode() for name in files for one in json.loads(Path(name).read_text(encoding="utf-8"))]
    asyncio.run(_attack(kind, Attack(int(port), address, messages), int(connections)))


if __name__ == "__main__":
    main()
