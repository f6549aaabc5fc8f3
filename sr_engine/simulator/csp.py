"""A CSP that takes signed upgrade lists, answers them and reports on every hub, signed, in the way it is told to."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus

import aiohttp

from signing import VerifiedDocument
from sr_engine.messages.csp import build_csp_message, decode_csp_message
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import (
    CspMessage,
    ListEntry,
    MeterFirmwareAcknowledgement,
    MeterFirmwareList,
    MeterFirmwareReport,
    Period,
    RefusedHubs,
    ReportEntry,
    ReportStatus,
    UpgradeList,
    UpgradeListAcknowledgement,
    UpgradeListWithdrawal,
    UpgradeReport,
)
from sr_engine.simulator.behaviour import Again, Behaviour, Step, reply, steps
from sr_engine.simulator.party import Party

_POLL_SECONDS = 0.1
_REPORT_SIZE = 1_000
_TRIES = 5
_WAIT_SECONDS = 1.0
_ENDPOINT = "/api/v1/csp"


class SimulatedCsp:
    """The CSP of one region; what it does is counted in the stats of its party."""

    def __init__(self, party: Party, broker: str, region: str, behaviour: Behaviour) -> None:
        """`broker` is the EUI that its messages are for."""
        self._party = party
        self._broker = broker
        self._region = region
        self._behaviour = behaviour
        self._taken: Counter[Period] = Counter()
        self._work_to_do: asyncio.Queue[UpgradeList | UpgradeListWithdrawal | MeterFirmwareList] = asyncio.Queue()
        self._known: dict[str, tuple[ListEntry, ...]] = {}
        self._accepted: dict[str, frozenset[str]] = {}
        self._withdrawn: set[tuple[str, str]] = set()
        """List and hub."""

    async def handle(self, document: VerifiedDocument) -> None:
        """Take one message; a list that it has had before is not worked on again."""
        message = decode_csp_message(document)
        match message:
            case UpgradeList() if message.list_id not in self._known:
                self._known[message.list_id] = message.entries
                self._party.stats["lists"] += 1
                self._party.stats["hubs listed"] += sum(len(entry.device_ids) for entry in message.entries)
                self._work_to_do.put_nowait(message)
            case MeterFirmwareList() if message.list_id not in self._known:
                self._known[message.list_id] = ()
                self._party.stats["meter lists"] += 1
                self._work_to_do.put_nowait(message)
            case UpgradeListWithdrawal():
                self._work_to_do.put_nowait(message)
            case UpgradeList() | MeterFirmwareList():
                pass
            case _:
                self._party.stats[f"other messages: {type(message).__name__}"] += 1

    async def act(self, session: aiohttp.ClientSession) -> None:
        """Work list by list until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                match await self._work_to_do.get():
                    case UpgradeList() as upgrade_list:
                        group.create_task(self._work(session, upgrade_list))
                    case MeterFirmwareList() as meter_list:
                        group.create_task(self._bring(session, meter_list))
                    case UpgradeListWithdrawal() as withdrawal:
                        group.create_task(self._withdraw(session, withdrawal))

    async def _bring(self, session: aiohttp.ClientSession, meter_list: MeterFirmwareList) -> None:
        """Bring an image to the hub of every device at once."""
        device_ids = tuple(device_id for behind in meter_list.hubs.values() for device_id in behind)
        list_id, region = meter_list.list_id, self._region
        acknowledgement = MeterFirmwareAcknowledgement(
            self._message_id(), self._party.clock.now(), list_id, region, accepted=device_ids
        )
        await self._send(session, self._signed(acknowledgement))
        for start in range(0, len(device_ids), _REPORT_SIZE):
            now = self._party.clock.now()
            some = device_ids[start : start + _REPORT_SIZE]
            entries = tuple(ReportEntry(device_id, ReportStatus.DELIVERED, now) for device_id in some)
            report = MeterFirmwareReport(self._message_id(), now, list_id, region, entries)
            await self._send(session, self._signed(report))
            self._party.stats["devices reported Delivered"] += len(entries)

    async def _withdraw(self, session: aiohttp.ClientSession, withdrawal: UpgradeListWithdrawal) -> None:
        """Take hubs off a list whose period has not begun; the others are under way."""
        now, list_id = self._party.clock.now(), withdrawal.list_id
        on_list = [
            (hub_id, entry.period, now < entry.period.start)
            for entry in self._known.get(list_id, ())
            for hub_id in entry.device_ids
            if not withdrawal.device_ids or hub_id in withdrawal.device_ids
        ]
        accepted = tuple(hub_id for hub_id, _, in_time in on_list if in_time)
        late = tuple(hub_id for hub_id, _, in_time in on_list if not in_time)
        for hub_id, period, in_time in on_list:
            # Its place in the night is free again.
            if in_time and hub_id in self._accepted.get(list_id, ()) and (list_id, hub_id) not in self._withdrawn:
                self._taken[period] -= 1
        self._withdrawn |= {(list_id, hub_id) for hub_id in accepted}
        acknowledgement = UpgradeListAcknowledgement(
            self._message_id(),
            now,
            list_id,
            self._region,
            accepted,
            (RefusedHubs("under way", late),) if late else (),
            withdrawal.message_id,
        )
        await self._send(session, self._signed(acknowledgement))
        self._party.stats["hubs withdrawn"] += len(accepted)

    async def _work(self, session: aiohttp.ClientSession, upgrade_list: UpgradeList) -> None:
        answer = reply(self._behaviour, upgrade_list.entries, self._taken)
        self._accepted[upgrade_list.list_id] = frozenset(answer.accepted)
        await self._until(self._party.clock.now() + self._behaviour.delay)
        acknowledgement = UpgradeListAcknowledgement(
            self._message_id(),
            self._party.clock.now(),
            upgrade_list.list_id,
            self._region,
            accepted=answer.accepted,
            refused=answer.refused,
        )
        await self._send(session, self._signed(acknowledgement))
        self._party.stats["hubs accepted"] += len(answer.accepted)
        self._party.stats["hubs refused"] += sum(len(one.device_ids) for one in answer.refused)
        accepted = frozenset(answer.accepted)
        async with asyncio.TaskGroup() as group:
            for entry in upgrade_list.entries:
                mine = [hub_id for hub_id in entry.device_ids if hub_id in accepted]
                group.create_task(self._upgrade(session, upgrade_list.list_id, entry, mine))
        self._party.stats["lists done"] += 1

    async def _upgrade(
        self, session: aiohttp.ClientSession, list_id: str, entry: ListEntry, hub_ids: list[str]
    ) -> None:
        for step in steps(self._behaviour, entry, hub_ids):
            await self._until(step.at)
            left = tuple(one for one in step.entries if (list_id, one.device_id) not in self._withdrawn)
            if left:
                await self._report(session, list_id, replace(step, entries=left))

    async def _report(self, session: aiohttp.ClientSession, list_id: str, step: Step) -> None:
        data = self._signed(self._report_of(list_id, step))
        await self._send(session, data)
        if step.again is not Again.NO:
            again = data if step.again is Again.SAME_BYTES else self._signed(self._report_of(list_id, step))
            await self._send(session, again)
            self._party.stats["reports sent twice"] += 1
        for entry in step.entries:
            self._party.stats[f"hubs reported {entry.status.value}"] += 1

    def _report_of(self, list_id: str, step: Step) -> UpgradeReport:
        return UpgradeReport(self._message_id(), self._party.clock.now(), list_id, self._region, step.entries)

    def _signed(self, message: CspMessage) -> bytes:
        return self._party.signer.sign(build_csp_message(message))

    async def _send(self, session: aiohttp.ClientSession, data: bytes) -> None:
        """Send until the processor has answered; what it refuses is counted and said."""
        said = ""
        for _ in range(_TRIES):
            try:
                status, _, said = await self._party.post(session, _ENDPOINT, data)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                status, said = HTTPStatus.SERVICE_UNAVAILABLE, f"{type(error).__name__}: {error}"
            if status == HTTPStatus.NO_CONTENT:
                return
            if status != HTTPStatus.SERVICE_UNAVAILABLE:
                break
            await asyncio.sleep(_WAIT_SECONDS)
        self._party.stats["messages refused"] += 1
        print(f"{self._region}: a message was answered {status}: {said}", file=sys.stderr, flush=True)

    async def _until(self, moment: datetime) -> None:
        # The party's clock runs at a speed of its own: only looking at it says when its time has come.
        while self._party.clock.now() < moment:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)

    def _message_id(self) -> RequestId:
        return RequestId.parse(self._party.next_id(self._broker))
