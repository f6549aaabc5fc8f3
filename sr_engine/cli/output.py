"""How commands show what they found: plain tables, and times for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDTH_WITHOUT_TERMINAL = 200


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table to stdout, or that there is nothing.

    Numbers stand on the right; nothing in a cell is taken for markup.
    """
    found = [tuple(row) for row in rows]
    if not found:
        click.echo(f"{title}: none")
        return
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for index, name in enumerate(columns):
        numbers = all(isinstance(row[index], int) for row in found)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in found:
        table.add_row(*(Text(_shown(cell)) for cell in row))
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console = Console(file=sys.stdout, highlight=False, width=_WIDTH_WITHOUT_TERMINAL)
    console.print(table)


def moment(at: datetime) -> str:
    """A time to the second, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def _shown(cell: object) -> str:
    if isinstance(cell, datetime):
        return moment(cell)
    if isinstance(cell, int):
        return f"{cell:,}"
    return "" if cell is None else str(cell)
