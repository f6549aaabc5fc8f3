"""What is written to a connection in one turn of the event loop, sent in one piece."""

from __future__ import annotations

import asyncio
from typing import Any

AT_ONCE = 64 * 1024
"""Bytes that are sent without waiting for more: whoever writes must learn in time that nobody reads."""


class Gathered(asyncio.Transport):
    """A transport before another.

    uvicorn writes head and body of an answer one after the other, and event loops send each at once: two calls of the
    system, two packets, and a client that is woken twice.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes | bytearray | memoryview] = []
        self._size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send this together with what follows in this turn, in their order."""
        if not self._pieces:
            self._loop.call_soon(self._send)
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= AT_ONCE:
            self._send()

    def close(self) -> None:
        self._send()
        self._transport.close()

    def abort(self) -> None:
        """What was written before goes as far as the network takes it at once, as it would have by itself."""
        self._send()
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def _send(self) -> None:
        """Also called when it has been sent already, and when the other side has gone."""
        pieces, self._pieces, self._size = self._pieces, [], 0
        if pieces and not self._transport.is_closing():
            self._transport.write(b"".join(pieces))
