"""Markdown as the generated pages need it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what stands in a cell keeps to one line and cannot end it."""
    lines = [_row(columns), _row(["---"] * len(columns)), *(_row(row) for row in rows)]
    return "\n".join(lines) + "\n"


def heading(level: int, text: str, anchor: str) -> str:
    """A heading that links can name by an anchor of its own."""
    return f"\n{'#' * level} {text} {{#{anchor}}}\n\n"


def code(text: str, language: str) -> str:
    """A block of code."""
    return f"\n```{language}\n{text.strip()}\n```\n"


def quoted(text: str) -> str:
    """A name or value as it is written."""
    return f"`{text}`"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
