"""What a backup holds, and from what no instance is made."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, select, text

from sr_engine.backup import manifest as manifests
from sr_engine.backup import restoring, taking
from sr_engine.backup.manifest import BackupDamaged
from sr_engine.backup.places import PlaceTaken
from sr_engine.backup.settings_file import with_database
from sr_engine.store import counters, outbox
from sr_engine.store.database import DatabaseError, open_engine
from sr_engine.store.outbox import NOTICE, Outgoing
from sr_engine.store.tables import metadata
from tests.authority import Authority, common_name
from tests.cli.conftest import Run
from tests.databases import empty_url, server, url_of_instance
from tests.migrations.describing import describe
from tests.world import NOW, TestHub, World, make_world


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


def contents(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


# --- what is in it ------------------------------------------------------------------------------------------------


def test_no_private_key_is_in_it_unless_asked_for(world: World, backup: Path, tmp_path: Path) -> None:
    # Nor one that somebody has put where it does not belong.
    stray = world.directory / "pki" / "trust" / "issuing" / "stray.txt"
    stray.write_bytes((world.directory / "pki" / "broker" / "key.pem").read_bytes())
    taking.take(world.directory, tmp_path / "second", taken_at=NOW, with_keys=False)
    for folder in (backup, tmp_path / "second"):
        assert not any(b"PRIVATE KEY" in path.read_bytes() for path in contents(folder))

    taken = taking.take(world.directory, tmp_path / "third", taken_at=NOW, with_keys=True)
    assert {"instance/pki/broker/key.pem", "instance/pki/supplier-a/key.pem"} <= taken.files.keys()


def test_certificates_of_tls_are_in_it_and_their_keys_if_asked_for(world: World, tmp_path: Path) -> None:
    authority = Authority(world.directory / "tls", "clients")
    authority.issue("server", common_name("server"))
    own = 'certificate = "tls/server.crt"\nkey = "tls/server.key"'
    with (world.directory / "sr-engine.toml").open("a") as settings:
        settings.write(f'\n[tls]\n{own}\nclient_ca = "tls/clients.pem"\n[outgoing_tls.users]\n{own}\n')

    without = taking.take(world.directory, tmp_path / "second", taken_at=NOW, with_keys=False)
    with_keys = taking.take(world.directory, tmp_path / "third", taken_at=NOW, with_keys=True)

    certificates = {"instance/tls/server.crt", "instance/tls/clients.pem"}
    assert {name for name in without.files if "tls/" in name} == certificates
    assert {name for name in with_keys.files if "tls/" in name} == {*certificates, "instance/tls/server.key"}


def test_only_its_owner_can_read_it(backup: Path) -> None:
    assert backup.stat().st_mode & 0o777 == 0o700


def test_what_is_outside_the_folder_of_the_instance_is_named(world: World, tmp_path: Path) -> None:
    users = tmp_path / "users.toml"
    (world.directory / "users.toml").rename(users)
    settings = world.directory / "sr-engine.toml"
    settings.write_text(settings.read_text().replace('"users.toml"', json.dumps(str(users))))
    taken = taking.take(world.directory, tmp_path / "backup", taken_at=NOW, with_keys=False)
    assert taken.left_out == [str(users)]
    assert restoring.restore(tmp_path / "backup", tmp_path / "restored").audit.intact


@pytest.mark.parametrize("with_keys", [False, True])
@pytest.mark.parametrize(
    ("user", "query"),
    [("postgres:open-sesame", ""), ("postgres", "?password=open-sesame"), ("postgres:x", "?sslpassword=open-sesame")],
)
def test_no_password_of_the_database_is_in_it(
    postgresql: World, tmp_path: Path, user: str, query: str, *, with_keys: bool
) -> None:
    settings = postgresql.directory / "sr-engine.toml"
    url = postgresql.instance.settings.database_url
    settings.write_text(settings.read_text().replace(url, url.replace("postgres@", f"{user}@") + query))
    taking.take(postgresql.directory, tmp_path / "backup", taken_at=NOW, with_keys=with_keys)
    assert not any(b"open-sesame" in path.read_bytes() for path in contents(tmp_path / "backup"))
    assert f'database_url = "{url}"\n' in (tmp_path / "backup" / "instance" / "sr-engine.toml").read_text()


def test_the_address_of_the_database_is_changed_where_it_stands_or_put_above_everything() -> None:
    text = 'environment = "x"\ndatabase_url = "sqlite:///a.db"\n[listen]\nport = 1\n'
    assert with_database(text, 'b"c') == 'environment = "x"\ndatabase_url = "b\\"c"\n[listen]\nport = 1\n'
    assert with_database("[listen]\n", "b") == 'database_url = "b"\n[listen]\n'


# --- where it goes ------------------------------------------------------------------------------------------------


def test_nothing_is_overwritten_and_nothing_is_left_of_what_failed(world: World, backup: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in contents(backup)}
    with pytest.raises(PlaceTaken, match="is there already"):
        taking.take(world.directory, backup, taken_at=NOW, with_keys=False)
    with pytest.raises(PlaceTaken, match="is there already"):
        restoring.restore(backup, world.directory)
    (tmp_path / "there.db").write_bytes(b"of somebody")
    with pytest.raises(DatabaseError, match="there already: it would be overwritten"):
        restoring.restore(backup, tmp_path / "new", database_url=f"sqlite:///{tmp_path}/there.db")

    assert (tmp_path / "there.db").read_bytes() == b"of somebody"
    assert {path: path.read_bytes() for path in contents(backup)} == before
    assert {path.name for path in tmp_path.iterdir()} == {"instance", "backup", "there.db"}


def test_a_backup_of_postgresql_needs_an_empty_database_of_its_own(
    postgresql: World, backup: Path, tmp_path: Path
) -> None:
    taking.take(postgresql.directory, tmp_path / "of-postgresql", taken_at=NOW, with_keys=False)
    of_postgresql, new = tmp_path / "of-postgresql", tmp_path / "new"
    with pytest.raises(DatabaseError, match="name an empty one with --database"):
        restoring.restore(of_postgresql, new)
    with pytest.raises(DatabaseError, match="the database is not empty"):
        restoring.restore(of_postgresql, new, database_url=postgresql.instance.settings.database_url)
    with pytest.raises(DatabaseError, match="of a PostgreSQL database: name an empty one with --database"):
        restoring.restore(of_postgresql, new, database_url=f"sqlite:///{tmp_path}/new.db")
    with pytest.raises(DatabaseError, match="of a SQLite database: leave out --database, or name"):
        restoring.restore(backup, new, database_url=server().new_database())
    assert not new.exists()


def rows(connection: Connection) -> dict[str, list[str]]:
    """Every row of every table in which restoring changes nothing."""
    return {
        table.name: sorted(str(tuple(row)) for row in connection.execute(select(table)))
        for table in metadata.sorted_tables
        if not table.name.startswith(("audit", "counters", "leases"))
    }


def test_a_restored_database_has_every_row_index_and_constraint(postgresql: World, tmp_path: Path) -> None:
    postgresql.add_hubs(TestHub(number) for number in range(1, 20))
    taking.take(postgresql.directory, tmp_path / "backup", taken_at=NOW, with_keys=False)
    url = server().new_database()
    restoring.restore(tmp_path / "backup", tmp_path / "restored", database_url=url)
    engine = open_engine(url)
    with engine.connect() as one, postgresql.instance.reading_engine.connect() as other:
        assert describe(one) == describe(other)
        assert rows(one) == rows(other)
        assert len(rows(one)["devices"]) > 19
    engine.dispose()


# --- what is not believed -----------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda folder: flip(folder / "database" / "sr-engine.db"), "sr-engine.db is damaged"),
        (lambda folder: flip(folder / "instance" / "config" / "policy.toml"), "policy.toml is damaged"),
        (lambda folder: (folder / "instance" / "users.toml").unlink(), "users.toml is missing"),
        (lambda folder: (folder / "instance" / "more.toml").write_text(""), "more.toml is not part of the backup"),
        (lambda folder: (folder / "manifest.json").unlink(), "is no backup: it has no manifest.json"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text('{"format": 2}'), "reads format 1, not 2"),
    ],
)
def test_a_backup_that_is_not_what_was_taken_is_refused(
    backup: Path, tmp_path: Path, damage: Callable[[Path], object], why: str
) -> None:
    damage(backup)
    with pytest.raises(BackupDamaged, match=why):
        restoring.restore(backup, tmp_path / "restored")
    assert {path.name for path in tmp_path.iterdir()} == {"instance", "backup"}


def test_a_backup_of_a_later_version_is_refused(backup: Path, tmp_path: Path) -> None:
    manifest = manifests.read(backup)
    manifests.write(replace(manifest, dump=replace(manifest.dump, revision="9999")), backup)
    with pytest.raises(DatabaseError, match="revision 9999, which this version of sr-engine does not know"):
        restoring.restore(backup, tmp_path / "restored")


def test_an_audit_trail_that_was_changed_or_cut_in_the_backup_is_found(backup: Path, tmp_path: Path, run: Run) -> None:
    with closing(sqlite3.connect(backup / "database" / "sr-engine.db")) as database, database:
        database.execute("DELETE FROM audit")
        database.execute("DELETE FROM audit_links")
    for left in ("sr-engine.db-wal", "sr-engine.db-shm"):
        (backup / "database" / left).unlink(missing_ok=True)
    manifest = manifests.read(backup)
    manifests.write(replace(manifest, files=manifests.files_in(backup)), backup)
    done = run("restore", backup, "--directory", tmp_path / "restored")
    assert done.exit_code == 10
    assert f"no chain holds the hash {manifest.dump.audit_heads[0]}" in done.stderr


# --- going on from there ------------------------------------------------------------------------------------------


def test_no_number_is_given_out_twice(world: World, postgresql: World, tmp_path: Path) -> None:
    for name, one, url in (
        ("of-sqlite", world, None),
        ("of-postgresql", postgresql, empty_url(tmp_path, "postgresql")),
    ):
        drawn = one.run(lambda uow: counters.draw(uow.connection, "message:of-somebody"))
        queue(one.instance.engine, "1" * 32)
        taking.take(one.directory, tmp_path / name, taken_at=NOW, with_keys=False)
        made = restoring.restore(tmp_path / name, tmp_path / f"restored-{name}", database_url=url)
        assert made.waiting == 1
        engine = open_engine(url or f"sqlite:///{tmp_path}/restored-{name}/sr-engine.db")
        with engine.begin() as connection:
            assert counters.draw(connection, "message:of-somebody") > drawn + 100_000
        queue(engine, "2" * 32)
        with engine.connect() as connection:
            first, second = connection.scalars(text("SELECT outbox_id FROM outbox ORDER BY outbox_id"))
        assert first < second
        engine.dispose()


def queue(engine: Engine, message_id: str) -> None:
    message = Outgoing(message_id, NOTICE, "user:00-00-5E-EF-10-00-00-A1", "test", b"<x/>")
    with engine.begin() as connection:
        outbox.put(connection, [message], NOW)


def test_the_command_line_says_what_there_is_to_know(world: World, tmp_path: Path, run: Run) -> None:
    taken = run("backup", tmp_path / "backup", "--dir", world.directory)
    assert taken.exit_code == 0
    head = manifests.read(tmp_path / "backup").dump.audit_heads[0]
    assert taken.stdout.startswith(f"backup in {tmp_path / 'backup'}: ")
    assert taken.stdout.endswith(f"audit head {head}\n")
    assert "private keys are not in it" in taken.stderr

    made = run("restore", tmp_path / "backup", "--directory", tmp_path / "restored")
    assert made.exit_code == 0
    assert made.stdout.startswith(f"made an instance in {tmp_path / 'restored'}, as of 20")
    assert "0 messages to be sent" in made.stdout
    assert "chain 1 (processor): 2 links" in made.stdout
    assert str(tmp_path / "restored" / "pki" / "broker" / "key.pem") in made.stderr
    assert str(tmp_path / "restored" / "api.key") in made.stderr
    assert run("audit", "verify", "--head", head, "--dir", tmp_path / "restored").exit_code == 0
