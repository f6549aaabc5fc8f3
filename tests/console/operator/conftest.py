"""An operator's console to be tried."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.desk import console_world
from tests.console.operator.office import OperatorFront


@pytest.fixture
def front(tmp_path: Path) -> Iterator[OperatorFront]:
    """A console without accounts."""
    front = OperatorFront(console_world(tmp_path / "instance"))
    yield front
    front.close()
