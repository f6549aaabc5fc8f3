"""The outbox: messages signed and committed with what caused them, until their receivers have taken them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
)

from sr_engine.store import forms, notices
from sr_engine.store.bulk import execute_columns, execute_many
from sr_engine.store.database import wait_for_queues
from sr_engine.store.prepared import Prepared
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import firmware_lists, outbox, release_regions, releases, upgrade_lists

PENDING = "Pending"
DELIVERED = "Delivered"
PARKED = "Parked"
EXPIRED = "Expired"
"""What it asks for is over before it was taken: it is neither sent nor shown to its receiver any more."""

USER, CSP = KINDS_OF_DESTINATIONS = ("user", "csp")
"""What a destination begins with; a colon and the name follow."""

ALERT = "alert"
UPGRADE_LIST = "upgrade_list"
METER_LIST = "meter_list"
RESPONSE = "response"
NOTICE = "notice"
"""An alert about something else than hubs."""
BYTES_AT_ONCE = 32 * 2**20
"""Of the messages that are chosen together, at most, unless one alone has more: an image may have 14 MB."""
INDEPENDENT = (UPGRADE_LIST, METER_LIST, RESPONSE, NOTICE)
"""Kinds of messages that wait for no other."""


def _pending(table: FromClause) -> ColumnElement[bool]:
    """Written out, not bound: SQLite then sees that its indexes of what is waiting serve."""
    return table.c.state == literal_column(f"'{PENDING}'")


_PENDING = _pending(outbox)


def _held() -> ColumnElement[bool]:
    """A list of a release that is withdrawn, or halted in the region, or one that never left and whose night is over.

    Nothing more of it is sent. One that its CSP has had may be sent again later, to ask for its acknowledgement.
    """
    too_late = and_(outbox.c.delivered_at.is_(None), upgrade_lists.c.period_end <= bindparam("now"))
    region = and_(
        release_regions.c.release_id == upgrade_lists.c.release_id, release_regions.c.region == upgrade_lists.c.region
    )
    return exists(
        select(upgrade_lists.c.list_id)
        .join(releases, releases.c.release_id == upgrade_lists.c.release_id)
        .join(release_regions, region)
        .where(
            upgrade_lists.c.message_id == outbox.c.message_id,
            or_(releases.c.status == "Withdrawn", release_regions.c.halted_at.is_not(None), too_late),
        )
    )


def _waits_for_its_image() -> ColumnElement[bool]:
    """A list of meters whose CSP has not taken the image yet."""
    image = outbox.alias("image")
    return exists(
        select(firmware_lists.c.list_id)
        .join(image, image.c.message_id == firmware_lists.c.image_message_id)
        .where(firmware_lists.c.message_id == outbox.c.message_id, image.c.delivered_at.is_(None))
    )


def _sendable(*, barrier: bool) -> Select[Any]:
    """What `sendable` promises, with or without an alert that all that is later waits for."""
    # Along the index of what was sent about the hub: the sign keeps SQLite from going through all that waits.
    oldest_of_hub = ~exists().where(
        _WAITING.c.hub_id == outbox.c.hub_id,
        _WAITING.c.outbox_id < outbox.c.outbox_id,
        _pending(_WAITING),
        _WAITING.c.destination + literal_column("''") == bindparam("destination"),
        _WAITING.c.kind == literal_column(f"'{ALERT}'"),
    )
    # Only alerts have a hub, and none without one is older than the barrier. The sum keeps SQLite from looking through
    # all that the destination was ever sent, instead of through what waits.
    oldest_of_all = ~exists().where(
        _pending(_WAITING),
        _WAITING.c.destination == bindparam("destination"),
        _WAITING.c.hub_id.is_not(None),
        _WAITING.c.outbox_id + 0 < outbox.c.outbox_id,
    )
    independent = and_(outbox.c.kind.in_(INDEPENDENT), ~_held(), ~_waits_for_its_image())
    may_go = outbox.c.hub_id.is_not(None) & oldest_of_hub
    if barrier:
        before = (outbox.c.outbox_id < bindparam("barrier")) & may_go
        may_go = before | ((outbox.c.outbox_id == bindparam("barrier")) & oldest_of_all)
    may_go |= independent
    return (
        select(
            outbox.c.outbox_id,
            outbox.c.message_id,
            outbox.c.destination,
            outbox.c.hub_id,
            outbox.c.tries,
            outbox.c.next_try_at,
            *forms.BODY,
        )
        .select_from(forms.WITH_FORMS)
        .where(
            _PENDING, outbox.c.destination == bindparam("destination"), outbox.c.next_try_at <= bindparam("now"), may_go
        )
        .order_by(outbox.c.next_try_at, outbox.c.outbox_id)
        .limit(bindparam("at_most"))
    )


_WAITING = outbox.alias("waiting")
_INSERT = Prepared(outbox.insert())
_KNOWN = select(outbox.c.outbox_id).where(outbox.c.message_id == bindparam("message_id"))
_FIRST = select(func.min(outbox.c.destination).label("destination")).where(_PENDING).cte("waiting_for", recursive=True)
_WAITING_FOR = _FIRST.union_all(
    select(
        select(func.min(outbox.c.destination))
        .where(_PENDING, outbox.c.destination > _FIRST.c.destination)
        .scalar_subquery()
    ).where(_FIRST.c.destination.is_not(None))
)
# From one receiver to the next along an index: to one that is down very much may be waiting.
_DESTINATIONS = select(_WAITING_FOR.c.destination).where(
    exists().where(
        _PENDING, outbox.c.destination == _WAITING_FOR.c.destination, outbox.c.next_try_at <= bindparam("now")
    )
)
_BARRIER = select(func.min(_WAITING.c.outbox_id)).where(
    _pending(_WAITING),
    _WAITING.c.destination == bindparam("destination"),
    _WAITING.c.hub_id.is_(None),
    _WAITING.c.kind == literal_column(f"'{ALERT}'"),
)
_SENDABLE = _sendable(barrier=False)
_SENDABLE_UP_TO_BARRIER = _sendable(barrier=True)
_SETTLE = (
    outbox.update()
    .where(
        outbox.c.outbox_id == bindparam("key"),
        # What has expired meanwhile is not tried again, unless it was taken all the same.
        or_(outbox.c.state == PENDING, bindparam("new_state", type_=outbox.c.state.type) == DELIVERED),
    )
    .values(
        state=bindparam("new_state"),
        tries=bindparam("new_tries"),
        next_try_at=bindparam("new_next_try_at"),
        # Of a message that is sent again, when it was delivered first.
        delivered_at=func.coalesce(
            outbox.c.delivered_at,
            # A function gives its parameter no type of itself.
            bindparam("new_delivered_at", type_=outbox.c.delivered_at.type),
        ),
        last_error=bindparam("new_last_error"),
    )
)
_BRING_FORWARD = (
    outbox.update()
    .where(_PENDING, is_one_of(outbox.c.destination, "destinations"), outbox.c.next_try_at > bindparam("latest"))
    .values(next_try_at=bindparam("now"))
)
_PARKED_OF = (
    select(outbox.c.message_id)
    .where(outbox.c.state == literal_column(f"'{PARKED}'"), outbox.c.destination == bindparam("to_whom"))
    .order_by(outbox.c.outbox_id)
    .limit(bindparam("at_most"))
)
_UNPARK_SOME = (
    outbox.update()
    .where(is_one_of(outbox.c.message_id, "message_ids"), outbox.c.state == PARKED)
    .values(state=PENDING, tries=0, next_try_at=bindparam("now"))
)
_RETRY_NOW = (
    outbox.update()
    .where(
        _PENDING,
        outbox.c.destination == bindparam("to_whom"),
        outbox.c.tries > 0,
        outbox.c.next_try_at > bindparam("now"),
        ~is_one_of(outbox.c.last_error, "refusals"),
    )
    .values(next_try_at=bindparam("now"))
)
_UNPARK = (
    outbox.update()
    .where(outbox.c.message_id == bindparam("key"), outbox.c.state == PARKED)
    .values(state=PENDING, tries=0, next_try_at=bindparam("now"))
)
_EXPIRE_METER_LISTS = (
    outbox.update()
    .where(
        outbox.c.message_id.in_(
            select(firmware_lists.c.message_id).where(is_one_of(firmware_lists.c.list_id, "list_ids"))
        ),
        outbox.c.state != DELIVERED,
    )
    # One that is only sent again has been taken.
    .values(state=case((outbox.c.delivered_at.is_(None), EXPIRED), else_=DELIVERED))
)


class Outgoing(NamedTuple):
    """A message to be sent: `kind` is ALERT or one of INDEPENDENT, `destination` is `user:<EUI>` or `csp:<region>`.

    Alerts about one hub are delivered in order; an alert without `hub_id` is delivered before all later ones. Responses
    wait for no other message, nor do lists, for no device stands on two that are under way.
    """

    message_id: str
    kind: str
    destination: str
    event: str
    body: bytes
    hub_id: str | None = None
    form: forms.Form | None = None
    """What it shares with others that are queued with it: `body` is then what it has in the gaps of that (`kept`)."""
    organisation: str | None = None
    """The Supplier that an alert tells its event at `hub_id`, if that is all it tells."""
    occurrence: str | None = None
    """What happened once, with that."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A message in the queue, as far as delivery needs it."""

    outbox_id: int
    message_id: str
    destination: str
    hub_id: str | None
    body: bytes
    tries: int
    next_try_at: datetime
    damage: str | None = None
    """Why there is nothing to be sent: the database is damaged."""


