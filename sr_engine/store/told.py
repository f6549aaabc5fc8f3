"""What Suppliers were told: each thing that happened at a hub once.

An alert that tells one thing of one hub says so in its own row of the outbox. One that is about several hubs has a row
for each of them in `alerted_hubs`; so has one that only says that there is something which its User's version of DUIS
cannot express.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, Connection, bindparam, select, union_all

from sr_engine.store.bulk import execute_columns
from sr_engine.store.prepared import Prepared
from sr_engine.store.sets import is_one_of_many, members
from sr_engine.store.tables import alerted_hubs, outbox

BY_ITSELF: ColumnElement[bool] = outbox.c.occurrence.is_not(None)
"""Of an alert: its own row says what it tells."""

_IN_ROWS = ("hub_id", "event", "organisation", "occurrence", "message_id")
_INSERT = Prepared(alerted_hubs.insert())


def _of_hubs() -> Prepared:
    found = union_all(
        *(
            select(table.c.hub_id, table.c.organisation, table.c.occurrence).where(
                table.c.event == bindparam("event"),
                is_one_of_many(table.c.hub_id, "hub_ids"),
                table.c.occurrence.is_not(None),
            )
            for table in (alerted_hubs, outbox)
        )
    ).subquery()
    return Prepared(select(found.c.hub_id, found.c.organisation, found.c.occurrence))


_OF_HUBS = _of_hubs()


def already(connection: Connection, event: str, hub_ids: Collection[str]) -> set[tuple[str, str, str]]:
    """Hub, organisation and occurrence of what has been told of this event at these hubs."""
    found = _OF_HUBS.all(connection, {"event": event, "hub_ids": members(hub_ids)})
    return {(hub_id, organisation, occurrence) for hub_id, organisation, occurrence in found}


def record(connection: Connection, rows: Sequence[tuple[str, str, str, str, str]]) -> None:
    """Record hub, event, organisation, occurrence and message id of what alerts tell that do not say it themselves."""
    if rows:
        execute_columns(connection, _INSERT, dict(zip(_IN_ROWS, zip(*rows, strict=True), strict=True)))
