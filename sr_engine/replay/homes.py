"""The homes of fixtures and sandboxes: a Communications Hub each, what hangs on it, and who supplies it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sr_engine.store import inventory
from sr_engine.store.registrations import settle_first
from sr_engine.store.tables import devices
from sr_engine.store.units_of_work import UnitOfWork

MANUFACTURER, MODEL, OLD_VERSION = "2B7E", "C1A20001", "9001"
SUPPLIED_SINCE = datetime(2025, 10, 19, 9, 0, tzinfo=UTC)
"""Since when whoever supplies a home does so: for so long that it is no change of Supplier."""
DEVICES = {"CHF": 0xC0, "GPF": 0xD0, "ESME": 0xE0, "GSME": 0xF0, "PPMID": 0xA0}
"""What there may be in a home, and the octet that keeps its ids apart from those of others."""
_AT_ONCE = 5_000


def eui(kind: int, number: int) -> str:
    """An EUI from the range set aside for documentation; `kind` keeps hubs, GPFs and meters apart."""
    octets = bytes.fromhex("00005EEF") + bytes([kind]) + number.to_bytes(3)
    return "-".join(f"{octet:02X}" for octet in octets)


@dataclass(frozen=True, slots=True)
class Home:
    """A hub with its GPF, an electricity and a gas meter; organisations by their ids, None for no meter."""

    number: int
    electricity: str | None
    gas: str | None
    region: str = "Central"
    status: str = "Commissioned"
    version: str = OLD_VERSION
    model: str = MODEL
    han: tuple[str, str] | None = None
    """Manufacturer and model of a PPMID, if there is one."""

    def device(self, kind: str) -> str:
        """The id of what is in the home: one of DEVICES."""
        return eui(DEVICES[kind], self.number)

    @property
    def chf(self) -> str:
        return self.device("CHF")

    @property
    def gpf(self) -> str:
        return self.device("GPF")

    @property
    def mpan(self) -> str:
        return f"{1_000_000_000_000 + self.number}"

    @property
    def mprn(self) -> str:
        return f"{2_000_000_000 + self.number}"

    def rows(self) -> list[dict[str, object]]:
        """Rows of the devices table."""
        empty: dict[str, object] = dict.fromkeys(column.name for column in devices.columns)
        base = empty | {
            "hub_id": self.chf,
            "device_status": self.status,
            "manufacturer": MANUFACTURER,
            "model": self.model,
            "csp_region": self.region,
            "uprn": 100_000_000 + self.number,
            "postcode": "AB1 2CD",
            "address_identifier": str(self.number),
        }
        hub = base | {"firmware_version": self.version, "cpl_status": "Active", "smets_chts_version": "CHTS V1.4"}
        rows = [
            hub | {"device_id": self.chf, "device_type": "CHF"},
            hub | {"device_id": self.gpf, "device_type": "GPF"},
        ]
        if self.electricity is not None:
            meter = {"device_id": self.device("ESME"), "device_type": "ESME", "import_mpxn": self.mpan}
            rows.append(base | meter | {"model": "METER", "esme_variant": "A"})
        if self.gas is not None:
            meter = {"device_id": self.device("GSME"), "device_type": "GSME", "import_mpxn": self.mprn}
            rows.append(base | meter | {"model": "GM"})
        if self.han is not None:
            manufacturer, model = self.han
            ppmid = {"device_id": self.device("PPMID"), "device_type": "PPMID"}
            rows.append(base | ppmid | {"manufacturer": manufacturer, "model": model})
        return rows

    def registrations(self) -> list[dict[str, object]]:
        """Rows of the registrations table."""
        supplied = ((self.mpan, "IS", self.electricity), (self.mprn, "GS", self.gas))
        return [
            {"mpxn": mpxn, "role": role, "effective_from": SUPPLIED_SINCE, "organisation": organisation}
            for mpxn, role, organisation in supplied
            if organisation is not None
        ]


def move_in(unit_of_work: UnitOfWork, homes: Iterable[Home]) -> None:
    """Put homes into the inventory as if they had been there for long: what comes after is a change of Supplier."""
    connection = unit_of_work.connection
    known = list(homes)
    for start in range(0, len(known), _AT_ONCE):
        some = known[start : start + _AT_ONCE]
        rows = [row for home in some for row in home.registrations()]
        inventory.put_devices(connection, [row for home in some for row in home.rows()])
        inventory.put_registrations(connection, rows)
        settle_first(connection, {str(row["mpxn"]) for row in rows}, unit_of_work.now)
