"""What is made by `make` beside the tests has nothing that is not there any more."""

from __future__ import annotations

import importlib
import pkgutil

import pytest


@pytest.mark.parametrize("package", ["bench", "crash", "drill", "release", "security", "soak"])
def test_every_part_of_a_tool_can_be_imported(package: str) -> None:
    folder = importlib.import_module(f"tests.{package}").__path__
    names = [one.name for one in pkgutil.iter_modules(folder) if not one.name.startswith("test_")]
    assert "__main__" in names or "dependencies" in names
    for name in names:
        if name != "__main__":
            importlib.import_module(f"tests.{package}.{name}")
