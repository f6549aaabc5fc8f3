"""What was decided about long lists and is still to be carried out, portion by portion.

A portion is durable before its request is answered, and gone with what it changes. Until then nothing else may read or
change anything of its hubs in a transaction that writes: `Transactions` sees to it.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import Connection, bindparam, func, select

from sr_engine.domain.portions import Portion
from sr_engine.store.bulk import execute_many
from sr_engine.store.prepared import Prepared
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import kept_changes

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_ANY = Prepared(select(kept_changes.c.kept_id).limit(1))
_RANGES = Prepared(
    select(kept_changes.c.kept_id, kept_changes.c.first_hub, kept_changes.c.last_hub).order_by(kept_changes.c.kept_id)
)
_HUBS = Prepared(
    select(kept_changes.c.kept_id, kept_changes.c.hubs)
    .where(is_one_of(kept_changes.c.kept_id, "kept_ids"))
    .order_by(kept_changes.c.kept_id)
)
_HOW_MANY = Prepared(select(func.count()).select_from(kept_changes))
_FIRST = Prepared(select(func.min(kept_changes.c.kept_id)))
_ONE = Prepared(select(kept_changes.c.changes).where(kept_changes.c.kept_id == bindparam("kept_id")))
_INSERT = Prepared(kept_changes.insert())
_DELETE = Prepared(kept_changes.delete().where(kept_changes.c.kept_id == bindparam("kept_id")))


@dataclass(frozen=True, slots=True)
class Kept:
    """A portion of what a request came to."""

    portion: Portion
    release_id: str
    actor: str
    """Whose request it was, for the audit trail."""
    message_key: str
    at: datetime
    """When it was answered."""


@dataclass(frozen=True, slots=True)
class Oldest:
    """The request that has waited longest for being carried out."""

    message_key: str
    at: datetime
    """When it was answered."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What was answered and is still to be carried out."""

    portions: int
    oldest: Oldest | None
    """None: it cannot be read, and so not be carried out."""

    def waits(self, now: datetime) -> timedelta:
        """For how long; for ever if that cannot be read."""
        return timedelta.max if self.oldest is None else now - self.oldest.at


@cache
def _form() -> TypeAdapter[Kept]:
    # It takes a while to load, and there are few long lists.
    from pydantic import TypeAdapter  # noqa: PLC0415 - see above

    return TypeAdapter(Kept)


def get_ready() -> None:
    """Load what `keep` needs, which takes some tenths of a second the first time: nobody should have to wait for it."""
    _form()


def keep(connection: Connection, some: Sequence[Kept]) -> None:
    """Have them carried out later, in this order."""
    execute_many(
        connection,
        _INSERT,
        [
            {
                "first_hub": one.portion.hub_ids[0],
                "last_hub": one.portion.hub_ids[-1],
                "hubs": ",".join(one.portion.hub_ids),
                "changes": _form().dump_json(one).decode(),
            }
            for one in some
        ],
    )


def are_left(connection: Connection) -> bool:
    """True if something is still to be carried out."""
    return _ANY.scalar(connection) is not None


def how_many(connection: Connection) -> int:
    """The portions that are still to be carried out."""
    return int(_HOW_MANY.scalar(connection))


def of_hubs(connection: Connection, hub_ids: Collection[str]) -> list[int]:
    """The ids of the portions that name some of these hubs, in the order in which they were kept."""
    in_order = sorted(hub_ids)
    near = [
        kept_id
        for kept_id, first, last in _RANGES.all(connection)
        if bisect_left(in_order, first) < bisect_right(in_order, last)
    ]
    if not near:
        return []
    # Those of one list may lie between those of another.
    sought = set(hub_ids)
    named = _HUBS.all(connection, {"kept_ids": members(near)})
    return [kept_id for kept_id, hubs in named if not sought.isdisjoint(hubs.split(","))]


def unfinished(connection: Connection) -> Unfinished | None:
    """How much is left, and of whom; None if nothing is."""
    kept_id = first(connection)
    if kept_id is None:
        return None
    changes = _ONE.scalar(connection, {"kept_id": kept_id})
    if changes is None:
        # It was carried out between the two looks.
        return None
    return Unfinished(how_many(connection), _oldest(changes))


def _oldest(changes: str) -> Oldest | None:
    try:
        kept = json.loads(changes)
        return Oldest(kept["message_key"], datetime.fromisoformat(kept["at"]))
    except (ValueError, LookupError, TypeError):
        return None


def first(connection: Connection) -> int | None:
    """The id of the one that was kept first; None if none is left."""
    kept_id: int | None = _FIRST.scalar(connection)
    return kept_id


def take(connection: Connection, kept_id: int) -> Kept:
    """One that is there, which is so no more: it is carried out in this transaction."""
    kept = _form().validate_json(_ONE.scalar(connection, {"kept_id": kept_id}))
    _DELETE.run(connection, {"kept_id": kept_id})
    return kept
