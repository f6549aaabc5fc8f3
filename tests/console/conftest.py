"""A console to be tried, and whoever is signed in to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.desk import Front, console_world


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    """A console without accounts."""
    front = Front(console_world(tmp_path / "instance"))
    yield front
    front.close()
