"""Making instances and keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from sr_engine import configuration
from tests.cli.conftest import Run
from tests.databases import server
from tests.world import TestHub, make_world


def test_a_new_instance_is_described_and_can_be_used(run: Run, tmp_path: Path) -> None:
    directory = tmp_path / "new"

    made = run("init", directory, "--host", "::1", "--port", 9999)

    assert made.exit_code == 0
    assert "supplier-a (00-00-5E-EF-10-00-00-A1)" in made.stdout
    assert f"sr-engine serve --dir {directory}" in made.stdout
    settings = configuration.load_settings(directory / "sr-engine.toml")
    assert (settings.listen.host, settings.listen.port) == ("::1", 9999)
    assert run("status", "--dir", directory).exit_code == 0


def test_a_folder_with_something_in_it_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")

    refused = run("init", tmp_path)

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == f"sr-engine: {tmp_path} is not empty: name a new folder\n"
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_a_folder_that_cannot_be_made_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    refused = run("init", tmp_path / "file" / "new")

    assert refused.exit_code == 2
    assert refused.stderr == f"sr-engine: {tmp_path / 'file' / 'new'}: Not a directory\n"


def new_database() -> str:
    """The URL of an empty database, as people write it."""
    return server().new_database().replace("+psycopg", "")


def test_the_database_of_another_instance_is_left_alone(run: Run, tmp_path: Path) -> None:
    url = new_database()
    world = make_world(tmp_path / "one", database_url=url)
    world.add_hubs([TestHub(1)])
    before = run("status", "--dir", world.directory).stdout

    refused = run("init", tmp_path / "other", "--database", url)

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == (
        f"sr-engine: the database {url} is that of an instance already: name an empty one; to serve the same instance "
        "from another computer, copy its folder there\n"
    )
    assert not (tmp_path / "other").exists()
    assert run("status", "--dir", world.directory).stdout == before
    world.close()


def test_the_file_of_another_instance_is_left_alone(run: Run, tmp_path: Path) -> None:
    run("init", tmp_path / "one")
    file = tmp_path / "one" / "sr-engine.db"
    before = file.read_bytes(), file.stat().st_mtime_ns

    refused = run("init", tmp_path / "other", "--database", f"sqlite:///{file}")

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"sr-engine: {file} is there already: name a new file")
    assert not (tmp_path / "other").exists()
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before


@pytest.mark.parametrize("name", ["users", "releases", "alembic_version"])
def test_the_database_of_another_program_is_left_alone(run: Run, tmp_path: Path, name: str) -> None:
    url = new_database()
    server().execute(f"CREATE TABLE {name} (version_num TEXT)", url)

    refused = run("init", tmp_path / "new", "--database", url)

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == (
        f"sr-engine: the database {url} is not empty, it has the table {name}: name an empty one\n"
    )
    assert server().ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", url) == 1


def test_what_is_refused_for_its_database_can_be_made_in_the_same_folder_once_that_is_right(
    run: Run, tmp_path: Path
) -> None:
    good = new_database()
    server().execute("CREATE ROLE guest LOGIN")
    host = f"127.0.0.1:{server().port}/{good.rpartition('/')[2]}"
    server().execute("REVOKE CREATE ON SCHEMA public FROM public", good)
    (tmp_path / "empty").mkdir()
    said = {
        "mysql://u:open-sesame@h/db": "only sqlite and postgresql URLs are supported, not 'mysql'",
        "postgres://u:open-sesame@h/db": "only sqlite and postgresql URLs are supported, not 'postgres'",
        "open-sesame": "this is no database URL",
        "postgresql://": "database_url: must be a database URL that begins with",
        "postgresql://u:open-sesame@h1:1,h2:2/db": "postgresql://USER@/NAME?host=HOST1,HOST2&port=PORT1,PORT2",
        f"postgresql://u:open-sesame@{host}?colour=red": f"postgresql://u:***@{host}?colour=red cannot be used: ",
        f"postgresql://guest:open-sesame@{host}": f"postgresql://guest:***@{host} cannot be used: permission denied",
        "postgresql://u@127.0.0.1:1/x?password=open-sesame": "postgresql://u@127.0.0.1:1/x cannot be used: ",
        "postgresql://u@/x?host=h1,h2&port=1&password=open-sesame": "number of hosts and ports don't match",
    }
    for url, expected in said.items():
        for folder in (tmp_path / "empty", tmp_path / "new" / "instance"):
            refused = run("init", folder, "--database", url)
            assert (refused.exit_code, refused.stdout) == (2, "")
            assert expected in refused.stderr
            assert "open-sesame" not in refused.stderr
        assert [path.name for path in tmp_path.rglob("*")] == ["empty"]

    made = run("init", tmp_path / "empty", "--database", f"{good}?password=open-sesame")
    assert made.exit_code == 0
    assert f"{good}  the database, empty\n" in made.stdout
    assert "open-sesame" not in made.stdout


def test_the_instance_is_found_by_the_environment_too(
    run: Run, shared_instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SR_ENGINE_DIR", str(shared_instance))

    assert run("release", "list").stdout == "Releases: none\n"


def test_a_folder_that_is_no_instance_is_named_with_what_to_do(run: Run, tmp_path: Path) -> None:
    refused = run("status", "--dir", tmp_path)

    assert refused.exit_code == 2
    assert refused.stderr == (
        f"sr-engine: {tmp_path} is not an instance, it has no sr-engine.toml: name its folder with --dir or "
        "SR_ENGINE_DIR, or make one with `sr-engine init`\n"
    )


def test_keys_are_made_for_the_participants_named(run: Run, tmp_path: Path) -> None:
    participants = ("me:00-00-5e-ef-10-00-00-a9:87", "csp:00-00-5E-EF-10-00-00-C9:06")

    made = run("pki", tmp_path, "--participant", participants[0], "--participant", participants[1])

    assert made.exit_code == 0
    assert f"{tmp_path}/me/key.pem and certificate.pem: 00-00-5E-EF-10-00-00-A9, role 87" in made.stdout
    assert (tmp_path / "me" / "key.pem").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "csp" / "certificate.pem").is_file()


def test_sample_participants_are_made_if_none_is_named(run: Run, tmp_path: Path) -> None:
    assert run("pki", tmp_path).exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"broker", "csp", "supplier-a", "supplier-b", "trust"}


def test_participants_that_cannot_be_certified_are_refused(run: Run, tmp_path: Path) -> None:
    without_role = run("pki", tmp_path, "--participant", "me:00-00-5E-EF-10-00-00-A9")
    no_eui = run("pki", tmp_path / "other", "--participant", "me:you:87")

    assert without_role.exit_code == 2
    assert "is not NAME:EUI:ROLE" in without_role.stderr
    assert (no_eui.exit_code, no_eui.stderr) == (2, "sr-engine: not an EUI-64: 'YOU'\n")


def test_a_folder_that_holds_keys_already_is_left_alone(run: Run, tmp_path: Path) -> None:
    run("pki", tmp_path)
    before = (tmp_path / "broker" / "key.pem").read_bytes()

    again = run("pki", tmp_path)

    assert again.exit_code == 2
    assert "holds a PKI already" in again.stderr
    assert (tmp_path / "broker" / "key.pem").read_bytes() == before
