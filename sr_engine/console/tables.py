"""Tables on pages: what stands in their cells, said once for the page and for a sheet of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class Link:
    """Text that leads to another page; `href` is an address of ours, as `pages.url` makes it."""

    text: str
    href: str
    mono: bool = False


@dataclass(frozen=True, slots=True)
class Badge:
    """A state in one word or two; `tone` is ok, bad, warn, busy or plain, and says nothing that the text does not."""

    text: str
    tone: str = "plain"


@dataclass(frozen=True, slots=True)
class Mono:
    """An identifier, in letters of one width."""

    text: str


@dataclass(frozen=True, slots=True)
class Span:
    """A window, or the night of an upgrade."""

    start: datetime
    end: datetime

    @property
    def text(self) -> str:
        return f"{self.start:%Y-%m-%dT%H:%MZ} to {self.end:%Y-%m-%dT%H:%MZ}"


Cell = str | int | float | datetime | date | None | Link | Badge | Mono | Span


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column; numbers stand on the right."""

    title: str
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a caption; `empty` is what is said where there are none."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    empty: str = "There is nothing to show."
    next_href: str | None = None
    """The next page of the list."""
    first_href: str | None = None
    """Its first page, unless this is it."""
    export_href: str | None = None
    """Where the whole list is had as a sheet; `&kind=csv` or `&kind=xlsx` is added."""
    caption_hidden: bool = False
    """Where a heading says the same already."""


def text_of(cell: Cell) -> str | int | float | datetime | date | None:
    """What a cell is in a sheet."""
    return cell.text if isinstance(cell, Link | Badge | Mono | Span) else cell
