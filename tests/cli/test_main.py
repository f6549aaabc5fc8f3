"""The command line as a whole."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from sr_engine.cli import insight
from sr_engine.cli.failures import failure_of
from sr_engine.counters import CountersUnusable
from sr_engine.messages.schema_files import SchemaUnusable
from sr_engine.processes import ProcessFailed
from sr_engine.signservice.permissions import TokensUnusable
from tests.cli.conftest import Run


def test_the_help_names_every_command_and_exit_code(run: Run) -> None:
    said = run("--help").stdout

    for name in (
        *("init", "serve", "demo", "inventory", "registration", "release", "status", "why", "audit", "outbox", "sign"),
        *("verify", "validate", "submit", "pki", "sign-server"),
    ):
        assert f"\n  {name} " in said
    for code in (0, 1, 2, 3, 10):
        assert f"\n    {code} " in said
    assert "..." not in said.replace("[ARGS]...", "")


def test_it_tells_its_version(run: Run) -> None:
    assert run("--version").stdout == f"sr-engine, version {version('sr-engine')}\n"


def test_an_unknown_command_is_a_usage_error(run: Run) -> None:
    assert run("upgrade").exit_code == 2


@pytest.fixture
def defect(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(insight, "count_all", broken)


@pytest.mark.usefixtures("defect")
def test_a_defect_is_one_line_that_says_how_to_see_more(run: Run, shared_instance: Path) -> None:
    done = run("status", "--dir", shared_instance)

    assert (done.exit_code, done.stderr) == (
        2,
        "sr-engine: this should not have happened: ZeroDivisionError: a defect (sr-engine --traceback shows where)\n",
    )


@pytest.mark.usefixtures("defect")
def test_a_defect_is_shown_whole_on_request(run: Run, shared_instance: Path) -> None:
    with pytest.raises(AssertionError, match="a defect"):
        run("--traceback", "status", "--dir", shared_instance)


def test_an_error_of_the_system_without_a_file_is_said_as_it_is() -> None:
    assert failure_of(OSError(28, "No space left on device")).message == "No space left on device"


@pytest.mark.parametrize("kind", [SchemaUnusable, CountersUnusable, TokensUnusable, ProcessFailed])
def test_what_cannot_be_used_is_said_in_its_own_words(kind: type[Exception]) -> None:
    failure = failure_of(kind("duis.xsd is not a usable XML Schema"))

    assert (failure.message, failure.exit_code) == ("duis.xsd is not a usable XML Schema", 2)
