"""Tables on terminals of different widths."""

from __future__ import annotations

import pytest

from sr_engine.cli.output import show_table

COLUMNS = ("Message", "To", "Tries", "Last error")
ROWS = [("d16b1df54f9d0af6bd6950a404919ac1", "user:00-00-5E-EF-10-00-00-A1", 1_000, None)]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    return monkeypatch


def shown(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    show_table("Pending messages", COLUMNS, ROWS)
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_a_row_that_fits_the_terminal_is_a_line(
    terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.setenv("COLUMNS", "100")

    assert [*ROWS[0][:2], "1,000"] in shown(capsys)


def test_a_row_whose_words_do_not_fit_the_terminal_is_a_block_without_the_empty_cells(
    terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.setenv("COLUMNS", "60")

    lines = [line for line in shown(capsys) if line]
    assert lines[1:] == [["Message", ROWS[0][0]], ["To", ROWS[0][1]], ["Tries", "1,000"]]
