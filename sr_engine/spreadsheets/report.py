"""What became of a file, as a workbook: the same rows, with the result and what to do beside each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import BinaryIO

from sr_engine.configuration import SheetColumn, Spreadsheets
from sr_engine.spreadsheets.moments import Moments
from sr_engine.spreadsheets.outcomes import Outcomes, RowOutcome, RowVerdict
from sr_engine.spreadsheets.reading import Sheet
from sr_engine.spreadsheets.refusals import CellRefused
from sr_engine.spreadsheets.rows import PROGRESS_EVERY, Progress, Reading
from sr_engine.spreadsheets.tables import Cell, ExportColumn, Kind
from sr_engine.spreadsheets.workbooks import Look, Sheets, new_workbook

_SUMMARY = "Summary"
_ROWS = "Rows"
_MOMENTS = (SheetColumn.WINDOW_START, SheetColumn.WINDOW_END, SheetColumn.UNTIL)
_WORDS_WIDTH = 80
_LOOKS = {
    RowVerdict.ACCEPTED: Look.GOOD,
    RowVerdict.WOULD_BE_ACCEPTED: Look.GOOD,
    RowVerdict.REFUSED: Look.BAD,
    RowVerdict.NOT_SENT: Look.BAD,
    RowVerdict.WAITS: Look.ATTENTION,
    RowVerdict.UNCLEAR: Look.ATTENTION,
}


def all_outcomes(reading: Reading, answered: Outcomes) -> dict[int, RowOutcome]:
    """What became of every row, of those that were never sent too."""
    found = {number: RowOutcome(RowVerdict.REFUSED, why) for number, why in reading.refused.items()}
    found |= {number: RowOutcome(RowVerdict.LEFT_OUT, why) for number, why in reading.left_out.items()}
    return found | dict(answered)


def write_report(
    target: Path | BinaryIO,
    sheet: Sheet,
    outcomes: Outcomes,
    spreadsheets: Spreadsheets,
    *,
    progress: Progress | None = None,
) -> None:
    """Write the rows of a sheet again, each with what became of it; memory does not grow with them.

    Cells are what they were; a formula is the text that it showed, a number in a column of dates the date. A report
    that people have corrected can be imported itself. Raises OSError.
    """
    with new_workbook(target) as workbook:
        columns, places = _columns(sheet, spreadsheets)
        title = sheet.title if sheet.title.casefold() != _SUMMARY.casefold() else ""
        sheets = Sheets(workbook, title or _ROWS, columns, spreadsheets, local=True)
        shown = _shown_moments(sheet, spreadsheets, places)
        for number, row in sheet.rows():
            outcome = outcomes.get(number)
            cells = [shown(place, row[place]) if place < len(row) else None for place in places]
            if outcome is None:
                sheets.write(cells)
            else:
                sheets.write([*cells, str(outcome.verdict), outcome.words], _LOOKS.get(outcome.verdict, Look.PLAIN))
            if progress is not None and number % PROGRESS_EVERY == 0:
                progress(number)
        sheets.add_filters()
        _write_summary(Sheets(workbook, _SUMMARY, _SUMMARY_COLUMNS, spreadsheets), sheet, outcomes, spreadsheets)
    if progress is not None:
        progress(sheet.last_row)


def counted(outcomes: Outcomes) -> list[tuple[RowVerdict, int]]:
    """How many rows there are of each kind."""
    found = Counter(outcome.verdict for outcome in outcomes.values())
    return [(verdict, found[verdict]) for verdict in RowVerdict if found[verdict]]


def _columns(sheet: Sheet, spreadsheets: Spreadsheets) -> tuple[list[ExportColumn], list[int]]:
    """The columns of the report, and which of the sheet they are: all but what an earlier report has added."""
    places = sheet.headers.places
    added = {places.get(SheetColumn.RESULT), places.get(SheetColumn.ADVICE)}
    kept = [place for place in range(len(sheet.headers.titles)) if place not in added]
    moments = {places.get(column) for column in _MOMENTS}
    columns = [
        # Of no kind but text: the zone stands in the header already, where it should.
        ExportColumn(sheet.headers.titles[place], Kind.TEXT, 24 if place in moments else None)
        for place in kept
    ]
    columns.append(ExportColumn(spreadsheets.title(SheetColumn.RESULT), width=18))
    columns.append(ExportColumn(spreadsheets.title(SheetColumn.ADVICE), width=_WORDS_WIDTH))
    return columns, kept


def _shown_moments(sheet: Sheet, spreadsheets: Spreadsheets, kept: Sequence[int]) -> Callable[[int, object], Cell]:
    moments = Moments(spreadsheets.time_zone)
    dated = {sheet.headers.places.get(column) for column in _MOMENTS} & set(kept)

    def shown(place: int, cell: object) -> Cell:
        if place in dated and isinstance(cell, int | float) and not isinstance(cell, bool):
            # Another workbook may count its days from elsewhere.
            try:
                return moments.local(moments.read(cell, epoch_1904=sheet.epoch_1904))
            except CellRefused:
                return cell
        return cell if isinstance(cell, str | int | float | date | datetime) or cell is None else str(cell)

    return shown


_SUMMARY_COLUMNS = (ExportColumn("What", width=60), ExportColumn("Rows", Kind.NUMBER))


def _write_summary(sheets: Sheets, sheet: Sheet, outcomes: Outcomes, spreadsheets: Spreadsheets) -> None:
    sheets.write([f"{sheet.file}{f', sheet {sheet.title}' if sheet.title else ''}", None])
    sheets.write(
        [f"Times are {spreadsheets.time_zone_name} ({spreadsheets.time_zone.key}) unless a zone is named", None]
    )
    sheets.write(["Numbers of rows are those of that file", None])
    sheets.write([None, None])
    for verdict, count in counted(outcomes):
        sheets.write([str(verdict), count], _LOOKS.get(verdict, Look.PLAIN))
    refused = Counter(outcome.words for outcome in outcomes.values() if outcome.verdict is RowVerdict.REFUSED)
    if refused:
        sheets.write([None, None])
        sheets.write(["The most frequent reasons for a refusal", None])
        for words, count in refused.most_common(10):
            sheets.write([words, count])
