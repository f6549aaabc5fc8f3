"""The CSP of one region in the demonstration: takes upgrade lists, acknowledges them, upgrades at night, reports."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from pathlib import Path

import aiohttp

from signing import VerifiedDocument
from sr_engine.configuration import load
from sr_engine.demo.party import Party, serve_until_told
from sr_engine.messages.csp import build_csp_message, decode_csp_message
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import (
    CspMessage,
    FirmwareImage,
    ListEntry,
    MeterFirmwareAcknowledgement,
    MeterFirmwareList,
    MeterFirmwareReport,
    ReportEntry,
    ReportStatus,
    UpgradeList,
    UpgradeListAcknowledgement,
    UpgradeReport,
)

RECEIVING_PATH = "/lists"
FAIL_EVERY = 50
REPORT_SIZE = 500
COUNTERS_PER_REGION = 1_000_000
_POLL_SECONDS = 0.1


class DemoCsp:
    """Upgrades every hub it is given in the middle of its period; every fiftieth fails."""

    def __init__(self, party: Party, directory: Path, region: str) -> None:
        self._party = party
        self._region = region
        self._broker = load(directory / "config").policy.access_control_broker_eui
        self._lists: asyncio.Queue[UpgradeList | MeterFirmwareList] = asyncio.Queue()

    async def handle(self, document: VerifiedDocument) -> None:
        """Take one list, or an image."""
        message = decode_csp_message(document)
        match message:
            case UpgradeList():
                self._party.stats["lists"] += 1
                self._party.stats["hubs listed"] += sum(len(entry.device_ids) for entry in message.entries)
                self._lists.put_nowait(message)
            case FirmwareImage():
                self._party.stats["images"] += 1
            case MeterFirmwareList():
                self._party.stats["meter lists"] += 1
                self._lists.put_nowait(message)

    async def act(self, session: aiohttp.ClientSession) -> None:
        """Work list by list."""
        async with asyncio.TaskGroup() as group:
            while True:
                taken = await self._lists.get()
                if isinstance(taken, MeterFirmwareList):
                    group.create_task(self._bring(session, taken))
                else:
                    group.create_task(self._work(session, taken))

    async def _work(self, session: aiohttp.ClientSession, upgrade_list: UpgradeList) -> None:
        hubs = tuple(hub for entry in upgrade_list.entries for hub in entry.device_ids)
        await self._send(
            session,
            UpgradeListAcknowledgement(
                self._message_id(), self._party.clock.now(), upgrade_list.list_id, self._region, accepted=hubs
            ),
        )
        for entry in upgrade_list.entries:
            await self._upgrade(session, upgrade_list.list_id, entry)

    async def _bring(self, session: aiohttp.ClientSession, meter_list: MeterFirmwareList) -> None:
        """Bring an image to the hub of every device at once."""
        device_ids = tuple(device_id for behind in meter_list.hubs.values() for device_id in behind)
        list_id, clock = meter_list.list_id, self._party.clock
        await self._send(
            session,
            MeterFirmwareAcknowledgement(self._message_id(), clock.now(), list_id, self._region, accepted=device_ids),
        )
        for start in range(0, len(device_ids), REPORT_SIZE):
            now = clock.now()
            entries = tuple(
                ReportEntry(device_id, ReportStatus.DELIVERED, now)
                for device_id in device_ids[start : start + REPORT_SIZE]
            )
            await self._send(session, MeterFirmwareReport(self._message_id(), now, list_id, self._region, entries))
            self._party.stats["devices reported Delivered"] += len(entries)

    async def _upgrade(self, session: aiohttp.ClientSession, list_id: str, entry: ListEntry) -> None:
        length = entry.period.end - entry.period.start
        delivered, activated = entry.period.start + length / 3, entry.period.start + length / 3 * 2
        await self._until(delivered)
        await self._report(
            session, list_id, [ReportEntry(hub, ReportStatus.DELIVERED, delivered) for hub in entry.device_ids]
        )
        await self._until(activated)
        outcomes = [
            ReportEntry(hub, ReportStatus.FAILED, activated, "image verification failed")
            if number % FAIL_EVERY == 0
            else ReportEntry(hub, ReportStatus.ACTIVATED, activated)
            for number, hub in enumerate(entry.device_ids, start=1)
        ]
        await self._report(session, list_id, outcomes)
        self._party.stats["lists done"] += 1

    async def _report(self, session: aiohttp.ClientSession, list_id: str, entries: Sequence[ReportEntry]) -> None:
        for start in range(0, len(entries), REPORT_SIZE):
            some = tuple(entries[start : start + REPORT_SIZE])
            message = UpgradeReport(self._message_id(), self._party.clock.now(), list_id, self._region, some)
            await self._send(session, message)
            for entry in some:
                self._party.stats[f"hubs reported {entry.status.value}"] += 1

    async def _send(self, session: aiohttp.ClientSession, message: CspMessage) -> None:
        data = self._party.signer.sign(build_csp_message(message))
        status, _, detail = await self._party.post(session, "/api/v1/csp", data)
        if status != HTTPStatus.NO_CONTENT:
            raise RuntimeError(f"{type(message).__name__} was answered {status}: {detail}")

    async def _until(self, moment: datetime) -> None:
        # The party's clock runs at a speed of its own: only looking at it says when its time has come.
        while self._party.clock.now() < moment:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)

    def _message_id(self) -> RequestId:
        return RequestId.parse(self._party.next_id(self._broker))


def main() -> None:
    """`python -m sr_engine.demo.csp DIR NAME PORT PROCESSOR_URL REGION`."""
    directory, name, port, url, region = sys.argv[1:]
    party = Party.load(Path(directory), name, url)
    # Two regions may share one CSP and its EUI: each counts from a number of its own.
    party.counter = int(port) * COUNTERS_PER_REGION
    csp = DemoCsp(party, Path(directory), region)
    asyncio.run(serve_until_told(party.receiver(RECEIVING_PATH, csp.handle), int(port), csp.act))


if __name__ == "__main__":
    main()
