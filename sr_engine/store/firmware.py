"""Firmware requests of meters and PPMIDs: what is known of their devices, images, lists, and what became of each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Text, and_, bindparam, case, exists, func, literal, null, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.selectable import ScalarSelect

from sr_engine.domain.deliveries import OPEN_DELIVERIES, DeliveryState, FirmwareTargets
from sr_engine.store.bulk import execute_many
from sr_engine.store.dialects import joined
from sr_engine.store.inventory import responsible
from sr_engine.store.outbox import DELIVERED
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import (
    UtcDateTime,
    devices,
    firmware_deliveries,
    firmware_image_messages,
    firmware_images,
    firmware_lists,
    firmware_requests,
    outbox,
    registrations,
)


def _registered(role: str) -> ScalarSelect[str | None]:
    """The organisation registered in a role for a meter's own meter point `at` a time."""
    return (
        select(registrations.c.organisation)
        .where(
            registrations.c.mpxn == devices.c.import_mpxn,
            registrations.c.role == role,
            registrations.c.effective_from <= bindparam("at"),
        )
        .order_by(registrations.c.effective_from.desc())
        .limit(1)
        .correlate(devices)
        .scalar_subquery()
    )


def _targets() -> Select[Any]:
    hub = devices.alias("hub")
    alike = (
        devices.c.device_type,
        devices.c.device_status,
        devices.c.manufacturer,
        devices.c.model,
        devices.c.firmware_version,
        devices.c.gbcs_version,
        hub.c.csp_region,
        case(
            (devices.c.device_type == "ESME", _registered("IS")),
            (devices.c.device_type == "GSME", null()),
            else_=responsible("ESME", "IS", devices.c.hub_id),
        ).label("electricity"),
        case(
            (devices.c.device_type == "GSME", _registered("GS")),
            (devices.c.device_type == "ESME", null()),
            else_=responsible("GSME", "GS", devices.c.hub_id),
        ).label("gas"),
        exists()
        .where(firmware_deliveries.c.device_id == devices.c.device_id, firmware_deliveries.c.is_open)
        .label("in_progress"),
    )
    one_by_one = (
        select(*alike, devices.c.device_id, func.coalesce(devices.c.hub_id, "").label("hub_id"))
        .join(hub, and_(hub.c.device_id == devices.c.hub_id, hub.c.device_type == "CHF"), isouter=True)
        .where(is_one_of(devices.c.device_id, "device_ids"))
        .subquery()
    )
    # Grouped here: tens of thousands of rows cost more as objects of Python than all the rest.
    shared = [one_by_one.c[column.name] for column in alike]
    ids = [joined(one_by_one.c[name]).label(f"{name}s") for name in ("device_id", "hub_id")]
    return select(*shared, *ids).group_by(*shared)


