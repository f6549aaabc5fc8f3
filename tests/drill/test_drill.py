"""A short drill: everything is restarted and lost under load, and comes back from the backup that was scheduled."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.drill.playing import Wanted, play
from tests.postgres import postgres_server


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_rolling_restart_loses_nothing_and_a_disaster_what_came_after_the_backup(engine: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(postgres_server(durable=True)) if engine == "postgresql" else None
        result = play(Wanted(tmp_path, rate=20, lost_seconds=6, server=server))
    print("\n".join(result.lines()))

    assert result.wrong == []
    assert result.restart
    assert result.known > 0
    assert result.lost > 0
    assert result.arrived > 0
