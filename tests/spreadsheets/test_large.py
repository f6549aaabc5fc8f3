"""A sheet of 100,000 rows, imported and carried out: how long, in how much memory, and what the report says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import openpyxl
import pytest

from tests.bench.country import chf
from tests.bench.spreadsheets import ROWS, by_key, is_bad, on_the_instance, prepared, run_import

WORDS = (
    "Hub ID: '5.00512E+11' is not an id any more",
    "Window start: 01:30 comes twice on 25/10/2026",
    "Decision: 'Perhaps' is not understood",
    "Firmware: is empty: Schedule needs manufacturer, model and version",
)


def check(report: Path, count: int, good: str) -> None:
    """Every row is there, in its order, with what became of it beside."""
    with closing(openpyxl.load_workbook(report, read_only=True)) as book:
        check_rows(book.worksheets[0].iter_rows(values_only=True), count, good)


def check_rows(rows: Iterator[tuple[object, ...]], count: int, good: str) -> None:
    """The same of its rows, the header first."""
    header = next(rows)
    assert header[:4] == ("Hub ID", "MPxN", "Region", "Decision")
    assert header[-2:] == ("Result", "Reason / what to do")
    results: Counter[object] = Counter()
    number = -1
    for number, row in enumerate(rows):
        *cells, result, words = row
        results[result] += 1
        assert cells[1] == f"{1_000_000_000_000 + number}"
        if is_bad(number):
            assert result == "Refused"
            assert str(words).startswith(WORDS[number // 100 % len(WORDS)])
        else:
            assert (cells[0], result) == (chf(number), good)
            assert "Schedule between " in str(words)
    assert number == count - 1
    assert results == {good: count - count // 100, "Refused": count // 100}


def test_a_small_one_of_the_same_kind_is_carried_out(tmp_path: Path) -> None:
    directory, sheet = prepared(tmp_path, 400)

    done = run_import(sheet, *on_the_instance(directory))

    assert done.exit_code == 1, done.output
    check(tmp_path / "hubs-report.xlsx", 400, "Accepted")


@pytest.mark.slow
def test_a_hundred_thousand_rows_are_read_checked_and_reported_within_twenty_seconds_of_work(tmp_path: Path) -> None:
    directory, sheet = prepared(tmp_path, ROWS)

    checked = run_import(sheet, *by_key(directory))

    assert checked.exit_code == 1, checked.output
    check(tmp_path / "hubs-report.xlsx", ROWS, "Would be sent")
    # What it takes of processors: this machine may be doing other things besides.
    assert checked.cpu_seconds < 20
    assert checked.megabytes < 400

    done = run_import(sheet, *on_the_instance(directory))

    assert done.exit_code == 1, done.output
    check(tmp_path / "hubs-report.xlsx", ROWS, "Accepted")
    assert run_import(sheet, *on_the_instance(directory)).output.count("as before: ") == 4
