"""What never changes once it is loaded, and is therefore loaded once for all worlds of a test process."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import cache
from pathlib import Path

from sr_engine import configuration
from sr_engine.configuration import Configuration
from sr_engine.messages.schema import Schema

_known: dict[str, Configuration] = {}


def load_configuration(folder: Path) -> Configuration:
    """As the product loads it, once for folders whose files hold the same; what is refused is refused each time."""
    contents = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        contents.update(repr((path.name, path.read_bytes() if path.is_file() else None)).encode())
    key = contents.hexdigest()
    if key not in _known:
        _known[key] = configuration.load(folder)
    return _known[key]


def load_schema(path: Path, *, roots: Collection[str] = (), signature_apart: bool = False) -> Schema:
    """As the product loads it, once for each file and what is accepted by it."""
    return _schema(path, frozenset(roots), signature_apart)


@cache
def _schema(path: Path, roots: frozenset[str], signature_apart: bool) -> Schema:
    return Schema(path, roots=roots, signature_apart=signature_apart)
