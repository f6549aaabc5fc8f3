"""What a backup holds: every file with its SHA-256, and what was taken of the database."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from sr_engine.store.dump import Dump

MANIFEST = "manifest.json"
DATABASE, INSTANCE = "database", "instance"
"""The folders of a backup."""
FORMAT = 1


class BackupDamaged(Exception):
    """A backup is not what was taken, or is none."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a backup."""

    sha256: str
    size: int
    """In bytes."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What stands in the file `manifest.json` of a backup."""

    taken_at: str
    """By the computer's clock, UTC; the state of the database is that of a moment shortly after it."""
    program: str
    keys: bool
    """Whether private keys are in it."""
    left_out: Sequence[str]
    """Files that the settings name and that are outside the instance's folder: they are not in the backup."""
    dump: Dump
    files: Mapping[str, File]
    """By path within the backup, all but the manifest itself."""
    format: int = FORMAT

    @property
    def size(self) -> int:
        """Of all files, in bytes."""
        return sum(file.size for file in self.files.values())


def file_of(path: Path) -> File:
    """The SHA-256 and the size of a file."""
    with path.open("rb") as file:
        return File(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)


def files_in(folder: Path) -> dict[str, File]:
    """Every file below a folder but the manifest, by its path from there."""
    return {
        path.relative_to(folder).as_posix(): file_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST
    }


def write(manifest: Manifest, folder: Path) -> None:
    """Put the manifest beside what it is about."""
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")


def read(folder: Path) -> Manifest:
    """The manifest of a backup; raises BackupDamaged if there is none that can be read."""
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise BackupDamaged(f"{path}: this version of sr-engine reads format {FORMAT}, not {content['format']}")
        content["dump"] = Dump(**content["dump"])
        content["files"] = {name: File(**one) for name, one in content["files"].items()}
        return Manifest(**{field.name: content[field.name] for field in fields(Manifest)})
    except FileNotFoundError:
        raise BackupDamaged(f"{folder} is no backup: it has no {MANIFEST}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BackupDamaged(f"{path} is damaged: it cannot be read") from None


def verify(manifest: Manifest, folder: Path) -> None:
    """Raises BackupDamaged, naming the first file, unless a backup holds what was taken and nothing else."""
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise BackupDamaged(f"{path} is missing from the backup")
        if file_of(path) != expected:
            raise BackupDamaged(f"{path} is damaged: it is not what the manifest says")
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST and name not in manifest.files:
            raise BackupDamaged(f"{path} is not part of the backup: somebody has put it there")
