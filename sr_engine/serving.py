"""A web server in a process that somebody else started and waits for."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import uvicorn

from sr_engine.connections import Connection, Crowd

TURN_SECONDS = 0.0001
"""How long a thread that computes has the interpreter while others wait for it; by itself Python would let it 5 ms.

Each signature and each statement lets go of it, and its thread goes on when it has it again.
"""

_COULD_NOT_START = 3
"""The exit code of uvicorn's for it."""


def take_short_turns() -> None:
    """Have the threads of this process take turns every TURN_SECONDS."""
    sys.setswitchinterval(TURN_SECONDS)


class ReadyServer(uvicorn.Server):
    """uvicorn's server, which says when it takes requests, and does not outlive its parent if it has one."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], *, parent: int | None = None) -> None:
        """`parent` is a descriptor that reports its end when the process that started this one is gone."""
        super().__init__(config)
        self._ready = ready
        self._parent = parent

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then call `ready`, once, if that has succeeded."""
        await self._open(sockets)
        if not self.started:
            return
        if self._parent is not None:
            asyncio.get_running_loop().add_reader(self._parent, self._orphaned, self._parent)
        self._ready()

    async def _open(self, sockets: list[socket.socket] | None) -> None:
        await super().startup(sockets)

    def _orphaned(self, parent: int) -> None:
        asyncio.get_running_loop().remove_reader(parent)
        self.should_exit = True


@dataclass(frozen=True, slots=True)
class Door:
    """Sockets at which one application is served, with its own limits, over TLS or not."""

    sockets: Sequence[socket.socket]
    crowd: Crowd
    tls: ssl.SSLContext | None = None
    application: Any = None
    """None: that of the server."""


class GuardedServer(ReadyServer):
    """Serves through doors whose connections are held to their limits."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], doors: Sequence[Door], *, parent: int | None = None
    ) -> None:
        super().__init__(config, ready, parent=parent)
        self._doors = doors

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve at all doors until told to stop."""
        super().run([one for door in self._doors for one in door.sockets] if sockets is None else sockets)

    async def _open(self, sockets: list[socket.socket] | None) -> None:  # noqa: ARG002 - those of the doors
        """As uvicorn's, which knows one kind of connections only, and no limit of the handshake."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(_COULD_NOT_START)
        self.servers = [await self._served(door, one) for door in self._doors for one in door.sockets]
        self.started = True

    async def _served(self, door: Door, listening: socket.socket) -> asyncio.Server:
        connection = partial(
            Connection,
            self.config,
            self.server_state,
            self.lifespan.state,
            crowd=door.crowd,
            application=door.application,
        )
        handshake = None if door.tls is None else door.crowd.limits.handshake
        return await asyncio.get_running_loop().create_server(
            connection,
            sock=listening,
            ssl=door.tls,
            ssl_handshake_timeout=handshake,
            ssl_shutdown_timeout=handshake,
            backlog=self.config.backlog,
        )
