"""Builds what is released: a source distribution, and the wheel from it and not from the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHIPPED_LOCK = ROOT / "requirements-run.lock"
"""The versions, with hashes, of all that is needed to run and of nothing else."""
_UV = Path(sys.executable).with_name("uv")


class ReleaseFailed(Exception):
    """A step of making or trying a release failed; says which, and what was said."""


@dataclass(frozen=True, slots=True)
class Built:
    """A release, in files."""

    sdist: Path
    wheel: Path

    def in_sdist(self) -> set[str]:
        """Its files, by their path below the folder that all of them are in."""
        with tarfile.open(self.sdist) as archive:
            return {one.name.partition("/")[2] for one in archive.getmembers() if one.isfile()}

    def in_wheel(self) -> set[str]:
        """Its files."""
        with zipfile.ZipFile(self.wheel) as archive:
            return {one.filename for one in archive.infolist() if not one.is_dir()}

    def metadata(self) -> bytes:
        """What the wheel says of itself."""
        with zipfile.ZipFile(self.wheel) as archive:
            (name,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
            return archive.read(name)


def build(folder: Path) -> Built:
    """Build into an empty folder; raises ReleaseFailed.

    Without isolation, so that the build tool is the one whose version is pinned.
    """
    uv("build", "--python", sys.executable, "--no-build-isolation", "--out-dir", str(folder), cwd=ROOT)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return Built(sdist, wheel)


def uv(*arguments: str, cwd: Path, environment: dict[str, str] | None = None) -> str:
    """Run uv and return its stdout; raises ReleaseFailed with its last words."""
    wanted = {**os.environ, **(environment or {})}
    # An environment that happens to be active is not the one that is meant.
    wanted.pop("VIRTUAL_ENV", None)
    done = subprocess.run(
        [str(_UV), "--no-progress", *arguments], cwd=cwd, env=wanted, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ReleaseFailed(f"uv {arguments[0]} ended with {done.returncode}: {done.stderr.strip()[-1500:]}")
    return done.stdout


def uncommitted() -> list[str]:
    """Files that differ from what is committed: what is built of them is of no revision."""
    return _git("status", "--porcelain")


def files_of_repository() -> set[str]:
    """Every file that is part of it, or is about to be."""
    return {name for name in _git("ls-files", "--cached", "--others", "--exclude-standard") if (ROOT / name).exists()}


def _git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()
