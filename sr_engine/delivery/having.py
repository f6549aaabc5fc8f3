"""What CSPs have: taken when it was sent, fetched, or spoken of; and lists that came when their night had begun."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sr_engine.store import audit, undelivered
from sr_engine.store.units_of_work import UnitOfWork


def note_had(unit_of_work: UnitOfWork, message_id: str) -> None:
    """A CSP has fetched a message, or speaks of the list in it: it is sent no more."""
    if undelivered.had(unit_of_work.connection, message_id, unit_of_work.now):
        record_late(unit_of_work, {message_id: unit_of_work.now})


def record_late(unit_of_work: UnitOfWork, had_at: Mapping[str, datetime]) -> None:
    """Record which of the messages that a CSP had at these times are lists that it had not before, and too late."""
    late = undelivered.had_late(unit_of_work.connection, had_at)
    audit.record(
        unit_of_work.connection,
        [
            audit.Entry(
                unit_of_work.now,
                "processor",
                "list late",
                f"{one.region}: list {one.list_id} reached its CSP after {one.period_start:%Y-%m-%dT%H:%MZ}, "
                "when its night had begun",
                one.message_id,
            )
            for one in late
        ],
    )
