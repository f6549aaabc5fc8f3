"""What is over and older than it is kept for: chosen portion by portion, read for the archive, removed.

Nothing that is under way, undelivered or parked is ever chosen. The newest row of a table with row numbers stays, for
SQLite would give its number out again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
)

from sr_engine.store.on_lists import ATTEMPTS_ON_LISTS
from sr_engine.store.outbox import DELIVERED, EXPIRED, METER_LIST, PARKED, PENDING, UPGRADE_LIST
from sr_engine.store.portions import (
    BYTES_AT_ONCE,
    ROWS_AT_ONCE,
    ChangedMeanwhile,
    Kind,
    Line,
    Portion,
    expect,
    limited,
    lines,
    size,
)
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import (
    UtcDateTime,
    arrivals,
    attempts,
    decisions,
    departures,
    exchanges,
    firmware_deliveries,
    firmware_image_messages,
    firmware_images,
    firmware_lists,
    firmware_requests,
    held_requests,
    listed_hubs,
    off_lists,
    outbox,
    releases,
    schedule_hubs,
    schedules,
    upgrade_lists,
)

_HUBS_AT_ONCE = 500

# --- Messages -----------------------------------------------------------------------------------------------------

_OF_LISTS = (UPGRADE_LIST, METER_LIST)
_CUTOFF = bindparam("cutoff", type_=UtcDateTime)
# From the list to its hubs or devices: all that is open would be gone through for each message otherwise.
_OPEN_ON_LIST = exists(
    select(attempts.c.attempt_id)
    .select_from(ATTEMPTS_ON_LISTS.join(upgrade_lists, upgrade_lists.c.list_id == listed_hubs.c.list_id))
    .where(upgrade_lists.c.message_id == outbox.c.message_id, attempts.c.is_open)
)
_METER_LISTS = select(firmware_lists.c.list_id).where(
    or_(firmware_lists.c.message_id == outbox.c.message_id, firmware_lists.c.image_message_id == outbox.c.message_id)
)
_OPEN_AT_METERS = exists(
    select(firmware_deliveries.c.device_id).where(
        firmware_deliveries.c.list_id.in_(_METER_LISTS.correlate(outbox)), firmware_deliveries.c.is_open
    )
)
_SENT = and_(
    outbox.c.state.in_((DELIVERED, EXPIRED)),
    func.coalesce(outbox.c.delivered_at, outbox.c.created_at) <= _CUTOFF,
    outbox.c.outbox_id < select(func.max(outbox.c.outbox_id)).scalar_subquery(),
    # Lists say for ever that they were delivered; what they said goes.
    or_(
        outbox.c.kind.not_in(_OF_LISTS),
        and_(size(outbox.c.body) > 0, ~_OPEN_ON_LIST, ~_OPEN_AT_METERS),
    ),
)
_FIRST_SINCE = select(outbox.c.outbox_id).where(outbox.c.created_at > _CUTOFF).order_by(outbox.c.outbox_id).limit(1)
_MESSAGES = (
    select(outbox.c.outbox_id, size(outbox.c.body))
    .where(_SENT, outbox.c.outbox_id < bindparam("before"))
    .order_by(outbox.c.outbox_id)
    .limit(ROWS_AT_ONCE)
)
_AFTER_ALL = 2**63 - 1


def _choose_messages(connection: Connection, cutoff: datetime) -> Portion | None:
    # What was queued later cannot have been delivered before: the rest of the table is not looked at.
    first = connection.scalar(_FIRST_SINCE, {"cutoff": cutoff})
    before = _AFTER_ALL if first is None else first
    rows = connection.execute(_MESSAGES, {"cutoff": cutoff, "before": before}).all()
    chosen = limited(rows)
    return Portion([row[0] for row in chosen]) if chosen else None


def _read_messages(connection: Connection, portion: Portion) -> Iterator[Line]:
    yield from lines(connection, outbox, is_one_of(outbox.c.outbox_id, "keys"), portion.keys)


def _remove_messages(connection: Connection, portion: Portion) -> None:
    keys = {"keys": members(portion.keys)}
    still = and_(is_one_of(outbox.c.outbox_id, "keys"), outbox.c.state.in_((DELIVERED, EXPIRED)))
    emptied = connection.execute(
        outbox.update()
        .where(still, outbox.c.kind.in_(_OF_LISTS), size(outbox.c.body) > 0, ~_OPEN_ON_LIST, ~_OPEN_AT_METERS)
        .values(body=b""),
        keys,
    ).rowcount
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


def _choose_requests(connection: Connection, cutoff: datetime, mark: int) -> Portion | None:
    """In the order of their numbers; those that are still held are looked at again the next time."""
    keys: list[int] = []
    left, up_to, waiting = BYTES_AT_ONCE, mark, False
    for row in connection.execute(_REQUESTS, {"cutoff": cutoff, "mark": mark}).all():
        if row.received_at > cutoff:
            break
        if row.whole and not row.held:
            left -= row.size
            if left < 0 and keys:
                break
            keys.append(row.exchange_id)
        waiting = waiting or bool(row.held)
        if not waiting:
            up_to = row.exchange_id
    if not keys and up_to == mark:
        return None
    return Portion(keys, up_to=up_to)


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


# --- Upgrades -----------------------------------------------------------------------------------------------------

_OTHER = attempts.alias("other")
_OVER = (
    select(releases.c.release_id)
    .where(
        releases.c.status.in_(("Closed", "Withdrawn")),
        ~exists(
            select(attempts.c.attempt_id).where(attempts.c.release_id == releases.c.release_id, attempts.c.is_open)
        ),
    )
    .order_by(releases.c.release_id)
)
_NOT_LATER = ~exists(
    select(_OTHER.c.attempt_id).where(
        _OTHER.c.hub_id == attempts.c.hub_id,
        _OTHER.c.release_id == attempts.c.release_id,
        _OTHER.c.state_at > _CUTOFF,
    )
)
_DONE_HUBS = and_(
    attempts.c.release_id == bindparam("release_id"),
    attempts.c.state_at <= _CUTOFF,
    _NOT_LATER,
    ~exists(
        select(_OTHER.c.attempt_id).where(
            _OTHER.c.hub_id == attempts.c.hub_id,
            _OTHER.c.attempt_id == select(func.max(attempts.c.attempt_id)).scalar_subquery(),
        )
    ),
)
_HUBS = select(attempts.c.hub_id).where(_DONE_HUBS).distinct().order_by(attempts.c.hub_id).limit(_HUBS_AT_ONCE)
_SCHEDULES = select(schedules.c.schedule_id).where(schedules.c.release_id == bindparam("release_id"))


def _of_hubs(table: Table) -> ColumnElement[bool]:
    """The rows of some hubs at a release."""
    at_hubs = is_one_of(table.c.hub_id, "keys")
    if table is schedule_hubs:
        return and_(at_hubs, schedule_hubs.c.schedule_id.in_(_SCHEDULES))
    if table is off_lists:
        mine = select(attempts.c.attempt_id).where(
            attempts.c.hub_id == off_lists.c.hub_id, attempts.c.release_id == bindparam("release_id")
        )
        return and_(at_hubs, off_lists.c.attempt_id.in_(mine))
    return and_(at_hubs, table.c.release_id == bindparam("release_id"))


_AT_HUBS = (off_lists, attempts, schedule_hubs, decisions, departures, arrivals)
"""In the order in which they can be removed."""


def _choose_upgrades(connection: Connection, cutoff: datetime) -> Portion | None:
    for release_id in connection.scalars(_OVER).all():
        hubs = connection.scalars(_HUBS, {"release_id": release_id, "cutoff": cutoff}).all()
        if hubs:
            return Portion([release_id, *hubs])
    return None


def _read_upgrades(connection: Connection, portion: Portion) -> Iterator[Line]:
    release_id, *hubs = portion.keys
    for table in _AT_HUBS:
        yield from lines(connection, table, _of_hubs(table), hubs, release_id=release_id)


def _remove_upgrades(connection: Connection, portion: Portion) -> None:
    release_id, *hubs = portion.keys
    if release_id not in connection.scalars(_OVER).all():
        raise ChangedMeanwhile(f"release {release_id} is not over")
    for table in _AT_HUBS:
        connection.execute(table.delete().where(_of_hubs(table)), {"keys": members(hubs), "release_id": release_id})


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


def choose(connection: Connection, kind: Kind, cutoff: datetime, mark: int) -> Portion | None:
    """The next of a kind that is over since before `cutoff`; None if there is none. Not of the audit trail."""
    if kind is Kind.REQUESTS:
        return _choose_requests(connection, cutoff, mark)
    choosing: dict[Kind, Callable[[Connection, datetime], Portion | None]] = {
        Kind.MESSAGES: _choose_messages,
        Kind.UPGRADES: _choose_upgrades,
        Kind.IMAGES: _choose_images,
    }
    return choosing[kind](connection, cutoff)


def read(connection: Connection, kind: Kind, portion: Portion) -> Iterator[Line]:
    """All that is to be kept in the archive of what was chosen, one at a time."""
    reading = {
        Kind.MESSAGES: _read_messages,
        Kind.REQUESTS: _read_requests,
        Kind.UPGRADES: _read_upgrades,
        Kind.IMAGES: _read_images,
    }
    yield from reading[kind](connection, portion)


def remove(connection: Connection, kind: Kind, portion: Portion) -> None:
    """Remove what was chosen; raises ChangedMeanwhile if any of it has changed so that it must stay."""
    removing = {
        Kind.MESSAGES: _remove_messages,
        Kind.REQUESTS: _remove_requests,
        Kind.UPGRADES: _remove_upgrades,
        Kind.IMAGES: _remove_images,
    }
    removing[kind](connection, portion)


def count(connection: Connection, kind: Kind, cutoff: datetime) -> int:
    """How much of a kind would go: messages, requests, hubs or images."""
    values: dict[str, object] = {"cutoff": cutoff}
    if kind is Kind.UPGRADES:
        hubs = select(func.count(attempts.c.hub_id.distinct())).where(_DONE_HUBS)
        return sum(
            int(connection.scalar(hubs, {**values, "release_id": release_id}) or 0)
            for release_id in connection.scalars(_OVER).all()
        )
    counted: dict[Kind, Select[Any]] = {
        Kind.MESSAGES: select(func.count()).select_from(outbox).where(_SENT),
        Kind.REQUESTS: select(func.count()).select_from(exchanges).where(_ANSWERED, ~_HELD),
        Kind.IMAGES: select(func.count()).select_from(firmware_images).where(_UNNEEDED),
    }
    return int(connection.scalar(counted[kind], values) or 0)
