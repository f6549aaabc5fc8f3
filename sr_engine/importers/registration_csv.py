"""Registrations from a CSV file: who is registered for a meter point, in which role, from when on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path

from sr_engine.configuration import UserRole
from sr_engine.importers.csv_table import Column, Progress, digits, one_of, read_csv


def columns(organisations: Sequence[str]) -> tuple[Column, ...]:
    """The columns, for an instance with these organisations."""
    known = f": {', '.join(organisations)}" if organisations else ""
    roles = tuple(str(role) for role in UserRole)
    return (
        Column("mpxn", "an MPAN or MPRN of at most 13 digits", digits(1, 13), required=True),
        Column("role", f"one of {', '.join(roles)}", one_of(roles), required=True),
        Column("organisation", f"an id in users.toml{known} (empty: nobody)", one_of(frozenset(organisations))),
        Column(
            "effective_from",
            "a date such as 2026-11-22 (00:00 UTC), or a date and time with its zone such as 2026-11-22T00:00:00Z",
            effective_from,
            required=True,
        ),
    )


def read_registrations(
    path: Path, organisations: Sequence[str], *, progress: Progress | None = None
) -> list[dict[str, object]]:
    """Return rows of the registrations, times in UTC; an `organisation` of None is nobody.

    Raises CsvRefused with every problem of the file, OSError if it cannot be read.
    """
    return read_csv(path, columns(organisations), key=("mpxn", "role", "effective_from"), progress=progress)


def effective_from(text: str) -> datetime:
    """A time in UTC; a bare date is its midnight in UTC. Raises ValueError, also for a time without its zone."""
    if len(text) == len("2026-11-22"):
        return datetime.combine(date.fromisoformat(text), time.min, tzinfo=UTC)
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(text)
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise ValueError(text) from None
