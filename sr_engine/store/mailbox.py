"""What was queued for one receiver, as the receiver may fetch it itself."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from sr_engine.store import forms
from sr_engine.store.outbox import DELIVERED, EXPIRED
from sr_engine.store.tables import outbox

log = logging.getLogger(__name__)

_LETTERS = (
    select(outbox.c.outbox_id, outbox.c.message_id, outbox.c.kind, outbox.c.created_at, outbox.c.state, *forms.DIGESTED)
    .select_from(forms.WITH_FORMS)
    .where(
        outbox.c.destination == bindparam("to_whom"),
        outbox.c.state != EXPIRED,
        outbox.c.outbox_id > bindparam("after"),
    )
    .order_by(outbox.c.outbox_id)
    .limit(bindparam("at_most"))
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to a receiver, and whether it has taken it."""

    message_id: str
    kind: str
    created_at: datetime
    delivered: bool
    sha256: str
    """Of its body, in hexadecimal."""


class UnknownMessage(Exception):
    """This receiver was sent no such message."""


def messages(connection: Connection, destination: str, *, after: str | None, limit: int) -> Sequence[Letter]:
    """Messages to a receiver in the order in which they were queued, beginning after the one named; none that expired.

    Raises UnknownMessage if that is not one of its own.
    """
    row_number: int | None = 0
    if after is not None:
        row_number = connection.scalar(
            select(outbox.c.outbox_id).where(outbox.c.message_id == after, outbox.c.destination == destination)
        )
        if row_number is None:
            raise UnknownMessage(after)
    letters: list[Letter] = []
    # Who gets none takes it that there are none: instead of those that cannot be shown later ones are.
    while wanted := limit - len(letters):
        found = connection.execute(_LETTERS, {"to_whom": destination, "after": row_number, "at_most": wanted}).all()
        for _, message_id, kind, created_at, state, *digested in found:
            try:
                letters.append(Letter(message_id, kind, created_at, state == DELIVERED, forms.sha256(*digested)))
            except forms.FormMissing as error:
                log.error("message %s to %s is not shown to it: %s", message_id, destination, error)  # noqa: TRY400 - it says all
        if len(found) < wanted:
            break
        row_number = found[-1].outbox_id
    return letters


def message(connection: Connection, destination: str, message_id: str) -> tuple[bytes, bool]:
    """The bytes of one message to a receiver, and whether it has taken it.

    Raises UnknownMessage, also once they are gone.
    """
    row = connection.execute(
        select(outbox.c.state, *forms.BODY)
        .select_from(forms.WITH_FORMS)
        .where(outbox.c.message_id == message_id, outbox.c.destination == destination, outbox.c.state != EXPIRED)
    ).one_or_none()
    if row is None or not (body := forms.if_there(*row[1:])):
        raise UnknownMessage(message_id)
    return body, row.state == DELIVERED


@dataclass(frozen=True, slots=True)
class Sent:
    """A message to a Supplier, and what has become of it."""

    outbox_id: int
    message_id: str
    kind: str
    event: str
    destination: str
    hub_id: str | None
    created_at: datetime
    state: str
    tries: int
    delivered_at: datetime | None


def newest(
    connection: Connection, destinations: Collection[str], *, before: str | None, event: str | None, limit: int
) -> list[Sent]:
    """Messages to some receivers, newest first, beginning after the one with this id; none that expired.

    Raises UnknownMessage if that is not one of theirs.
    """
    found: list[Sent] = []
    place = None if before is None else one_of(connection, destinations, before)[0].outbox_id
    for destination in destinations:
        # One search along the index for each: there are few.
        statement = select(
            *(outbox.c[name] for name in Sent.__dataclass_fields__),
        ).where(outbox.c.destination == destination, outbox.c.state != EXPIRED)
        if place is not None:
            statement = statement.where(outbox.c.outbox_id < place)
        if event is not None:
            statement = statement.where(outbox.c.event == event)
        rows = connection.execute(statement.order_by(outbox.c.outbox_id.desc()).limit(limit))
        found += [Sent(**row._asdict()) for row in rows]
    return sorted(found, key=lambda one: -one.outbox_id)[:limit]


def one_of(connection: Connection, destinations: Collection[str], message_id: str) -> tuple[Sent, bytes]:
    """One message to one of some receivers with its bytes, none if they are gone; raises UnknownMessage."""
    row = connection.execute(
        select(*(outbox.c[name] for name in Sent.__dataclass_fields__), *forms.BODY)
        .select_from(forms.WITH_FORMS)
        .where(
            outbox.c.message_id == message_id,
            outbox.c.destination.in_(list(destinations)),
            outbox.c.state != EXPIRED,
        )
    ).one_or_none()
    if row is None:
        raise UnknownMessage(message_id)
    *values, body, form_id, form = row
    return Sent(*values), forms.if_there(body, form_id, form)


def newest_ids(connection: Connection, destinations: Collection[str]) -> Sequence[int]:
    """The row number of the newest message to each of some receivers; 0 if there is none.

    Not that of all: messages to one receiver may appear after those to another that were queued later.
    """
    return [
        int(
            connection.scalar(
                select(outbox.c.outbox_id)
                .where(outbox.c.destination == destination)
                .order_by(outbox.c.outbox_id.desc())
                .limit(1)
            )
            or 0
        )
        for destination in destinations
    ]
