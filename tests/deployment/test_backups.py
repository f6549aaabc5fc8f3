"""The scripts of the timers: a backup is taken and old ones go, and the newest is tried."""

from __future__ import annotations

import subprocess
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.databases import only_sqlite
from tests.deployment.files import BACKUPS, DEPLOYMENT, INSTANCE, PROGRAM, SCRIPTS, program_in, unit
from tests.world import World, make_world

WAIT = 90
TODAY = date(2026, 11, 26)


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=WAIT, check=False)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = make_world(tmp_path / "instance")
    made.close()
    return made


def paths_of(world: World) -> dict[str, str]:
    folder = world.directory.parent
    (folder / "backups").mkdir(exist_ok=True)
    return {
        PROGRAM: str(program_in(folder)),
        SCRIPTS: str(DEPLOYMENT),
        INSTANCE: str(world.directory),
        BACKUPS: str(folder / "backups"),
    }


@only_sqlite
def test_what_the_timers_start_takes_a_backup_and_finds_whether_it_can_be_restored(world: World) -> None:
    paths = paths_of(world)
    trial = unit("sr-engine-restore-check.service").command("ExecStart", paths)
    taken = run(unit("sr-engine-backup.service").command("ExecStart", paths))
    assert taken.returncode == 0, taken.stderr
    (backup,) = Path(paths[BACKUPS]).iterdir()

    whole = run(trial)
    with (backup / "instance" / "users.toml").open("a") as users:
        users.write("# changed\n")
    damaged = run(trial)

    assert whole.returncode == 0, whole.stderr
    assert f"restored {backup} in " in whole.stdout
    assert damaged.returncode == 10
    assert list(Path(paths[BACKUPS]).iterdir()) == [backup]


def test_a_week_of_days_and_a_year_of_months_are_kept_and_nothing_else_is_touched(tmp_path: Path) -> None:
    backups, program = tmp_path / "backups", tmp_path / "program"
    program.write_text('#!/bin/sh\nmkdir "$4"\n')
    program.chmod(0o755)
    taken = [TODAY - timedelta(days=back) for back in range(1, 500)]
    for one in taken[:40] + [one for one in taken[40:] if one.day in {1, 2, 17}]:
        (backups / f"{one}T134000Z").mkdir(parents=True)
    (backups / "before-the-upgrade").mkdir()

    done = run(["/bin/sh", str(DEPLOYMENT / "backup.sh"), str(program), "instance", str(backups), f"{TODAY}T134000Z"])

    assert done.returncode == 0, done.stderr
    days = {TODAY - timedelta(days=back) for back in range(7)}
    months = {date(2025 + (11 + month) // 12, (11 + month) % 12 + 1, 1) for month in range(12)}
    assert {one.name for one in backups.iterdir()} == {
        "before-the-upgrade",
        *(f"{one}T134000Z" for one in days | months),
    }


def test_without_a_new_backup_no_old_one_is_removed(tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    for back in range(1, 40):
        (backups / f"{TODAY - timedelta(days=back)}T134000Z").mkdir(parents=True)
    before = set(backups.iterdir())

    done = run(["/bin/sh", str(DEPLOYMENT / "backup.sh"), "/bin/false", "instance", str(backups)])

    assert done.returncode != 0
    assert set(backups.iterdir()) == before


def test_where_there_is_no_backup_the_trial_says_so(tmp_path: Path) -> None:
    done = run(["/bin/sh", str(DEPLOYMENT / "restore-check.sh"), "/bin/true", str(tmp_path)])

    assert (done.returncode, done.stderr) == (2, f"there is no backup in {tmp_path}\n")
