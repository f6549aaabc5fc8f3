"""Hubs that stood on an upgrade list and are off it, while what was agreed for them goes on."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, select

from sr_engine.store.bulk import execute_many
from sr_engine.store.lists import StoredAttempt, stored_of
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import attempts, off_lists

_WERE_ON = (
    select(attempts)
    .join(off_lists, off_lists.c.attempt_id == attempts.c.attempt_id)
    .where(is_one_of(off_lists.c.hub_id, "hub_ids"))
)


def add(connection: Connection, list_id: str, taken_off: Mapping[str, int | None]) -> None:
    """Note that a list does not hold hubs any more, each with the attempt that it was listed for."""
    execute_many(
        connection,
        off_lists.insert(),
        [
            {"list_id": list_id, "hub_id": hub_id, "attempt_id": attempt_id}
            for hub_id, attempt_id in taken_off.items()
            if attempt_id is not None
        ],
    )


def were_on(connection: Connection, list_id: str, hub_ids: Collection[str]) -> dict[str, StoredAttempt]:
    """By hub, the attempts of those that have been on a list."""
    if not hub_ids:
        return {}
    found = connection.execute(_WERE_ON.where(off_lists.c.list_id == list_id), {"hub_ids": members(hub_ids)})
    return {row.hub_id: stored_of(row) for row in found}
