"""All that Suppliers were told, whichever table says so, and as it was said before alerts said it themselves."""

from __future__ import annotations

from sqlalchemy import Connection, func, select, union_all

from sr_engine.store.tables import alerted_hubs, outbox

_COLUMNS = ("hub_id", "event", "organisation", "occurrence", "message_id")

TOLD = union_all(
    *(
        select(*(table.c[name] for name in _COLUMNS)).where(table.c.occurrence.is_not(None))
        for table in (alerted_hubs, outbox)
    )
).subquery("told")
"""Hub, event, organisation, occurrence and the alert's message id."""


def say_it_beside(connection: Connection) -> int:
    """As a database of revision 0010 had it, for all alerts there are; returns how many said it themselves."""
    columns = [outbox.c[name] for name in _COLUMNS]
    said = outbox.c.occurrence.is_not(None)
    number = connection.execute(select(func.count()).select_from(outbox).where(said)).scalar_one()
    connection.execute(alerted_hubs.insert().from_select(_COLUMNS, select(*columns).where(said)))
    connection.execute(outbox.update().where(said).values(organisation=None, occurrence=None))
    return number