@dataclass(frozen=True, slots=True)
class Attempted:
    """What came of one try: `state` Delivered, Parked, or Pending with the time of the next."""

    outbox_id: int
    message_id: str
    state: str
    tries: int
    next_try_at: datetime
    delivered_at: datetime | None
    last_error: str | None


def put(
    connection: Connection, messages: Sequence[Outgoing], now: datetime, *, not_before: datetime | None = None
) -> None:
    """Queue messages, in this order; they are due at once, or at `not_before` if that is later."""
    if not messages:
        return
    # Alerts are queued beside other transactions; a receiver that asks for what came after a message misses none.
    to_users = {message.destination for message in messages if message.destination.startswith(f"{USER}:")}
    if to_users:
        wait_for_queues(connection, to_users)
    due = now if not_before is None else max(now, not_before)
    columns: dict[str, Sequence[object]] = dict(zip(Outgoing._fields, zip(*messages, strict=True), strict=True))
    columns["event"] = [str(message.event) for message in messages]
    columns["form_id"] = forms.put(connection, [message.form for message in messages])
    columns["sha256"] = [
        hashlib.sha256(message.body).hexdigest() if message.form is None else "" for message in messages
    ]
    del columns["form"]
    alike = {"created_at": now, "state": PENDING, "tries": 0, "next_try_at": due}
    execute_columns(connection, _INSERT, columns, alike)
    if due <= now:
        notices.leave(connection, notices.Left.OUTBOX)


