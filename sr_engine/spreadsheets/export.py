"""Any table of rows as XLSX or CSV, one row at a time, so that nothing in a cell becomes a formula.

What is written reads back the same: by `sr_engine.spreadsheets`, and by Excel as far as it can show it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from sr_engine.configuration import Spreadsheets
from sr_engine.spreadsheets.moments import FIRST_EXCEL_DAY, Moments

Cell = str | int | float | Decimal | bool | date | datetime | None
"""What may stand in a row; a datetime needs a zone."""

XLSX_MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV_MEDIA_TYPE = "text/csv; charset=utf-8"
MOST_ROWS = 1_048_576
"""In one sheet of a workbook; what is more goes into further ones."""

_MOST_CHARACTERS = 32_767
_EXACT = 10**15
"""Excel keeps 15 digits of a number."""
_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]")
_NOT_IN_A_CELL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NOT_IN_A_NAME = re.compile(r"[\[\]:*?/\\'\x00-\x1f]")
_CHUNK_ROWS = 1_000
_WIDEST = 60


class Kind(StrEnum):
    """What a column holds, where that decides how it is written."""

    TEXT = "text"
    NUMBER = "number"
    DAY = "day"
    MOMENT = "moment"
    YES_NO = "yes or no"


@dataclass(frozen=True, slots=True)
class ExportColumn:
    """A column of an exported table; `width` is in characters, None: as wide as its title asks for."""

    title: str
    kind: Kind = Kind.TEXT
    width: int | None = None


def shown_title(column: ExportColumn, spreadsheets: Spreadsheets) -> str:
    """The header of a column: that of a moment says whose local time it is."""
    return f"{column.title} ({spreadsheets.time_zone_name})" if column.kind is Kind.MOMENT else column.title


def write_xlsx(
    target: Path | BinaryIO,
    title: str,
    columns: Sequence[ExportColumn],
    rows: Iterable[Sequence[Cell]],
    spreadsheets: Spreadsheets,
) -> int:
    """Write a table as a workbook and return how many rows there were; memory does not grow with them.

    Raises ValueError for a moment without a zone, and OSError.
    """
    workbook = new_workbook(target)
    count = 0
    try:
        sheets = Sheets(workbook, title, columns, spreadsheets)
        for row in rows:
            sheets.write(row)
            count += 1
    finally:
        workbook.close()
    return count


def csv_chunks(
    columns: Sequence[ExportColumn], rows: Iterable[Sequence[Cell]], spreadsheets: Spreadsheets
) -> Iterator[bytes]:
    """A table as CSV that Excel opens as what it is: UTF-8 with its mark, commas, CRLF."""
    moments = Moments(spreadsheets.time_zone)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    text.write("\ufeff")
    writer.writerow([no_formula(shown_title(column, spreadsheets)) for column in columns])
    for number, row in enumerate(rows, 1):
        writer.writerow([_csv_cell(cell, moments) for cell in row])
        if number % _CHUNK_ROWS == 0:
            yield _taken(text)
    yield _taken(text)


def write_csv(
    target: Path, columns: Sequence[ExportColumn], rows: Iterable[Sequence[Cell]], spreadsheets: Spreadsheets
) -> None:
    """Write a table as a CSV file; raises as `write_xlsx`."""
    with target.open("wb") as file:
        file.writelines(csv_chunks(columns, rows, spreadsheets))


def no_formula(text: str) -> str:
    """A text for a CSV file with an apostrophe before what would otherwise be taken for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def without_apostrophe(text: str) -> str:
    """The text that `no_formula` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text[1:]) else text


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may take a cell of a CSV file for a formula."""
    return not text.startswith("'") and _FORMULA.match(text) is not None


def fit_for_a_cell(text: str) -> str:
    """A text that a cell can hold: not too long, and without characters that XML does not have."""
    fit = _NOT_IN_A_CELL.sub("\ufffd", text)
    # Excel counts UTF-16 units.
    if len(fit) * 2 > _MOST_CHARACTERS and len(fit.encode("utf-16-le")) // 2 > _MOST_CHARACTERS:
        fit = fit.encode("utf-16-le")[: 2 * (_MOST_CHARACTERS - 1)].decode("utf-16-le", "ignore") + "…"
    return fit


