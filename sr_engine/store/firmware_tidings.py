"""What Users are still to be told of their firmware requests, and what they have been told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from sr_engine.configuration import AlertEvent
from sr_engine.store import notices
from sr_engine.store.bulk import execute_many
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import firmware_alerted, firmware_requests, firmware_tidings

_INSERT = firmware_tidings.insert()
_OLDEST = (
    select(
        firmware_tidings,
        firmware_requests.c.request_id,
        firmware_requests.c.organisation,
        firmware_requests.c.user_eui,
        firmware_requests.c.version,
    )
    .join(firmware_requests, firmware_requests.c.firmware_request_id == firmware_tidings.c.firmware_request_id)
    .order_by(firmware_tidings.c.tidings_id)
    .limit(1)
)
_ANY = select(firmware_tidings.c.tidings_id).limit(1)
_DELETE = firmware_tidings.delete().where(firmware_tidings.c.tidings_id == bindparam("key"))
_TOLD = select(firmware_alerted.c.device_id).where(
    firmware_alerted.c.firmware_request_id == bindparam("firmware_request_id"),
    firmware_alerted.c.event == bindparam("event"),
    is_one_of(firmware_alerted.c.device_id, "device_ids"),
)
_INSERT_TOLD = firmware_alerted.insert()


@dataclass(frozen=True, slots=True)
class DeviceNews:
    """What happened to the firmware for a device, and when."""

    device_id: str
    hub_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class FirmwareTidings:
    """News of one kind about devices of one request, as of one moment."""

    tidings_id: int
    event: AlertEvent
    at: datetime
    firmware_request_id: int
    request_id: str
    organisation: str
    user_eui: str
    version: str
    news: tuple[DeviceNews, ...]


def add(
    connection: Connection,
    firmware_request_id: int,
    event: AlertEvent,
    portions: Iterable[Sequence[DeviceNews]],
    at: datetime,
) -> None:
    """Append portions of news."""
    rows = [
        {
            "event": event.value,
            "firmware_request_id": firmware_request_id,
            "at": at,
            "devices": json.dumps([[one.device_id, one.hub_id, one.at.isoformat()] for one in portion]),
        }
        for portion in portions
    ]
    execute_many(connection, _INSERT, rows)
    notices.leave(connection, notices.Left.TIDINGS)


def oldest(connection: Connection) -> FirmwareTidings | None:
    """The first that were added of those that are left."""
    row = connection.execute(_OLDEST).one_or_none()
    if row is None:
        return None
    news = tuple(
        DeviceNews(device_id, hub_id, datetime.fromisoformat(at)) for device_id, hub_id, at in json.loads(row.devices)
    )
    return FirmwareTidings(
        row.tidings_id,
        AlertEvent(row.event),
        row.at,
        row.firmware_request_id,
        row.request_id,
        row.organisation,
        row.user_eui,
        row.version,
        news,
    )


def remove(connection: Connection, tidings_id: int) -> None:
    """They have been told."""
    connection.execute(_DELETE, {"key": tidings_id})


def are_left(connection: Connection) -> bool:
    """True if somebody is still to be told something."""
    return connection.scalar(_ANY) is not None


def told(connection: Connection, tidings: FirmwareTidings) -> set[str]:
    """The devices of these tidings for which this has been told before."""
    sought = {
        "firmware_request_id": tidings.firmware_request_id,
        "event": tidings.event.value,
        "device_ids": members(one.device_id for one in tidings.news),
    }
    return set(connection.scalars(_TOLD, sought))


def record_told(connection: Connection, tidings: FirmwareTidings, by_device: Iterable[tuple[str, str]]) -> None:
    """Record device id and message id of new alerts."""
    execute_many(
        connection,
        _INSERT_TOLD,
        [
            {
                "firmware_request_id": tidings.firmware_request_id,
                "event": tidings.event.value,
                "device_id": device_id,
                "message_id": message_id,
            }
            for device_id, message_id in by_device
        ],
    )
