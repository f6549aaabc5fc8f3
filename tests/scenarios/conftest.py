"""Where stories are played."""

from __future__ import annotations

import pytest

from tests.scenarios.stage import Theatre


@pytest.fixture(scope="session")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Theatre:
    return Theatre(tmp_path_factory.mktemp("theatre"))
