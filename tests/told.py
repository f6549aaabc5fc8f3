"""All that Suppliers were told, whichever table says so."""

from __future__ import annotations

from sqlalchemy import select, union_all

from sr_engine.store.tables import alerted_hubs, outbox

_COLUMNS = ("hub_id", "event", "organisation", "occurrence", "message_id")

TOLD = union_all(
    *(
        select(*(table.c[name] for name in _COLUMNS)).where(table.c.occurrence.is_not(None))
        for table in (alerted_hubs, outbox)
    )
).subquery("told")
"""Hub, event, organisation, occurrence and the alert's message id."""
