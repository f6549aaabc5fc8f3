"""Requests that were answered I99 and are carried out later; what they say is in the inbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, exists, func, or_, select, update

from sr_engine.domain.holding import Breach, Hold, HoldReason
from sr_engine.store.tables import UtcDateTime, exchanges, held_requests

CANCELLED = "Cancelled"
"""Instead of a response code, of a request that was cancelled before it was carried out."""

_PRECEDING = exchanges.alias("preceding")
_PRECEDING_HELD = held_requests.alias("preceding_held")
_DUIS = "DUIS"
_NEWEST_FIRST = held_requests.c.held_id.desc()


@dataclass(frozen=True, slots=True)
class HeldRequest:
    """A request that waits: why, and what was received."""

    held_id: int
    reason: HoldReason
    message_key: str
    command_variant: int
    sender_eui: str
    received_at: datetime
    received: bytes
    expires_at: datetime | None
    released: bool
    """The operator has released it from quarantine."""
    deleted: bool
    preceding_code: str | None
    """The final code of the request it waits for, if that has one."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A request in quarantine, as the operator sees it."""

    event_ref: str
    request_id: str
    sender_eui: str
    service_reference_variant: str
    breach: Breach
    held_at: datetime
    expires_at: datetime
    decided: str | None
    """`released` or `deleted`, once the operator has said so."""


def _preceding_has_ended() -> ColumnElement[bool]:
    """The request it waits for has its final code: it was not held, or is held no more."""
    return and_(
        _PRECEDING.c.exchange_id.is_not(None),
        or_(_PRECEDING_HELD.c.held_id.is_(None), _PRECEDING_HELD.c.ended_at.is_not(None)),
    )


def _with_preceding(statement: Select[Any]) -> Select[Any]:
    preceding = and_(
        _PRECEDING.c.message_key == held_requests.c.preceding_key,
        _PRECEDING.c.interface == _DUIS,
        # A Transform request and its Signed Pre-Command have one RequestID: the later of them counts.
        ~exists().where(
            _LATER.c.message_key == _PRECEDING.c.message_key,
            _LATER.c.interface == _DUIS,
            _LATER.c.command_variant > _PRECEDING.c.command_variant,
        ),
    )
    return statement.outerjoin(_PRECEDING, preceding).outerjoin(
        _PRECEDING_HELD, _PRECEDING_HELD.c.exchange_id == _PRECEDING.c.exchange_id
    )


_LATER = exchanges.alias("later")


def _is_due() -> ColumnElement[bool]:
    now = bindparam("now", type_=UtcDateTime)
    expired = held_requests.c.expires_at <= now
    return and_(
        held_requests.c.ended_at.is_(None),
        or_(
            held_requests.c.answer_left_at.is_not(None),
            held_requests.c.held_at <= bindparam("answered_before", type_=UtcDateTime),
        ),
        or_(
            and_(held_requests.c.reason == HoldReason.FUTURE_DATED.value, held_requests.c.due_at <= now),
            and_(held_requests.c.reason == HoldReason.SEQUENCE.value, or_(expired, _preceding_has_ended())),
            and_(
                held_requests.c.reason == HoldReason.QUARANTINE.value,
                or_(expired, held_requests.c.released_at.is_not(None), held_requests.c.deleted_at.is_not(None)),
            ),
        ),
    )


_DUE = (
    _with_preceding(select(held_requests.c.held_id).select_from(held_requests))
    .where(_is_due())
    .order_by(held_requests.c.held_id)
    .limit(bindparam("at_most"))
)
_FIND = _with_preceding(
    select(
        held_requests.c.held_id,
        held_requests.c.reason,
        exchanges.c.message_key,
        exchanges.c.command_variant,
        held_requests.c.sender_eui,
        exchanges.c.received_at,
        exchanges.c.received,
        held_requests.c.expires_at,
        held_requests.c.released_at,
        held_requests.c.deleted_at,
        func.coalesce(_PRECEDING_HELD.c.code, _PRECEDING.c.code).label("preceding_code"),
        _preceding_has_ended().label("preceding_has_ended"),
    )
    .select_from(held_requests)
    .join(exchanges, exchanges.c.exchange_id == held_requests.c.exchange_id)
).where(_is_due(), held_requests.c.held_id == bindparam("key"))
_PRECEDING_KEY = (
    select(held_requests.c.preceding_key)
    .join(exchanges, exchanges.c.exchange_id == held_requests.c.exchange_id)
    .where(
        exchanges.c.interface == _DUIS,
        exchanges.c.message_key == bindparam("message_key"),
        held_requests.c.ended_at.is_(None),
    )
)
_INSERT = held_requests.insert()
_ANSWER_LEFT = (
    held_requests.update()
    .where(
        held_requests.c.exchange_id
        == select(exchanges.c.exchange_id)
        .where(
            exchanges.c.interface == _DUIS,
            exchanges.c.message_key == bindparam("key"),
            exchanges.c.command_variant == bindparam("variant"),
        )
        .scalar_subquery(),
        held_requests.c.answer_left_at.is_(None),
    )
    .values(answer_left_at=bindparam("now", type_=UtcDateTime))
)
_TO_BE_CANCELLED = (
    select(held_requests.c.held_id)
    .where(
        held_requests.c.ended_at.is_(None),
        held_requests.c.sender_eui == bindparam("sender_eui"),
        held_requests.c.body_digest == bindparam("body_digest"),
    )
    .order_by(_NEWEST_FIRST)
    .limit(1)
)
_RESPONSE = (
    select(held_requests.c.code, held_requests.c.response, held_requests.c.ended_at)
    .join(exchanges, exchanges.c.exchange_id == held_requests.c.exchange_id)
    .where(
        exchanges.c.interface == _DUIS,
        exchanges.c.message_key == bindparam("message_key"),
        held_requests.c.sender_eui == bindparam("sender_eui"),
    )
    .order_by(_NEWEST_FIRST)
    .limit(1)
)


