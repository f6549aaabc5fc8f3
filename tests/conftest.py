"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sr_engine.heap import keep_what_is_there

ROOT = Path(__file__).resolve().parent.parent


def pytest_xdist_auto_num_workers() -> int:
    """One more than processors: many tests wait for processes that they have started."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_finish() -> None:
    """Have Python not look for cycles in thousands of tests and all they import, again and again."""
    keep_what_is_there()


@pytest.fixture(scope="session")
def duis_reference() -> Path:
    """The folder of third-party reference material; tests that need it are skipped where it is absent."""
    path = Path(os.environ.get("DUIS_REFERENCE", ROOT.parent / "shared" / "reference"))
    if not (path / "schema" / "DUIS-5.4.xsd").is_file():
        pytest.skip(f"reference material not found at {path} (set DUIS_REFERENCE)")
    return path
