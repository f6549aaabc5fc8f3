"""A workbook to fill in and bring back: the right headers, lists to choose from, and a guide on a sheet of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from sr_engine.configuration import SheetColumn, SheetDecision, Spreadsheets, YesNo
from sr_engine.configuration.duis import CSP_REGIONS
from sr_engine.messages.model import Phase
from sr_engine.spreadsheets.export import csv_chunks
from sr_engine.spreadsheets.tables import Cell, ExportColumn, Kind, shown_title
from sr_engine.spreadsheets.workbooks import Sheets, new_workbook

_SHEET = "Hubs"
_GUIDE = "Guide"
_VALIDATED_ROWS = 100_000

COLUMNS = (
    SheetColumn.HUB_ID,
    SheetColumn.MPXN,
    SheetColumn.REGION,
    SheetColumn.DECISION,
    SheetColumn.FIRMWARE,
    SheetColumn.WINDOW_START,
    SheetColumn.WINDOW_END,
    SheetColumn.UNTIL,
    SheetColumn.PHASE,
    SheetColumn.ACCEPT_HAN_IMPACT,
)
"""Those of the template, in its order."""

_MOMENTS = frozenset({SheetColumn.WINDOW_START, SheetColumn.WINDOW_END, SheetColumn.UNTIL})
_WIDTHS = {SheetColumn.HUB_ID: 26, SheetColumn.MPXN: 16, SheetColumn.FIRMWARE: 28}
_CHOICES: Mapping[SheetColumn, tuple[str, ...]] = {
    SheetColumn.REGION: CSP_REGIONS,
    SheetColumn.DECISION: tuple(SheetDecision),
    SheetColumn.PHASE: tuple(Phase),
    SheetColumn.ACCEPT_HAN_IMPACT: tuple(YesNo),
}
TemplateRow = Mapping[SheetColumn, Cell]


def template_columns(spreadsheets: Spreadsheets) -> tuple[ExportColumn, ...]:
    """The columns of the template as those of an exported table."""
    return tuple(
        ExportColumn(
            spreadsheets.title(column), Kind.MOMENT if column in _MOMENTS else Kind.TEXT, _WIDTHS.get(column, 20)
        )
        for column in COLUMNS
    )


def write_template(target: Path | BinaryIO, spreadsheets: Spreadsheets, rows: Iterable[TemplateRow] = ()) -> None:
    """Write the template as a workbook; `rows` are there already, such as hubs that wait for a decision."""
    with new_workbook(target) as workbook:
        sheets = Sheets(workbook, _SHEET, template_columns(spreadsheets), spreadsheets)
        for place, column in enumerate(COLUMNS):
            choices = _CHOICES.get(column)
            if choices is not None:
                # A warning, not a ban: other words for the same are understood too.
                validation = {"validate": "list", "source": list(map(str, choices)), "error_type": "warning"}
                sheets.sheet.data_validation(1, place, _VALIDATED_ROWS, place, validation)
        for row in rows:
            sheets.write([row.get(column) for column in COLUMNS])
        _write_guide(Sheets(workbook, _GUIDE, _GUIDE_COLUMNS, spreadsheets), spreadsheets)


def template_csv(spreadsheets: Spreadsheets, rows: Iterable[TemplateRow] = ()) -> bytes:
    """The template as CSV."""
    cells = ([row.get(column) for column in COLUMNS] for row in rows)
    return b"".join(csv_chunks(template_columns(spreadsheets), cells, spreadsheets))


_GUIDE_COLUMNS = (
    ExportColumn("Column", width=28),
    ExportColumn("What to write", width=90),
    ExportColumn("Also understood as", width=90),
)


def _write_guide(sheets: Sheets, spreadsheets: Spreadsheets) -> None:
    kinds = dict(zip(COLUMNS, template_columns(spreadsheets), strict=True))
    for column in COLUMNS:
        choices = _CHOICES.get(column)
        words = f" One of {', '.join(choices)}." if choices else ""
        also = "; ".join(spreadsheets.columns[column].names)
        sheets.write(
            [shown_title(kinds[column], spreadsheets), spreadsheets.columns[column].help + words, f"also: {also}"]
        )
    zone = f"{spreadsheets.time_zone_name} ({spreadsheets.time_zone.key})"
    for words in (
        f"Times are {zone} unless a zone stands behind them: 25/10/2026 01:30 GMT, 2026-11-26 22:00Z.",
        "A time that comes twice or never, when the clocks change, is refused; write GMT or BST behind it, as a text.",
        "A hub stands in one row. Columns of your own, of other names, may stand anywhere.",
        "Formulas are not read: paste values. Macros, links to other files and passwords are refused.",
        "What comes back is this sheet with the result and what to do beside each row; correct it and bring it again.",
    ):
        sheets.write([None, words])
