"""What keeps `receive` from starting; what it does is in tests/receiver."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """The command sets logging up for its process, which here is everybody's."""
    root, ours = logging.getLogger(), logging.getLogger("sr_engine")
    before = (root.handlers[:], root.level, ours.level)
    yield
    root.handlers[:], level, our_level = before
    root.setLevel(level)
    ours.setLevel(our_level)


@pytest.fixture
def command(run: Run, shared_instance: Path, tmp_path: Path) -> Run:
    def receive(*options: object) -> object:
        lines = ("--out", tmp_path / "lines")
        trust = shared_instance / "pki" / "trust"
        return run("receive", "--trust", trust, "--inbox", tmp_path / "inbox.db", "--port", "0", *(options or lines))

    return receive  # type: ignore[return-value]


def test_an_inbox_that_is_something_else_is_exit_code_2(command: Run, tmp_path: Path) -> None:
    (tmp_path / "inbox.db").write_text("a letter\n" * 100)

    done = command()

    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert f"the inbox {tmp_path / 'inbox.db'} cannot be used" in done.stderr


def test_missing_certificates_are_exit_code_3(run: Run, tmp_path: Path) -> None:
    done = run("receive", "--trust", tmp_path / "none", "--inbox", tmp_path / "inbox.db", "--out", tmp_path / "lines")

    assert (done.exit_code, done.stderr) == (3, f"sr-engine: there is no trust directory {tmp_path / 'none'}\n")


def test_pulling_needs_a_token(command: Run, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")

    alone = command("--pull", "http://127.0.0.1:9")
    empty = command("--pull", "http://127.0.0.1:9", "--token-file", tmp_path / "token", "--out", tmp_path / "o")

    assert (alone.exit_code, empty.exit_code) == (2, 2)
    assert "--pull and --token-file belong together" in alone.stderr
    assert "does not hold one token" in empty.stderr


def test_a_file_that_ends_in_the_middle_of_a_line_is_left_alone(command: Run, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("Dear Sir,")

    done = command("--out", tmp_path / "letter")

    assert (done.exit_code, (tmp_path / "letter").read_text()) == (2, "Dear Sir,")
    assert "not one of a message" in done.stderr
