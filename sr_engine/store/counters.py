"""Durable counters: every number is given out once."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from sr_engine.store.prepared import Prepared
from sr_engine.store.tables import counters

_FIRST = insert(counters).values(name=bindparam("name"), value=bindparam("how_many"))
_DRAW = Prepared(
    _FIRST.on_conflict_do_update(
        index_elements=["name"], set_={"value": counters.c.value + _FIRST.excluded.value}
    ).returning(counters.c.value)
)


_LAST = Prepared(select(counters.c.value).where(counters.c.name == bindparam("name")))


def draw(connection: Connection, name: str, how_many: int = 1) -> int:
    """Return the first of `how_many` consecutive numbers; the first ever given out is 1."""
    last = _DRAW.scalar(connection, {"name": name, "how_many": how_many})
    if last is None:
        raise RuntimeError(f"counter {name} gave no number")
    return int(last) - how_many + 1


def given_out(connection: Connection, name: str) -> int:
    """The last number that was given out, 0 if none was."""
    return int(_LAST.scalar(connection, {"name": name}) or 0)


def leave_out(connection: Connection, how_many: int) -> None:
    """Give out so many numbers of each counter to nobody."""
    connection.execute(counters.update().values(value=counters.c.value + how_many))
