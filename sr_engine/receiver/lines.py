"""A handler that writes messages as JSON Lines: each once, whatever becomes of the process in between."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from pathlib import Path

from sr_engine.parsing import Message, to_json

_BEGINNING = b'{"type":"'
"""Of every line that is written here."""
_LOOKED_BACK = 4 * 1024 * 1024
"""Bytes at the end of a file in which is looked for what was written before."""


class JsonLines:
    """Writes each message on one line, in the form of `json_schema()`, and on the disk before it counts as handled.

    Messages are to be handled one at a time. What was written just before the process ended is found in the file when
    it is handled again, by whichever process, and not written twice; half a line is taken away if it is of a message.
    To a pipe it may be written twice: the `sha256` of the two lines is the same.
    """

    def __init__(self, path: Path | None) -> None:
        """Append to a file, or write to stdout; raises OSError, also for a file that ends in the middle of a line."""
        if path is None:
            self._file = sys.stdout.fileno()
        else:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._is_file = stat.S_ISREG(os.fstat(self._file).st_mode)
        self._is_taken_up = path is not None and self._is_file
        self._written: set[str] = set()
        """By whoever wrote to the file before."""
        self._last: str | None = None
        self._size: int | None = None
        """Of the file after it was last looked through or written to."""
        self._take_up_what_others_wrote()

    def __call__(self, message: Message) -> None:
        """Write a message, unless it is there already; raises OSError."""
        self._take_up_what_others_wrote()
        if message.sha256 == self._last or message.sha256 in self._written:
            return
        line = (json.dumps(to_json(message), separators=(",", ":")) + "\n").encode()
        before = os.fstat(self._file).st_size if self._is_file else 0
        try:
            while line:
                line = line[os.write(self._file, line) :]
            if self._is_file:
                os.fsync(self._file)
                self._size = os.fstat(self._file).st_size
                self._last = message.sha256
        except OSError:
            if self._is_file:
                # On a full disk: nobody is to read half of it.
                os.ftruncate(self._file, before)
            raise

    def _take_up_what_others_wrote(self) -> None:
        """Look through the file if somebody else has written to it: a process that was killed, say."""
        if self._is_taken_up and os.fstat(self._file).st_size != self._size:
            self._written = self._take_up()
            self._size = os.fstat(self._file).st_size

    def _take_up(self) -> set[str]:
        """Take half a line away, and return which messages the last lines are."""
        size = os.fstat(self._file).st_size
        start = max(0, size - _LOOKED_BACK)
        tail = os.pread(self._file, size - start, start)
        whole = tail.rfind(b"\n") + 1
        if whole < len(tail):
            if not tail.startswith(_BEGINNING[: len(tail) - whole], whole):
                raise OSError(errno.EINVAL, "the last line of the file has no end, and is not one of a message")
            os.ftruncate(self._file, start + whole)
        lines = tail[:whole].splitlines()
        written = set()
        for line in lines[1:] if start else lines:
            try:
                written.add(str(json.loads(line)["sha256"]))
            except (ValueError, KeyError, TypeError):
                # Somebody else's line.
                continue
        return written
