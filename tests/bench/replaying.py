"""How many message fixtures a processor in this process plays in a second."""

from __future__ import annotations

import time
from pathlib import Path

from sr_engine.replay.fixture import Shelf, fixtures_in, read_fixture
from sr_engine.replay.runner import play
from sr_engine.replay.running import theatre
from sr_engine.replay.theatre import Theatre
from tests.bench.measure import Row

MESSAGES = Path(__file__).resolve().parents[2] / "fixtures" / "messages"


def rows() -> list[Row]:
    """Measure it: all of them, each on a fresh copy of an instance, by CPU time."""
    shelf = Shelf()
    files = fixtures_in([MESSAGES])
    with theatre() as stages:
        # What is prepared once is not counted.
        for path in files[:1]:
            _play(path, stages, shelf)
        started = time.process_time()
        for path in files:
            _play(path, stages, shelf)
        seconds = time.process_time() - started
    return [Row(f"replay of {len(files)} message fixtures", len(files) / seconds, "fixtures per CPU s")]


def _play(path: Path, stages: Theatre, shelf: Shelf) -> None:
    fixture = read_fixture(path, shelf)
    with stages.stage(fixture) as stage:
        play(fixture, stage)
