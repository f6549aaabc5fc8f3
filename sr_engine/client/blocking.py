"""Carrying out steps by http.client, for code that waits."""

from __future__ import annotations

import functools
import http.client
import io
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from sr_engine.client.exchange import Call, NoReply, Reply, Steps

MOST_BYTES = 17 * 1024 * 1024
"""Of an answer; the largest message is 16 MiB."""

_CHUNK = 256 * 1024
_IDLE_CONNECTIONS = 8
_T = TypeVar("_T")


class BlockingTransport:
    """Keeps connections open between calls; safe to use from several threads."""

    def __init__(
        self, ssl_context: ssl.SSLContext | None = None, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """`ssl_context` says whom to trust by https, and holds the client's own certificate where one is asked for."""
        self._ssl_context = ssl_context
        self._sleep = sleep
        self._idle: dict[tuple[str, str], list[http.client.HTTPConnection]] = {}
        self._lock = threading.Lock()

    def run(self, steps: Steps[_T]) -> _T:
        """Carry out steps and return what they come to."""
        try:
            step = next(steps)
            while True:
                if isinstance(step, Call):
                    step = steps.send(self.call(step))
                else:
                    self._sleep(step.seconds)
                    step = next(steps)
        except StopIteration as done:
            value: _T = done.value
            return value

    def call(self, call: Call) -> Reply | NoReply:
        """Make one HTTP request; raises ValueError if its address is none."""
        parts = urlsplit(call.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{call.url!r} is not an http or https address")
        place = (parts.scheme, parts.netloc)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        deadline = time.monotonic() + call.timeout
        connection = self._take(place)
        if connection is not None:
            try:
                return self._made(connection, place, path, call, deadline)
            except TimeoutError:
                connection.close()
                return NoReply(f"no answer within {call.timeout:g} s")
            except (OSError, http.client.HTTPException) as error:
                # It was open when the request went out, which may have arrived; a new connection cannot tell.
                connection.close()
                return NoReply(_words(error))
        return self._by_new_connection(place, path, call, deadline)

    def close(self) -> None:
        """Close every connection that is open and not in use."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    def _by_new_connection(self, place: tuple[str, str], path: str, call: Call, deadline: float) -> Reply | NoReply:
        parts = urlsplit(call.url)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=call.timeout, context=self._ssl_context
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=call.timeout)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            return NoReply(_words(error), sent=False)
        try:
            return self._made(connection, place, path, call, deadline)
        except TimeoutError:
            connection.close()
            return NoReply(f"no answer within {call.timeout:g} s")
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return NoReply(_words(error))

    def _made(
        self, connection: http.client.HTTPConnection, place: tuple[str, str], path: str, call: Call, deadline: float
    ) -> Reply | NoReply:
        _within(connection, deadline)
        connection.request(call.method, path, call.body or None, dict(call.headers))
        in_time = functools.partial(_Response, deadline)
        connection.response_class = in_time  # type: ignore[assignment]  # it is called as the class is
        response = connection.getresponse()
        chunks: list[bytes] = []
        size = 0
        while chunk := response.read(_CHUNK):
            size += len(chunk)
            if size > MOST_BYTES:
                connection.close()
                return NoReply(f"the answer is larger than {MOST_BYTES} bytes")
            chunks.append(chunk)
        if response.length:
            # http.client says nothing of it where it is read bit by bit.
            connection.close()
            return NoReply("the answer broke off")
        headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
        if response.will_close:
            connection.close()
        else:
            self._give_back(place, connection)
        return Reply(response.status, headers, b"".join(chunks))

    def _take(self, place: tuple[str, str]) -> http.client.HTTPConnection | None:
        """A connection that the other side has not closed meanwhile, if there is one."""
        while True:
            with self._lock:
                connections = self._idle.get(place)
                connection = connections.pop() if connections else None
            if connection is None or not _is_closed(connection):
                return connection
            connection.close()

    def _give_back(self, place: tuple[str, str], connection: http.client.HTTPConnection) -> None:
        with self._lock:
            connections = self._idle.setdefault(place, [])
            if len(connections) < _IDLE_CONNECTIONS:
                connections.append(connection)
                return
        connection.close()


class _Response(http.client.HTTPResponse):
    """An answer all of which has to come before a deadline, however slowly it drips."""

    def __init__(self, deadline: float, sock: socket.socket, debuglevel: int = 0, method: str | None = None) -> None:
        super().__init__(sock, debuglevel, method)
        self.fp.close()
        self.fp = io.BufferedReader(_InTime(deadline, sock))


class _InTime(io.RawIOBase):
    """Reads from a socket; raises TimeoutError once the deadline is over."""

    def __init__(self, deadline: float, sock: socket.socket) -> None:
        self._deadline = deadline
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int | None:  # type: ignore[override]  # what a BufferedReader gives
        self._sock.settimeout(_left(self._deadline))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _is_closed(connection: http.client.HTTPConnection) -> bool:
    """Whether the other side has closed a connection on which nothing is to come: there is something to be read."""
    if connection.sock is None:
        return True
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def _left(deadline: float) -> float:
    """Seconds until a deadline; raises TimeoutError if it is over."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _within(connection: http.client.HTTPConnection, deadline: float) -> None:
    """Let the next operation take no longer than is left; raises TimeoutError if nothing is."""
    left = _left(deadline)
    if connection.sock is not None:
        connection.sock.settimeout(left)


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
