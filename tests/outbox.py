"""What is in the outbox, each message with its bytes as they are sent."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, select

from sr_engine.store import forms
from sr_engine.store.tables import outbox


class Kept(NamedTuple):
    """A message."""

    outbox_id: int
    message_id: str
    kind: str
    destination: str
    hub_id: str | None
    event: str
    state: str
    created_at: datetime
    body: bytes


def messages(connection: Connection, *which: ColumnElement[bool]) -> list[Kept]:
    """Those for which all of `which` hold, in the order in which they were queued."""
    columns = [outbox.c[name] for name in Kept._fields if name != "body"]
    found = select(*columns, *forms.BODY).select_from(forms.WITH_FORMS).where(*which).order_by(outbox.c.outbox_id)
    return [
        Kept(
            row.outbox_id,
            row.message_id,
            row.kind,
            row.destination,
            row.hub_id,
            row.event,
            row.state,
            row.created_at,
            forms.whole(row.body, row.form_id, row.form),
        )
        for row in connection.execute(found)
    ]
