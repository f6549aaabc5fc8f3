"""The traffic of the demonstration, played against this build: no answer is another one, but for a planted change."""

from __future__ import annotations

import io
import sqlite3
from pathlib import Path

import pytest
from rich.console import Console

from sr_engine.bootstrap import open_instance
from sr_engine.demo import play
from sr_engine.demo.cast import processes, set_up
from sr_engine.replay.from_log import replay_log
from sr_engine.replay.theatre import closing


@pytest.mark.slow
def test_the_traffic_of_the_demonstration_is_answered_as_it_was_and_a_planted_change_is_found(tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    cast = set_up(tmp_path / "instance")
    instance = open_instance(cast.directory)
    with closing(instance.engine, instance.reading_engine), processes(cast, console):
        play._open_release(instance, console)
        play._watch(instance, cast, console)

    as_it_was = replay_log(cast.directory, None, lambda _: None)
    with sqlite3.connect(cast.directory / "sr-engine.db") as database:
        # As if this build answered otherwise than the one before it: one code in the inbox is another.
        database.execute(
            "UPDATE exchanges SET code = 'I0' WHERE exchange_id = "
            "(SELECT min(exchange_id) FROM exchanges WHERE interface = 'DUIS' AND code <> 'I0')"
        )
    database.close()
    planted = replay_log(cast.directory, None, lambda _: None)

    assert as_it_was.messages > 10
    assert [str(one) for one in as_it_was.differences] == []
    assert [one.before for one in planted.differences] == ["I0"]
