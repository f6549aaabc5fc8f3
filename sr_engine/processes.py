"""Several processes that do the same work, kept running by the one that started them.

They are forked from a process that has no threads and does nothing but watch them: so they start at once and share the
memory of what was loaded.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from types import FrameType

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A process that has run for so long and ends is started again as quickly as the first time."""
_LOOK_EVERY_SECONDS = 0.2
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

Ready = Callable[[], None]
Work = Callable[[int, Ready, int], None]
"""What process number so-and-so does: it calls the second once it is ready, and ends when the descriptor that is the
third reports its end, for then the process that started it is gone."""


class ProcessFailed(Exception):
    """A process did not get ready when it was started first; it has logged why."""


@dataclass(slots=True)
class _Slot:
    """One place, and the process that takes it now, if any."""

    process: BaseProcess | None = None
    link: connection.Connection | None = None
    """Carries one message, that it is ready; the process ends when our end is closed, even by our death."""
    started_at: float = 0.0
    pause: float = FIRST_PAUSE_SECONDS
    start_at: float = 0.0
    """When there is none: when the next is to be started."""


class Processes:
    """Keeps so many processes running until it is told to stop; one that dies at once is started again ever later."""

    def __init__(
        self, work: Work, number: int, *, stop_within_seconds: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """One that does not end within `stop_within_seconds` of being told to is killed."""
        self._work = work
        self._stop_within = stop_within_seconds
        self._monotonic = monotonic
        self._context = multiprocessing.get_context("fork")
        self._stopping = False
        self._slots = [_Slot() for _ in range(number)]

    def run(self, ready: Ready) -> None:
        """Run until SIGTERM or SIGINT; SIGHUP is handed on. Raises ProcessFailed if one does not get ready at first."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, self._hand_on)
        try:
            for number in range(len(self._slots)):
                self._start(number)
            for slot in self._slots:
                self._await_ready(slot)
            if not self._stopping:
                ready()
            while not self._stopping:
                self._look()
        finally:
            self._end()

    def _start(self, number: int) -> None:
        # A signal that came in between would find a process that nobody can tell yet, or tell the one that has only
        # been forked and would take it for its parent's.
        with _signals_held_back():
            if self._stopping:
                return
            ours, theirs = self._context.Pipe()
            inherited = [ours, *(slot.link for slot in self._slots if slot.link is not None)]
            process = self._context.Process(target=_child, args=(self._work, number, theirs, inherited))
            process.start()
            theirs.close()
            slot = self._slots[number]
            slot.process, slot.link, slot.started_at = process, ours, self._monotonic()

    def _await_ready(self, slot: _Slot) -> None:
        if slot.link is None:
            return
        try:
            slot.link.recv()
        except EOFError:
            if not self._stopping:
                raise ProcessFailed("a process could not start; the lines above say why") from None

    def _look(self) -> None:
        """Wait a little for one to end, and start those whose time has come."""
        sentinels = [slot.process.sentinel for slot in self._slots if slot.process is not None]
        # A signal does not end this wait, so it is a short one.
        dead = connection.wait(sentinels, timeout=_LOOK_EVERY_SECONDS)
        if not sentinels:
            time.sleep(_LOOK_EVERY_SECONDS)
        now = self._monotonic()
        for number, slot in enumerate(self._slots):
            if slot.process is not None and slot.process.sentinel in dead:
                self._bury(slot, now)
            elif slot.process is None and now >= slot.start_at:
                self._start(number)

    def _bury(self, slot: _Slot, now: float) -> None:
        if slot.process is None or slot.link is None:
            return
        slot.link.close()
        slot.process.join()
        code = slot.process.exitcode
        slot.process = slot.link = None
        if now - slot.started_at >= STEADY_SECONDS:
            slot.pause = FIRST_PAUSE_SECONDS
        slot.start_at = now + slot.pause
        if not self._stopping:
            log.warning("a process ended (%s) and is started again in %.1f s", code, slot.pause)
        slot.pause = min(2 * slot.pause, LONGEST_PAUSE_SECONDS)

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True
        # Here and not only at the end: one that is being waited for must not be waited for longer.
        self._tell(signal.SIGTERM)

    def _hand_on(self, number: int, _frame: FrameType | None) -> None:
        self._tell(number)

    def _tell(self, number: int) -> None:
        for slot in self._slots:
            if slot.process is not None and slot.process.pid is not None:
                # It may just have ended.
                with suppress(ProcessLookupError):
                    os.kill(slot.process.pid, number)

    def _end(self) -> None:
        running = [slot.process for slot in self._slots if slot.process is not None]
        if not self._stopping:
            self._tell(signal.SIGTERM)
        until = self._monotonic() + self._stop_within
        for process in running:
            process.join(max(0.0, until - self._monotonic()))
            if process.is_alive():
                log.warning("process %s has not stopped in time and is killed", process.pid)
                process.kill()
                process.join()
        for slot in self._slots:
            if slot.link is not None:
                slot.link.close()


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """What comes meanwhile comes at the end; a process forked in it has them held back too."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _child(work: Work, number: int, link: connection.Connection, inherited: Sequence[connection.Connection]) -> None:
    """What a process does."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    # The other ends are the parent's alone: when it is gone, they are.
    for one in inherited:
        one.close()
    work(number, lambda: link.send(True), link.fileno())
