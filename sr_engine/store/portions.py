"""Portions of what goes into the archive: what is chosen, read and removed at once, and of which kind it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, select

from sr_engine.store.sets import members

ROWS_AT_ONCE = 2_000
"""What one transaction removes, at most: nobody else writes while it lasts."""
BYTES_AT_ONCE = 8 * 2**20


class Kind(StrEnum):
    """What is kept for a time of its own."""

    MESSAGES = "messages"
    REQUESTS = "requests"
    UPGRADES = "upgrades"
    LISTS = "lists"
    DELIVERIES = "deliveries"
    IMAGES = "images"
    AUDIT = "audit"


class ChangedMeanwhile(Exception):
    """A row that was to be removed is not what was read."""


@dataclass(frozen=True, slots=True)
class Portion:
    """What is written into one file and removed in one transaction."""

    keys: Sequence[Any]
    up_to: int = 0
    """The row up to which the kind need not be looked through again."""
    reached: Any = None
    """Where the next look of the same run begins, so that a run looks at everything once."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row as it goes into the archive."""

    table: str
    row: dict[str, Any]


def size(column: ColumnElement[Any]) -> ColumnElement[int]:
    return func.length(column)


def lines(
    connection: Connection, table: Table, which: ColumnElement[bool], keys: Sequence[Any], **values: object
) -> Iterator[Line]:
    """Rows of a table, one at a time; `keys` are bound to the parameter of that name."""
    statement = select(table).where(which).order_by(*table.primary_key.columns)
    bound = {"keys": members(keys), **values}
    with connection.execute(statement, bound, execution_options={"yield_per": 100}) as rows:
        for row in rows:
            yield Line(table.name, dict(row._mapping))


def expect(found: int, expected: int) -> None:
    """Raises ChangedMeanwhile unless as many rows were found as were read."""
    if found != expected:
        raise ChangedMeanwhile(f"{expected - found} row(s) are not what was read")
