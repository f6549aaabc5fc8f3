"""Reading CSV files with named columns to their end, so that a person gets every problem in one go."""

from __future__ import annotations

import csv
import re
import textwrap
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

Row = Mapping[str, object]
Progress = Callable[[int], None]

PROGRESS_EVERY = 50_000
"""Rows between two reports of progress."""

_EUI = re.compile(r"[0-9A-Fa-f]{2}(?:[-: ]?[0-9A-Fa-f]{2}){7}")
_NOT_HEXADECIMAL = re.compile(r"[^0-9A-Fa-f]")
_SHOWN = 40
_HELP_WIDTH = 76


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a file: `line` is counted from 1, the header being line 1."""

    line: int
    column: str | None
    reason: str

    def __str__(self) -> str:
        place = f"line {self.line}" if self.column is None else f"line {self.line}, {self.column}"
        return f"{place}: {self.reason}"


class CsvRefused(Exception):
    """A file that is not imported; `problems` names every one."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [f"{file}: {problem}" for problem in problems]
        super().__init__("\n".join([*lines, f"{file}: nothing was imported: {len(problems)} problem(s), see above"]))


@dataclass(frozen=True, slots=True)
class Column:
    """A column: `read` turns the text of a cell into a value, or raises ValueError saying what the cell must be."""

    name: str
    wants: str
    read: Callable[[str], object]
    required: bool = False
    """Every row must have a value; otherwise an empty cell, or no such column, is None."""


RowCheck = Callable[[dict[str, object]], tuple[str, str] | None]
"""Completes a row; returns the column and what is wrong with it, if something is."""


def read_csv(
    path: Path,
    columns: Sequence[Column],
    *,
    key: Sequence[str],
    check: RowCheck | None = None,
    progress: Progress | None = None,
) -> list[dict[str, object]]:
    """Return the rows of a file, each with a value for every column; no two rows agree in all columns of `key`.

    Raises CsvRefused with every problem found, OSError if the file cannot be read.
    """
    reader = _Reader(columns, key, check)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(reader.rows(file, progress))
    except UnicodeDecodeError:
        raise CsvRefused(path.name, [Problem(1, None, "the file is not UTF-8 text: save it as CSV UTF-8")]) from None
    if reader.problems:
        raise CsvRefused(path.name, reader.problems)
    return rows


class _Reader:
    def __init__(self, columns: Sequence[Column], key: Sequence[str], check: RowCheck | None) -> None:
        self._columns = {column.name: column for column in columns}
        self._key = key
        self._check = check
        self._first_line: dict[Hashable, int] = {}
        self.problems: list[Problem] = []

    def rows(self, lines: Iterable[str], progress: Progress | None) -> Iterator[dict[str, object]]:
        """The good rows; what is wrong with the others is in `problems`."""
        table = csv.reader(lines, strict=True)
        try:
            header = next(table, None)
            present = self._header(header)
            if present is None:
                return
            before = table.line_num
            for count, cells in enumerate(table, 1):
                # A quoted cell may run over several lines: the row is named by its first.
                line, before = before + 1, table.line_num
                row = self._row(line, present, cells) if any(cells) else None
                if row is not None:
                    yield row
                if progress is not None and count % PROGRESS_EVERY == 0:
                    progress(count)
        except csv.Error as error:
            self._report(table.line_num, None, f"not CSV: {error}")

    def _header(self, header: Sequence[str] | None) -> list[Column] | None:
        names = [name.strip().lower() for name in header or ()]
        if not any(names):
            self._report(1, None, "the first line must name the columns")
            return None
        known = f"; known columns: {', '.join(self._columns)}"
        before = len(self.problems)
        for number, name in enumerate(names, 1):
            if name not in self._columns:
                said = f"unknown column {_shown(name)}" if name else f"column {number} has no name"
                hint = "; separate columns by commas" if ";" in name or "\t" in name else ""
                self._report(1, None, f"{said}{hint}{known}")
                known = ""  # told once
            elif name in names[: number - 1]:
                self._report(1, name, "the column stands twice")
        for column in self._columns.values():
            if column.required and column.name not in names:
                self._report(1, column.name, f"the column is missing; it holds {column.wants}")
        return [self._columns[name] for name in names] if len(self.problems) == before else None

    def _row(self, line: int, present: Sequence[Column], cells: Sequence[str]) -> dict[str, object] | None:
        before = len(self.problems)
        if len(cells) != len(present):
            self._report(line, None, f"the row has {len(cells)} cells, the header has {len(present)}")
            return None
        row: dict[str, object] = dict.fromkeys(self._columns)
        for column, cell in zip(present, cells, strict=True):
            text = cell.strip()
            if text:
                try:
                    row[column.name] = column.read(text)
                except ValueError:
                    self._report(line, column.name, f"must be {column.wants}, not {_shown(text)}")
            elif column.required:
                self._report(line, column.name, f"is empty; it must be {column.wants}")
        if len(self.problems) > before:
            return None
        wrong = self._check(row) if self._check is not None else None
        if wrong is not None:
            self._report(line, *wrong)
            return None
        first = self._first_line.setdefault(tuple(row[name] for name in self._key), line)
        if first != line:
            self._report(line, self._key[0], f"the same {' and '.join(self._key)} stands in line {first} already")
            return None
        return row

    def _report(self, line: int, column: str | None, reason: str) -> None:
        self.problems.append(Problem(line, column, reason))


def described(columns: Iterable[Column]) -> str:
    """Help on each column, in lines that fit a terminal of 80 columns."""
    return "\n".join(
        textwrap.fill(
            f"{column.name:24}{column.wants}{'' if column.required else ', or empty'}",
            _HELP_WIDTH,
            initial_indent="  ",
            subsequent_indent=" " * 26,
        )
        for column in columns
    )


def eui(text: str) -> str:
    """An EUI-64 in canonical form, written with or without separators and in any case; raises ValueError."""
    if _EUI.fullmatch(text) is None:
        raise ValueError(text)
    digits = _NOT_HEXADECIMAL.sub("", text).upper()
    return "-".join(digits[at : at + 2] for at in range(0, len(digits), 2))


def up_to(length: int) -> Callable[[str], str]:
    """Text of at most `length` characters, all of which can be printed."""

    def read(text: str) -> str:
        if len(text) > length or not text.isprintable():
            raise ValueError(text)
        return text

    return read


def digits(least: int, most: int) -> Callable[[str], str]:
    """Between `least` and `most` decimal digits, as text: leading zeros count."""

    def read(text: str) -> str:
        if not (text.isascii() and text.isdecimal() and least <= len(text) <= most):
            raise ValueError(text)
        return text

    return read


def one_of(values: Collection[str]) -> Callable[[str], str]:
    """One of some values, written exactly so."""

    def read(text: str) -> str:
        if text not in values:
            raise ValueError(text)
        return text

    return read


def day(text: str) -> date:
    """A date such as 2026-11-22."""
    if len(text) != len("2026-11-22"):
        raise ValueError(text)
    return date.fromisoformat(text)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
