"""Requests that were answered I99 and are carried out later; what they say is in the inbox.

Each has a time from which it is taken up: its date, the end of its patience, or the moment at which what it waits for
happened. So finding those that are due is a look at the beginning of one index, however many wait or have ended.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, exists, func, not_, or_, select, update

from sr_engine.domain.holding import Breach, Hold, HoldReason
from sr_engine.store import notices, sharing
from sr_engine.store.prepared import Prepared
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import UtcDateTime, exchanges, held_requests

CANCELLED = "Cancelled"
"""Instead of a response code, of a request that was cancelled before it was carried out."""

_DUIS = "DUIS"
_WAITS = held_requests.c.ended_at.is_(None)
_OF_EXCHANGE = exchanges.c.exchange_id == held_requests.c.exchange_id
_BY_KEY = and_(exchanges.c.interface == _DUIS, exchanges.c.message_key == bindparam("message_key"))
_LATER = exchanges.alias("later")


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
class Waiting:
    """A held request as the operator sees it; times in UTC."""

    request_id: str
    sender_eui: str
    service_reference_variant: str
    reason: HoldReason
    held_at: datetime
    ready_at: datetime
    preceding: str | None
    event_ref: str | None
    breach: Breach | None
    decided: str | None
    """`released` or `deleted`, once the operator has said so of one in quarantine."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a held request ended: with which code, and the whole Response unless it was cancelled."""

    code: str
    detail: str
    response: bytes | None


_DUE = (
    select(held_requests.c.held_id)
    .where(
        _WAITS,
        held_requests.c.ready_at <= bindparam("now", type_=UtcDateTime),
        or_(
            held_requests.c.answer_left_at.is_not(None),
            held_requests.c.held_at <= bindparam("answered_before", type_=UtcDateTime),
        ),
        not_(is_one_of(held_requests.c.held_id, "put_off")),
    )
    .order_by(held_requests.c.ready_at, held_requests.c.held_id)
    .limit(bindparam("at_most"))
)
_FIND = (
    select(held_requests, exchanges.c.message_key, exchanges.c.command_variant, exchanges.c.received_at)
    .add_columns(exchanges.c.received)
    .join(exchanges, _OF_EXCHANGE)
    .where(_WAITS, held_requests.c.held_id == bindparam("key"))
)
# A Transform request and its Signed Pre-Command have one RequestID: the later of them counts.
_FINAL_CODE = (
    select(func.coalesce(held_requests.c.code, exchanges.c.code))
    .select_from(exchanges)
    .outerjoin(held_requests, _OF_EXCHANGE)
    .where(
        _BY_KEY,
        or_(held_requests.c.held_id.is_(None), held_requests.c.ended_at.is_not(None)),
        ~exists().where(
            _LATER.c.interface == _DUIS,
            _LATER.c.message_key == exchanges.c.message_key,
            _LATER.c.command_variant > exchanges.c.command_variant,
        ),
    )
)
_STANDING = (
    select(held_requests.c.reason, held_requests.c.root_key, held_requests.c.ready_at)
    .join(exchanges, _OF_EXCHANGE)
    .where(_BY_KEY, _WAITS)
)
_HOW_MANY = select(func.count()).select_from(
    select(held_requests.c.held_id)
    .where(_WAITS, held_requests.c.sender_eui == bindparam("sender_eui"))
    .limit(bindparam("at_most"))
    .subquery()
)
_INSERT = held_requests.insert()
_NEW_ROOT = (
    held_requests.update()
    .where(_WAITS, held_requests.c.root_key == bindparam("old_root"))
    .values(root_key=bindparam("new_root"))
)
_FREE = Prepared(
    held_requests.update()
    .where(
        _WAITS,
        held_requests.c.preceding_key == bindparam("key"),
        held_requests.c.reason == HoldReason.SEQUENCE.value,
    )
    .values(ready_at=bindparam("now", type_=UtcDateTime))
)
_AWAITED = Prepared(
    select(held_requests.c.preceding_key).where(
        _WAITS,
        is_one_of(held_requests.c.preceding_key, "keys"),
        held_requests.c.reason == HoldReason.SEQUENCE.value,
    )
)
_IS_AWAITED = ("awaited requests",)
_ANSWER_LEFT = (
    held_requests.update()
    .where(
        held_requests.c.exchange_id
        == select(exchanges.c.exchange_id)
        .where(_BY_KEY, exchanges.c.command_variant == bindparam("variant"))
        .scalar_subquery(),
        held_requests.c.answer_left_at.is_(None),
    )
    .values(answer_left_at=bindparam("now", type_=UtcDateTime))
)
_TO_BE_CANCELLED = (
    select(held_requests.c.held_id, exchanges.c.message_key)
    .join(exchanges, _OF_EXCHANGE)
    .where(
        _WAITS,
        held_requests.c.sender_eui == bindparam("sender_eui"),
        held_requests.c.body_digest == bindparam("body_digest"),
    )
    .order_by(held_requests.c.held_id.desc())
    .limit(1)
)
_ENDED = (
    select(held_requests.c.code, held_requests.c.detail, held_requests.c.response)
    .join(exchanges, _OF_EXCHANGE)
    .where(_BY_KEY, held_requests.c.sender_eui == bindparam("sender_eui"), held_requests.c.ended_at.is_not(None))
    .order_by(held_requests.c.held_id.desc())
    .limit(1)
)
_WAS_HELD = select(held_requests.c.held_id).join(exchanges, _OF_EXCHANGE).where(_BY_KEY).limit(1)
_WAITING = (
    select(held_requests, exchanges.c.message_key, exchanges.c.service_reference_variant)
    .join(exchanges, _OF_EXCHANGE)
    .where(_WAITS)
    .order_by(held_requests.c.held_id)
)


