"""How commands show what they found: plain tables, and times for people."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import click
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_WIDTH_WITHOUT_TERMINAL = 200
_UNBOUNDED = 10_000


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table to stdout, or that there is nothing.

    Numbers stand on the right; nothing in a cell is taken for markup. Where the terminal is too narrow for its longest
    words, each row becomes a block of lines, a column a line, without the empty ones.
    """
    found = [tuple(row) for row in rows]
    if not found:
        click.echo(f"{title}: none")
        return
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console = Console(file=sys.stdout, highlight=False, width=_WIDTH_WITHOUT_TERMINAL)
    table = _table(title, columns, found)
    if Measurement.get(console, console.options.update(width=_UNBOUNDED), table).minimum <= console.width:
        console.print(table)
        return
    console.print(Text(title, style="table.title"))
    for row in found:
        console.print(_block(columns, row))


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV, with a header; a text that a spreadsheet would take for a formula is quoted."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_no_formula(cell) for cell in row] for row in rows)
    return text.getvalue()


def _no_formula(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def moment(at: datetime) -> str:
    """A time to the second, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def _table(title: str, columns: Sequence[str], found: Sequence[Sequence[object]]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for index, name in enumerate(columns):
        numbers = all(isinstance(row[index], int) for row in found)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in found:
        table.add_row(*(Text(_shown(cell)) for cell in row))
    return table


def _block(columns: Sequence[str], row: Sequence[object]) -> Padding:
    lines = Table.grid(padding=(0, 2))
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    for name, cell in zip(columns, row, strict=True):
        if shown := _shown(cell):
            lines.add_row(Text(name), Text(shown))
    return Padding(lines, (1, 0, 0, 2))


def _shown(cell: object) -> str:
    if isinstance(cell, datetime):
        return moment(cell)
    if isinstance(cell, int):
        return f"{cell:,}"
    return "" if cell is None else str(cell)
