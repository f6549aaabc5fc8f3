"""Firmware of meters and PPMIDs for tests: images with an OTA header, their CPL entries, and a CSP that answers."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select

from signing import Signer, parse
from sr_engine.bootstrap import csp_desk_of, region_watch
from sr_engine.configuration import Region
from sr_engine.domain.deliveries import CplEntry
from sr_engine.gateway.csp import AdmittedCspMessage
from sr_engine.instance import SupplierSeed
from sr_engine.messages.csp import build_csp_message, decode_csp_message
from sr_engine.messages.decode import DecodedResponse, decode_response
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import (
    CspMessage,
    FirmwareImage,
    FirmwareWarning,
    MeterFirmwareAcknowledgement,
    MeterFirmwareList,
    MeterFirmwareReport,
    RefusedHubs,
    ReportEntry,
    ReportStatus,
    UpdateFirmware,
    UpdatePPMIDFirmware,
)
from sr_engine.pipeline.answer import Answer
from sr_engine.store import cpl
from sr_engine.store.tables import firmware_deliveries, outbox
from tests.outbox import messages
from tests.world import BROKER, A, TestHub, World, eui

VERSION = "0002012F"
MANUFACTURER = 0x2B7E
"""That of the devices of `TestHub`."""
PAYLOAD = bytes(range(256)) * 2


def ota(
    payload: bytes = PAYLOAD,
    *,
    magic: int = 0x0BEEF11E,
    header_version: int = 0x0100,
    length: int | None = None,
    control: int = 0,
    manufacturer: int = MANUFACTURER,
    image_type: int = 0,
    file_version: int = int(VERSION, 16),
    stack_version: int = 2,
    text: bytes = b"synthetic",
    total: int | None = None,
    optional: bytes = b"",
) -> bytes:
    """An image; `optional` are the header's optional fields, which `control` announces."""
    own_length = 56 + len(optional)
    fixed = struct.pack(
        "<IHHHHHIH32sI",
        magic,
        header_version,
        own_length if length is None else length,
        control,
        manufacturer,
        image_type,
        file_version,
        stack_version,
        text,
        own_length + len(payload) if total is None else total,
    )
    return fixed + optional + payload


def hash_of(payload: bytes = PAYLOAD) -> str:
    return hashlib.sha256(payload).hexdigest().upper()


IMAGE = ota()
ENTRY = CplEntry("2B7E", "METER", "ESME", VERSION, hash_of(), "Active")
"""The ESMEs of `TestHub`; its GSMEs have the model GM."""
GAS_ENTRY = CplEntry("2B7E", "GM", "GSME", VERSION, hash_of(), "Active")
PPMID = ("2B7E", "PPM1")
PPMID_ENTRY = CplEntry(*PPMID, "PPMID", VERSION, hash_of(), "Active")


def esme(hub: TestHub) -> str:
    return eui(0xE0, hub.number)


def gsme(hub: TestHub) -> str:
    return eui(0xF0, hub.number)


def ppmid(hub: TestHub) -> str:
    return eui(0xA0, hub.number)


def listed(world: World, *entries: CplEntry) -> None:
    """Put entries on the CPL."""
    world.run(lambda uow: cpl.put_entries(uow.connection, entries))


def refused(answer: DecodedResponse) -> Mapping[str, Sequence[str]]:
    """The lists of a warning by the names of their elements."""
    assert isinstance(answer.result, FirmwareWarning), answer
    assert answer.body_element == f"DSPUpdate{'PPMID' if answer.result.of_ppmids else ''}FirmwareWarning"
    return {reason.value: device_ids for reason, device_ids in answer.result.refused.items()}


