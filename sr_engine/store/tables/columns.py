"""What columns of all tables are made of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Integer,
    MetaData,
    String,
    TypeDecorator,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC; a naive one is a programming error and refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any]:
        return _text_of_time if dialect.name == "sqlite" else _utc_or_none

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        # In one step, for rows have many times; the driver of PostgreSQL gives them in the zone of the session, UTC.
        return _time_of_text if dialect.name == "sqlite" else None


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError(f"a time without zone cannot be stored: {value!r}")
    return value.astimezone(UTC)


def _utc_or_none(value: datetime | None) -> datetime | None:
    return None if value is None else _utc(value)


def _text_of_time(value: datetime | None) -> str | None:
    # What is remembered is in UTC: two instants of an hour that comes twice are equal to Python in another zone.
    return None if value is None else _text_of_utc(value if value.tzinfo is UTC else _utc(value))


@lru_cache(maxsize=64)
def _text_of_utc(value: datetime) -> str:
    # The same times come again and again: what happens together happens at one moment.
    return value.replace(tzinfo=None).isoformat(" ", "microseconds")


def _time_of_text(stored: str | None) -> datetime | None:
    return None if stored is None else datetime.fromisoformat(stored + "+00:00")


def row_number(name: str) -> Column[Any]:
    """The key of rows that are numbered as they come."""
    # SQLite gives out row numbers only to a column that is exactly INTEGER PRIMARY KEY.
    return Column(name, BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True)


BY_KEY: dict[str, Any] = {"sqlite_with_rowid": False}
"""For tables that are always reached by their key: SQLite keeps the rows in it, so that finding one is one search."""

EUI = String(23)
ORGANISATION = String(64)
