"""Durable counters: every number is given out once."""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite import insert

from sr_engine.store.tables import counters


def draw(connection: Connection, name: str, how_many: int = 1) -> int:
    """Return the first of `how_many` consecutive numbers; the first ever given out is 1."""
    statement = insert(counters).values(name=name, value=how_many)
    last = connection.scalar(
        statement.on_conflict_do_update(index_elements=["name"], set_={"value": counters.c.value + how_many}).returning(
            counters.c.value
        )
    )
    if last is None:
        raise RuntimeError(f"counter {name} gave no number")
    return int(last) - how_many + 1