def is_known(connection: Connection, message_id: str) -> bool:
    """Whether a message of this id was queued, delivered or not."""
    return connection.scalar(_KNOWN, {"message_id": message_id}) is not None


def destinations(connection: Connection, now: datetime) -> list[str]:
    """Who has a message waiting that is due."""
    return list(connection.scalars(_DESTINATIONS, {"now": now}))


def sendable(connection: Connection, destination: str, now: datetime, limit: int) -> list[Queued]:
    """Messages for one destination that are due and may be sent side by side, longest due first.

    At most `limit`, and of large ones only so many that their bodies fit into memory (BYTES_AT_ONCE).

    Of each hub that is the oldest message waiting. An alert without a hub is sent alone, once it is the oldest of all,
    and until it has been no later alert is. A list waits for no other: one that a CSP does not take must not cost the
    others their nights; nor does a Response. Lists of a release that is halted or withdrawn are held, so are
    those whose night ended before they were delivered, and a list of meters is until its image has been taken.
    """
    sought = {"destination": destination, "now": now, "at_most": limit}
    barrier = connection.scalar(_BARRIER, {"destination": destination})
    if barrier is None:
        found = connection.execute(_SENDABLE, sought)
    else:
        found = connection.execute(_SENDABLE_UP_TO_BARRIER, {**sought, "barrier": barrier})
    chosen: list[Queued] = []
    left = BYTES_AT_ONCE
    with found:
        # Row by row: the bodies that follow are not read.
        for outbox_id, message_id, to, hub_id, tries, next_try_at, *body in found:
            try:
                whole, damage = forms.whole(*body), None
            except forms.FormMissing as error:
                whole, damage = b"", str(error)
            message = Queued(outbox_id, message_id, to, hub_id, whole, tries, next_try_at, damage)
            left -= len(message.body)
            if left < 0 and chosen:
                break
            chosen.append(message)
    return chosen


