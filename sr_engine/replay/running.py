"""Plays many fixtures, one after another or several at a time, and says of each how it went."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from sr_engine.configuration import ConfigurationError
from sr_engine.replay.fixture import Fixture, FixtureRefused, Shelf, read_fixture
from sr_engine.replay.recording import record_into
from sr_engine.replay.remote import NotOverHttp, RemoteStage, Target
from sr_engine.replay.runner import FixtureFailed, play
from sr_engine.replay.theatre import Theatre


class Verdict(StrEnum):
    """How a fixture went."""

    PASSED = "passed"
    FAILED = "failed"
    """Something is otherwise than it says."""
    REFUSED = "refused"
    """It is no fixture, or cannot be played."""
    SKIPPED = "skipped"
    """What it does cannot be done to a processor over HTTP."""
    RECORDED = "recorded"
    """It was played, and what happened was written into it."""


@dataclass(frozen=True, slots=True)
class Result:
    """How one fixture went, why, and how many seconds it took."""

    path: Path
    verdict: Verdict
    words: str = ""
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return self.verdict not in (Verdict.FAILED, Verdict.REFUSED)


Judge = Callable[[Fixture], Result]
Said = Callable[[Result], None]


def replay(paths: Sequence[Path], *, at_once: int = 1, record: bool = False) -> Iterator[Result]:
    """Play fixtures in this process, or in `at_once` others, each on an instance of its own; results in order."""
    if at_once == 1:
        yield from _some(paths, record=record)
        return
    # Neighbours share what is given: each process prepares it once.
    size = -(-len(paths) // at_once)
    portions = [paths[start : start + size] for start in range(0, len(paths), size)]
    with ProcessPoolExecutor(at_once, mp_context=get_context("spawn")) as processes:
        for results in processes.map(partial(_listed, record=record), portions):
            yield from results


def replay_to(target: Target, paths: Sequence[Path], *, at_once: int = 1) -> Iterator[Result]:
    """Send what the fixtures say to a processor that runs, `at_once` fixtures at a time; results in order."""
    shelf = Shelf()

    def one(path: Path) -> Result:
        return _timed(path, lambda: _remotely(target, read_fixture(path, shelf)))

    if at_once == 1:
        yield from map(one, paths)
        return
    with ThreadPoolExecutor(at_once) as threads:
        yield from threads.map(one, paths)


def _listed(paths: Sequence[Path], *, record: bool) -> list[Result]:
    return list(_some(paths, record=record))


def _some(paths: Iterable[Path], *, record: bool) -> Iterator[Result]:
    shelf = Shelf()
    with theatre() as stages:
        for path in paths:
            yield _timed(path, partial(_embedded, stages, path, shelf, record=record))


@contextmanager
def theatre() -> Iterator[Theatre]:
    """Where fixtures are played, in a folder that is gone at the end of the block."""
    with quietly(), tempfile.TemporaryDirectory(prefix="sr-engine-replay-") as folder:
        yield Theatre(Path(folder))


@contextmanager
def quietly() -> Iterator[None]:
    """Log no warnings until the end of the block: what an operator is warned of is what much of a replay is about."""
    ours = logging.getLogger("sr_engine")
    before = ours.level
    ours.setLevel(logging.ERROR)
    try:
        yield
    finally:
        ours.setLevel(before)


def _embedded(stages: Theatre, path: Path, shelf: Shelf, *, record: bool) -> Result:
    fixture = read_fixture(path, shelf)
    with stages.stage(fixture) as stage:
        if record:
            changed = record_into(fixture, stage)
            return Result(path, Verdict.RECORDED, "" if changed else "as it was")
        play(fixture, stage)
    return Result(path, Verdict.PASSED)


def _remotely(target: Target, fixture: Fixture) -> Result:
    play(fixture, RemoteStage(fixture, target))
    return Result(fixture.path, Verdict.PASSED)


def _timed(path: Path, judge: Callable[[], Result]) -> Result:
    started = time.perf_counter()
    try:
        result = judge()
    except FixtureFailed as failed:
        result = Result(path, Verdict.FAILED, str(failed))
    except FixtureRefused as refused:
        result = Result(path, Verdict.REFUSED, str(refused))
    except NotOverHttp as unable:
        result = Result(path, Verdict.SKIPPED, str(unable))
    except ConfigurationError as error:
        result = Result(path, Verdict.REFUSED, "\n".join(f"{path.name}: {one}" for one in error.problems))
    return Result(result.path, result.verdict, result.words, time.perf_counter() - started)
