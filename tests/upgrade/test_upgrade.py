"""What the first release has answered and begun, this version goes on with: nothing is lost, nothing done twice."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.postgres import postgres_server
from tests.upgrade.first_release import HistoryMissing
from tests.upgrade.playing import CONNECTIONS, GATEWAYS, Wanted, Way, play


@pytest.mark.slow
@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_an_upgrade_from_the_first_release_under_load_loses_and_doubles_nothing(
    engine: str, way: Way, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(postgres_server(durable=True)) if engine == "postgresql" else None
        try:
            result = play(Wanted(tmp_path, server=server, way=way))
        except HistoryMissing as missing:
            pytest.skip(str(missing))
    print("\n".join(result.lines()))

    assert result.violations == []
    assert all(result.left_over.values())
    assert all(result.answered[when] for when in ("before", "meanwhile", "after"))
    if way is Way.REPLACED:
        # A gateway that stops closes a connection on which the next POST is just under way, and no other.
        assert result.again <= GATEWAYS * CONNECTIONS