def settle(connection: Connection, results: Sequence[Attempted]) -> None:
    """Record what came of tries."""
    execute_many(
        connection,
        _SETTLE,
        [
            {
                "key": result.outbox_id,
                "new_state": result.state,
                "new_tries": result.tries,
                "new_next_try_at": result.next_try_at,
                "new_delivered_at": result.delivered_at,
                "new_last_error": result.last_error,
            }
            for result in results
        ],
    )


def send_again(connection: Connection, message_id: str, now: datetime) -> bool:
    """Queue a message once more, with the same bytes and id; False if there is none."""
    result = connection.execute(
        # What a list said is empty once it has been pruned.
        outbox.update()
        .where(outbox.c.message_id == message_id, func.length(outbox.c.body) > 0)
        .values(state=PENDING, tries=0, next_try_at=now)
    )
    notices.leave(connection, notices.Left.OUTBOX)
    return result.rowcount == 1


def send_if_parked(connection: Connection, message_id: str, now: datetime) -> bool:
    """Queue a message once more if it was parked, with the same bytes and id; True if it was."""
    result = connection.execute(_UNPARK, {"key": message_id, "now": now})
    notices.leave(connection, notices.Left.OUTBOX)
    return result.rowcount == 1


def send_parked(connection: Connection, destination: str, now: datetime, limit: int) -> list[str]:
    """Queue the oldest parked messages to a receiver once more, as they are; return their ids."""
    message_ids = list(connection.scalars(_PARKED_OF, {"to_whom": destination, "at_most": limit}))
    connection.execute(_UNPARK_SOME, {"message_ids": members(message_ids), "now": now})
    notices.leave(connection, notices.Left.OUTBOX)
    return message_ids


def bring_forward(connection: Connection, destinations: Iterable[str], latest: datetime, now: datetime) -> int:
    """Let what waits for some receivers to be sent later than `latest` be sent now; return how much that is."""
    sought = {"destinations": members(destinations), "latest": latest, "now": now}
    return connection.execute(_BRING_FORWARD, sought).rowcount


def retry_now(connection: Connection, destination: str, refusals: Collection[str], now: datetime) -> None:
    """Let what has failed for a receiver that is back be sent now, unless it was one of these refusals."""
    sought = {"to_whom": destination, "refusals": members(refusals), "now": now}
    connection.execute(_RETRY_NOW, sought)


def expire_meter_lists(connection: Connection, list_ids: Iterable[str]) -> None:
    """Send some lists of meters no more, if they have not been taken."""
    connection.execute(_EXPIRE_METER_LISTS, {"list_ids": members(list_ids)})


def number_waiting(connection: Connection) -> int:
    """How many messages are still to be delivered."""
    return int(connection.scalar(select(func.count()).select_from(outbox).where(_PENDING)) or 0)


def counts(connection: Connection) -> dict[tuple[str, str, str], int]:
    """How many messages there are by kind, event and state."""
    found = connection.execute(
        select(outbox.c.kind, outbox.c.event, outbox.c.state, func.count()).group_by(
            outbox.c.kind, outbox.c.event, outbox.c.state
        )
    )
    return {(kind, event, state): number for kind, event, state, number in found}