def add(connection: Connection, exchange_id: int, sender_eui: str, hold: Hold, now: datetime) -> None:
    """Hold a request whose answer is in the inbox."""
    connection.execute(
        _INSERT, {"exchange_id": exchange_id, "sender_eui": sender_eui, "held_at": now, **_of_hold(hold)}
    )


def hold_again(connection: Connection, held_id: int, hold: Hold) -> None:
    """Let a request that waits no more for one reason wait for the next."""
    # What says how it can be cancelled stays, and so does the operator's word.
    values = {name: value for name, value in _of_hold(hold).items() if name not in {"event_ref", "breached"}}
    connection.execute(update(held_requests).where(held_requests.c.held_id == held_id).values(values))


def _of_hold(hold: Hold) -> dict[str, object]:
    return {
        "reason": hold.reason.value,
        "preceding_key": hold.preceding_key,
        "due_at": hold.due_at,
        "expires_at": hold.expires_at,
        "event_ref": hold.event_ref,
        "breached": None if hold.breach is None else hold.breach.value,
        "body_digest": hold.body_digest,
    }


def answer_left(connection: Connection, message_key: str, command_variant: int, now: datetime) -> None:
    """Note that the answer to a held request has left, so that a Response may follow."""
    connection.execute(_ANSWER_LEFT, {"key": message_key, "variant": command_variant, "now": now})


def due(connection: Connection, *, now: datetime, answered_before: datetime, limit: int) -> list[int]:
    """Ids of held requests that wait no more, the first held first.

    Of those whose answer may still be on its way only the ones held up to `answered_before`.
    """
    return list(connection.scalars(_DUE, {"now": now, "answered_before": answered_before, "at_most": limit}))


def find_due(connection: Connection, held_id: int, *, now: datetime, answered_before: datetime) -> HeldRequest | None:
    """A held request, if it waits no more."""
    row = connection.execute(_FIND, {"key": held_id, "now": now, "answered_before": answered_before}).one_or_none()
    return None if row is None else _held_of(row)


def _held_of(row: Row[Any]) -> HeldRequest:
    return HeldRequest(
        row.held_id,
        HoldReason(row.reason),
        row.message_key,
        row.command_variant,
        row.sender_eui,
        row.received_at,
        row.received,
        row.expires_at,
        row.released_at is not None,
        row.deleted_at is not None,
        row.preceding_code if row.preceding_has_ended else None,
    )


def preceding_key(connection: Connection, message_key: str) -> str | None:
    """The RequestID that a request which still waits waits for."""
    found: str | None = connection.scalar(_PRECEDING_KEY, {"message_key": message_key})
    return found


def to_be_cancelled(connection: Connection, sender_eui: str, body_digest: str) -> int | None:
    """The newest request of a User that waits and asks for this."""
    found: int | None = connection.scalar(_TO_BE_CANCELLED, {"sender_eui": sender_eui, "body_digest": body_digest})
    return found


def end(
    connection: Connection, held_id: int, *, now: datetime, code: str, detail: str, response: bytes | None = None
) -> None:
    """It has its final code, and waits no more."""
    connection.execute(
        update(held_requests)
        .where(held_requests.c.held_id == held_id)
        .values(ended_at=now, code=code, detail=detail, response=response)
    )


def response(connection: Connection, message_key: str, sender_eui: str) -> bytes | None:
    """The whole Response to a request of a User that was held; None if there is none, or not yet."""
    row = connection.execute(_RESPONSE, {"message_key": message_key, "sender_eui": sender_eui}).one_or_none()
    return None if row is None else row.response


# --- What the operator sees of quarantine -------------------------------------------------------------------------


def quarantined(connection: Connection) -> Sequence[Quarantined]:
    """Requests in quarantine, the first held first."""
    found = connection.execute(
        select(held_requests, exchanges.c.message_key, exchanges.c.service_reference_variant)
        .join(exchanges, exchanges.c.exchange_id == held_requests.c.exchange_id)
        .where(held_requests.c.ended_at.is_(None), held_requests.c.reason == HoldReason.QUARANTINE.value)
        .order_by(held_requests.c.held_id)
    )
    return [
        Quarantined(
            row.event_ref,
            row.message_key,
            row.sender_eui,
            row.service_reference_variant,
            Breach(row.breached),
            row.held_at,
            row.expires_at,
            "released" if row.released_at is not None else "deleted" if row.deleted_at is not None else None,
        )
        for row in found
    ]


def decide(connection: Connection, event_ref: str, now: datetime, *, release: bool) -> str | None:
    """Note the operator's word on a quarantined request, once; its RequestID, None if nothing waits under `event_ref`.

    The first word counts.
    """
    row = connection.execute(
        select(
            held_requests.c.held_id, held_requests.c.released_at, held_requests.c.deleted_at, exchanges.c.message_key
        )
        .join(exchanges, exchanges.c.exchange_id == held_requests.c.exchange_id)
        .where(
            held_requests.c.event_ref == event_ref,
            held_requests.c.ended_at.is_(None),
            held_requests.c.reason == HoldReason.QUARANTINE.value,
        )
    ).one_or_none()
    if row is None or row.released_at is not None or row.deleted_at is not None:
        return None
    connection.execute(
        update(held_requests)
        .where(held_requests.c.held_id == row.held_id)
        .values({"released_at" if release else "deleted_at": now})
    )
    return str(row.message_key)
