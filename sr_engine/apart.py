"""Work that takes long and much memory, in a process of its own: nobody who is served meanwhile notices."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from threading import Lock
from typing import TypeVar

T = TypeVar("T")

Say = Callable[[str], None]
"""Tells who waits how far it has come."""
Work = Callable[[Say], T]

_NICENESS = 10
"""How far it stands back behind what is being served."""


class WorkFailed(Exception):
    """The work came to no result; the text says why."""


class Apart:
    """Runs pieces of work one at a time, each in a new process that ends with it."""

    def __init__(self) -> None:
        # Not a copy of this process, which has threads and connections that a copy could not use.
        self._context = multiprocessing.get_context("spawn")
        self._process: BaseProcess | None = None
        self._one_at_a_time = Lock()
        self._stopped = False

    def __call__(self, work: Work[T], say: Say) -> T:
        """Return what `work` returned; whoever calls waits for it. Neither it nor its result is tied to a process.

        Raises WorkFailed if it raised anything, or the process died.
        """
        with self._one_at_a_time:
            if self._stopped:
                raise WorkFailed("it was stopped")
            ours, theirs = self._context.Pipe(duplex=False)
            process = self._context.Process(target=_run, args=(theirs, work), name="apart", daemon=True)
            process.start()
            self._process = process
            theirs.close()
            try:
                return _result(ours, say)
            finally:
                ours.close()
                process.join()
                self._process = None

    def stop(self) -> None:
        """End what runs, and run nothing more."""
        self._stopped = True
        process = self._process
        if process is not None:
            process.terminate()


def _result(link: Connection, say: Say) -> T:  # type: ignore[type-var]  # it is what the work returned
    try:
        while True:
            kind, value = link.recv()
            if kind == "said":
                say(value)
            elif kind == "failed":
                raise WorkFailed(value)
            else:
                return value  # type: ignore[no-any-return]  # the same
    except EOFError:
        raise WorkFailed("the process that was at it has ended") from None


def _run(link: Connection, work: Work[object]) -> None:
    """What the process does."""
    os.nice(_NICENESS)
    # Whoever waited may be gone.
    with suppress(BrokenPipeError):
        try:
            link.send(("done", work(lambda text: link.send(("said", text)))))
        except BrokenPipeError:
            raise
        except Exception as error:
            link.send(("failed", f"{type(error).__name__}: {error}"))
