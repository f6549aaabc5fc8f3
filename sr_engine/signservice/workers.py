"""Several processes of the service behind one address, so that every core is used."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from sr_engine.processes import Processes, Ready
from sr_engine.signservice.server import Options, run

_STOP_WITHIN_SECONDS = 35


class Workers:
    """Keeps one process running for each socket, until it is told to stop.

    Each has a listening socket of its own for the same address (SO_REUSEPORT), over which the system spreads the
    connections; that socket stays open here, so what arrives while its worker is started again waits.
    """

    def __init__(self, options: Options, listening: Sequence[socket.socket]) -> None:
        self._options = options
        self._listening = tuple(listening)

    def run(self, ready: Callable[[], None]) -> None:
        """Run until SIGTERM or SIGINT; SIGHUP is handed on. Raises ProcessFailed if a worker does not get ready."""
        Processes(self._work, len(self._listening), stop_within_seconds=_STOP_WITHIN_SECONDS).run(ready)

    def _work(self, number: int, ready: Ready, parent: int) -> None:
        run(self._options, self._listening[number], ready, parent=parent)
