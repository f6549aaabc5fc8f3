from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sr_engine.configuration import Configuration, ConfigurationError, load
from sr_engine.resources import data_directory

Edit = Callable[[str, str, str], None]


@pytest.fixture(scope="session")
def shipped() -> Configuration:
    """The configuration that comes with the product."""
    return load(data_directory("config"))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A copy of the shipped configuration that a test may spoil."""
    return Path(shutil.copytree(data_directory("config"), tmp_path / "config"))


@pytest.fixture
def edit(directory: Path) -> Edit:
    """Replaces the first `old` in a file of that copy by `new`; `old` may hold ' ... ' for whatever stands between."""

    def replace(file: str, old: str, new: str) -> None:
        path = directory / file
        text = path.read_text(encoding="utf-8")
        first, gap, last = old.partition(" ... ")
        start = text.index(first)
        begin = text.index(last, start) if gap else start
        length = len(last if gap else first)
        path.write_text(text[:begin] + new + text[begin + length :], encoding="utf-8")

    return replace


@pytest.fixture
def problems(directory: Path) -> Callable[[], tuple[str, ...]]:
    """Loads that copy and returns what is wrong with it."""

    def found() -> tuple[str, ...]:
        with pytest.raises(ConfigurationError) as refusal:
            load(directory)
        assert str(refusal.value) == "\n".join(refusal.value.problems)
        return refusal.value.problems

    return found
