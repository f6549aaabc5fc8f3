"""A process that prunes may be killed at any moment: nothing is lost, and nothing is in the archive twice."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from sr_engine.bootstrap import open_instance, processor_of
from sr_engine.operations.archive_verification import verify as verify_archive
from sr_engine.operations.audit_verification import verify as verify_audit
from sr_engine.store.portions import ChangedMeanwhile, Kind
from sr_engine.store.tables import attempts, decisions, exchanges, outbox, schedule_hubs
from tests.databases import KIND, KINDS, give_a_copy_of_its_database, server
from tests.regions.conftest import Nights
from tests.retention.conftest import Aged, make_aged
from tests.world import World

TABLES = (outbox, exchanges, attempts, decisions, schedule_hubs)
KILLED = """
import asyncio, os, signal, sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from sqlalchemy import event
from sr_engine.bootstrap import open_instance, pruning_of
from sr_engine.clock import FixedClock
from sr_engine.operations.retaining import prune_all

directory, now, point, number = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2]), sys.argv[3], int(sys.argv[4])
instance = open_instance(directory, clock=FixedClock(now))
passed = 0

def die(*_):
    global passed
    passed += 1
    if passed == number:
        os.kill(os.getpid(), signal.SIGKILL)

if point == "before commit":
    event.listen(instance.engine, "commit", die)
elif point == "after commit":
    event.listen(instance.engine.pool, "checkin", die)
else:
    sys.addaudithook(lambda name, _: die() if name == "os.rename" else None)
pruning = pruning_of(instance)
pruning = replace(pruning, terms=replace(pruning.terms, audit=timedelta(days=400)))
asyncio.run(prune_all(pruning, instance.transactions, now, "operator"))
"""
SHORT = {
    ("sqlite", "before commit", 1),
    ("sqlite", "after commit", 1),
    ("sqlite", "before a file has its name", 2),
    ("postgresql", "after commit", 2),
}
MATRIX = [
    pytest.param(kind, point, number, marks=() if (kind, point, number) in SHORT else pytest.mark.slow)
    for kind in KINDS
    for point in ("before commit", "after commit", "before a file has its name")
    for number in range(1, 5)
]


@pytest.fixture(scope="module")
def grown_old(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Aged]:
    """By engine, an instance to be copied, to which nobody is connected."""

    @cache
    def of(kind: str) -> Aged:
        aged = make_aged(tmp_path_factory.mktemp("old") / "instance", kind)
        aged.pass_time()
        aged.world.close()
        return aged

    return of


def copy_of(aged: Aged, directory: Path) -> Aged:
    shutil.copytree(aged.world.directory, directory)
    if "postgresql" in aged.world.instance.settings.database_url:
        give_a_copy_of_its_database(directory, server())
    instance = open_instance(directory, clock=aged.world.clock)
    world = World(directory, instance, aged.world.clock, processor_of(instance))
    return Aged(world, Nights(world, aged.nights.region))


def kept_and_archived(aged: Aged) -> dict[str, Counter[str]]:
    """By table, its rows by their keys: those in the database, and those in the archive."""
    found: dict[str, Counter[str]] = {}
    for table in TABLES:
        keys = [column.name for column in table.primary_key.columns]
        rows = aged.archived_from(table)
        found[table.name] = Counter("|".join(str(row[key]) for key in keys) for row in rows)
    return found


def check_whole(aged: Aged, before: dict[str, int]) -> None:
    for name, archived in kept_and_archived(aged).items():
        assert set(archived.values()) <= {1}, f"{name}: in the archive twice"
        # Of requests and lists a row stays, without what it said.
        (table,) = (one for one in TABLES if one.name == name)
        emptied = aged.number_of(table) + len(archived) - before[name]
        assert emptied == (len(archived) if table is exchanges else 1 if table is outbox else 0), name
    with aged.world.instance.reading_engine.connect() as connection:
        report = verify_archive(connection, aged.pruning.folder)
        assert (report.wrong, report.gaps) == ([], [])
        assert verify_audit(connection, aged.pruning.certificates).intact


@pytest.mark.parametrize(("kind", "point", "number"), MATRIX)
def test_what_a_killed_process_left_is_done_by_the_next(
    grown_old: Callable[[str], Aged], tmp_path: Path, kind: str, point: str, number: int
) -> None:
    aged = copy_of(grown_old(kind), tmp_path / "copy")
    before = {table.name: aged.number_of(table) for table in TABLES}
    now = aged.world.clock.now().isoformat()
    command = [sys.executable, "-c", KILLED, str(tmp_path / "copy"), now, point, str(number)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr

    # Whatever is gone from the database is in a file that counts, and nothing else is.
    archived = kept_and_archived(aged)
    assert aged.number_of(attempts) + len(archived["attempts"]) == before["attempts"]
    aged.prune()
    assert all(kept_and_archived(aged)[table.name] for table in TABLES)
    check_whole(aged, before)
    aged.world.close()


def test_what_changed_while_it_was_written_stays_and_its_file_does_not_count(
    grown_old: Callable[[str], Aged], tmp_path: Path
) -> None:
    aged = copy_of(grown_old(KIND), tmp_path / "copy")
    prepared = aged.pruning.prepare(Kind.MESSAGES, aged.world.clock.now())
    assert prepared is not None
    assert prepared.written is not None
    aged.world.run(lambda uow: uow.connection.execute(outbox.update().values(tries=7)))
    with pytest.raises(ChangedMeanwhile):
        aged.world.run(lambda uow: aged.pruning.remove(uow, prepared))
    assert aged.archived() == []
    aged.prune()
    assert {row["tries"] for row in aged.archived_from(outbox)} == {7}
    assert [path.name for path in aged.pruning.folder.rglob("*.abandoned")] == [
        prepared.written.name.rpartition("/")[2] + ".abandoned"
    ]
    aged.world.close()


def test_removing_twice_is_removing_once(grown_old: Callable[[str], Aged], tmp_path: Path) -> None:
    aged = copy_of(grown_old(KIND), tmp_path / "copy")
    before = {table.name: aged.number_of(table) for table in TABLES}
    prepared = aged.pruning.prepare(Kind.MESSAGES, aged.world.clock.now())
    assert prepared is not None
    for _ in range(2):
        aged.world.run(lambda uow: aged.pruning.remove(uow, prepared))
    aged.prune()
    check_whole(aged, before)
    aged.world.close()
