"""Running commands, in this process or as people do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sr_engine.cli.main import commands
from sr_engine.instance import create_instance
from tests.databases import url_of_instance
from tests.world import World, edit, make_world

Run = Callable[..., Result]
NOWHERE = "http://127.0.0.1:9/"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `sr-engine` with some arguments in this process; its result has exit_code, stdout and stderr."""
    monkeypatch.delenv("SR_ENGINE_DIR", raising=False)

    def run(*arguments: object, stdin: bytes = b"") -> Result:
        result = CliRunner().invoke(commands, [str(argument) for argument in arguments], input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.stderr
        return result

    return run


@pytest.fixture(scope="session")
def shared_instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An instance that no test changes."""
    directory = tmp_path_factory.mktemp("shared") / "instance"
    create_instance(directory, now=datetime.now(UTC), database_url=url_of_instance())
    return directory


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An instance with hubs to be, of which the test does what it likes."""
    world = make_world(tmp_path / "instance", prepare=keep_to_yourself)
    yield world
    world.close()


def keep_to_yourself(directory: Path) -> None:
    """Let nobody on this computer receive what a test sends."""
    for port in (8091, 8092):
        edit(directory / "users.toml", f"http://127.0.0.1:{port}/", NOWHERE)
