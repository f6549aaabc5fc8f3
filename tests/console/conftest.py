"""A console to be tried, and whoever is signed in to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.console.desk import Front, console_world


@pytest.fixture
def fronts(tmp_path: Path) -> Iterator[Callable[..., Front]]:
    """Opens consoles whose configuration some functions change; they are closed in the end."""
    opened: list[Front] = []

    def open_one(*more: Callable[[Path], None]) -> Front:
        opened.append(Front(console_world(tmp_path / f"instance{len(opened)}", *more)))
        return opened[-1]

    yield open_one
    for front in opened:
        front.close()


@pytest.fixture
def front(fronts: Callable[..., Front]) -> Front:
    """A console without accounts."""
    return fronts()