_TARGETS = _targets()
_INSERT_IMAGE = insert(firmware_images)
# One that nobody needed any more is empty.
_PUT_IMAGE = _INSERT_IMAGE.on_conflict_do_update(
    index_elements=["image_id"], set_={"image": _INSERT_IMAGE.excluded.image}
)
_HAS_IMAGE = select(firmware_images.c.image_id).where(
    firmware_images.c.image_id == bindparam("image_id"), func.length(firmware_images.c.image) > 0
)
_IMAGE_MESSAGE = select(firmware_image_messages.c.message_id).where(
    firmware_image_messages.c.image_id == bindparam("image_id"),
    firmware_image_messages.c.region == bindparam("region"),
    firmware_image_messages.c.csp_eui == bindparam("csp_eui"),
)
_ADD_IMAGE_MESSAGE = firmware_image_messages.insert()
_ADD_REQUEST = firmware_requests.insert().returning(firmware_requests.c.firmware_request_id)
_ADD_LIST = firmware_lists.insert()
_ADD_DELIVERIES = firmware_deliveries.insert().from_select(
    ["list_id", "device_id", "hub_id", "region", "state", "is_open", "state_at", "listed_at"],
    select(
        bindparam("list_id", type_=Text),
        devices.c.device_id,
        devices.c.hub_id,
        bindparam("region", type_=Text),
        literal(DeliveryState.LISTED.value),
        true(),
        bindparam("now", type_=UtcDateTime),
        bindparam("now", type_=UtcDateTime),
    ).where(is_one_of(devices.c.device_id, "device_ids")),
)
_LIST = select(firmware_lists.c.region, firmware_lists.c.firmware_request_id).where(
    firmware_lists.c.list_id == bindparam("list_id")
)
_DELIVERY_COLUMNS = (
    firmware_deliveries.c.list_id,
    firmware_deliveries.c.device_id,
    firmware_deliveries.c.hub_id,
    firmware_deliveries.c.state,
)
_ON_LIST = select(*_DELIVERY_COLUMNS).where(
    firmware_deliveries.c.list_id == bindparam("list_id"), is_one_of(firmware_deliveries.c.device_id, "device_ids")
)
_OVERDUE = (
    select(*_DELIVERY_COLUMNS, firmware_lists.c.firmware_request_id)
    .join(firmware_lists, firmware_lists.c.list_id == firmware_deliveries.c.list_id)
    .where(
        firmware_deliveries.c.region == bindparam("region"),
        firmware_deliveries.c.listed_at <= bindparam("listed_before"),
        firmware_deliveries.c.is_open,
    )
    .order_by(firmware_deliveries.c.listed_at)
    .limit(bindparam("at_most"))
)
_NEXT_OPEN_REGION = select(func.min(firmware_deliveries.c.region)).where(
    firmware_deliveries.c.is_open, firmware_deliveries.c.region > bindparam("after")
)
_MOVE = (
    firmware_deliveries.update()
    .where(
        firmware_deliveries.c.list_id == bindparam("key_list"),
        firmware_deliveries.c.device_id == bindparam("key_device"),
    )
    .values(
        state=bindparam("new_state"),
        is_open=bindparam("new_open"),
        state_at=bindparam("new_at"),
        reason=bindparam("new_reason"),
    )
)
_HAS_UNANSWERED = exists().where(
    firmware_deliveries.c.list_id == firmware_lists.c.list_id,
    firmware_deliveries.c.state == DeliveryState.LISTED.value,
)
_ACKNOWLEDGED = (
    firmware_lists.update()
    .where(
        firmware_lists.c.list_id == bindparam("key_list"), firmware_lists.c.acknowledged_at.is_(None), ~_HAS_UNANSWERED
    )
    .values(acknowledged_at=bindparam("now"))
)
_UNACKNOWLEDGED = (
    select(firmware_lists.c.list_id, firmware_lists.c.message_id)
    .join(outbox, outbox.c.message_id == firmware_lists.c.message_id)
    .where(
        firmware_lists.c.region == bindparam("region"),
        firmware_lists.c.listed_at > bindparam("listed_after"),
        firmware_lists.c.acknowledged_at.is_(None),
        outbox.c.state == DELIVERED,
        outbox.c.delivered_at <= bindparam("delivered_before", type_=UtcDateTime),
        func.coalesce(firmware_lists.c.chased_at, outbox.c.delivered_at)
        <= bindparam("delivered_before", type_=UtcDateTime),
        _HAS_UNANSWERED,
    )
    .order_by(firmware_lists.c.listed_at, firmware_lists.c.list_id)
)
_CHASED = (
    firmware_lists.update().where(firmware_lists.c.list_id == bindparam("key_list")).values(chased_at=bindparam("now"))
)

_NEWEST = select(firmware_requests).order_by(firmware_requests.c.firmware_request_id.desc()).limit(bindparam("at_most"))
_NEWEST_KEYS = _NEWEST.with_only_columns(firmware_requests.c.firmware_request_id)
_COUNTS = (
    select(firmware_lists.c.firmware_request_id, firmware_deliveries.c.state, func.count())
    .join(firmware_lists, firmware_lists.c.list_id == firmware_deliveries.c.list_id)
    .where(firmware_lists.c.firmware_request_id.in_(_NEWEST_KEYS))
    .group_by(firmware_lists.c.firmware_request_id, firmware_deliveries.c.state)
    .order_by(firmware_deliveries.c.state)
)


@dataclass(frozen=True, slots=True)
class NewRequest:
    """An accepted 11.1 or 11.4."""

    request_id: str
    """As received."""
    organisation: str
    user_eui: str
    version: str
    image_id: str
    image_hash: str
    device_count: int


@dataclass(frozen=True, slots=True)
class NewList:
    """What one region's CSP is sent of a request."""

    list_id: str
    firmware_request_id: int
    region: str
    message_id: str
    image_message_id: str


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """A device on a list."""

    list_id: str
    device_id: str
    hub_id: str
    state: DeliveryState


@dataclass(frozen=True, slots=True)
class Moved:
    """That a delivery has come to a state at a time, with the CSP's or our reason."""

    delivery: StoredDelivery
    state: DeliveryState
    at: datetime
    reason: str | None


@dataclass(frozen=True, slots=True)
class RequestSummary:
    """A firmware request, and how many of its devices are in which state."""

    request_id: str
    organisation: str
    version: str
    accepted_at: datetime
    states: Mapping[str, int]


def targets(connection: Connection, device_ids: Iterable[str], at: datetime) -> list[FirmwareTargets]:
    """Those of some devices that are in the inventory, with who is responsible for them at `at`, in groups."""
    found = connection.execute(_TARGETS, {"device_ids": members(device_ids), "at": at})
    return [
        FirmwareTargets(
            row.device_type,
            row.device_status,
            row.manufacturer,
            row.model,
            row.firmware_version,
            row.gbcs_version,
            row.csp_region,
            row.electricity,
            row.gas,
            row.in_progress,
            tuple(row.device_ids.split(",")),
            tuple(row.hub_ids.split(",")),
        )
        for row in found
    ]


def put_image(connection: Connection, image_id: str, image: bytes) -> None:
    """Keep an image, if it is not kept already."""
    if connection.scalar(_HAS_IMAGE, {"image_id": image_id}) is None:
        connection.execute(_PUT_IMAGE, {"image_id": image_id, "image": image})