@dataclass
class Meters:
    """A world seen from firmware requests: Suppliers send them, CSPs answer, alerts come."""

    world: World
    counter: int = field(default=0)

    def update(
        self,
        device_ids: Iterable[str],
        supplier: SupplierSeed = A,
        *,
        image: bytes = IMAGE,
        version: str = VERSION,
    ) -> DecodedResponse:
        """An 11.1."""
        return self.world.send(supplier, UpdateFirmware(image, version, tuple(device_ids)), "11.1")

    def update_ppmids(
        self, device_ids: Iterable[str], supplier: SupplierSeed = A, *, image: bytes = IMAGE, version: str = VERSION
    ) -> DecodedResponse:
        """An 11.4."""
        return self.world.send(supplier, UpdatePPMIDFirmware(image, version, tuple(device_ids)), "11.4")

    # --- what CSPs receive and send ---

    def sent(self, region: str = "Central") -> list[CspMessage]:
        """Images and lists queued for a region's CSP, its signature checked, oldest first."""
        instance = self.world.instance
        with instance.reading_engine.connect() as connection:
            bodies = connection.scalars(
                select(outbox.c.body)
                .where(outbox.c.destination == f"csp:{region}", outbox.c.kind == "meter_list")
                .order_by(outbox.c.outbox_id)
            ).all()
        now = self.world.clock.now()
        return [decode_csp_message(instance.verifier.verify(parse(body), roles={"89"}, at=now)) for body in bodies]

    def lists(self, region: str = "Central") -> list[MeterFirmwareList]:
        return [message for message in self.sent(region) if isinstance(message, MeterFirmwareList)]

    def images(self, region: str = "Central") -> list[FirmwareImage]:
        return [message for message in self.sent(region) if isinstance(message, FirmwareImage)]

    def csp_says(self, message: CspMessage, region: str = "Central") -> Answer:
        """A message of a CSP, signed, checked and taken in."""
        data = Signer(self.world.csp_key(region)).sign(build_csp_message(message))
        desk = csp_desk_of(self.world.instance)
        admitted = desk.admit(data, self.world.clock.now())
        assert isinstance(admitted, AdmittedCspMessage), admitted
        return self.world.run(lambda uow: desk.execute(uow, admitted))

    def message_id(self, region: str = "Central") -> RequestId:
        self.counter += 1
        return RequestId.make(self.region(region).csp_eui, BROKER, self.counter)

    def region(self, name: str = "Central") -> Region:
        return self.world.instance.configuration.regions[name]

    def acknowledge(
        self,
        list_id: str,
        accepted: Iterable[str] = (),
        refusals: Mapping[str, Sequence[str]] | None = None,
        region: str = "Central",
    ) -> Answer:
        """Device by device; `refusals` is by reason."""
        no = tuple(RefusedHubs(reason, tuple(ids)) for reason, ids in (refusals or {}).items())
        now = self.world.clock.now()
        message = MeterFirmwareAcknowledgement(self.message_id(region), now, list_id, region, tuple(accepted), no)
        return self.csp_says(message, region)

    def report(
        self,
        list_id: str,
        device_ids: Iterable[str],
        status: ReportStatus = ReportStatus.DELIVERED,
        *,
        at: datetime | None = None,
        reason: str | None = None,
        region: str = "Central",
    ) -> Answer:
        now = self.world.clock.now()
        entries = tuple(ReportEntry(device_id, status, at or now, reason) for device_id in device_ids)
        return self.csp_says(MeterFirmwareReport(self.message_id(region), now, list_id, region, entries), region)

    def wait(self, time: timedelta, region: str = "Central") -> None:
        """Time goes by, and the region's chores are done."""
        self.world.clock.set(self.world.clock.now() + time)
        for chore in region_watch(self.world.instance, self.region(region)):
            while self.world.run(chore):
                pass

    # --- what is found afterwards ---

    def states(self) -> dict[str, str]:
        """State by device; of several requests for one, the newest."""
        with self.world.instance.reading_engine.connect() as connection:
            found = connection.execute(
                select(firmware_deliveries.c.device_id, firmware_deliveries.c.state).order_by(
                    firmware_deliveries.c.listed_at
                )
            )
            return {row.device_id: row.state for row in found}

    def alerts(self, supplier: SupplierSeed = A) -> list[DecodedResponse]:
        """All alerts queued for a Supplier, their signatures checked, oldest first."""
        self.world.settle()
        instance = self.world.instance
        with instance.reading_engine.connect() as connection:
            found = messages(connection, outbox.c.destination == f"user:{supplier.eui}", outbox.c.kind == "alert")
        now = self.world.clock.now()
        return [decode_response(instance.verifier.verify(parse(one.body), roles={"89"}, at=now)) for one in found]
