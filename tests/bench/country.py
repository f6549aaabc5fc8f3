"""Many hubs that all have agreed to: rows put into the tables at once, as if their Suppliers had scheduled them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import Connection

from sr_engine.messages.model import Period
from sr_engine.store import candidates
from sr_engine.store import scheduled as put_scheduled
from sr_engine.store.bulk import execute_many
from sr_engine.store.tables import attempts, decisions, devices, registrations, schedule_hubs, scheduled_hubs, schedules
from tests.world import FIRMWARE, OLD_VERSION

SUPPLIERS = tuple(f"supplier-{number:02}" for number in range(10))
_SHARES = (22, 18, 15, 12, 10, 8, 6, 4, 3, 2)
BY_LOT = tuple(name for name, share in zip(SUPPLIERS, _SHARES, strict=True) for _ in range(share))
SCHEDULED_AT_ONCE = 50_000
"""Hubs in one 11.5, at most."""
_AT_ONCE = 10_000


def suppliers_of(number: int, by_lot: Sequence[str] = BY_LOT) -> tuple[str, str | None]:
    """Who has the electricity and the gas of a home: 15 in 100 have no gas, 10 in 100 draw two lots."""
    lot = number * 7919 % 100_003
    electricity = by_lot[lot % 100]
    kind = lot // 100 % 20
    if kind < 3:
        return electricity, None
    return electricity, by_lot[(lot % 100 + 37) % 100] if kind < 5 else electricity


@dataclass(frozen=True, slots=True)
class Country:
    """Hubs 0 to `hubs`, in the regions in turn, each Scheduled for `window` by all its Suppliers, or by nobody yet."""

    release_id: str
    regions: Sequence[str]
    hubs: int
    window: Period
    now: datetime
    suppliers: Callable[[int], tuple[str, str | None]] = suppliers_of
    scheduled: bool = True
    """Else nobody has said anything yet."""

    def put(self, connection: Connection) -> None:
        """Insert it all; indexes are made afterwards, which takes a fraction of the time."""
        tables = (devices, registrations, schedule_hubs, decisions, attempts, scheduled_hubs)
        indexes = [index for table in tables for index in table.indexes]
        for index in indexes:
            index.drop(connection)
        for first in range(0, self.hubs, _AT_ONCE):
            some = range(first, min(first + _AT_ONCE, self.hubs))
            execute_many(connection, devices.insert(), [row for number in some for row in self._devices(number)])
            registered = [row for number in some for row in self._registrations(number)]
            execute_many(connection, registrations.insert(), registered)
        scheduled: dict[tuple[str, str], list[int]] = {}
        for number in range(self.hubs if self.scheduled else 0):
            for organisation in sorted({one for one in self.suppliers(number) if one is not None}):
                scheduled.setdefault((self.region_of(number), organisation), []).append(number)
        schedule_ids = count(1)
        for (region, organisation), numbers in scheduled.items():
            for start in range(0, len(numbers), SCHEDULED_AT_ONCE):
                at_once = numbers[start : start + SCHEDULED_AT_ONCE]
                self._schedule(connection, next(schedule_ids), organisation, region, at_once)
        for index in indexes:
            index.create(connection)
        after: str | None = ""
        while after is not None:
            after = candidates.look_through(connection, after, _AT_ONCE)

    def region_of(self, number: int) -> str:
        return self.regions[number % len(self.regions)]

    def _devices(self, number: int) -> Iterator[dict[str, Any]]:
        gas = self.suppliers(number)[1]
        base = _EMPTY | {
            "hub_id": chf(number),
            "device_status": "Commissioned",
            "manufacturer": FIRMWARE.manufacturer,
            "csp_region": self.region_of(number),
            "uprn": 100_000_000 + number,
            "postcode": f"AB{number // 1000 % 100} {number // 20 % 10}CD",
            "address_identifier": str(number % 20),
        }
        hub = base | {"model": FIRMWARE.model, "firmware_version": OLD_VERSION, "cpl_status": "Active"}
        yield hub | {"device_id": chf(number), "device_type": "CHF"}
        yield hub | {"device_id": _eui("D0", number), "device_type": "GPF"}
        meter = base | {"model": "METER"}
        yield meter | {"device_id": _eui("E0", number), "device_type": "ESME", "import_mpxn": _mpan(number)}
        if gas is not None:
            yield meter | {"device_id": _eui("F0", number), "device_type": "GSME", "import_mpxn": _mprn(number)}

    def _registrations(self, number: int) -> Iterator[dict[str, Any]]:
        electricity, gas = self.suppliers(number)
        since = {"effective_from": self.now - timedelta(days=400)}
        yield since | {"mpxn": _mpan(number), "role": "IS", "organisation": electricity}
        if gas is not None:
            yield since | {"mpxn": _mprn(number), "role": "GS", "organisation": gas}

    def _schedule(
        self, connection: Connection, schedule_id: int, organisation: str, region: str, numbers: Sequence[int]
    ) -> None:
        request_id = f"00-00-5E-EF-10-00-00-01:90-B3-D5-1F-30-00-00-02:{schedule_id}"
        span = {"window_start": self.window.start, "window_end": self.window.end, "release_id": self.release_id}
        answer = {"organisation": organisation, "accept_han_impact": False, "schedule_id": schedule_id}
        new = span | answer | {"request_id": request_id, "phase": "General", "created_at": self.now}
        connection.execute(schedules.insert(), new)
        chfs = [chf(number) for number in numbers]
        member = {"schedule_id": schedule_id, "in_force": True, "done": False}
        execute_many(connection, schedule_hubs.insert(), [member | {"hub_id": chf} for chf in chfs])
        given = answer | {
            "release_id": self.release_id,
            "approval": "Approved",
            "defer_until": None,
            "request_id": request_id,
            "decided_at": self.now,
        }
        execute_many(connection, decisions.insert(), [given | {"hub_id": chf} for chf in chfs])
        made = span | {
            "organisation": organisation,
            "number": 1,
            "state": "Scheduled",
            "is_open": True,
            "region": region,
            "pilot": False,
            "compulsory": False,
            "state_at": self.now,
        }
        # An attempt rests on the schedule of whoever has the electricity.
        mine = [number for number in numbers if self.suppliers(number)[0] == organisation]
        execute_many(connection, attempts.insert(), [made | {"hub_id": chf(number)} for number in mine])
        put_scheduled.enter(connection, [chf(number) for number in mine])


_EMPTY: dict[str, Any] = dict.fromkeys(column.name for column in devices.columns)


def chf(number: int) -> str:
    return _eui("C0", number)


def _eui(kind: str, number: int) -> str:
    return f"00-00-5E-EF-{kind}-{number >> 16:02X}-{number >> 8 & 255:02X}-{number & 255:02X}"


def _mpan(number: int) -> str:
    return f"{1_000_000_000_000 + number}"


def _mprn(number: int) -> str:
    return f"{2_000_000_000 + number}"
