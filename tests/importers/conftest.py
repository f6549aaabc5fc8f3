"""Files to import."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sr_engine.importers.csv_table import CsvRefused

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file as it stands and returns its path."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "file.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def problems(refused: CsvRefused) -> list[str]:
    return [str(problem) for problem in refused.problems]
