"""Looks up where receivers are, so that a name that nobody answers for holds up no other lookup."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult


class OwnThreads(AbstractResolver):
    """Looks each name up in a thread of its own, which does not keep the process from ending.

    An event loop has a few threads for all lookups, and some wait for half a minute.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host; raises OSError if it has none."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[Any]] = loop.create_future()

        def tell(how: Callable[[Any], None], what: object) -> None:
            # Nobody may be waiting any more, and the loop may be closed.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(lambda: None if found.done() else how(what))

        def look() -> None:
            try:
                tell(
                    found.set_result,
                    socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG),
                )
            except OSError as error:
                tell(found.set_exception, error)

        Thread(target=look, name=f"lookup of {host}", daemon=True).start()
        numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(
                hostname=host, host=address[0], port=address[1], family=int(kind), proto=protocol, flags=int(numeric)
            )
            for kind, _, protocol, _, address in await found
        ]

    async def close(self) -> None:
        """Nothing is kept."""
