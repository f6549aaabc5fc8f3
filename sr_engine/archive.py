"""Files of an archive: compressed JSON lines, each with its SHA-256 beside it, on the disk before it is counted on.

Such a file is written whole or not at all, and never changed. What it is part of is for others to know.
"""

from __future__ import annotations

import base64
import fcntl
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SUFFIX = ".jsonl.gz"
ABANDONED = ".abandoned"
"""Ends the name of a file that was written and whose rows were not removed: they are in another."""
_UNFINISHED = ".unfinished"


class ArchiveDamaged(Exception):
    """A file of the archive is missing, or is not what was written."""


class ArchiveInUse(Exception):
    """Another process writes into the folder."""


@dataclass(frozen=True, slots=True)
class Written:
    """A file that is on the disk."""

    name: str
    """Its path below the archive folder."""
    sha256: str
    lines: int


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Be the only process that writes into a folder; raises ArchiveInUse. A process that ends leaves it by itself."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    sync(folder.parent)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ArchiveInUse(f"another process writes into {folder}: wait until it is done") from None
        yield


def write(folder: Path, name: str, lines: Iterable[Mapping[str, object]]) -> Written:
    """Write lines to a new file below the folder, and return once it, its SHA-256 and its name are on the disk."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.with_name(path.name + _UNFINISHED)
    number = 0
    try:
        with unfinished.open("xb") as file:
            unfinished.chmod(0o600)
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as compressed:
                for line in lines:
                    compressed.write(json.dumps(line, default=_plain, separators=(",", ":")).encode() + b"\n")
                    number += 1
            file.flush()
            os.fsync(file.fileno())
        digest = _digest(unfinished)
        beside = _beside(path)
        beside.write_text(f"{digest}  {path.name}\n", encoding="utf-8")
        sync(beside)
        unfinished.replace(path)
    except BaseException:
        # On a disk that is full it would stand in the way of all else.
        unfinished.unlink(missing_ok=True)
        _beside(path).unlink(missing_ok=True)
        raise
    sync(path.parent)
    sync(folder)
    return Written(name, digest, number)


def read(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """The lines of a file, one at a time; bytes are bytes again, times are text. Raises ArchiveDamaged."""
    try:
        with gzip.open(folder / name, "rb") as file:
            for line in file:
                yield json.loads(line, object_hook=_bytes)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ArchiveDamaged(f"{folder / name} cannot be read: {error}") from None


def check(folder: Path, written: Written) -> None:
    """Raises ArchiveDamaged unless a file is there and is what was written."""
    path = folder / written.name
    if not path.is_file():
        raise ArchiveDamaged(f"{path} is missing from the archive")
    if _digest(path) != written.sha256:
        raise ArchiveDamaged(f"{path} is damaged: it is not what was written")


def is_there(folder: Path, name: str) -> bool:
    """Whether there is such a file."""
    return (folder / name).is_file()


def discard(folder: Path, name: str) -> None:
    """Delete a file that is not counted on, by whoever has just written it."""
    (folder / name).unlink(missing_ok=True)
    _beside(folder / name).unlink(missing_ok=True)


def abandon(folder: Path, counted: Collection[str]) -> list[str]:
    """Set aside every file but those that are counted on: nothing was removed for its sake. Return their names."""
    found = []
    for path in sorted(folder.rglob(f"*{SUFFIX}*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix == _UNFINISHED:
            path.unlink()
            _beside(path.with_suffix("")).unlink(missing_ok=True)
        elif name.endswith(SUFFIX) and name not in counted:
            path.replace(path.with_name(path.name + ABANDONED))
            _beside(path).unlink(missing_ok=True)
            found.append(name)
    return found


def sync(path: Path) -> None:
    """Return once a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, bytes | memoryview):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value)


def _bytes(found: dict[str, Any]) -> Any:
    return base64.b64decode(found["base64"]) if found.keys() == {"base64"} else found
