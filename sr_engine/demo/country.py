"""The synthetic homes of the demonstration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sr_engine.instance import SupplierSeed
from sr_engine.messages.model import Firmware
from sr_engine.store import inventory
from sr_engine.store.tables import devices
from sr_engine.store.units_of_work import UnitOfWork

HUBS = 10_000
SPLIT_EVERY = 3
"""Every third home has different Suppliers for electricity and gas."""
REGIONS = ("Central", "North", "South")
_SHARES = (4, 3, 3)
FIRMWARE = Firmware("2B7E", "C1A20001", "9002")
OLD_VERSION = "9001"
_AT_ONCE = 5_000
_CHF, _GPF, _ESME, _GSME = 0xC0, 0xD0, 0xE0, 0xF0


@dataclass(frozen=True, slots=True)
class Home:
    """A home with a hub, an electricity and a gas meter, by its number."""

    number: int
    region: str
    electricity: str
    gas: str

    @property
    def hub_id(self) -> str:
        return _eui(_CHF, self.number)


def homes(first: SupplierSeed, second: SupplierSeed) -> Iterator[Home]:
    """All homes: `first` supplies all of them with something, `second` every third with the other fuel."""
    wheel = [region for region, share in zip(REGIONS, _SHARES, strict=True) for _ in range(share)]
    for number in range(1, HUBS + 1):
        electricity = gas = first.name
        if number % SPLIT_EVERY == 0:
            if number % 2:
                gas = second.name
            else:
                electricity = second.name
        yield Home(number, wheel[number % len(wheel)], electricity, gas)


def populate(unit_of_work: UnitOfWork, first: SupplierSeed, second: SupplierSeed) -> None:
    """Put every home's devices and registrations into the inventory."""
    since = unit_of_work.now - timedelta(days=365)
    device_rows: list[dict[str, object]] = []
    registration_rows: list[dict[str, object]] = []
    for home in homes(first, second):
        device_rows += _devices(home)
        registration_rows += _registrations(home, since)
        if len(device_rows) >= _AT_ONCE:
            inventory.put_devices(unit_of_work.connection, device_rows)
            device_rows = []
    inventory.put_devices(unit_of_work.connection, device_rows)
    inventory.put_registrations(unit_of_work.connection, registration_rows)


def _devices(home: Home) -> list[dict[str, object]]:
    base: dict[str, object] = dict.fromkeys(column.name for column in devices.columns)
    base |= {
        "hub_id": home.hub_id,
        "device_status": "Commissioned",
        "csp_region": home.region,
        "uprn": 10_000_000 + home.number,
        "postcode": "AB1 2CD",
        "address_identifier": str(home.number),
    }
    hub = base | {
        "manufacturer": FIRMWARE.manufacturer,
        "model": FIRMWARE.model,
        "firmware_version": OLD_VERSION,
        "firmware_version_status": "Active",
        "cpl_status": "Active",
        "smets_chts_version": "CHTS V1.4",
    }
    meter = base | {"manufacturer": "1A2B", "cpl_status": "Active"}
    return [
        hub | {"device_id": home.hub_id, "device_type": "CHF"},
        hub | {"device_id": _eui(_GPF, home.number), "device_type": "GPF"},
        meter
        | {
            "device_id": _eui(_ESME, home.number),
            "device_type": "ESME",
            "model": "00000001",
            "esme_variant": "A",
            "import_mpxn": _mpan(home.number),
        },
        meter
        | {
            "device_id": _eui(_GSME, home.number),
            "device_type": "GSME",
            "model": "00000002",
            "import_mpxn": _mprn(home.number),
        },
    ]


def _registrations(home: Home, since: datetime) -> list[dict[str, object]]:
    return [
        {"mpxn": _mpan(home.number), "role": "IS", "effective_from": since, "organisation": home.electricity},
        {"mpxn": _mprn(home.number), "role": "GS", "effective_from": since, "organisation": home.gas},
    ]


def _mpan(number: int) -> str:
    return str(1_000_000_000_000 + number)


def _mprn(number: int) -> str:
    return str(2_000_000_000 + number)


def _eui(kind: int, number: int) -> str:
    """An EUI from the range set aside for documentation."""
    octets = bytes.fromhex("00005EEF") + bytes([kind]) + number.to_bytes(3)
    return "-".join(f"{octet:02X}" for octet in octets)
