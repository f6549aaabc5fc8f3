"""What tables consist of that are written for people: columns of a kind, and cells."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from sr_engine.configuration import Spreadsheets

Cell = str | int | float | Decimal | bool | date | datetime | None
"""What may stand in a row; a datetime needs a zone."""


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


def zoned(moment: datetime) -> datetime:
    """The same; raises ValueError if it has no zone."""
    if moment.tzinfo is None:
        raise ValueError(f"a moment needs a time zone: {moment.isoformat()}")
    return moment
