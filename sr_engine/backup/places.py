"""Folders that appear whole or not at all, and whose files are on the disk by then."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sr_engine.archive import sync


class PlaceTaken(Exception):
    """There is something where a new folder is to be."""


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder beside `target`, for its owner only, which takes its name once the block has ended without an error.

    Raises PlaceTaken, nothing having been made, if there is anything there but an empty folder.
    """
    target = target.absolute()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise PlaceTaken(f"{target} is there already, and would be overwritten: name a new folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".unfinished", dir=target.parent))
    try:
        yield staging
        for folder, _, names in os.walk(staging):
            for name in names:
                sync(Path(folder, name))
            sync(Path(folder))
        # An empty folder gives way to it, and nothing else does.
        staging.replace(target)
        sync(target.parent)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
