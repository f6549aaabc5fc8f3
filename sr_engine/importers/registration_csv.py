"""Registrations from a CSV file: who is registered for a meter point, in which role, from when on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sr_engine.configuration import UserRole
from sr_engine.importers.csv_table import Column, Progress, digits, one_of, read_csv
from sr_engine.operations.registrations import effective_from


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
        Column("cancelled", "yes, if this registration is taken back, or no", _yes_or_no),
    )


def read_registrations(
    path: Path, organisations: Sequence[str], *, progress: Progress | None = None
) -> list[dict[str, object]]:
    """Return rows of the registrations, times in UTC; an `organisation` of None is nobody, `cancelled` True or not.

    Raises CsvRefused with every problem of the file, OSError if it cannot be read.
    """
    return read_csv(path, columns(organisations), key=("mpxn", "role", "effective_from"), progress=progress)


def _yes_or_no(text: str) -> bool:
    return one_of(("yes", "no"))(text.lower()) == "yes"
