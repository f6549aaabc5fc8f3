"""A database on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from sr_engine.store.database import create_tables, open_engine
from tests.databases import new_url


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(new_url(tmp_path))
    create_tables(engine)
    yield engine
    engine.dispose()
