"""Counts over the tables, and what an operator looks up in them: read in sets, never hub by hub."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, case, exists, func, or_, select

from sr_engine.messages.model import Approval
from sr_engine.store import forms
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import attempts, decisions, devices, outbox

_KNOWN_HUBS = select(devices.c.device_id).where(
    is_one_of(devices.c.device_id, "hub_ids"), devices.c.device_type == "CHF"
)
_METERED = select(
    exists().where(
        or_(
            devices.c.import_mpxn == bindparam("mpxn"),
            devices.c.secondary_import_mpan == bindparam("mpxn"),
            devices.c.export_mpan == bindparam("mpxn"),
        )
    )
)


@dataclass(frozen=True, slots=True)
class Message:
    """A message in the outbox, without its body."""

    message_id: str
    kind: str
    event: str
    destination: str
    state: str
    tries: int
    created_at: datetime
    last_error: str | None


@dataclass(frozen=True, slots=True)
class MessageDetails:
    """All that is on record of a message, but for its body."""

    message_id: str
    kind: str
    event: str
    destination: str
    hub_id: str | None
    state: str
    tries: int
    created_at: datetime
    next_try_at: datetime
    delivered_at: datetime | None
    last_error: str | None
    sha256: str
    size: int
    """Of its body, in bytes."""


def known_hubs(connection: Connection, hub_ids: Iterable[str]) -> set[str]:
    """Those of some ids that are CHFs of the inventory."""
    return set(connection.scalars(_KNOWN_HUBS, {"hub_ids": members(hub_ids)}))


def is_metered(connection: Connection, mpxn: str) -> bool:
    """Whether a device of the inventory is the meter of a meter point."""
    return bool(connection.scalar(_METERED, {"mpxn": mpxn}))


def hubs_of_model(connection: Connection, manufacturer: str, model: str) -> list[tuple[str | None, str | None, int]]:
    """Region, firmware version and number of the hubs of a model."""
    statement = (
        select(devices.c.csp_region, devices.c.firmware_version, func.count())
        .where(devices.c.manufacturer == manufacturer, devices.c.model == model, devices.c.device_type == "CHF")
        .group_by(devices.c.csp_region, devices.c.firmware_version)
    )
    return [(region, version, count) for region, version, count in connection.execute(statement)]


def newest_attempts(connection: Connection, release_id: str) -> list[tuple[str, str, int]]:
    """Region, state and number of hubs, by the newest attempt of each hub at a release."""
    newest = (
        select(attempts.c.hub_id, func.max(attempts.c.number).label("number"))
        .where(attempts.c.release_id == release_id)
        .group_by(attempts.c.hub_id)
        .subquery()
    )
    statement = (
        select(attempts.c.region, attempts.c.state, func.count())
        .join(newest, and_(newest.c.hub_id == attempts.c.hub_id, newest.c.number == attempts.c.number))
        .where(attempts.c.release_id == release_id)
        .group_by(attempts.c.region, attempts.c.state)
    )
    return [(region, state, count) for region, state, count in connection.execute(statement)]


def answers(connection: Connection, release_id: str, now: datetime) -> dict[str, int]:
    """How many answers of each kind Suppliers have given to a release; a deferral that has run out is Pending."""
    run_out = and_(
        decisions.c.approval == Approval.DEFERRED.value,
        decisions.c.defer_until.is_not(None),
        decisions.c.defer_until <= now,
    )
    approval = case((run_out, Approval.PENDING.value), else_=decisions.c.approval)
    statement = (
        select(approval, func.count()).where(decisions.c.release_id == release_id).group_by(approval).order_by(approval)
    )
    return {given: count for given, count in connection.execute(statement)}  # noqa: C416 - a Row is no pair to mypy


def messages(connection: Connection, state: str, limit: int, destination: str | None = None) -> list[Message]:
    """The oldest messages of the outbox in one state, to everybody or to one receiver."""
    statement = (
        select(
            outbox.c.message_id,
            outbox.c.kind,
            outbox.c.event,
            outbox.c.destination,
            outbox.c.state,
            outbox.c.tries,
            outbox.c.created_at,
            outbox.c.last_error,
        )
        .where(outbox.c.state == state)
        .order_by(outbox.c.outbox_id)
        .limit(limit)
    )
    if destination is not None:
        statement = statement.where(outbox.c.destination == destination)
    return [Message(*row) for row in connection.execute(statement)]


def is_sent_to(connection: Connection, destination: str) -> bool:
    """Whether there is a message to this receiver, in whatever state."""
    found = select(outbox.c.outbox_id).where(outbox.c.destination == destination).limit(1)
    return connection.execute(found).first() is not None


def message_details(connection: Connection, message_id: str) -> MessageDetails | None:
    """What is on record of one message; None if there is no such message."""
    statement = select(
        outbox.c.message_id,
        outbox.c.kind,
        outbox.c.event,
        outbox.c.destination,
        outbox.c.hub_id,
        outbox.c.state,
        outbox.c.tries,
        outbox.c.created_at,
        outbox.c.next_try_at,
        outbox.c.delivered_at,
        outbox.c.last_error,
        outbox.c.sha256,
        *forms.BODY,
    ).select_from(forms.WITH_FORMS)
    row = connection.execute(statement.where(outbox.c.message_id == message_id)).one_or_none()
    if row is None:
        return None
    values = row._asdict()
    body = forms.if_there(*(values.pop(column.name) for column in forms.BODY))
    if body:
        values["sha256"] = forms.sha256(values["sha256"], body, None, None)
    return MessageDetails(**values, size=len(body))


def message_body(connection: Connection, message_id: str) -> bytes | None:
    """The bytes of one message, none if they are gone; None if there is no such message."""
    statement = select(*forms.BODY).select_from(forms.WITH_FORMS).where(outbox.c.message_id == message_id)
    row = connection.execute(statement).one_or_none()
    return None if row is None else forms.if_there(*row)
