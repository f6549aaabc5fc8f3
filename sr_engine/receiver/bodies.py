"""The body of an HTTP request as it was sent: within a limit, unpacked within the same, nothing of it read twice."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

_GZIP, _ZLIB, _RAW = 31, 15, -15
"""Window sizes by which zlib knows what it unpacks."""


class BodyRefused(Exception):
    """What is not read, or not further, and the HTTP status that says so."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Room:
    """Memory for the bodies of all requests that are in hand at the same time; anybody may send them."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes

    @contextmanager
    def shared(self) -> Iterator[Callable[[int], None]]:
        """Give what takes so many bytes more, or raises BodyRefused; they are given back at the end of the block."""
        taken = 0

        def take(count: int) -> None:
            nonlocal taken
            if count > self._left:
                raise BodyRefused(HTTPStatus.SERVICE_UNAVAILABLE, "too much is being received; send it again")
            self._left -= count
            taken += count

        try:
            yield take
        finally:
            self._left += taken


async def read_body(headers: dict[str, str], receive: Receive, *, max_bytes: int, take: Callable[[int], None]) -> bytes:
    """Return the body, unpacked if it is compressed; raises BodyRefused.

    `max_bytes` bounds what is received and what that unpacks to: a small body that would unpack to a large one is
    given up when it gets there. `take` is told of every byte that is kept, and may raise BodyRefused.
    """
    too_large = BodyRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than the {max_bytes} bytes taken")
    announced = headers.get("content-length", "")
    if announced.isascii() and announced.isdecimal() and int(announced) > max_bytes:
        raise too_large
    unpack = _Unpacking(headers.get("content-encoding", "identity").strip().lower(), max_bytes)
    received = 0
    chunks: list[bytes] = []
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise BodyRefused(HTTPStatus.BAD_REQUEST, "the connection was closed before the whole body had come")
        chunk: bytes = event.get("body", b"")
        received += len(chunk)
        if received > max_bytes:
            raise too_large
        unpacked = unpack.more(chunk)
        take(len(unpacked))
        chunks.append(unpacked)
        if not event.get("more_body", False):
            unpack.end()
            return b"".join(chunks)


class _Unpacking:
    """Unpacks a body bit by bit, up to a limit."""

    def __init__(self, encoding: str, max_bytes: int) -> None:
        """By a Content-Encoding; raises BodyRefused for one that is not known."""
        if encoding not in {"", "identity", "gzip", "x-gzip", "deflate"}:
            reason = "the body may be compressed by gzip or deflate, not otherwise"
            raise BodyRefused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, reason)
        self._packed = encoding not in {"", "identity"}
        self._gzip = encoding.endswith("gzip")
        self._head = b""
        self._unpack: zlib._Decompress | None = None
        self._left = self._max_bytes = max_bytes

    def more(self, chunk: bytes) -> bytes:
        """What a further piece unpacks to."""
        if not self._packed:
            return chunk
        if self._unpack is None:
            self._head += chunk
            if len(self._head) < 2:
                return b""
            chunk = self._head
            self._unpack = zlib.decompressobj(_GZIP if self._gzip else _window(chunk))
        try:
            unpacked = self._unpack.decompress(chunk, self._left + 1)
        except zlib.error:
            raise BodyRefused(HTTPStatus.BAD_REQUEST, "the body is not compressed as its headers say") from None
        self._left -= len(unpacked)
        if self._left < 0:
            reason = f"the body unpacks to more than the {self._max_bytes} bytes taken"
            raise BodyRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, reason)
        return unpacked

    def end(self) -> None:
        """Raises BodyRefused if that was not all, or more than that."""
        if self._packed and (self._unpack is None or not self._unpack.eof or self._unpack.unused_data):
            raise BodyRefused(HTTPStatus.BAD_REQUEST, "the body does not end where its compression does")


def _window(head: bytes) -> int:
    """Of what is called deflate: some send it without the header that belongs to it (RFC 1950, section 2.2)."""
    return _ZLIB if head[0] & 0x0F == 8 and int.from_bytes(head[:2]) % 31 == 0 else _RAW