def add(
    connection: Connection, exchange_id: int, *, message_key: str, sender_eui: str, hold: Hold, now: datetime
) -> None:
    """Hold a request whose answer is in the inbox."""
    row = {"exchange_id": exchange_id, "sender_eui": sender_eui, "held_at": now, **_of_hold(hold)}
    connection.execute(_INSERT, row)
    _take_root(connection, message_key, hold)


def hold_again(connection: Connection, held: HeldRequest, hold: Hold) -> None:
    """Let a request that waits no more for one reason wait for the next; the operator's word on it stays."""
    values = {name: value for name, value in _of_hold(hold).items() if name not in {"event_ref", "breached"}}
    connection.execute(update(held_requests).where(held_requests.c.held_id == held.held_id).values(values))
    _take_root(connection, held.message_key, hold)


def _take_root(connection: Connection, message_key: str, hold: Hold) -> None:
    """Whoever waits, however indirectly, for a request that waits for another waits for that other."""
    if hold.root_key is not None:
        connection.execute(_NEW_ROOT, {"old_root": message_key, "new_root": hold.root_key})


def _of_hold(hold: Hold) -> dict[str, object]:
    return {
        "reason": hold.reason.value,
        "ready_at": hold.ready_at,
        "expires_at": hold.expires_at,
        "preceding_key": hold.preceding_key,
        "root_key": hold.root_key,
        "event_ref": hold.event_ref,
        "breached": None if hold.breach is None else hold.breach.value,
        "body_digest": hold.body_digest,
    }


def free_followers(connection: Connection, message_key: str, now: datetime) -> int:
    """Those that wait for a request which has its final code wait no more; how many there are."""
    shared = sharing.of(connection)
    if shared is not None and shared.known(_IS_AWAITED, message_key) is False:
        return 0
    freed = _FREE.run(connection, {"key": message_key, "now": now})
    if freed:
        notices.leave(connection, notices.Left.HELD)
    return freed


def ask_ahead(connection: Connection, shared: sharing.Shared, message_keys: Collection[str]) -> sharing.Take:
    """Find for all that share this transaction which of some requests others wait for."""
    asked = _AWAITED.ask(connection, {"keys": members(message_keys)})

    def look() -> Mapping[str, bool]:
        awaited = {row.preceding_key for row in asked.all()}
        return {key: key in awaited for key in message_keys}

    return lambda: shared.read(_IS_AWAITED, look)


def answer_left(connection: Connection, message_key: str, command_variant: int, now: datetime) -> None:
    """Note that the answer to a held request has left, so that a Response may follow."""
    connection.execute(_ANSWER_LEFT, {"message_key": message_key, "variant": command_variant, "now": now})
    notices.leave(connection, notices.Left.HELD)


def due(
    connection: Connection, *, now: datetime, answered_before: datetime, limit: int, put_off: Collection[int] = ()
) -> list[int]:
    """Ids of held requests that are to be taken up, what was to happen first first; without those `put_off`.

    Of those whose answer may still be on its way only the ones held up to `answered_before`.
    """
    sought = {"now": now, "answered_before": answered_before, "at_most": limit}
    return list(connection.scalars(_DUE, {**sought, "put_off": members(put_off)}))


def find(connection: Connection, held_id: int) -> HeldRequest | None:
    """A held request that has not ended."""
    row = connection.execute(_FIND, {"key": held_id}).one_or_none()
    return None if row is None else _held_of(connection, row)


def find_due(connection: Connection, held_id: int, *, now: datetime, answered_before: datetime) -> HeldRequest | None:
    """A held request, if it is to be taken up."""
    row = connection.execute(_FIND, {"key": held_id}).one_or_none()
    if row is None or row.ready_at > now or (row.answer_left_at is None and row.held_at > answered_before):
        return None
    return _held_of(connection, row)


