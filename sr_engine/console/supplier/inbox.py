"""The alerts inbox: what was sent to the Supplier's Users, and whether their systems have taken it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.exceptions import HTTPException
from starlette.responses import Response

from signing import parse
from sr_engine.configuration import AlertEvent
from sr_engine.console.pages import Visit, url
from sr_engine.console.security import HEADERS
from sr_engine.console.supplier.words import words
from sr_engine.console.tables import Badge, Cell, Column, Link, Mono, Table
from sr_engine.messages.decode import decode_own_response
from sr_engine.store import mailbox
from sr_engine.store.mailbox import Sent, UnknownMessage
from sr_engine.store.reading import Connection

_STATES = {
    "Delivered": ("Taken by your system", "ok"),
    "Pending": ("On its way", "busy"),
    "Parked": ("Your system did not take it", "bad"),
}
_SHOWN_IDS = 100


@dataclass(frozen=True, slots=True)
class InboxPages:
    """The pages about messages."""

    async def listed(self, visit: Visit) -> Response:
        """Messages, newest first."""
        rows, event = visit.desk.rules.pages.rows, visit.query("about")
        before, destinations = visit.query("before") or None, destinations_of(visit)
        try:
            # Not by its number: from that could be told how much is sent to others.
            found = await visit.read(
                lambda connection: mailbox.newest(
                    connection, destinations, before=before, event=event or None, limit=rows + 1
                )
            )
        except UnknownMessage:
            raise HTTPException(404) from None
        table = Table(
            "Messages",
            (Column("Sent"), Column("About"), Column("Hub"), Column("State")),
            [self._row(one) for one in found[:rows]],
            "No message was sent to you yet." if not event else "No such message was sent to you.",
            next_href=url("/alerts", about=event, before=found[rows - 1].message_id) if len(found) > rows else None,
            first_href=url("/alerts", about=event) if before is not None else None,
            export_href=url("/export/alerts", about=event),
            caption_hidden=True,
        )
        return await visit.show(
            "supplier/alerts.html",
            table=table,
            event=event,
            events=[("", "anything"), *((one.value, words(one.value)) for one in AlertEvent)],
            live=url("/alerts/live"),
        )

    def _row(self, one: Sent) -> list[Cell]:
        return [
            one.created_at,
            Link(words(one.event or one.kind), url(f"/alerts/{one.message_id}")),
            None if one.hub_id is None else Link(one.hub_id, url(f"/hubs/{one.hub_id}"), mono=True),
            state_badge(one.state),
        ]

    async def one(self, visit: Visit) -> Response:
        """One message, in words."""
        sent, body = await self._found(visit)
        meaning = ""
        if sent.event in {one.value for one in AlertEvent}:
            meaning = visit.desk.configuration.alerts[AlertEvent(sent.event)].meaning
        facts: list[tuple[str, object]] = []
        hubs: Sequence[str] = ()
        if body:
            decoded = decode_own_response(parse(body, max_bytes=len(body)))
            facts = [("Alert code", decoded.alert_code), ("Response code", decoded.code)]
            if decoded.request_id is not None:
                facts.append(("Answers request", Mono(decoded.request_id.text)))
            if decoded.alert is not None:
                told = {one.name: getattr(decoded.alert, one.name) for one in dataclasses.fields(decoded.alert)}
                hubs = told.pop("device_ids", ())
                facts += [(words(name), _shown(value)) for name, value in told.items() if value is not None]
        return await visit.show(
            "supplier/alert.html",
            sent=sent,
            title=words(sent.event or sent.kind),
            meaning=meaning,
            state=state_badge(sent.state),
            facts=facts,
            hubs=hubs[:_SHOWN_IDS],
            more=max(0, len(hubs) - _SHOWN_IDS),
            bytes=len(body),
        )

    async def _found(self, visit: Visit) -> tuple[Sent, bytes]:
        message_id, destinations = visit.request.path_params["message_id"], destinations_of(visit)
        try:
            return await visit.read(lambda connection: mailbox.one_of(connection, destinations, message_id))
        except UnknownMessage:
            raise HTTPException(404) from None

    async def as_sent(self, visit: Visit) -> Response:
        """The bytes of a message, to be kept as a file."""
        sent, body = await self._found(visit)
        headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{sent.message_id}.xml"'}
        return Response(body, headers=headers, media_type="application/xml")

    def stamp(self, visit: Visit, connection: Connection) -> str:
        """Changes when a message is sent to the Supplier."""
        return "-".join(map(str, mailbox.newest_ids(connection, destinations_of(visit))))


def destinations_of(visit: Visit) -> list[str]:
    """As what the outbox knows the Users of the Supplier."""
    return [f"user:{user.eui}" for user in visit.desk.users.users_of(visit.organisation)] or ["user:"]


def state_badge(state: str) -> Badge:
    """What has become of a message."""
    name, tone = _STATES.get(state, (state, "plain"))
    return Badge(name, tone)


def _shown(value: object) -> object:
    if isinstance(value, bool | int | datetime):
        return value
    return str(value)
