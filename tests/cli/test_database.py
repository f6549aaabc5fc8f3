"""`sr-engine db`, and what every command says of a database that it cannot work on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from sr_engine.clock import SystemClock
from sr_engine.instance import create_instance
from sr_engine.store import leases, migrating
from sr_engine.store.database import open_engine
from sr_engine.store.schema import known_revisions
from tests.cli.conftest import Run
from tests.databases import only_sqlite

NEWEST = known_revisions()[-1]

pytestmark = only_sqlite


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "instance"
    create_instance(directory, now=datetime.now(UTC))
    return directory


def change(directory: Path, *statements: str) -> None:
    with closing(sqlite3.connect(directory / "sr-engine.db")) as database, database:
        for statement in statements:
            database.execute(statement)


def test_a_new_instance_is_current_and_nothing_is_to_be_done(run: Run, directory: Path) -> None:
    checked = run("db", "check", "--dir", directory)
    assert (checked.exit_code, checked.stdout) == (0, f"current: revision {NEWEST}\n")
    upgraded = run("db", "upgrade", "--dir", directory)
    assert (upgraded.exit_code, upgraded.stdout) == (0, f"nothing to do: the schema is of revision {NEWEST}\n")


def test_a_later_schema_on_which_this_version_works_is_served(run: Run, directory: Path) -> None:
    change(directory, "UPDATE alembic_version SET version_num = '9999'")
    checked = run("db", "check", "--dir", directory)
    assert checked.exit_code == 0
    assert checked.stdout.startswith(f"newer: revision 9999; this version knows {NEWEST} and can still work on it")
    assert run("status", "--dir", directory).exit_code == 0


@pytest.mark.parametrize("command", [("status",), ("serve",), ("audit", "verify"), ("lease", "list")])
def test_a_later_schema_that_is_unknown_is_refused_by_every_command(
    run: Run, directory: Path, command: tuple[str, ...]
) -> None:
    change(
        directory,
        "UPDATE alembic_version SET version_num = '9999'",
        "UPDATE schema_support SET works_from = '9998'",
    )
    checked = run("db", "check", "--dir", directory)
    assert checked.exit_code == 5
    assert "unknown-newer: revision 9999" in checked.stderr
    refused = run(*command, "--dir", directory)
    assert refused.exit_code == 2
    assert "cannot work on: use the version that brought it forward, or a newer one" in refused.stderr
    assert run("db", "upgrade", "--dir", directory).exit_code == 2


def test_a_file_that_is_not_there_is_not_made(run: Run, directory: Path) -> None:
    (directory / "sr-engine.db").unlink()
    for command in ("check", "upgrade"):
        refused = run("db", command, "--dir", directory)
        assert refused.exit_code == 2
        assert "there is no database" in refused.stderr
    assert not (directory / "sr-engine.db").exists()


def test_a_database_that_nothing_was_made_in_is_no_instances(run: Run, directory: Path) -> None:
    (directory / "sr-engine.db").write_bytes(b"")
    for command in ("check", "upgrade"):
        refused = run("db", command, "--dir", directory)
        assert refused.exit_code == 2
        assert "`sr-engine init` did not make it" in refused.stderr


def of_an_earlier_revision(directory: Path, revision: str) -> Engine:
    """The database of an instance, with nothing in it."""
    (directory / "sr-engine.db").unlink()
    engine = open_engine(f"sqlite:///{directory / 'sr-engine.db'}")
    with engine.begin() as connection:
        migrating.create(connection, up_to=revision)
    return engine


def test_all_is_not_stopped_as_long_as_a_process_holds_a_lease(run: Run, directory: Path) -> None:
    engine = of_an_earlier_revision(directory, "0005")
    now = SystemClock().now()
    with engine.begin() as connection:
        leases.claim(connection, "deliveries", "worker-7", now, timedelta(hours=1))
        leases.claim(connection, "triggers", "worker-8", now - timedelta(days=2), timedelta(hours=1))
    until = f"{now + timedelta(hours=1):%Y-%m-%d %H:%M:%S}Z"

    refused = run("db", "upgrade", "--all-stopped", "--dir", directory)
    assert refused.exit_code == 2
    assert refused.stderr == (
        f"sr-engine: not all processes are stopped, for leases are held by worker-7 (until {until}): stop them, or "
        "wait until then if they were killed, and try again (`sr-engine lease list`); nothing was changed\n"
    )
    assert run("db", "check", "--dir", directory).stderr.startswith("sr-engine: pending: revision 0005")
    listed = run("lease", "list", "--dir", directory)
    assert listed.exit_code == 0
    assert "worker-7" in listed.stdout

    with engine.begin() as connection:
        leases.give_back(connection, "worker-7", now)
    engine.dispose()
    upgraded = run("db", "upgrade", "--all-stopped", "--dir", directory)
    assert upgraded.exit_code == 0
    assert upgraded.stdout.endswith(f"current: revision {NEWEST}\n")


def test_an_instance_of_the_first_release_is_served_before_all_of_its_processes_are_replaced(
    run: Run, directory: Path
) -> None:
    of_an_earlier_revision(directory, "0005").dispose()
    refused = run("db", "upgrade", "--all-replaced", "--dir", directory)
    assert refused.exit_code == 2
    assert "first `sr-engine db upgrade`, then replace all processes, then --all-replaced" in refused.stderr
    assert run("db", "upgrade", "--all-replaced", "--all-stopped", "--dir", directory).exit_code == 2

    waits = (
        "revision 0011; 0012 waits until no process of a version before is left: restart all with this version, one "
        "after another, then `sr-engine db upgrade --all-replaced`\n"
    )
    upgraded = run("db", "upgrade", "--dir", directory)
    assert upgraded.exit_code == 0
    assert upgraded.stdout.startswith("applied 0006: ")
    assert upgraded.stdout.endswith(f"\n{waits}")
    assert (run("db", "upgrade", "--dir", directory).stdout, run("db", "check", "--dir", directory).stdout) == (
        waits,
        f"mixed: {waits}",
    )
    for command in ("status", "lease list", "doctor"):
        assert run(*command.split(), "--dir", directory).exit_code in {0, 1}, command
    assert "sr-engine db upgrade --all-replaced" in " ".join(run("doctor", "--dir", directory).stdout.split())

    upgraded = run("db", "upgrade", "--all-replaced", "--dir", directory)
    assert (upgraded.exit_code, upgraded.stdout.splitlines()[-1]) == (0, f"current: revision {NEWEST}")
    assert run("db", "upgrade", "--all-replaced", "--dir", directory).stdout.startswith("nothing to do")


def test_an_instance_of_the_first_revision_is_refused_and_then_brought_forward(run: Run, directory: Path) -> None:
    of_an_earlier_revision(directory, "0001").dispose()
    for command in ("status", "serve"):
        refused = run(command, "--dir", directory)
        assert refused.exit_code == 2
        assert refused.stderr == (
            "sr-engine: the schema of the database is of revision 0001, and this version of sr-engine needs "
            "0011 at least: bring it forward with `sr-engine db upgrade`\n"
        )
    checked = run("db", "check", "--dir", directory)
    assert checked.exit_code == 4
    assert checked.stderr.startswith("sr-engine: pending: revision 0001, to be brought forward by 0002")

    # Programs of that revision know nothing of what is pruned.
    refused = run("db", "upgrade", "--dir", directory)
    assert refused.exit_code == 2
    assert "stop all of them, gateways too, and say so with --all-stopped" in refused.stderr
    upgraded = run("db", "upgrade", "--all-stopped", "--dir", directory)
    assert upgraded.exit_code == 0
    assert upgraded.stdout.startswith("applied 0002: ")
    assert upgraded.stdout.endswith(f"current: revision {NEWEST}\n")
    assert run("status", "--dir", directory).exit_code == 0
