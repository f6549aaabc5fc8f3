"""Ports for servers that are started later, or again and again."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port of the loopback address that nobody gets by chance until the end of the block, and a server by its number.

    It is bound here and nobody listens: the system gives it to nobody who asks for any, and a server that allows the
    address to be used again, as all do here, may listen.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
