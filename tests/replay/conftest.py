"""Where fixtures are played."""

from __future__ import annotations

import pytest

from sr_engine.replay.theatre import Theatre


@pytest.fixture(scope="session")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Theatre:
    return Theatre(tmp_path_factory.mktemp("theatre"))