def new_workbook(target: Path | BinaryIO) -> xlsxwriter.Workbook:
    """A workbook in which a text stays one, whatever it looks like, and of which no more than a row is in memory."""
    return xlsxwriter.Workbook(
        str(target) if isinstance(target, Path) else target,
        {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
            "nan_inf_to_errors": False,
        },
    )


class Sheets:
    """One table in a workbook, in as many sheets as it needs, each with the headers; rows go in from top to bottom."""

    def __init__(
        self, workbook: xlsxwriter.Workbook, title: str, columns: Sequence[ExportColumn], spreadsheets: Spreadsheets
    ) -> None:
        self._workbook = workbook
        self._title = _NOT_IN_A_NAME.sub(" ", title).strip()[:24] or "Sheet"
        self._columns = columns
        self._titles = [fit_for_a_cell(shown_title(column, spreadsheets)) for column in columns]
        self._moments = Moments(spreadsheets.time_zone)
        self._bold = workbook.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        self._text = workbook.add_format({"num_format": "@"})
        self._day = workbook.add_format({"num_format": "dd/mm/yyyy"})
        self._moment = workbook.add_format({"num_format": "dd/mm/yyyy hh:mm:ss"})
        self._count = 0
        self._sheet = self._begin()
        self._row = 1

    def write(self, row: Sequence[Cell], mark: Format | None = None) -> None:
        """Add a row; `mark` is the format of its texts, if they are to stand out."""
        if self._row == MOST_ROWS:
            self._sheet = self._begin()
            self._row = 1
        sheet, number = self._sheet, self._row
        for place, cell in enumerate(row):
            if isinstance(cell, str):
                if cell:
                    sheet.write_string(number, place, fit_for_a_cell(cell), mark or self._text)
            elif cell is not None:
                self._write_other(sheet, number, place, cell)
        self._row += 1

    def _write_other(self, sheet: Worksheet, number: int, place: int, cell: Cell) -> None:
        match cell:
            case bool():
                sheet.write_string(number, place, "Yes" if cell else "No", self._text)
            case datetime():
                local = self._moments.local(_zoned(cell))
                if isinstance(local, str):
                    sheet.write_string(number, place, local, self._text)
                else:
                    sheet.write_datetime(number, place, local, self._moment)
            case date() if cell >= FIRST_EXCEL_DAY.date():
                sheet.write_datetime(number, place, cell, self._day)
            case int() | float() | Decimal() if -_EXACT < cell < _EXACT:
                sheet.write_number(number, place, float(cell) if isinstance(cell, Decimal) else cell)
            case _:
                sheet.write_string(number, place, str(cell), self._text)

    def _begin(self) -> Worksheet:
        self._count += 1
        sheet = self._workbook.add_worksheet(self._title if self._count == 1 else f"{self._title} {self._count}")
        for place, (column, title) in enumerate(zip(self._columns, self._titles, strict=True)):
            width = column.width or min(max(len(title) + 2, 12), _WIDEST)
            # A column of texts is one for people too: what they type into it, an id say, stays as they typed it.
            sheet.set_column(place, place, width, self._text if column.kind is Kind.TEXT else None)
        sheet.freeze_panes(1, 0)
        for place, title in enumerate(self._titles):
            sheet.write_string(0, place, title, self._bold)
        return sheet


def _csv_cell(cell: Cell, moments: Moments) -> object:
    match cell:
        case str():
            return no_formula(cell)
        case bool():
            return "Yes" if cell else "No"
        case datetime():
            local = moments.local(_zoned(cell))
            return local if isinstance(local, str) else f"{local:%d/%m/%Y %H:%M:%S}"
        case date():
            return f"{cell:%d/%m/%Y}"
        case _:
            return cell


def _zoned(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"a moment needs a time zone: {moment.isoformat()}")
    return moment


def _taken(text: io.StringIO) -> bytes:
    data = text.getvalue().encode("utf-8", "replace")
    text.seek(0)
    text.truncate()
    return data
