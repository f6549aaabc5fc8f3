"""The rows of one sheet of a file, XLSX or CSV, as its cells have them; looked at for safety first.

A row is numbered as spreadsheets number it, from 1. An empty cell is None, a whole number an int. A cell whose content
was computed is a Formula, whatever it shows: that need not be what the person who sent it saw.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import python_calamine

from sr_engine.configuration import Spreadsheets
from sr_engine.spreadsheets import headers, safety
from sr_engine.spreadsheets.export import is_formula, without_apostrophe
from sr_engine.spreadsheets.headers import Headers
from sr_engine.spreadsheets.parts import SheetFacts
from sr_engine.spreadsheets.refusals import SheetRefused

_DELIMITERS = (",", ";", "\t")
_SEPARATOR_LINE = "sep="
_DASHES = frozenset({"-", "\u2013", "\u2014"})
"""What people write into a cell that is to be empty."""


@dataclass(frozen=True, slots=True)
class Formula:
    """A cell that was computed; `shown` is what it showed, which is not believed."""

    shown: object

    def __str__(self) -> str:
        return str(self.shown)


Row = tuple[int, list[object]]
"""Its number, from 1, and its cells."""


class _Grid(Protocol):
    """All rows of a sheet, header and all, as often as they are asked for."""

    epoch_1904: bool
    last_row: int

    def rows(self) -> Iterator[Row]: ...


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet whose header was understood."""

    file: str
    title: str
    """Of the sheet in the workbook; that of a CSV file is empty."""
    digest: bytes
    """SHA-256 of the file."""
    headers: Headers
    header_row: int
    grid: _Grid

    @property
    def epoch_1904(self) -> bool:
        """Whether numbers for days are counted from 1904."""
        return self.grid.epoch_1904

    @property
    def last_row(self) -> int:
        """The number of the last row that is not empty."""
        return self.grid.last_row

    def rows(self) -> Iterator[Row]:
        """The rows below the header, one at a time; it can be asked again."""
        return (row for row in self.grid.rows() if row[0] > self.header_row)


def open_file(path: Path, spreadsheets: Spreadsheets, *, sheet: str | None = None) -> Sheet:
    """As `open_sheet`, of a file on disk; raises OSError too."""
    limit = spreadsheets.limits.file_bytes
    with path.open("rb") as file:
        data = file.read(limit + 1)
    return open_sheet(path.name, data, spreadsheets, sheet=sheet)


def open_sheet(name: str, data: bytes, spreadsheets: Spreadsheets, *, sheet: str | None = None) -> Sheet:
    """The sheet of a file that has hubs in it; `name` is that of the file, and only its ending counts.

    `sheet` names one of a workbook; without it the one is taken whose header names hubs. Raises SheetRefused for a file
    that is unsafe, too big, no spreadsheet, or whose header is missing or doubtful.
    """
    if len(data) > spreadsheets.limits.file_bytes:
        raise SheetRefused(f"the file has more than {spreadsheets.limits.file_bytes:,} bytes: split it into several")
    if not data:
        raise SheetRefused("the file is empty")
    # The mark of encryption stands in the directory of such a file, which may be anywhere in it.
    safety.refuse_other_kinds(data, name)
    grids = _xlsx(data, spreadsheets, sheet) if data.startswith(safety.ZIP_MAGIC) else _csv(data, spreadsheets, sheet)
    title, grid, (row, cells) = _with_hubs(grids, spreadsheets)
    return Sheet(name, title, hashlib.sha256(data).digest(), headers.matched(cells, spreadsheets), row, grid)


def _with_hubs(grids: Sequence[tuple[str, _Grid]], spreadsheets: Spreadsheets) -> tuple[str, _Grid, Row]:
    found: list[tuple[str, _Grid, Row]] = []
    first: tuple[str, _Grid, Row] | None = None
    for title, grid in grids:
        for number, cells in grid.rows():
            if number > spreadsheets.limits.header_rows:
                break
            if first is None and any(cell is not None for cell in cells):
                first = title, grid, (number, cells)
            if headers.names_hubs(cells, spreadsheets):
                found.append((title, grid, (number, cells)))
                break
    if len(found) > 1:
        titles = ", ".join(repr(title) for title, _, _ in found)
        raise SheetRefused(
            f"several sheets have hubs in them: {titles}; say which one is meant, or take the others out"
        )
    if found:
        return found[0]
    if first is None:
        raise SheetRefused("there is nothing in it: no row names the columns")
    # What is wrong with the first row that holds something says most.
    headers.matched(first[2][1], spreadsheets)
    return first


class _XlsxGrid:
    def __init__(self, sheet: python_calamine.CalamineSheet, facts: SheetFacts, *, epoch_1904: bool) -> None:
        self.epoch_1904 = epoch_1904
        self.last_row = facts.last_row + 1
        self._sheet = sheet
        self._facts = facts

    def rows(self) -> Iterator[Row]:
        start = self._sheet.start
        if start is None:
            return
        # The library leaves empty columns out that stand first, and rows not.
        before: list[object] = [None] * start[1]
        formulas = self._facts.formulas
        for index, found in enumerate(self._sheet.iter_rows()):
            cells = before + [_plain(cell) for cell in found]
            computed = formulas.get(index, 0)
            if computed:
                for place in range(min(computed.bit_length(), self._facts.last_column + 1)):
                    if computed >> place & 1:
                        cells.extend([None] * (place + 1 - len(cells)))
                        cells[place] = Formula(cells[place])
            yield index + 1, cells


