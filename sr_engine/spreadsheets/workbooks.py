"""Workbooks written row by row, of which no more than a row is in memory, and in which a text is never a formula.

XlsxWriter makes all of it but the rows: it spends twenty microseconds on a cell, and a million cells are to take
seconds. So a row is composed here, as the element that stands in the sheet for it. A text is put there as what it is
(`inlineStr`), which no spreadsheet evaluates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

import xlsxwriter
from xlsxwriter.exceptions import FileCreateError
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from sr_engine.configuration import Spreadsheets
from sr_engine.spreadsheets.moments import FIRST_EXCEL_DAY, Moments
from sr_engine.spreadsheets.tables import Cell, ExportColumn, Kind, shown_title, zoned

MOST_ROWS = 1_048_576
"""In one sheet of a workbook; what is more goes into further ones."""

_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 - local, as all times in cells
_MOST_CHARACTERS = 32_767
_EXACT = 10**15
"""Excel keeps 15 digits of a number."""
_WIDEST = 60
_REMEMBERED = 10_000
_LETTERS = 26

_NOT_IN_A_NAME = re.compile(r"[\[\]:*?/\\'\x00-\x1f]")
_NOT_IN_A_CELL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NOT_AS_IT_IS = re.compile(r"[&<>_\x00-\x1f\ud800-\udfff\ufffe\uffff]|^\s|\s$")
_LIKE_AN_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")


class Look(StrEnum):
    """How a row stands out."""

    PLAIN = "plain"
    GOOD = "good"
    ATTENTION = "attention"
    BAD = "bad"


_FILL = {Look.GOOD: "#E3F1E4", Look.ATTENTION: "#FFF1CC", Look.BAD: "#F9DCDC"}


@contextmanager
def new_workbook(target: Path | BinaryIO) -> Iterator[xlsxwriter.Workbook]:
    """A workbook whose rows are not kept in memory; it is there at the end of the block. Raises OSError."""
    workbook = xlsxwriter.Workbook(
        str(target) if isinstance(target, Path) else target,
        {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False},
    )
    try:
        yield workbook
    finally:
        try:
            workbook.close()
        except FileCreateError as error:
            raise OSError(f"{target} cannot be written: {error}") from None


def fit_for_a_cell(text: str) -> str:
    """A text that a cell can hold: not too long, and without characters that XML does not have."""
    fit = _NOT_IN_A_CELL.sub("\ufffd", text)
    # Excel counts UTF-16 units.
    if len(fit) * 2 > _MOST_CHARACTERS and len(fit.encode("utf-16-le")) // 2 > _MOST_CHARACTERS:
        fit = fit.encode("utf-16-le")[: 2 * (_MOST_CHARACTERS - 1)].decode("utf-16-le", "ignore") + "…"
    return fit


class Sheets:
    """One table in a workbook, in as many sheets as it needs, each with the headers; rows go in from top to bottom.

    A datetime without a zone is refused, unless `local` says that such a one is what a clock of the zone shows.
    """

    def __init__(
        self,
        workbook: xlsxwriter.Workbook,
        title: str,
        columns: Sequence[ExportColumn],
        spreadsheets: Spreadsheets,
        *,
        local: bool = False,
    ) -> None:
        self._workbook = workbook
        self._title = _NOT_IN_A_NAME.sub(" ", title).strip()[:24] or "Sheet"
        self._columns = columns
        self._titles = [fit_for_a_cell(shown_title(column, spreadsheets)) for column in columns]
        self._moments = Moments(spreadsheets.time_zone)
        self._local = local
        self._locals: dict[datetime, datetime | str] = {}
        self._bold = workbook.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        self._formats = {look: _Formats(workbook, look) for look in Look}
        self._letters = [_column_letters(place) for place in range(len(columns))]
        self._count = 0
        self.sheet = self._begin()
        """The one that is being written."""
        self._row = 1

    def write(self, row: Sequence[Cell], look: Look = Look.PLAIN) -> None:
        """Add a row."""
        if self._row == MOST_ROWS:
            self.sheet = self._begin()
            self._row = 1
        self._row += 1
        number, formats = self._row, self._formats[look]
        cells: list[str] = []
        for letters, cell in zip(self._letters, row, strict=False):
            if isinstance(cell, str):
                if cell:
                    cells.append(_text_cell(letters, number, formats.text, cell))
            elif cell is not None:
                cells.append(self._other_cell(letters, number, formats, cell))
        self.sheet.add_row(number, cells)

    def add_filters(self) -> None:
        """Let people pick rows by what a column holds; call it behind the last row."""
        self.sheet.autofilter(0, 0, self._row - 1, len(self._columns) - 1)

    def _other_cell(self, letters: str, number: int, formats: _Formats, cell: Cell) -> str:
        match cell:
            case bool():
                return _text_cell(letters, number, formats.text, "Yes" if cell else "No")
            case datetime():
                local = self._shown(cell)
                if isinstance(local, str):
                    return _text_cell(letters, number, formats.text, local)
                return _number_cell(letters, number, formats.moment, repr((local - _EPOCH).total_seconds() / 86_400))
            case date() if cell >= FIRST_EXCEL_DAY.date():
                days = (datetime.combine(cell, time()) - _EPOCH).days
                return _number_cell(letters, number, formats.day, str(days))
            case int() | float() | Decimal() if -_EXACT < cell < _EXACT:
                return _number_cell(letters, number, formats.number, str(cell))
            case _:
                return _text_cell(letters, number, formats.text, str(cell))

    def _shown(self, moment: datetime) -> datetime | str:
        if self._local and moment.tzinfo is None:
            return moment if moment >= FIRST_EXCEL_DAY else moment.isoformat()
        shown = self._locals.get(moment)
        if shown is None:
            shown = self._moments.local(zoned(moment))
            if len(self._locals) < _REMEMBERED:
                self._locals[moment] = shown
        return shown

    def _begin(self) -> _Sheet:
        self._count += 1
        title = self._title if self._count == 1 else f"{self._title} {self._count}"
        sheet: _Sheet = self._workbook.add_worksheet(title, _Sheet)
        plain = self._formats[Look.PLAIN].of_columns
        for place, (column, header) in enumerate(zip(self._columns, self._titles, strict=True)):
            width = column.width or min(max(len(header) + 2, 12), _WIDEST)
            # People type into such a column too: what they type into one of texts, an id say, stays as it was typed.
            sheet.set_column(place, place, width, plain.get(column.kind))
        sheet.freeze_panes(1, 0)
        for place, header in enumerate(self._titles):
            sheet.write_string(0, place, header, self._bold)
        return sheet


class _Sheet(Worksheet):  # type: ignore[misc]  # XlsxWriter has no types
    """A sheet to which rows are added as elements, below those that XlsxWriter has written itself."""

    def add_row(self, number: int, cells: Sequence[str]) -> None:
        """Add a row below all others; `number` is counted from 1."""
        # What XlsxWriter has of the row above is written out by this, as it does itself when the next row begins.
        self._write_single_row(number - 1)
        self._check_dimensions(number - 1, 0)
        self.fh.write(f'<row r="{number}">{"".join(cells)}</row>')


class _Formats:
    """Numbers of the formats of a look, by which cells name them."""

    def __init__(self, workbook: xlsxwriter.Workbook, look: Look) -> None:
        fill = {"bg_color": _FILL[look]} if look in _FILL else {}
        text = workbook.add_format({"num_format": "@", **fill})
        day = workbook.add_format({"num_format": "dd/mm/yyyy", **fill})
        moment = workbook.add_format({"num_format": "dd/mm/yyyy hh:mm:ss", **fill})
        self.of_columns: dict[Kind, Format] = {Kind.TEXT: text, Kind.DAY: day, Kind.MOMENT: moment}
        self.text, self.day, self.moment = (int(one._get_xf_index()) for one in (text, day, moment))
        self.number = int(workbook.add_format(fill)._get_xf_index()) if fill else 0


def _text_cell(letters: str, number: int, style: int, text: str) -> str:
    if len(text) > _MOST_CHARACTERS // 2 or _NOT_AS_IT_IS.search(text) is not None:
        # A character that XML would change, or an escape that a spreadsheet would take for one, is escaped.
        fit = _LIKE_AN_ESCAPE.sub("_x005F_", fit_for_a_cell(text)).replace("\r", "_x000D_")
        fit = fit.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        content = f'<t xml:space="preserve">{fit}</t>'
    else:
        content = f"<t>{text}</t>"
    return f'<c r="{letters}{number}" s="{style}" t="inlineStr"><is>{content}</is></c>'


def _number_cell(letters: str, number: int, style: int, value: str) -> str:
    return f'<c r="{letters}{number}" s="{style}"><v>{value}</v></c>'


def _column_letters(place: int) -> str:
    name, rest = "", place + 1
    while rest:
        rest, letter = divmod(rest - 1, _LETTERS)
        name = chr(ord("A") + letter) + name
    return name
