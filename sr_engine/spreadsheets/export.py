"""Any table of rows as XLSX or CSV, one row at a time, so that nothing in a cell becomes a formula.

What is written reads back the same: by `sr_engine.spreadsheets`, and by Excel as far as it can show it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import BinaryIO

from sr_engine.configuration import Spreadsheets
from sr_engine.spreadsheets.moments import Moments
from sr_engine.spreadsheets.tables import Cell, ExportColumn, Kind, shown_title, zoned
from sr_engine.spreadsheets.workbooks import Sheets, new_workbook

__all__ = [
    "CSV_MEDIA_TYPE",
    "XLSX_MEDIA_TYPE",
    "Cell",
    "ExportColumn",
    "Kind",
    "csv_chunks",
    "is_formula",
    "no_formula",
    "shown_title",
    "without_apostrophe",
    "write_csv",
    "write_xlsx",
]

XLSX_MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV_MEDIA_TYPE = "text/csv; charset=utf-8"

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]")
_CHUNK_ROWS = 1_000


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
    count = 0
    with new_workbook(target) as workbook:
        sheets = Sheets(workbook, title, columns, spreadsheets)
        for row in rows:
            sheets.write(row)
            count += 1
        sheets.add_filters()
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


def _csv_cell(cell: Cell, moments: Moments) -> object:
    match cell:
        case str():
            return no_formula(cell)
        case bool():
            return "Yes" if cell else "No"
        case datetime():
            local = moments.local(zoned(cell))
            return local if isinstance(local, str) else f"{local:%d/%m/%Y %H:%M:%S}"
        case date():
            return f"{cell:%d/%m/%Y}"
        case _:
            return cell


def _taken(text: io.StringIO) -> bytes:
    data = text.getvalue().encode("utf-8", "replace")
    text.seek(0)
    text.truncate()
    return data
