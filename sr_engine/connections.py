"""One connection, held to its limits, and how many there may be; uvicorn has none of these limits itself.

What a client has shown in the TLS handshake stands in the scope of each request.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from sr_engine.gathered import Gathered
from sr_engine.origins import origin_of
from sr_engine.rates import Rate
from sr_engine.tls import is_allowed

log = logging.getLogger(__name__)

CLIENT_CERTIFICATE = "sr_engine.client_certificate"
"""Where in an ASGI scope the TLS client certificate stands, in DER; missing where none was shown."""

WHOLE = "sr_engine.whole"
"""Stands in an ASGI scope if the whole request had come before the application was called."""

_QUEUED = 32
"""Requests that may wait on one connection for the one before them; uvicorn would take any number."""

_OPENED_SECONDS = 10
"""As many connections of an address may be new at once as it may open in so many seconds: whoever starts opens many."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Times in seconds."""

    most: int
    of_one_address: int
    new_of_one_address_per_second: int
    handshake: float
    head: float
    head_bytes: int
    message: float
    """For a whole request, from its head on; then a connection ends whatever the application does."""
    message_bytes: int
    """Of that, with all that carries it."""
    idle: int
    unread: float


class Crowd:
    """All connections of a process: so many at most, and so many of each address, IPv6 by its network of 64 bits."""

    def __init__(self, limits: ConnectionLimits, *, is_proxy: Callable[[str], bool] = lambda _: False) -> None:
        """`is_proxy` tells which addresses bring the connections of others."""
        self.limits = limits
        self._is_proxy = is_proxy
        self._of: Counter[str] = Counter()
        """By origin."""
        self._opened: dict[str, Rate] = {}
        """By origin, how many it has opened of late."""
        self._forgotten_at = 0.0
        self._members: dict[Connection, str] = {}
        """With their origins, the oldest first."""

    def __len__(self) -> int:
        return len(self._members)

    def join(self, connection: Connection, address: str, now: float) -> bool:
        """Take one more in, if there is room or room can be made; `now` is a time in seconds that only goes forward."""
        origin = origin_of(address)
        too_many = self._opens_too_many(origin, now) or self._of[origin] >= self.limits.of_one_address
        if too_many and not self._is_proxy(address):
            return False
        if len(self._members) >= self.limits.most and not self._make_room():
            return False
        self._members[connection] = origin
        self._of[origin] += 1
        return True

    def leave(self, connection: Connection) -> None:
        """One has ended."""
        origin = self._members.pop(connection, None)
        if origin is None:
            return
        self._of[origin] -= 1
        if not self._of[origin]:
            del self._of[origin]

    def _opens_too_many(self, origin: str, now: float) -> bool:
        if now - self._forgotten_at >= 1:
            self._forgotten_at = now
            self._opened = {one: rate for one, rate in self._opened.items() if rate.level(now)}
        rate = self._opened.get(origin)
        if rate is None:
            per_second = self.limits.new_of_one_address_per_second
            rate = self._opened[origin] = Rate(per_second, now, at_once=per_second * _OPENED_SECONDS)
        too_many = rate.used_up(now)
        if not too_many:
            rate.count(now)
        return too_many

    def _make_room(self) -> bool:
        idle = Counter(origin for one, origin in self._members.items() if one.is_idle)
        if not idle:
            return False
        ((most, _),) = idle.most_common(1)
        oldest = next(one for one, origin in self._members.items() if origin == most and one.is_idle)
        oldest.break_off()
        return True


class _Stage(Enum):
    HEAD = auto()
    """Nothing of a request has come, or not all of its head."""
    BODY = auto()
    WHOLE = auto()
    """A whole request has come, and none has begun after it."""


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, with an end to all that may take for ever."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        crowd: Crowd,
        application: Any = None,
    ) -> None:
        """`application` takes the place of the server's."""
        super().__init__(config, server_state, app_state, _loop)
        if application is not None:
            self.app = application
        self.address = ""
        self._crowd = crowd
        self._limits = crowd.limits
        self.timeout_keep_alive = crowd.limits.idle
        self._stage = _Stage.HEAD
        self._taken = False
        """Whether this is one of the crowd: what others send is not looked at."""
        self._begun = 0
        """Requests that have begun in what came last."""
        self._bytes = 0
        """Of the head, and after it of the rest."""
        self._timer: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._certificate: bytes | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        cycle: Any = self.cycle  # None before the first request, whatever its type says
        return cycle is None or bool(cycle.response_complete)

    def break_off(self) -> None:
        """End it now, without a word."""
        self._crowd.leave(self)
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(Gathered(transport, self.loop))
        self.address = "" if self.client is None else self.client[0]
        tls: Any = transport.get_extra_info("ssl_object")
        if tls is not None:
            if not is_allowed(tls.cipher()):
                self.transport.abort()
                return
            self._certificate = tls.getpeercert(binary_form=True)
        self._taken = self._crowd.join(self, self.address, self.loop.time())
        if not self._taken:
            self._say("503 Service Unavailable", "too many connections", "Retry-After: 5\r\n")
            return
        self._timer = self.loop.call_later(self._limits.head, self._too_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.leave(self)
        self._stop_timer()
        self._stop_waiting_for_reader()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._taken or self.transport.is_closing():
            return
        before, self._begun = self._stage, 0
        super().data_received(data)
        if len(self.pipeline) > _QUEUED:
            self.transport.abort()
            return
        if self._stage is _Stage.WHOLE:
            if self._timer is not None:
                self._stop_timer()
            self._bytes = 0
            return
        if before is not self._stage or self._begun:
            self._stop_timer()
            # Behind the end of another request, how much is of this one is not known: no more than is read at once.
            alone = self._begun == 1 and (before is _Stage.WHOLE or not self._bytes)
            self._bytes = len(data) if alone else 1
        else:
            self._bytes += len(data)
        if self._stage is _Stage.HEAD:
            if self._bytes > self._limits.head_bytes:
                self._say("431 Request Header Fields Too Large", f"more than {self._limits.head_bytes} bytes of head")
            elif self._timer is None:
                self._timer = self.loop.call_later(self._limits.head, self._too_late)
        elif self._bytes > self._limits.message_bytes:
            self.transport.abort()
        elif self._timer is None:
            self._timer = self.loop.call_later(self._limits.message, self._too_late)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._stage = _Stage.HEAD
        self._begun += 1
        if self._certificate is not None:
            scope: dict[str, Any] = cast("dict[str, Any]", self.scope)
            scope[CLIENT_CERTIFICATE] = self._certificate

    def on_headers_complete(self) -> None:
        self._stage = _Stage.BODY
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._stage = _Stage.WHOLE
        cast("dict[str, Any]", self.scope)[WHOLE] = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()
        if self._stage is _Stage.BODY:
            # What is still to come of an answered request is passed over, for a little while.
            self._stop_timer()
            self._timer = self.loop.call_later(self._limits.head, self._too_late)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop_waiting_for_reader()
        self._unread = self.loop.call_later(self._limits.unread, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_waiting_for_reader()

    def _too_late(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self._stage is _Stage.HEAD and self._bytes:
            self._say("408 Request Timeout", f"the head of the request did not come within {self._limits.head:g} s")
        elif self._stage is _Stage.HEAD:
            self.transport.close()
        else:
            self.transport.abort()

    def _say(self, status: str, why: str, headers: str = "") -> None:
        """Answer outside of any request, and close."""
        text = (
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(why) + 1}\r\n"
            f"{headers}Connection: close\r\n\r\n{why}\n"
        )
        self.transport.write(text.encode("ascii"))
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_waiting_for_reader(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
