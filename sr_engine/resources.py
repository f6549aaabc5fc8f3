"""Where the product's data files are: its schemas and its configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parent


def data_directory(name: Literal["xsd", "config"]) -> Path:
    """Return the folder of schemas (`xsd`) or of the shipped configuration (`config`).

    In an installed wheel they travel inside the package; in a checkout they stand at the top of the repository.
    Raises FileNotFoundError if neither place has the folder.
    """
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(
        f"the folder {name!r} was found neither in {_PACKAGE / '_data'} nor in {_PACKAGE.parent}; reinstall the product"
    )
