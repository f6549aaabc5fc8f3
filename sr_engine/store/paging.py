"""Pages of long tables: a page says behind which row the next one begins, so that none costs more than another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

T = TypeVar("T")

_FIRST, _LAST = 1970, 9998
"""Years, in any zone."""
_NUMBERS = 1 << 63

Seconds = Callable[[], float]
"""Tells the time in seconds from any moment, and never goes back."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows in their order."""

    rows: tuple[T, ...]
    after: str | None
    """What the next page is asked for with; None: this is the last one."""


def row_of(number: str) -> int:
    """The row number in the place of a page; raises ValueError for what no page has given."""
    row = int(number)
    if not 0 <= row < _NUMBERS:
        raise ValueError(f"{number} is no place")
    return row


def place_of(at: str, number: str = "0") -> tuple[datetime, int]:
    """The time and the row number in the place of a page; raises ValueError for what no page has given."""
    moment = datetime.fromisoformat(at)
    if moment.tzinfo is None or not _FIRST <= moment.year <= _LAST:
        raise ValueError(f"{at} is no place")
    return moment, row_of(number)


def page(rows: Sequence[T], limit: int, key: Callable[[T], str]) -> Page[T]:
    """The first `limit` of some rows, of which one more was read if there is one."""
    if len(rows) <= limit:
        return Page(tuple(rows), None)
    return Page(tuple(rows[:limit]), key(rows[limit - 1]))


@dataclass(frozen=True, slots=True)
class UpTo:
    """A count that goes no further than it matters."""

    number: int
    more: bool = False
    """There are others beyond."""

    def __str__(self) -> str:
        return f"{self.number:,}{'+' if self.more else ''}"

    def __bool__(self) -> bool:
        return self.number > 0


def up_to(counted: int, most: int) -> UpTo:
    """A count of at most `most` + 1 rows."""
    return UpTo(min(counted, most), counted > most)
