"""What each User has sent in an hour, and the thresholds set for it (section 3, Anomaly thresholds)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from sr_engine.domain.holding import Breach, Thresholds
from sr_engine.store import sharing
from sr_engine.store.bulk import execute_many
from sr_engine.store.prepared import Prepared, Row
from sr_engine.store.sets import is_one_of, members
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
_ANEW = insert(anomaly_counts)
_SET_COUNTS = Prepared(
    _ANEW.on_conflict_do_update(
        index_elements=["user_eui", "hour"],
        set_={"requests": _ANEW.excluded.requests, "devices": _ANEW.excluded.devices},
    )
)
_COUNTED = Prepared(
    select(anomaly_counts.c.requests, anomaly_counts.c.devices).where(
        anomaly_counts.c.user_eui == bindparam("user_eui"),
        anomaly_counts.c.hour == bindparam("hour", type_=UtcDateTime),
    )
)
_COUNTED_OF_ALL = Prepared(
    select(anomaly_counts.c.user_eui, anomaly_counts.c.requests, anomaly_counts.c.devices).where(
        is_one_of(anomaly_counts.c.user_eui, "user_euis"),
        anomaly_counts.c.hour == bindparam("hour", type_=UtcDateTime),
    )
)
_THRESHOLDS = Prepared(select(anomaly_thresholds).where(is_one_of(anomaly_thresholds.c.user_eui, "user_euis")))
_COUNTS_KNOWN = ("anomaly counts",)
_THRESHOLDS_KNOWN = ("anomaly thresholds",)


def count(connection: Connection, user_eui: str, devices: int, now: datetime) -> tuple[int, int]:
    """Count a request that names so many devices; how many requests and devices that makes in this hour."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    shared = sharing.of(connection)
    if shared is not None:
        return _count_together(shared, connection, user_eui, devices, hour)
    (row,) = _COUNT.all(connection, {"user_eui": user_eui, "hour": hour, "devices": devices})
    return row.requests, row.devices


def _count_together(
    shared: sharing.Shared, connection: Connection, user_eui: str, devices: int, hour: datetime
) -> tuple[int, int]:
    """The same, written once for all requests of the User that share a transaction: no other writes meanwhile."""
    key = (user_eui, hour)
    if shared.known(_COUNTS_KNOWN, key) is sharing.UNKNOWN:
        shared.read(_COUNTS_KNOWN, lambda: {key: counted(connection, user_eui, hour)})
    before = shared.known(_COUNTS_KNOWN, key)
    requests, devices = before[0] + 1, before[1] + devices
    row = {"user_eui": user_eui, "hour": hour, "requests": requests, "devices": devices}
    shared.keep(anomaly_counts.name, _set_counts, row, key)
    shared.put(_COUNTS_KNOWN, key, (requests, devices))
    return requests, devices


def _set_counts(connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    execute_many(connection, _SET_COUNTS, rows)


def ask_ahead(
    connection: Connection, shared: sharing.Shared, user_euis: Collection[str], now: datetime
) -> sharing.Take:
    """Read for all that share this transaction what some Users have sent, and what is set for them."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    sought = members(user_euis)
    asked = _COUNTED_OF_ALL.ask(connection, {"user_euis": sought, "hour": hour})
    asked_of_thresholds = _THRESHOLDS.ask(connection, {"user_euis": sought})

    def look() -> Mapping[tuple[str, datetime], tuple[int, int]]:
        found = {user_eui: (requests, devices) for user_eui, requests, devices in asked.all()}
        return {(user_eui, hour): found.get(user_eui, (0, 0)) for user_eui in user_euis}

    def take() -> None:
        shared.read(_COUNTS_KNOWN, look)
        shared.read(_THRESHOLDS_KNOWN, lambda: _thresholds_of(asked_of_thresholds.all(), user_euis))

    return take


def counted(connection: Connection, user_eui: str, now: datetime) -> tuple[int, int]:
    """How many requests and devices of a User have been counted in this hour."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    found = _COUNTED.all(connection, {"user_eui": user_eui, "hour": hour})
    return (found[0].requests, found[0].devices) if found else (0, 0)


def thresholds(connection: Connection, user_eui: str) -> Mapping[Breach, Thresholds]:
    """What is set for one User, by whom; nothing for those who have set nothing."""
    shared = sharing.of(connection)
    if shared is not None:
        known: Mapping[Breach, Thresholds] = shared.known(_THRESHOLDS_KNOWN, user_eui)
        if known is not sharing.UNKNOWN:
            return known
    return _thresholds(connection, [user_eui])[user_eui]


def _thresholds(connection: Connection, user_euis: Collection[str]) -> Mapping[str, Mapping[Breach, Thresholds]]:
    return _thresholds_of(_THRESHOLDS.all(connection, {"user_euis": members(user_euis)}), user_euis)


def _thresholds_of(rows: Iterable[Row], user_euis: Collection[str]) -> Mapping[str, Mapping[Breach, Thresholds]]:
    found: dict[str, dict[Breach, Thresholds]] = {user_eui: {} for user_eui in user_euis}
    for row in rows:
        found[row.user_eui][Breach(row.set_by)] = Thresholds(row.requests_per_hour, row.devices_per_hour)
    return found


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
