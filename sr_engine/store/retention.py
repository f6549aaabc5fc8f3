"""What is over and older than it is kept for: chosen portion by portion, read for the archive, removed.

Nothing that is under way, undelivered or parked is ever chosen. The newest row of a table with row numbers stays, for
SQLite would give its number out again.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
)

from sr_engine.store import forms, over_hubs, over_lists, told
from sr_engine.store.on_lists import ATTEMPTS_ON_LISTS
from sr_engine.store.outbox import ALERT, DELIVERED, EXPIRED, METER_LIST, PARKED, PENDING, UPGRADE_LIST
from sr_engine.store.portions import (
    BYTES_AT_ONCE,
    ROWS_AT_ONCE,
    Kind,
    Line,
    Portion,
    expect,
    lines,
    size,
)
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import (
    UtcDateTime,
    alerted_hubs,
    attempts,
    exchanges,
    firmware_deliveries,
    firmware_image_messages,
    firmware_images,
    firmware_lists,
    firmware_requests,
    held_requests,
    listed_hubs,
    outbox,
    outbox_forms,
    releases,
    upgrade_lists,
)

# --- Messages -----------------------------------------------------------------------------------------------------

_OF_LISTS = (UPGRADE_LIST, METER_LIST)
_CUTOFF = bindparam("cutoff", type_=UtcDateTime)
# From the list to its hubs or devices: all that is open would be gone through for each message otherwise.
_OPEN_ON_LIST = exists(
    select(attempts.c.attempt_id)
    .select_from(upgrade_lists.join(ATTEMPTS_ON_LISTS, upgrade_lists.c.list_id == listed_hubs.c.list_id))
    .where(upgrade_lists.c.message_id == outbox.c.message_id, attempts.c.is_open)
)
_OPEN_DELIVERIES = (
    select(firmware_deliveries.c.device_id)
    .join(firmware_lists, firmware_lists.c.list_id == firmware_deliveries.c.list_id)
    .where(firmware_deliveries.c.is_open)
)
# Asked one by one: each is found by an index, or by a look at few lists.
_OPEN_AT_METERS = or_(
    exists(_OPEN_DELIVERIES.where(firmware_lists.c.message_id == outbox.c.message_id)),
    and_(
        outbox.c.message_id.in_(select(firmware_image_messages.c.message_id)),
        exists(_OPEN_DELIVERIES.where(firmware_lists.c.image_message_id == outbox.c.message_id)),
    ),
)
_ID_LENGTH = 32
"""Of a release; with it begin the occurrences that another of its happenings could repeat."""
_OF_MESSAGE = alerted_hubs.c.message_id == outbox.c.message_id
# What was told is told once as long as it is known that it was. The same could happen again only while its release
# goes on: what an occurrence names beside that, a list, a request, terms or a moment, is there once and never again.
_GOES_ON = select(releases.c.release_id).where(releases.c.release_id.not_in(select(over_hubs.OVER.c.release_id)))
_MAY_HAPPEN_AGAIN = or_(
    and_(told.BY_ITSELF, func.substr(outbox.c.occurrence, 1, _ID_LENGTH).in_(_GOES_ON)),
    exists(
        select(alerted_hubs.c.hub_id).where(
            _OF_MESSAGE, func.substr(alerted_hubs.c.occurrence, 1, _ID_LENGTH).in_(_GOES_ON)
        )
    ),
)
_TOLD = select(func.count()).select_from(alerted_hubs).where(_OF_MESSAGE).scalar_subquery()
_SENT = and_(
    outbox.c.state.in_((DELIVERED, EXPIRED)),
    func.coalesce(outbox.c.delivered_at, outbox.c.created_at) <= _CUTOFF,
    outbox.c.outbox_id < select(func.max(outbox.c.outbox_id)).scalar_subquery(),
    # Lists say for ever that they were delivered; what they said goes.
    or_(
        and_(outbox.c.kind.not_in(_OF_LISTS), or_(outbox.c.kind != ALERT, ~_MAY_HAPPEN_AGAIN)),
        and_(outbox.c.kind.in_(_OF_LISTS), size(outbox.c.body) > 0, ~_OPEN_ON_LIST, ~_OPEN_AT_METERS),
    ),
)
_MESSAGES = (
    select(
        outbox.c.outbox_id,
        outbox.c.created_at,
        case((_SENT, 1), else_=0).label("sent"),
        size(outbox.c.body).label("size"),
        case((outbox.c.kind == ALERT, _TOLD), else_=0).label("told"),
    )
    .where(outbox.c.outbox_id > bindparam("after"))
    .order_by(outbox.c.outbox_id)
    .limit(ROWS_AT_ONCE)
)


_TOLD_BY_THEM = alerted_hubs.c.message_id.in_(
    select(outbox.c.message_id).where(is_one_of(outbox.c.outbox_id, "keys"), outbox.c.kind == ALERT)
)


_FORMS = (
    select(outbox_forms.c.form_id, outbox_forms.c.form)
    .distinct()
    .join(outbox, outbox.c.form_id == outbox_forms.c.form_id)
    .where(is_one_of(outbox.c.outbox_id, "keys"))
)


def _choose_messages(connection: Connection, cutoff: datetime, after: int) -> Portion | None:
    keys: list[int] = []
    left, rows_left = BYTES_AT_ONCE, ROWS_AT_ONCE
    while rows := connection.execute(_MESSAGES, {"cutoff": cutoff, "after": after}).all():
        for row in rows:
            # What was queued later cannot have been delivered before: the rest of the table is not looked at.
            if row.created_at > cutoff:
                return Portion(keys, reached=after) if keys else None
            if row.sent:
                left, rows_left = left - row.size, rows_left - 1 - row.told
                if (left < 0 or rows_left < 0) and keys:
                    return Portion(keys, reached=after)
                keys.append(row.outbox_id)
            after = row.outbox_id
        if keys:
            return Portion(keys, reached=after)
    return None


def _read_messages(connection: Connection, portion: Portion) -> Iterator[Line]:
    found = {row.form_id: row.form for row in connection.execute(_FORMS, {"keys": members(portion.keys)})}
    for line in lines(connection, outbox, is_one_of(outbox.c.outbox_id, "keys"), portion.keys):
        # An archive holds each message as it was sent.
        form_id = line.row.pop("form_id")
        line.row["body"] = forms.whole(line.row["body"], form_id, found.get(form_id))
        line.row["sha256"] = forms.sha256(line.row["sha256"], line.row["body"], None, None)
        yield line
    yield from lines(connection, alerted_hubs, _TOLD_BY_THEM, portion.keys)


def _remove_messages(connection: Connection, portion: Portion) -> None:
    keys = {"keys": members(portion.keys)}
    still = and_(is_one_of(outbox.c.outbox_id, "keys"), outbox.c.state.in_((DELIVERED, EXPIRED)))
    connection.execute(alerted_hubs.delete().where(_TOLD_BY_THEM), keys)
    emptied = connection.execute(
        outbox.update()
        .where(still, outbox.c.kind.in_(_OF_LISTS), size(outbox.c.body) > 0, ~_OPEN_ON_LIST, ~_OPEN_AT_METERS)
        .values(body=b""),
        keys,
    ).rowcount
    forms.let_go(connection, portion.keys)
    removed = connection.execute(outbox.delete().where(still, outbox.c.kind.not_in(_OF_LISTS)), keys).rowcount
    expect(emptied + removed, len(portion.keys))


# --- Requests -----------------------------------------------------------------------------------------------------

_HELD = exists(
    select(held_requests.c.held_id).where(
        held_requests.c.exchange_id == exchanges.c.exchange_id,
        or_(held_requests.c.ended_at.is_(None), held_requests.c.ended_at > _CUTOFF),
    )
)
_WHOLE = size(exchanges.c.received) > 0
_ANSWERED = and_(exchanges.c.received_at <= _CUTOFF, _WHOLE)
_REQUESTS = (
    select(
        exchanges.c.exchange_id,
        exchanges.c.received_at,
        _WHOLE.label("whole"),
        case((_HELD, 1), else_=0).label("held"),
        (size(exchanges.c.received) + size(exchanges.c.answer)).label("size"),
    )
    .where(exchanges.c.exchange_id > bindparam("mark"))
    .order_by(exchanges.c.exchange_id)
    .limit(ROWS_AT_ONCE)
)


def _choose_requests(
    connection: Connection, cutoff: datetime, mark: int, after: tuple[int, bool] | None
) -> Portion | None:
    """In the order of their numbers; from the first on that is still held, all are looked at again in the next run."""
    keys: list[int] = []
    left, up_to = BYTES_AT_ONCE, mark
    looked, waiting = after or (mark, False)
    while rows := connection.execute(_REQUESTS, {"cutoff": cutoff, "mark": looked}).all():
        over = False
        for row in rows:
            if over := row.received_at > cutoff:
                break
            if row.whole and not row.held:
                left -= row.size
                if left < 0 and keys:
                    over = True
                    break
                keys.append(row.exchange_id)
            looked, waiting = row.exchange_id, waiting or bool(row.held)
            if not waiting:
                up_to = looked
        if keys or over:
            break
    if not keys and up_to == mark:
        return None
    return Portion(keys, up_to=up_to, reached=(looked, waiting))


def _read_requests(connection: Connection, portion: Portion) -> Iterator[Line]:
    yield from lines(connection, exchanges, is_one_of(exchanges.c.exchange_id, "keys"), portion.keys)
    held = and_(is_one_of(held_requests.c.exchange_id, "keys"), held_requests.c.response.is_not(None))
    yield from lines(connection, held_requests, held, portion.keys)


def _remove_requests(connection: Connection, portion: Portion) -> None:
    keys = {"keys": members(portion.keys)}
    changed = connection.execute(
        exchanges.update().where(is_one_of(exchanges.c.exchange_id, "keys"), _WHOLE).values(received=b"", answer=b""),
        keys,
    )
    expect(changed.rowcount, len(portion.keys))
    connection.execute(
        held_requests.update()
        .where(is_one_of(held_requests.c.exchange_id, "keys"), held_requests.c.response.is_not(None))
        .values(response=b""),
        keys,
    )


# --- Images -------------------------------------------------------------------------------------------------------

_OF_IMAGE = firmware_requests.c.image_id == firmware_images.c.image_id
_UNNEEDED = and_(
    size(firmware_images.c.image) > 0,
    ~exists(select(firmware_requests.c.image_id).where(_OF_IMAGE, firmware_requests.c.accepted_at > _CUTOFF)),
    ~exists(
        select(firmware_deliveries.c.device_id)
        .join(firmware_lists, firmware_lists.c.list_id == firmware_deliveries.c.list_id)
        .join(firmware_requests, firmware_requests.c.firmware_request_id == firmware_lists.c.firmware_request_id)
        .where(_OF_IMAGE, firmware_deliveries.c.is_open)
    ),
    ~exists(
        select(outbox.c.outbox_id)
        .join(firmware_image_messages, firmware_image_messages.c.message_id == outbox.c.message_id)
        .where(
            firmware_image_messages.c.image_id == firmware_images.c.image_id,
            outbox.c.state.in_((PENDING, PARKED)),
        )
    ),
)
_IMAGES = select(firmware_images.c.image_id).where(_UNNEEDED).order_by(firmware_images.c.image_id).limit(1)


def _choose_images(connection: Connection, cutoff: datetime) -> Portion | None:
    found = connection.scalars(_IMAGES, {"cutoff": cutoff}).all()
    return Portion([*found, cutoff]) if found else None


def _read_images(connection: Connection, portion: Portion) -> Iterator[Line]:
    yield from lines(connection, firmware_images, is_one_of(firmware_images.c.image_id, "keys"), portion.keys[:1])


def _remove_images(connection: Connection, portion: Portion) -> None:
    image_id, cutoff = portion.keys
    changed = connection.execute(
        firmware_images.update().where(firmware_images.c.image_id == image_id, _UNNEEDED).values(image=b""),
        {"cutoff": cutoff},
    )
    expect(changed.rowcount, 1)


# --- All of them --------------------------------------------------------------------------------------------------


def choose(connection: Connection, kind: Kind, cutoff: datetime, mark: int, reached: Any = None) -> Portion | None:
    """The next of a kind that is over since before `cutoff`; None if there is none. Not of the audit trail.

    `reached` is what the portion before it in the same run says, so that a run looks at nothing twice.
    """
    match kind:
        case Kind.MESSAGES:
            return _choose_messages(connection, cutoff, reached or 0)
        case Kind.REQUESTS:
            return _choose_requests(connection, cutoff, mark, reached)
        case Kind.UPGRADES:
            return over_hubs.choose(connection, cutoff, reached or ("", 0, ""))
        case Kind.LISTS:
            return over_lists.choose_lists(connection, cutoff, reached or "")
        case Kind.DELIVERIES:
            return over_lists.choose_deliveries(connection, cutoff, reached or "")
        case Kind.IMAGES:
            return _choose_images(connection, cutoff)
        case _:
            raise ValueError(kind)


def read(connection: Connection, kind: Kind, portion: Portion) -> Iterator[Line]:
    """All that is to be kept in the archive of what was chosen, one at a time."""
    reading = {
        Kind.MESSAGES: _read_messages,
        Kind.REQUESTS: _read_requests,
        Kind.UPGRADES: over_hubs.read,
        Kind.LISTS: over_lists.read_lists,
        Kind.DELIVERIES: over_lists.read_deliveries,
        Kind.IMAGES: _read_images,
    }
    yield from reading[kind](connection, portion)


def remove(connection: Connection, kind: Kind, portion: Portion) -> None:
    """Remove what was chosen; raises ChangedMeanwhile if any of it has changed so that it must stay."""
    removing = {
        Kind.MESSAGES: _remove_messages,
        Kind.REQUESTS: _remove_requests,
        Kind.UPGRADES: over_hubs.remove,
        Kind.LISTS: over_lists.remove_lists,
        Kind.DELIVERIES: over_lists.remove_deliveries,
        Kind.IMAGES: _remove_images,
    }
    removing[kind](connection, portion)


def count(connection: Connection, kind: Kind, cutoff: datetime) -> int:
    """How much of a kind would go: messages, requests, hubs, lists, devices or images."""
    values: dict[str, object] = {"cutoff": cutoff}
    counting = {
        Kind.UPGRADES: over_hubs.count,
        Kind.LISTS: over_lists.count_lists,
        Kind.DELIVERIES: over_lists.count_deliveries,
    }
    if kind in counting:
        return counting[kind](connection, cutoff)
    counted: dict[Kind, Select[Any]] = {
        Kind.MESSAGES: select(func.count()).select_from(outbox).where(_SENT),
        Kind.REQUESTS: select(func.count()).select_from(exchanges).where(_ANSWERED, ~_HELD),
        Kind.IMAGES: select(func.count()).select_from(firmware_images).where(_UNNEEDED),
    }
    return int(connection.scalar(counted[kind], values) or 0)
