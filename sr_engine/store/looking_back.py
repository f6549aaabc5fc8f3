"""Looking for rows from the newest back, in a table that no index of what is sought leads into.

An index would cost every request more than a search now and then is worth. So a search goes back along the row numbers
portion by portion, ends when its time is spent, and says where the next one goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, Connection, Row, Select, Table, bindparam, func, select

from sr_engine.store.paging import Seconds

T = TypeVar("T")

_FIRST_PORTION, _LARGEST_PORTION = 2_000, 64_000
"""Rows that one statement looks through."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a search may take, in seconds of `monotonic`; at least one portion is looked through."""

    monotonic: Seconds
    seconds: float


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What a search has found, newest first."""

    rows: tuple[T, ...]
    before: int | None
    """Where the next search goes on: only rows with a lower number are left; None: there are none."""
    full: bool
    """It ended because it had found enough; otherwise all was looked through, or its time was spent."""
    back_to: datetime | None = None
    """The time of the oldest row that was looked at; None if there was none."""


@dataclass(frozen=True, slots=True)
class Trail:
    """A table whose rows were given out in the order of their times, by and large."""

    table: Table
    number: Column[Any]
    at: Column[Any]

    def search(
        self,
        connection: Connection,
        statement: Select[Any],
        parameters: Mapping[str, object],
        *,
        before: int | None,
        since: datetime | None,
        limit: int,
        budget: Budget,
    ) -> Found[Row[Any]]:
        """The newest rows of a statement below a row number and not older than `since`, at most `limit`."""
        newest = self._newest(connection) if before is None else before - 1
        oldest = self._oldest(connection)
        if since is not None:
            oldest = max(oldest, self.number_at(connection, since) + 1)
        started = budget.monotonic()
        portion, rows, high = _FIRST_PORTION, list[Row[Any]](), newest
        part = (
            statement.where(self.number.between(bindparam("looking_low"), bindparam("looking_high")))
            .order_by(self.number.desc())
            .limit(bindparam("looking_limit"))
        )
        while high >= oldest and len(rows) <= limit:
            low = max(oldest, high - portion + 1)
            span = {"looking_low": low, "looking_high": high, "looking_limit": limit + 1 - len(rows)}
            rows += connection.execute(part, {**parameters, **span}).all()
            high, portion = low - 1, min(portion * 4, _LARGEST_PORTION)
            if budget.monotonic() - started >= budget.seconds:
                break
        if len(rows) > limit:
            rows = rows[:limit]
            last = rows[-1]._mapping
            return Found(tuple(rows), int(last[self.number.name]), full=True, back_to=last[self.at.name])
        left = high >= oldest
        back_to = self._time_of(connection, high + 1) if newest >= oldest else None
        return Found(tuple(rows), high + 1 if left else None, full=False, back_to=back_to)

    def number_at(self, connection: Connection, at: datetime) -> int:
        """The number of the last row from before a time, found by halving; that before the first if there is none."""
        low, high = self._oldest(connection) - 1, self._newest(connection)
        while low < high:
            middle = (low + high + 1) // 2
            row = connection.execute(
                select(self.number, self.at).where(self.number <= middle).order_by(self.number.desc()).limit(1)
            ).one_or_none()
            if row is None or row[1] < at:
                low = middle
            else:
                high = row[0] - 1
        return low

    def _time_of(self, connection: Connection, number: int) -> datetime | None:
        found: datetime | None = connection.scalar(
            select(self.at).where(self.number >= number).order_by(self.number).limit(1)
        )
        return found

    def _newest(self, connection: Connection) -> int:
        return connection.scalar(select(func.max(self.number))) or 0

    def _oldest(self, connection: Connection) -> int:
        return connection.scalar(select(func.min(self.number))) or 1
