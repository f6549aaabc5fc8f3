"""Several processes of the service behind one address, so that every core is used."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from types import FrameType

from sr_engine.signservice.server import Options, run

log = logging.getLogger(__name__)

_STOP_WITHIN_SECONDS = 35
_RESTART_AFTER_SECONDS = 0.5


class WorkerFailed(Exception):
    """A worker did not get ready; it has logged why."""


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    link: connection.Connection
    """Carries one message, that it is ready; the worker ends when our end is closed, even by our death."""


class Workers:
    """Keeps one process running for each socket, until it is told to stop.

    Each has a listening socket of its own for the same address (SO_REUSEPORT), over which the system spreads the
    connections; that socket stays open here, so what arrives while its worker is started again waits.

    Workers are forked from this process, which has no threads and does nothing but watch them: so they start at once
    and share the memory of what was loaded.
    """

    def __init__(self, options: Options, listening: Sequence[socket.socket]) -> None:
        self._options = options
        self._listening = tuple(listening)
        self._context = multiprocessing.get_context("fork")
        self._stopping = False
        self._workers: list[_Worker] = []

    def run(self, ready: Callable[[], None]) -> None:
        """Run until SIGTERM or SIGINT; SIGHUP is handed on. Raises WorkerFailed if a worker does not get ready."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, self._hand_on)
        try:
            for one in self._listening:
                self._workers.append(self._start(one))
            for worker in self._workers:
                self._await_ready(worker)
            if not self._stopping:
                ready()
            while not self._stopping:
                self._replace_dead()
        finally:
            self._end()

    def _start(self, listening: socket.socket) -> _Worker:
        ours, theirs = self._context.Pipe()
        inherited = [ours, *(worker.link for worker in self._workers)]
        process = self._context.Process(target=_work, args=(self._options, listening, theirs, inherited))
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _await_ready(self, worker: _Worker) -> None:
        try:
            worker.link.recv()
        except EOFError:
            raise WorkerFailed("a worker of the service could not start; the lines above say why") from None

    def _replace_dead(self) -> None:
        sentinels = [worker.process.sentinel for worker in self._workers]
        # A signal does not end this wait, so it is a short one.
        dead = connection.wait(sentinels, timeout=0.2)
        for number, worker in enumerate(self._workers):
            if worker.process.sentinel in dead and not self._stopping:
                log.warning("a worker ended (%s) and is started again", worker.process.exitcode)
                worker.link.close()
                worker.process.join()
                time.sleep(_RESTART_AFTER_SECONDS)
                self._workers[number] = self._start(self._listening[number])

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _hand_on(self, number: int, _frame: FrameType | None) -> None:
        for worker in self._workers:
            if worker.process.pid is not None and worker.process.is_alive():
                os.kill(worker.process.pid, number)

    def _end(self) -> None:
        for worker in self._workers:
            worker.process.terminate()
        until = time.monotonic() + _STOP_WITHIN_SECONDS
        for worker in self._workers:
            worker.process.join(max(0.0, until - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.link.close()


def _work(
    options: Options,
    listening: socket.socket,
    link: connection.Connection,
    inherited: Sequence[connection.Connection],
) -> None:
    """What a worker process does."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # The other ends are the parent's alone: when it is gone, they are.
    for one in inherited:
        one.close()
    run(options, listening, lambda: link.send(True), parent=link.fileno())
