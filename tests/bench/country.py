"""Many hubs that all have agreed to: rows put into the tables at once, as if their Suppliers had scheduled them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table

from sr_engine.messages.model import Firmware, Period
from sr_engine.store.bulk import execute_many
from sr_engine.store.tables import attempts, decisions, devices, registrations, schedule_hubs, schedules
from tests.world import FIRMWARE, OLD_VERSION, eui

SUPPLIERS = tuple(f"supplier-{number:02}" for number in range(10))
_SHARES = (22, 18, 15, 12, 10, 8, 6, 4, 3, 2)
_BY_LOT = tuple(name for name, share in zip(SUPPLIERS, _SHARES, strict=True) for _ in range(share))
SCHEDULED_AT_ONCE = 50_000
"""Hubs in one 11.5, at most."""
_ROWS_AT_ONCE = 50_000


def suppliers_of(number: int) -> tuple[str, str | None]:
    """Who has the electricity and the gas of a home: 15 in 100 have no gas, and 10 in 100 two Suppliers."""
    lot = number * 7919 % 100_003
    electricity = _BY_LOT[lot % 100]
    kind = lot // 100 % 20
    if kind < 3:
        return electricity, None
    return electricity, _BY_LOT[(lot % 100 + 37) % 100] if kind < 5 else electricity


def seed(
    connection: Connection, release_id: str, regions: Sequence[str], hubs: int, window: Period, now: datetime
) -> None:
    """Hubs 0 to `hubs`, region by region in turn, each Scheduled for `window` by all its Suppliers."""
    _insert(connection, devices, (row for number in range(hubs) for row in _devices(number, regions)))
    _insert(connection, registrations, (row for number in range(hubs) for row in _registrations(number, now)))
    scheduled: dict[tuple[str, str], list[int]] = {}
    for number in range(hubs):
        for organisation in sorted({one for one in suppliers_of(number) if one is not None}):
            scheduled.setdefault((regions[number % len(regions)], organisation), []).append(number)
    schedule_id = 0
    for (region, organisation), numbers in scheduled.items():
        for start in range(0, len(numbers), SCHEDULED_AT_ONCE):
            schedule_id += 1
            some = numbers[start : start + SCHEDULED_AT_ONCE]
            _schedule(connection, schedule_id, organisation, release_id, region, some, window, now)


def _insert(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    waiting = iter(rows)
    while some := list(islice(waiting, _ROWS_AT_ONCE)):
        execute_many(connection, table.insert(), some)


_EMPTY: dict[str, Any] = dict.fromkeys(column.name for column in devices.columns)


def _devices(number: int, regions: Sequence[str], firmware: Firmware = FIRMWARE) -> Iterator[dict[str, Any]]:
    electricity, gas = suppliers_of(number)
    base = _EMPTY | {
        "hub_id": eui(0xC0, number),
        "device_status": "Commissioned",
        "manufacturer": firmware.manufacturer,
        "csp_region": regions[number % len(regions)],
        "uprn": 100_000_000 + number,
        "postcode": f"AB{number // 1000 % 100} {number // 20 % 10}CD",
        "address_identifier": str(number % 20),
    }
    hub = base | {"model": firmware.model, "firmware_version": OLD_VERSION, "cpl_status": "Active"}
    yield hub | {"device_id": eui(0xC0, number), "device_type": "CHF"}
    yield hub | {"device_id": eui(0xD0, number), "device_type": "GPF"}
    meter = base | {"model": "METER"}
    yield meter | {"device_id": eui(0xE0, number), "device_type": "ESME", "import_mpxn": _mpan(number)}
    if gas is not None:
        yield meter | {"device_id": eui(0xF0, number), "device_type": "GSME", "import_mpxn": _mprn(number)}


def _mpan(number: int) -> str:
    return f"{1_000_000_000_000 + number}"


def _mprn(number: int) -> str:
    return f"{2_000_000_000 + number}"


def _registrations(number: int, now: datetime) -> Iterator[dict[str, Any]]:
    electricity, gas = suppliers_of(number)
    since = {"effective_from": now - timedelta(days=400)}
    yield since | {"mpxn": _mpan(number), "role": "IS", "organisation": electricity}
    if gas is not None:
        yield since | {"mpxn": _mprn(number), "role": "GS", "organisation": gas}


def _schedule(
    connection: Connection,
    schedule_id: int,
    organisation: str,
    release_id: str,
    region: str,
    numbers: Sequence[int],
    window: Period,
    now: datetime,
) -> None:
    request_id = f"00-00-5E-EF-10-00-00-01:90-B3-D5-1F-30-00-00-02:{schedule_id}"
    span = {"window_start": window.start, "window_end": window.end}
    answer = {"organisation": organisation, "release_id": release_id, "accept_han_impact": False}
    execute_many(
        connection,
        schedules.insert(),
        [span | answer | {"schedule_id": schedule_id, "request_id": request_id, "phase": "General", "created_at": now}],
    )
    hub_ids = {number: eui(0xC0, number) for number in numbers}
    execute_many(
        connection,
        schedule_hubs.insert(),
        [{"schedule_id": schedule_id, "hub_id": one, "in_force": True, "done": False} for one in hub_ids.values()],
    )
    given = answer | {
        "approval": "Approved",
        "defer_until": None,
        "schedule_id": schedule_id,
        "request_id": request_id,
        "decided_at": now,
    }
    execute_many(connection, decisions.insert(), [given | {"hub_id": one} for one in hub_ids.values()])
    made = span | {
        "release_id": release_id,
        "number": 1,
        "state": "Scheduled",
        "is_open": True,
        "region": region,
        "organisation": organisation,
        "pilot": False,
        "compulsory": False,
        "state_at": now,
    }
    execute_many(
        connection,
        attempts.insert(),
        [
            made | {"hub_id": hub_id}
            for number, hub_id in hub_ids.items()
            # It rests on the schedule of the electricity's Supplier.
            if suppliers_of(number)[0] == organisation
        ],
    )
