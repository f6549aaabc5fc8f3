"""A restore or a backup that comes to no end leaves nothing that could be taken for a whole one."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from signing import KeyUnavailable
from sr_engine.backup import restoring, taking
from sr_engine.configuration import SETTINGS_FILE, load_settings
from sr_engine.store import counters
from sr_engine.store.database import DatabaseError, open_engine
from tests.cli.conftest import Run
from tests.databases import url_of_instance
from tests.world import NOW, SECONDS, World, edit, make_world

KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import Engine, event
from sr_engine.backup import restoring

source, target, number = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
passed = 0

def die(*_):
    global passed
    passed += 1
    if passed == number:
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(Engine, "commit", die)
restoring.restore(source, target)
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path / "instance", database_url=url_of_instance("sqlite"))
    world.open_release()
    yield world
    world.close()


@pytest.fixture
def postgresql(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path / "postgresql", database_url=url_of_instance("postgresql"))
    world.open_release()
    yield world
    world.close()


@pytest.fixture
def backup(world: World, tmp_path: Path) -> Path:
    taking.take(world.directory, tmp_path / "backup", taken_at=NOW, with_keys=False)
    return tmp_path / "backup"


def drawn(directory: Path) -> int:
    engine = open_engine(load_settings(directory / SETTINGS_FILE).database_url)
    with engine.begin() as connection:
        number = counters.draw(connection, "message:of-somebody")
    engine.dispose()
    return number


def test_an_instance_that_is_there_is_never_given_a_number_again_wherever_its_restore_was_killed(
    world: World, tmp_path: Path
) -> None:
    world.run(lambda uow: counters.draw(uow.connection, "message:of-somebody"))
    taking.take(world.directory, tmp_path / "backup", taken_at=NOW, with_keys=False)
    killed = 0
    for number in range(1, 5):
        target = tmp_path / f"restored-{number}"
        command = [sys.executable, "-c", KILLED, str(tmp_path / "backup"), str(target), str(number)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode in {0, -signal.SIGKILL}, done.stderr
        killed += done.returncode != 0
        if not target.exists():
            restoring.restore(tmp_path / "backup", target)
        assert drawn(target) > restoring.LEFT_OUT
    assert killed


def test_what_cannot_be_settled_is_not_made(world: World, tmp_path: Path) -> None:
    certificate = tmp_path / "certificate.pem"
    (world.directory / "pki" / "broker" / "certificate.pem").rename(certificate)
    edit(world.directory / SETTINGS_FILE, '"pki/broker/certificate.pem"', json.dumps(str(certificate)))
    taking.take(world.directory, tmp_path / "backup", taken_at=NOW, with_keys=False)
    certificate.unlink()
    with pytest.raises(KeyUnavailable, match=f"{certificate} cannot be read"):
        restoring.restore(tmp_path / "backup", tmp_path / "new", database_url=f"sqlite:///{tmp_path}/new.db")
    assert {path.name for path in tmp_path.iterdir()} == {"instance", "backup"}


def test_a_database_elsewhere_is_for_its_owner_only_and_gone_if_it_was_not_whole(world: World, tmp_path: Path) -> None:
    with closing(sqlite3.connect(world.directory / "sr-engine.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '0001'")
    # The tables of later revisions are there already: bringing it forward fails.
    taken = tmp_path / "backup"
    taking.take(world.directory, taken, taken_at=NOW, with_keys=False)
    url = f"sqlite:///{tmp_path}/elsewhere.db"
    with pytest.raises(Exception, match="already exists"):
        restoring.restore(taken, tmp_path / "new", database_url=url)
    assert {path.name for path in tmp_path.iterdir()} == {"instance", "backup"}


def test_all_that_holds_what_suppliers_were_told_is_for_its_owner_only(
    world: World, postgresql: World, backup: Path, tmp_path: Path
) -> None:
    taking.take(postgresql.directory, tmp_path / "of-postgresql", taken_at=NOW, with_keys=False)
    restoring.restore(backup, tmp_path / "restored", database_url=f"sqlite:///{tmp_path}/elsewhere.db")
    restoring.restore(backup, tmp_path / "inside")
    files = [
        *(backup / "database").iterdir(),
        *(tmp_path / "of-postgresql" / "database").iterdir(),
        tmp_path / "elsewhere.db",
        tmp_path / "inside" / "sr-engine.db",
        world.directory / "sr-engine.db",
        postgresql.directory / SETTINGS_FILE,
        tmp_path / "restored" / SETTINGS_FILE,
    ]
    assert {str(path): oct(path.stat().st_mode & 0o077) for path in files if path.stat().st_mode & 0o077} == {}


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_what_another_database_left_beside_is_not_taken_for_its_own(backup: Path, tmp_path: Path, suffix: str) -> None:
    """SQLite would write it into the database that was put there."""
    left = tmp_path / f"new.db{suffix}"
    left.write_bytes(b"of another")
    with pytest.raises(DatabaseError, match=f"new.db{suffix} is there already"):
        restoring.restore(backup, tmp_path / "new", database_url=f"sqlite:///{tmp_path}/new.db")
    assert left.read_bytes() == b"of another"


def test_an_archive_that_others_write_into_is_left_to_them(world: World, tmp_path: Path, run: Run) -> None:
    """The restored instance would set aside what its database does not know of: all since the backup."""
    archive = tmp_path / "archive"
    edit(world.directory / SETTINGS_FILE, "[listen]", f"archive_directory = {json.dumps(str(archive))}\n[listen]")
    taking.take(world.directory, tmp_path / "backup", taken_at=NOW, with_keys=False)
    done = run("restore", tmp_path / "backup", "--directory", tmp_path / "restored")
    assert done.exit_code == 0
    assert load_settings(tmp_path / "restored" / SETTINGS_FILE).archive_directory == tmp_path / "restored" / "archive"
    assert f"{archive} is left to the instance the backup was taken of" in done.stderr


def test_a_backup_is_taken_before_the_database_is_brought_forward(world: World, tmp_path: Path, run: Run) -> None:
    with closing(sqlite3.connect(world.directory / "sr-engine.db")) as database, database:
        faces = "supplier_hubs api_tokens webhooks console_accounts console_proposals console_tries"
        faces += " console_recovery_codes console_sessions kept_changes outbox_forms"
        for table in ("archives", "retention_marks", "delivery_circuits", *faces.split()):
            database.execute(f"DROP TABLE {table}")
        for index in ("ix_schedules_of_organisation", "ix_exclusions_of_organisation", "ix_alerted_hubs_message_id"):
            database.execute(f"DROP INDEX {index}")
        database.execute("ALTER TABLE scheduled_hubs DROP COLUMN attempt_id")
        for index in ("ix_outbox_told", "ix_outbox_alone"):
            database.execute(f"DROP INDEX {index}")
        for column in ("form_id", "organisation", "occurrence"):
            database.execute(f"ALTER TABLE outbox DROP COLUMN {column}")
        database.execute(
            "CREATE INDEX ix_outbox_of_hub ON outbox (destination, hub_id, outbox_id) WHERE state = 'Pending'"
        )
        database.execute("UPDATE alembic_version SET version_num = '0001'")
    assert run("backup", tmp_path / "backup", "--dir", world.directory).exit_code == 0
    assert run("restore", tmp_path / "backup", "--directory", tmp_path / "restored").exit_code == 0
    assert run("db", "check", "--dir", tmp_path / "restored").exit_code == 0


def test_no_backup_is_made_of_a_database_that_is_brought_forward_meanwhile(postgresql: World, tmp_path: Path) -> None:
    """A table that a revision writes anew is empty for whoever began to read before."""
    failed: list[Exception] = []

    def take() -> None:
        try:
            taking.take(postgresql.directory, tmp_path / "backup", taken_at=NOW, with_keys=False)
        except Exception as error:
            failed.append(error)

    taker, tick = threading.Thread(target=take), threading.Event()
    with postgresql.instance.engine.begin() as connection, postgresql.instance.reading_engine.connect() as watching:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("ALTER TABLE counters ALTER COLUMN value TYPE numeric"))
        taker.start()
        for _ in range(SECONDS * 20):
            if watching.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                break
            tick.wait(0.05)
    taker.join(SECONDS)
    assert not (tmp_path / "backup").exists()
    assert [type(one) for one in failed] == [DatabaseError]
