"""A web server in a process that somebody else started and waits for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import uvicorn


class ReadyServer(uvicorn.Server):
    """uvicorn's server, which says when it takes requests, and does not outlive its parent if it has one."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], *, parent: int | None = None) -> None:
        """`parent` is a descriptor that reports its end when the process that started this one is gone."""
        super().__init__(config)
        self._ready = ready
        self._parent = parent

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then call `ready`, once, if that has succeeded."""
        await super().startup(sockets)
        if not self.started:
            return
        if self._parent is not None:
            asyncio.get_running_loop().add_reader(self._parent, self._orphaned, self._parent)
        self._ready()

    def _orphaned(self, parent: int) -> None:
        asyncio.get_running_loop().remove_reader(parent)
        self.should_exit = True
