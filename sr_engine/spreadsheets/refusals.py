"""What of a spreadsheet is refused, and how that is said: a file as a whole, or a cell."""

from __future__ import annotations


class SheetRefused(Exception):
    """A file of which nothing is read, or nothing done; the message says why, and what to do."""


class CellRefused(ValueError):
    """A cell whose content cannot be taken; the message says why, as the end of a sentence that names the column."""