def _plain(cell: object) -> object:
    if cell == "":
        return None
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return int(cell)
    return cell


def _xlsx(data: bytes, spreadsheets: Spreadsheets, wanted: str | None) -> list[tuple[str, _Grid]]:
    facts = safety.look_at(io.BytesIO(data), spreadsheets.limits)
    if wanted is not None and wanted not in facts.sheets:
        raise SheetRefused(f"there is no sheet {wanted!r}; there are {', '.join(map(repr, facts.sheets))}")
    # What people do not see they have not meant to send.
    titles = [title for title in facts.sheets if title not in facts.hidden] if wanted is None else [wanted]
    try:
        workbook = python_calamine.load_workbook(io.BytesIO(data))
        return [
            (title, _XlsxGrid(workbook.get_sheet_by_name(title), facts.sheets[title], epoch_1904=facts.epoch_1904))
            for title in titles
        ]
    except python_calamine.PasswordError:
        raise SheetRefused("the file is protected by a password: save it without one") from None
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        raise SheetRefused(f"the workbook is damaged, it cannot be read: {error}") from None


class _CsvGrid:
    epoch_1904 = False

    def __init__(self, text: str, delimiter: str, spreadsheets: Spreadsheets) -> None:
        """Raises SheetRefused for what is too big or no CSV."""
        self._text = text
        self._delimiter = delimiter
        self._skipped = 1 if text[: len(_SEPARATOR_LINE)].casefold() == _SEPARATOR_LINE else 0
        self._limits = spreadsheets.limits
        self.last_row = 0

    def check(self) -> None:
        """Read it to its end; raises SheetRefused as `safety.look_at` does."""
        limits, widest = self._limits, 0
        for number, cells in self.rows():
            width = len(cells)
            while width and cells[width - 1] is None:
                width -= 1
            if not width:
                continue
            self.last_row, widest = number, max(widest, width)
            if number > limits.rows:
                raise SheetRefused(
                    f"row {number:,} is not empty; more than {limits.rows:,} rows are not read: split the file"
                )
            if widest > limits.columns:
                raise SheetRefused(f"row {number:,} has {widest:,} cells; more than {limits.columns:,} are not read")
            if number * widest > limits.cells:
                raise SheetRefused(f"there are more than {limits.cells:,} cells: leave out columns, or split the file")

    def rows(self) -> Iterator[Row]:
        table = csv.reader(io.StringIO(self._text, newline=""), delimiter=self._delimiter, strict=True)
        try:
            for number, cells in enumerate(table, 1):
                if number > self._skipped:
                    yield number, [_of_text(cell) for cell in cells]
        except csv.Error as error:
            raise SheetRefused(f"line {table.line_num} is not CSV: {error}") from None


def _of_text(cell: str) -> object:
    if not cell or cell.isspace() or cell.strip() in _DASHES:
        return None
    if is_formula(cell):
        return Formula(cell)
    return without_apostrophe(cell)


def _csv(data: bytes, spreadsheets: Spreadsheets, wanted: str | None) -> list[tuple[str, _Grid]]:
    if wanted is not None:
        raise SheetRefused("a CSV file has no sheets to choose from")
    text = _decoded(data)
    named = text[: len(_SEPARATOR_LINE) + 2]
    if named.casefold().startswith(_SEPARATOR_LINE) and len(named.strip()) > len(_SEPARATOR_LINE):
        delimiters: Sequence[str] = (named[len(_SEPARATOR_LINE)],)
        if delimiters[0] not in _DELIMITERS:
            raise SheetRefused(f"cells are separated by {delimiters[0]!r}: save it with commas, semicolons or tabs")
    else:
        delimiters = _DELIMITERS
    grids = [_CsvGrid(text, delimiter, spreadsheets) for delimiter in delimiters]
    grid = max(grids, key=partial(_known, spreadsheets))
    grid.check()
    return [("", grid)]


def _known(spreadsheets: Spreadsheets, grid: _CsvGrid) -> tuple[bool, int]:
    """How much sense a text makes that is split in a certain way: more is better."""
    most = 0
    try:
        for number, cells in grid.rows():
            if number > spreadsheets.limits.header_rows:
                break
            if headers.names_hubs(cells, spreadsheets):
                return True, len(cells)
            most = max(most, len(cells))
    except SheetRefused:
        return False, 0
    return False, most


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SheetRefused("the file is saved as Unicode text (UTF-16): save it as CSV UTF-8 or .xlsx")
    if b"\0" in data:
        raise SheetRefused("this is neither a workbook nor a CSV file: save it as .xlsx or CSV UTF-8")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise SheetRefused("the file is neither UTF-8 nor Windows-1252 text: save it as CSV UTF-8 or .xlsx")
