"""Once a day by itself, by hand, and by one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from sr_engine import archive
from sr_engine.archive import ArchiveInUse
from sr_engine.store import archives, audit
from sr_engine.store.portions import Kind
from tests.cli.conftest import Run
from tests.gateway.conftest import serving
from tests.retention.conftest import Aged, make_aged
from tests.world import SECONDS, edit, reopen


def wait_for(condition: Callable[[], object]) -> None:
    tick = threading.Event()
    for _ in range(SECONDS * 20):
        if condition():
            return
        tick.wait(0.05)
    raise TimeoutError


def test_a_processor_that_runs_prunes_once_a_day(aged: Aged) -> None:
    world = aged.world
    edit(world.directory / "config" / "policy.toml", "tick_seconds = 30", "tick_seconds = 1")
    aged = Aged(reopen(world), aged.nights)
    reading = aged.world.instance.reading_engine

    def pruned() -> list[audit.Entry]:
        with reading.connect() as connection:
            found = audit.newest(connection, 10_000)
        return [one for one in found if one.action == "pruned into the archive"]

    def done() -> object:
        with reading.connect() as connection:
            return archives.done_at(connection)

    aged.pass_time()
    with serving(aged.world):
        wait_for(done)
        first = done()
        (entry,) = pruned()
        assert entry.actor == "processor"
        assert "lines of messages" in entry.detail
        aged.pass_time(timedelta(days=1))
        wait_for(lambda: done() != first)
    aged.world.close()


def test_two_do_not_write_into_one_archive(aged: Aged) -> None:
    aged.pass_time()
    with archive.alone_in(aged.pruning.folder), pytest.raises(ArchiveInUse, match="another process writes into"):
        aged.prune()
    assert aged.prune()[Kind.MESSAGES]


def test_the_command_says_what_would_go_and_what_went(tmp_path: Path, run: Run) -> None:
    aged = make_aged(tmp_path / "instance", "sqlite")
    directory = aged.world.directory
    edit(
        directory / "sr-engine.toml",
        "[listen]",
        "[clock]\nanchored_at = 2026-01-01T00:00:00Z\nstarts_at = 2029-06-01T00:00:00Z\nrate = 1.0\n\n[listen]",
    )
    before = aged.all_rows()
    would = run("prune", "--dry-run", "--dir", directory)
    assert would.exit_code == 0
    assert "messages that were delivered" in would.stdout
    assert aged.all_rows() == before
    assert not aged.pruning.folder.exists()

    went = run("prune", "--dir", directory)
    assert went.exit_code == 0
    assert "lines of messages" in went.stdout
    assert f"pruned into {directory / 'archive'}" in went.stdout
    assert run("prune", "--dir", directory).stdout == "nothing is so old\n"
    assert run("archive", "verify", "--dir", directory).exit_code == 0
    assert run("audit", "verify", "--dir", directory).exit_code == 0
    next((directory / "archive").rglob("messages-*.gz")).write_bytes(b"")
    broken = run("archive", "verify", "--dir", directory)
    assert broken.exit_code == 10
    assert "is damaged" in broken.stderr
    aged.world.close()
