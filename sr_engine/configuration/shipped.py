"""What an instance goes by where its own folder of configuration says nothing: what the product ships."""

from __future__ import annotations

from pathlib import Path

from sr_engine.resources import data_directory


def own_or_shipped(directory: Path, name: str) -> Path:
    """A file of a face: instances from before that face came have none of their own."""
    own = directory / name
    return own if own.is_file() else data_directory("config") / name