def image_message(connection: Connection, image_id: str, region: str, csp_eui: str) -> str | None:
    """The message that brings an image to the CSP of a region, None if there is none yet."""
    return connection.scalar(_IMAGE_MESSAGE, {"image_id": image_id, "region": region, "csp_eui": csp_eui})


def add_image_message(connection: Connection, image_id: str, region: str, csp_eui: str, message_id: str) -> None:
    """Note the message that brings an image to the CSP of a region; raises IntegrityError if there is one."""
    values = {"image_id": image_id, "region": region, "csp_eui": csp_eui, "message_id": message_id}
    connection.execute(_ADD_IMAGE_MESSAGE, values)


def add_request(connection: Connection, new: NewRequest, now: datetime) -> int:
    """Insert a request; return its row number."""
    values = {
        "request_id": new.request_id,
        "organisation": new.organisation,
        "user_eui": new.user_eui,
        "version": new.version,
        "image_id": new.image_id,
        "image_hash": new.image_hash,
        "device_count": new.device_count,
        "accepted_at": now,
    }
    number: int = connection.execute(_ADD_REQUEST, values).scalar_one()
    return number


def add_list(connection: Connection, new: NewList, device_ids: Sequence[str], now: datetime) -> None:
    """Insert a list and its devices, all of them behind hubs; raises IntegrityError if one stands on an open list."""
    connection.execute(
        _ADD_LIST,
        {
            "list_id": new.list_id,
            "firmware_request_id": new.firmware_request_id,
            "region": new.region,
            "device_count": len(device_ids),
            "listed_at": now,
            "message_id": new.message_id,
            "image_message_id": new.image_message_id,
        },
    )
    connection.execute(
        _ADD_DELIVERIES,
        {"list_id": new.list_id, "region": new.region, "now": now, "device_ids": members(device_ids)},
    )


def list_of(connection: Connection, list_id: str) -> tuple[str, int] | None:
    """Region and request of a list, None for an unknown one."""
    row = connection.execute(_LIST, {"list_id": list_id}).one_or_none()
    return None if row is None else (row.region, row.firmware_request_id)


def on_list(connection: Connection, list_id: str, device_ids: Collection[str]) -> dict[str, StoredDelivery]:
    """By device, those of some that stand on a list."""
    found = connection.execute(_ON_LIST, {"list_id": list_id, "device_ids": members(device_ids)})
    return {row.device_id: _delivery(row) for row in found}


def overdue(
    connection: Connection, region: str, listed_before: datetime, limit: int
) -> list[tuple[int, StoredDelivery]]:
    """Request and delivery of devices listed before a time of which the end is not known, longest first."""
    found = connection.execute(_OVERDUE, {"region": region, "listed_before": listed_before, "at_most": limit})
    return [(row.firmware_request_id, _delivery(row)) for row in found]


def open_regions(connection: Connection) -> Iterator[str]:
    """Regions with devices of which the end is not known."""
    region: str | None = ""
    while region := connection.scalar(_NEXT_OPEN_REGION, {"after": region}):
        yield region


def move(connection: Connection, moved: Iterable[Moved]) -> None:
    """Bring deliveries to new states."""
    execute_many(
        connection,
        _MOVE,
        [
            {
                "key_list": one.delivery.list_id,
                "key_device": one.delivery.device_id,
                "new_state": one.state.value,
                "new_open": one.state in OPEN_DELIVERIES,
                "new_at": one.at,
                "new_reason": one.reason,
            }
            for one in moved
        ],
    )


def acknowledged(connection: Connection, list_id: str, now: datetime) -> None:
    """Note that a list is acknowledged, if no device on it still waits for the CSP's answer."""
    connection.execute(_ACKNOWLEDGED, {"key_list": list_id, "now": now})


def unacknowledged(
    connection: Connection, region: str, delivered_before: datetime, listed_after: datetime
) -> list[tuple[str, str]]:
    """List id and message id of lists delivered, and last chased, before a time, of which an answer is missing.

    Lists that are older than `listed_after` are not looked at.
    """
    sought = {"region": region, "delivered_before": delivered_before, "listed_after": listed_after}
    found = connection.execute(_UNACKNOWLEDGED, sought)
    return [(row.list_id, row.message_id) for row in found]


def chased(connection: Connection, list_id: str, now: datetime) -> None:
    """Note that the acknowledgement of a list was asked for again."""
    connection.execute(_CHASED, {"key_list": list_id, "now": now})


def newest(connection: Connection, limit: int) -> list[RequestSummary]:
    """The newest requests, newest first."""
    counted = {key: dict[str, int]() for key in connection.scalars(_NEWEST_KEYS, {"at_most": limit})}
    for key, state, count in connection.execute(_COUNTS, {"at_most": limit}):
        counted[key][state] = count
    return [
        RequestSummary(row.request_id, row.organisation, row.version, row.accepted_at, counted[row.firmware_request_id])
        for row in connection.execute(_NEWEST, {"at_most": limit})
    ]


def _delivery(row: Any) -> StoredDelivery:
    return StoredDelivery(row.list_id, row.device_id, row.hub_id, DeliveryState(row.state))
