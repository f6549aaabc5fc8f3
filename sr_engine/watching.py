"""Noticing that files have changed, so that what was read from them is read again without a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from sr_engine.background import in_background

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 1.0

_State = tuple[str, int, int, int, int]


class Watched:
    """Something that was read from files, and how to read it again; what cannot be used leaves the old in force.

    The first look always reads, because a file may have changed between the first reading and the first look.
    """

    def __init__(self, name: str, path: Path, read_again: Callable[[], None], *, pattern: str = "*") -> None:
        """`name` is what the log calls it; of a folder, all files below it with a name of the pattern are watched."""
        self._name = name
        self._path = path
        self._pattern = pattern
        self._read_again = read_again
        self._seen: tuple[_State, ...] | None = None
        self._complaint: str | None = None

    def look(self, *, always: bool = False) -> bool:
        """Read again if a file was changed, added or removed since it was last read; whether that was done.

        A failure is logged once, naming what is wrong, and tried again at each look until it is put right.
        """
        # Before reading: what changes while it is read is seen at the next look.
        found = tuple(sorted(_states(self._path, self._pattern)))
        if found == self._seen and not always:
            return False
        try:
            self._read_again()
        except Exception as error:
            self._complain(str(error))
            return False
        if self._seen is not None or self._complaint is not None:
            log.info("read again: %s", self._name)
        self._seen = found
        self._complaint = None
        return True

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            log.warning("not read again, so the old stays in force: %s: %s", self._name, complaint)
        self._complaint = complaint


class Watcher:
    """Looks at files every so often while it runs."""

    def __init__(self, watched: Sequence[Watched]) -> None:
        self._watched = tuple(watched)
        self._always = False

    def read_all(self) -> None:
        """Have the next look read everything again, changed or not; may be called from a signal handler."""
        self._always = True

    @asynccontextmanager
    async def running(self, every_seconds: float = LOOK_EVERY_SECONDS) -> AsyncIterator[None]:
        """Look in the background until the end of the block."""
        async with in_background(self._run(every_seconds)):
            yield

    async def _run(self, every_seconds: float) -> None:
        while True:
            await asyncio.sleep(every_seconds)
            always, self._always = self._always, False
            for one in self._watched:
                await asyncio.to_thread(one.look, always=always)


def _states(path: Path, pattern: str) -> list[_State]:
    """What tells one version of the files at or below `path` from another."""
    files = path.rglob(pattern) if path.is_dir() else [path]
    found = []
    for file in files:
        with suppress(OSError):  # it went away in between, and that is a change too
            stat = file.stat()
            found.append((str(file), stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino))
    return found
