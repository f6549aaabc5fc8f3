"""What each User has sent in an hour, and the thresholds set for it (section 3, Anomaly thresholds)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from sr_engine.domain.holding import Breach, Thresholds
from sr_engine.store.prepared import Prepared
from sr_engine.store.tables import UtcDateTime, anomaly_counts, anomaly_thresholds

_FIRST = insert(anomaly_counts).values(
    user_eui=bindparam("user_eui"),
    hour=bindparam("hour", type_=UtcDateTime),
    requests=1,
    devices=bindparam("devices"),
)
_COUNT = Prepared(
    _FIRST.on_conflict_do_update(
        index_elements=["user_eui", "hour"],
        set_={
            "requests": anomaly_counts.c.requests + 1,
            "devices": anomaly_counts.c.devices + _FIRST.excluded.devices,
        },
    ).returning(anomaly_counts.c.requests, anomaly_counts.c.devices)
)
_COUNTED = Prepared(
    select(anomaly_counts.c.requests, anomaly_counts.c.devices).where(
        anomaly_counts.c.user_eui == bindparam("user_eui"),
        anomaly_counts.c.hour == bindparam("hour", type_=UtcDateTime),
    )
)
_THRESHOLDS = Prepared(select(anomaly_thresholds).where(anomaly_thresholds.c.user_eui == bindparam("user_eui")))


def count(connection: Connection, user_eui: str, devices: int, now: datetime) -> tuple[int, int]:
    """Count a request that names so many devices; how many requests and devices that makes in this hour."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    (row,) = _COUNT.all(connection, {"user_eui": user_eui, "hour": hour, "devices": devices})
    return row.requests, row.devices


def counted(connection: Connection, user_eui: str, now: datetime) -> tuple[int, int]:
    """How many requests and devices of a User have been counted in this hour."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    found = _COUNTED.all(connection, {"user_eui": user_eui, "hour": hour})
    return (found[0].requests, found[0].devices) if found else (0, 0)


def thresholds(connection: Connection, user_eui: str) -> Mapping[Breach, Thresholds]:
    """What is set for one User, by whom; nothing for those who have set nothing."""
    return {
        Breach(row.set_by): Thresholds(row.requests_per_hour, row.devices_per_hour)
        for row in _THRESHOLDS.all(connection, {"user_eui": user_eui})
    }


def set_thresholds(connection: Connection, user_eui: str, set_by: Breach, wanted: Thresholds | None) -> None:
    """Set a User's thresholds anew; None takes them away."""
    connection.execute(
        anomaly_thresholds.delete().where(
            anomaly_thresholds.c.user_eui == user_eui, anomaly_thresholds.c.set_by == set_by.value
        )
    )
    if wanted is not None:
        connection.execute(
            anomaly_thresholds.insert().values(
                user_eui=user_eui,
                set_by=set_by.value,
                requests_per_hour=wanted.requests,
                devices_per_hour=wanted.devices,
            )
        )


def counts(connection: Connection, now: datetime) -> Mapping[str, tuple[int, int]]:
    """By User, requests and devices in the hour of `now`."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    found = connection.execute(select(anomaly_counts).where(anomaly_counts.c.hour == hour))
    return {row.user_eui: (row.requests, row.devices) for row in found}
