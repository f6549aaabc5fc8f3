"""Times on the command line."""

from __future__ import annotations

from datetime import UTC, datetime

import click


def as_moment(_context: click.Context, _option: click.Parameter, text: str) -> datetime:
    """Callback of an option that takes a time with a zone, as ISO 8601 writes it; what comes out is in UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise click.BadParameter(f"{text!r} is not a time with a zone, such as 2026-11-23T09:00:00Z")
    return found.astimezone(UTC)
