"""RequestID counters: milliseconds since 1970, strictly increasing per originator (FACTS RQ6)."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

FILE_NAME = "sign-counters"
"""What the file of counters is called in an instance, or beside the keys."""

COUNTER_MAX = 2**64 - 1
"""Counters are unsigned 64-bit (FACTS RQ3)."""

MARGIN = 1_000
"""How far ahead of the counter given out the one on disk is: a second, or a thousand signatures."""

_HEADER = b"sr-engine counters 1".ljust(32, b"\0")
_RECORD = struct.Struct(">8sQQ8x")
_VALUES = struct.Struct(">QQ")
_VALUES_AT = 8
_CLOSED = -1
"""Number of no file."""


class CounterSource(Protocol):
    """Whatever gives counters out, each originator's strictly increasing."""

    def draw(self, eui: str, now: int) -> int:
        """Return the originator's next counter at `now`, in milliseconds since 1970; raises OSError."""
        ...


class RunCounters:
    """Counters of one run of one thread, of which nothing is kept when it ends."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def draw(self, eui: str, now: int) -> int:
        """Return the originator's next counter at `now`, in milliseconds since 1970."""
        value = self._last[eui] = max(now, self._last.get(eui, 0) + 1)
        return value


class CountersUnusable(Exception):
    """The file of counters cannot be opened, or is none, or has no more to give."""


class Counters:
    """Gives every originator's counters out once and in order, whatever the number of threads, workers and restarts.

    Each number is max(now, last + 1), found and noted in one file under one lock. Ranges leased to workers would not
    do: worker B's lower range could be used after worker A's higher one. So whoever asks after another was answered
    gets the higher number, in whichever process.

    A record holds the last number and a bound. The last number lives in the system's page cache, which all processes
    share and which outlives them, however they end. Only the bound is forced to disk, `MARGIN` ahead of what is given
    out and before it is reached, so an fdatasync falls due once a second at most unless there are more than a thousand
    signatures in it. Opening raises every last number to its bound, so even after a loss of power, with an older last
    number on the disk, nothing is given out twice. The file must lie on a local file system; while it is in use it must
    stay where it is, and nothing is given out once it has been removed or replaced. A process that was forked opens it
    for itself.
    """

    def __init__(self, path: Path) -> None:
        """Open the file or make it; raises CountersUnusable naming it."""
        # A process may change its folder.
        self._path = path.absolute()
        self._threads = threading.Lock()
        self._positions: dict[bytes, int] = {}
        self._process = os.getpid()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CountersUnusable(f"the file of counters {path} cannot be opened: {error.strerror}") from None
        try:
            with self._locked():
                self._begin(path)
        except OSError as error:
            os.close(self._file)
            raise CountersUnusable(f"the file of counters {path} cannot be used: {error.strerror}") from None
        except CountersUnusable:
            os.close(self._file)
            raise

    def close(self) -> None:
        """Give the file back; nothing is given out any more, whoever may still draw."""
        with self._threads:
            # Its number may soon be that of another file, which must not be written to.
            file, self._file = self._file, _CLOSED
        if file != _CLOSED:
            os.close(file)

    def draw(self, eui: str, now: int) -> int:
        """Return the originator's next counter at `now`, in milliseconds since 1970.

        Raises OSError if it cannot be kept, CountersUnusable after the last of 64 bits and once the file was removed
        or replaced; then none is given out.
        """
        with self._locked():
            self._must_be_in_place()
            place = self._place(bytes.fromhex(eui.replace("-", ""))) + _VALUES_AT
            last, bound = self._values(place)
            value = max(now, last + 1)
            if value > COUNTER_MAX:
                raise CountersUnusable(f"the counters of {eui} are used up: the last was {last}")
            if value <= bound:
                os.pwrite(self._file, _VALUES.pack(value, bound), place)
                return value
            os.pwrite(self._file, _VALUES.pack(value, min(value + MARGIN, COUNTER_MAX)), place)
            try:
                os.fdatasync(self._file)
            except OSError:
                # What is not on disk must not count as if it were.
                os.pwrite(self._file, _VALUES.pack(value, bound), place)
                raise
            return value

    def _values(self, place: int) -> tuple[int, int]:
        last, bound = _VALUES.unpack(os.pread(self._file, _VALUES.size, place))
        return int(last), int(bound)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # flock keeps processes apart, not the threads that share one open file, nor a process and one forked from it.
        with self._threads:
            if self._file == _CLOSED:
                raise OSError(errno.EBADF, "the file of counters was closed")
            if os.getpid() != self._process:
                self._open_again()
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _open_again(self) -> None:
        shared, self._file = self._file, os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        os.close(shared)
        self._process = os.getpid()

    def _must_be_in_place(self) -> None:
        """Whoever opens the file now would get another, whose numbers are not those given out here."""
        try:
            in_place = os.path.samestat(self._path.stat(), os.fstat(self._file))
        except FileNotFoundError:
            in_place = False
        if not in_place:
            raise CountersUnusable(f"the file of counters {self._path} was removed or replaced while it was in use")

    def _begin(self, path: Path) -> None:
        size = os.fstat(self._file).st_size
        if size == 0:
            os.pwrite(self._file, _HEADER, 0)
            os.fsync(self._file)
            _sync_folder(path.parent)
            return
        if os.pread(self._file, len(_HEADER), 0) != _HEADER:
            raise CountersUnusable(f"{path} is not a file of counters; name another, or remove it")
        for place in range(len(_HEADER), size - _RECORD.size + 1, _RECORD.size):
            eui, last, bound = _RECORD.unpack(os.pread(self._file, _RECORD.size, place))
            os.pwrite(self._file, _RECORD.pack(eui, max(last, bound), bound), place)

    def _place(self, eui: bytes) -> int:
        """Where the originator's record begins; a new one is appended, with nothing given out yet."""
        place = self._positions.get(eui)
        if place is None:
            self._read_positions()
            place = self._positions.get(eui)
        if place is None:
            # Half a record at the end, if ever there is one, was never used and is written over.
            place = len(_HEADER) + len(self._positions) * _RECORD.size
            os.pwrite(self._file, _RECORD.pack(eui, 0, 0), place)
            self._positions[eui] = place
        return place

    def _read_positions(self) -> None:
        data = os.pread(self._file, os.fstat(self._file).st_size, len(_HEADER))
        whole = len(data) // _RECORD.size * _RECORD.size
        for number, (eui, _, _) in enumerate(_RECORD.iter_unpack(data[:whole])):
            self._positions[eui] = len(_HEADER) + number * _RECORD.size


def _sync_folder(folder: Path) -> None:
    """Have the name of a new file on disk, where folders can be synced."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
