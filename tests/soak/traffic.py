"""What Suppliers send beside 11.5 to 11.9: reads, firmware of meters, and much that is to be refused."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import aiohttp

from sr_engine.domain.deliveries import CplEntry
from sr_engine.messages.model import (
    ReadCommsHubFirmwareSchedule,
    ReadInventory,
    UpdateFirmware,
    UpdatePPMIDFirmware,
)
from sr_engine.replay.homes import Home
from tests.crash.country import homes
from tests.crash.load import Asked, Deed, Supplier
from tests.firmware import ENTRY, IMAGE, PPMID, PPMID_ENTRY, VERSION
from tests.soak import quarantine

CPL: tuple[CplEntry, ...] = (ENTRY, PPMID_ENTRY)
_WITH_PPMID = 5
"""Every so many-th home has a PPMID."""
_SIGNATURE = re.compile(rb"(SignatureValue>)(..)")
_CODE = re.compile(rb"ResponseCode>([^<]+)<")


def mixed_homes(count: int) -> Sequence[Home]:
    """The homes of the crash matrix, some of them with a PPMID."""
    return [replace(home, han=PPMID) if home.number % _WITH_PPMID == 0 else home for home in homes(count)]


@dataclass
class Mixed:
    """What is sent, and what of it was answered otherwise than it has to be."""

    refused: Counter[str] = field(default_factory=Counter)
    """What had to be refused and was, by what was wrong with it."""
    wrong: list[str] = field(default_factory=list)

    def deeds(self, supplier: Supplier) -> Sequence[Deed]:
        """Of one Supplier."""
        own = _Sending(supplier, self)
        return [
            (6, own.read_inventory),
            (2, own.read_much),
            (2, own.update_meters),
            (1, own.update_ppmids),
            (3, own.sign_wrongly),
            (1, own.send_nonsense),
            (2, own.ask_at_the_wrong_service),
            *quarantine.deeds(supplier),
        ]


class _Sending:
    def __init__(self, supplier: Supplier, mixed: Mixed) -> None:
        self._supplier = supplier
        self._mixed = mixed
        mine = [home for home in supplier.homes if home.electricity == supplier.name]
        self._meters = [home.device("ESME") for home in mine]
        self._ppmids = [home.device("PPMID") for home in mine if home.han is not None]

    async def read_inventory(self, session: aiohttp.ClientSession) -> None:
        (hub,) = self._supplier.some(1)
        await self._supplier.ask(session, "8.2", ReadInventory(device_id=hub), [hub])

    async def read_much(self, session: aiohttp.ClientSession) -> None:
        """A hub by its meter's MPxN, whoever supplies it."""
        mpan = self._supplier.chance.choice(self._supplier.homes).mpan
        await self._supplier.ask(session, "8.2", ReadInventory(mpxn=mpan), [])

    async def update_meters(self, session: aiohttp.ClientSession) -> None:
        some = tuple(self._supplier.chance.sample(self._meters, 2))
        await self._supplier.ask(session, "11.1", UpdateFirmware(IMAGE, VERSION, some), [])

    async def update_ppmids(self, session: aiohttp.ClientSession) -> None:
        some = (self._supplier.chance.choice(self._ppmids),)
        await self._supplier.ask(session, "11.4", UpdatePPMIDFirmware(IMAGE, VERSION, some), [])

    async def sign_wrongly(self, session: aiohttp.ClientSession) -> None:
        data = _SIGNATURE.sub(_other_signature, self._read().data, count=1)
        await self._refused(session, "a wrong signature", data, (200, "E100"))

    async def send_nonsense(self, session: aiohttp.ClientSession) -> None:
        await self._refused(session, "half a document", self._read().data[:-40], (400, ""))

    async def ask_at_the_wrong_service(self, session: aiohttp.ClientSession) -> None:
        await self._refused(session, "the wrong service", self._read().data, (200, "E13"), "serviceS")

    def _read(self) -> Asked:
        (hub,) = self._supplier.some(1)
        return self._supplier.written("11.7", ReadCommsHubFirmwareSchedule(device_id=hub), [hub])

    async def _refused(
        self, session: aiohttp.ClientSession, what: str, data: bytes, wanted: tuple[int, str], service: str = "serviceD"
    ) -> None:
        answer = await self._supplier.post(session, data, service)
        code = _CODE.search(answer.body)
        found = (answer.status, "" if code is None else code[1].decode())
        if found == wanted:
            self._mixed.refused[what] += 1
        else:
            self._mixed.wrong.append(f"{what} was answered {found[0]} {found[1]}: {answer.detail}")


def _other_signature(found: re.Match[bytes]) -> bytes:
    return found[1] + (b"AA" if found[2] != b"AA" else b"BB")