def _held_of(connection: Connection, row: Row[Any]) -> HeldRequest:
    preceding = None if row.preceding_key is None else final_code(connection, row.preceding_key)
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
        preceding,
    )


def final_code(connection: Connection, message_key: str) -> str | None:
    """The final code of a request; None if it is unknown or still waits."""
    found: str | None = connection.scalar(_FINAL_CODE, {"message_key": message_key})
    return found


def chain_of(connection: Connection, message_key: str) -> tuple[str, datetime | None]:
    """What the chain before a request waits for in the end: that request itself if it does not wait for another.

    Also when it is to be carried out, if it waits for a date.
    """
    row = connection.execute(_STANDING, {"message_key": message_key}).one_or_none()
    if row is None:
        return message_key, None
    dated = row.ready_at if row.reason == HoldReason.FUTURE_DATED.value else None
    return (row.root_key or message_key), dated


def was_held(connection: Connection, message_key: str) -> bool:
    """Whether a request is held or has been."""
    return connection.scalar(_WAS_HELD, {"message_key": message_key}) is not None


def how_many(connection: Connection, sender_eui: str, at_most: int) -> int:
    """How many requests of a User wait, counted up to `at_most`."""
    return int(connection.scalar(_HOW_MANY, {"sender_eui": sender_eui, "at_most": at_most}) or 0)


def to_be_cancelled(connection: Connection, sender_eui: str, body_digest: str) -> tuple[int, str] | None:
    """The newest request of a User that waits and asks for this: its id here, and its RequestID."""
    row = connection.execute(_TO_BE_CANCELLED, {"sender_eui": sender_eui, "body_digest": body_digest}).one_or_none()
    return None if row is None else (row.held_id, row.message_key)


def end(
    connection: Connection, held_id: int, *, now: datetime, code: str, detail: str, response: bytes | None = None
) -> None:
    """It has its final code, and waits no more."""
    connection.execute(
        update(held_requests)
        .where(held_requests.c.held_id == held_id)
        .values(ended_at=now, code=code, detail=detail, response=response)
    )


def ended(connection: Connection, message_key: str, sender_eui: str) -> Ended | None:
    """How a held request of a User has ended; None if there is none, or it waits."""
    row = connection.execute(_ENDED, {"message_key": message_key, "sender_eui": sender_eui}).one_or_none()
    return None if row is None else Ended(*row)


# --- What the operator sees and says --------------------------------------------------------------------------------


def waiting(connection: Connection, reason: HoldReason | None = None, *, limit: int | None = None) -> Sequence[Waiting]:
    """Requests that wait, for whatever reason or for one, the first held first."""
    statement = _WAITING.limit(limit)
    if reason is not None:
        statement = statement.where(held_requests.c.reason == reason.value)
    return [
        Waiting(
            row.message_key,
            row.sender_eui,
            row.service_reference_variant,
            HoldReason(row.reason),
            row.held_at,
            row.ready_at,
            row.preceding_key,
            row.event_ref,
            None if row.breached is None else Breach(row.breached),
            "released" if row.released_at is not None else "deleted" if row.deleted_at is not None else None,
        )
        for row in connection.execute(statement)
    ]


def waiting_counts(connection: Connection) -> dict[HoldReason, int]:
    """How many requests wait for which reason."""
    found = connection.execute(
        select(held_requests.c.reason, func.count()).where(_WAITS).group_by(held_requests.c.reason)
    )
    return {HoldReason(reason): number for reason, number in found}


def undecided_of(connection: Connection, sender_eui: str) -> list[str]:
    """QuarantineEventRefs of a User's requests of which the operator has said nothing."""
    return list(
        connection.scalars(
            select(held_requests.c.event_ref)
            .where(
                _WAITS,
                held_requests.c.sender_eui == sender_eui,
                held_requests.c.reason == HoldReason.QUARANTINE.value,
                held_requests.c.released_at.is_(None),
                held_requests.c.deleted_at.is_(None),
            )
            .order_by(held_requests.c.held_id)
        )
    )


def decide(connection: Connection, event_ref: str, now: datetime, *, release: bool) -> str | None:
    """Note the operator's word on a quarantined request, once; its RequestID, None if nothing waits under `event_ref`.

    The first word counts.
    """
    row = connection.execute(
        select(held_requests, exchanges.c.message_key)
        .join(exchanges, _OF_EXCHANGE)
        .where(_WAITS, held_requests.c.event_ref == event_ref, held_requests.c.reason == HoldReason.QUARANTINE.value)
    ).one_or_none()
    if row is None or row.released_at is not None or row.deleted_at is not None:
        return None
    said = {"released_at" if release else "deleted_at": now, "ready_at": now}
    connection.execute(update(held_requests).where(held_requests.c.held_id == row.held_id).values(said))
    notices.leave(connection, notices.Left.HELD)
    return str(row.message_key)
