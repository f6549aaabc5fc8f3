"""A CSP that takes signed upgrade lists, answers them and reports on every hub, signed, in the way it is told to."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from sr_engine.simulator.behaviour import (
    UNKNOWN_LIST,
    Again,
    Behaviour,
    Step,
    acknowledgement_is_lost,
    reply,
    steps,
)
from sr_engine.simulator.party import Party

_POLL_SECONDS = 0.1
_REPORT_SIZE = 1_000
_TRIES = 5
_WAIT_SECONDS = 1.0
_ENDPOINT = "/api/v1/csp"


@dataclass(frozen=True, slots=True)
class _SentAgain:
    """A list or withdrawal that has come before, and is to be answered as it was."""

    key: str


class SimulatedCsp:
    """The CSP of one region; what it does is counted in the stats of its party.

    What it knows of lists it knows for as long as it runs.
    """

    def __init__(self, party: Party, broker: str, region: str, behaviour: Behaviour) -> None:
        """`broker` is the EUI that its messages are for."""
        self._party = party
        self._broker = broker
        self._region = region
        self._behaviour = behaviour
        self._taken: Counter[Period] = Counter()
        self._work_to_do: asyncio.Queue[UpgradeList | UpgradeListWithdrawal | MeterFirmwareList | _SentAgain] = (
            asyncio.Queue()
        )
        self._known: dict[str, tuple[ListEntry, ...]] = {}
        self._answers: dict[str, bytes] = {}
        """By the id of the list, or the MessageID of the withdrawal; none as long as it is not due yet."""
        self._answered: Counter[str] = Counter()
        self._accepted: dict[str, frozenset[str]] = {}
        self._withdrawn: set[tuple[str, str]] = set()
        """List and hub."""

    async def handle(self, document: VerifiedDocument) -> None:
        """Take one message; a list that it has had before is not worked on again but answered as it was."""
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
                self._work_to_do.put_nowait(_SentAgain(message.list_id))
            case _:
                self._party.stats[f"other messages: {type(message).__name__}"] += 1

    async def again(self, document: VerifiedDocument) -> None:
        """Take a message that has come before in the same bytes: answer it as it was answered, and do nothing else."""
        match decode_csp_message(document):
            case UpgradeList() | MeterFirmwareList() as known:
                self._work_to_do.put_nowait(_SentAgain(known.list_id))
            case UpgradeListWithdrawal() as withdrawal:
                self._work_to_do.put_nowait(_SentAgain(withdrawal.message_id.key))
            case _:
                pass

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
                    case _SentAgain(key):
                        group.create_task(self._answer_again(session, key))

    async def _answer(self, session: aiohttp.ClientSession, key: str, acknowledgement: CspMessage) -> None:
        """Send what a list or a withdrawal is answered, and keep it for when that comes again."""
        self._answers[key] = self._signed(acknowledgement)
        await self._send_answer(session, key)

    async def _answer_again(self, session: aiohttp.ClientSession, key: str) -> None:
        await self._until(self._party.clock.now() + self._behaviour.delay)
        if key in self._answers:
            await self._send_answer(session, key)
            self._party.stats["answered again"] += 1

    async def _send_answer(self, session: aiohttp.ClientSession, key: str) -> None:
        entries, before = self._known.get(key, ()), self._answered[key]
        self._answered[key] += 1
        if entries and acknowledgement_is_lost(self._behaviour, entries, before):
            self._party.stats["acknowledgements lost"] += 1
        else:
            await self._send(session, self._answers[key])

    async def _bring(self, session: aiohttp.ClientSession, meter_list: MeterFirmwareList) -> None:
        """Bring an image to the hub of every device at once."""
        device_ids = tuple(device_id for behind in meter_list.hubs.values() for device_id in behind)
        list_id, region = meter_list.list_id, self._region
        acknowledgement = MeterFirmwareAcknowledgement(
            self._message_id(), self._party.clock.now(), list_id, region, accepted=device_ids
        )
        await self._answer(session, list_id, acknowledgement)
        for start in range(0, len(device_ids), _REPORT_SIZE):
            now = self._party.clock.now()
            some = device_ids[start : start + _REPORT_SIZE]
            entries = tuple(ReportEntry(device_id, ReportStatus.DELIVERED, now) for device_id in some)
            report = MeterFirmwareReport(self._message_id(), now, list_id, region, entries)
            await self._send(session, self._signed(report))
            self._party.stats["devices reported Delivered"] += len(entries)

    async def _withdraw(self, session: aiohttp.ClientSession, withdrawal: UpgradeListWithdrawal) -> None:
        """Take hubs off a list whose period has not begun; the others are under way.

        Of a list that is not known hubs are refused that the withdrawal names. If it names none there is nothing to be
        said of any, which is what the answer says.
        """
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
        unknown = () if list_id in self._known else withdrawal.device_ids
        if list_id not in self._known:
            self._party.stats["withdrawals of unknown lists"] += 1
        acknowledgement = UpgradeListAcknowledgement(
            self._message_id(),
            now,
            list_id,
            self._region,
            accepted,
            _refusals(("under way", late), (UNKNOWN_LIST, unknown)),
            withdrawal.message_id,
        )
        await self._answer(session, withdrawal.message_id.key, acknowledgement)
        self._party.stats["hubs withdrawn"] += len(accepted)

    async def _work(self, session: aiohttp.ClientSession, upgrade_list: UpgradeList) -> None:
        arrived = self._party.clock.now()
        answer = reply(self._behaviour, upgrade_list.entries, self._taken, arrived)
        self._accepted[upgrade_list.list_id] = frozenset(answer.accepted)
        await self._until(arrived + self._behaviour.delay)
        acknowledgement = UpgradeListAcknowledgement(
            self._message_id(),
            self._party.clock.now(),
            upgrade_list.list_id,
            self._region,
            accepted=answer.accepted,
            refused=answer.refused,
        )
        await self._answer(session, upgrade_list.list_id, acknowledgement)
        self._party.stats["hubs accepted"] += len(answer.accepted)
        self._party.stats["hubs refused"] += sum(len(one.device_ids) for one in answer.refused)
        accepted = frozenset(answer.accepted)
        async with asyncio.TaskGroup() as group:
            for entry in upgrade_list.entries:
                mine = [hub_id for hub_id in entry.device_ids if hub_id in accepted]
                group.create_task(self._upgrade(session, upgrade_list.list_id, entry, mine, arrived))
        self._party.stats["lists done"] += 1

    async def _upgrade(
        self, session: aiohttp.ClientSession, list_id: str, entry: ListEntry, hub_ids: list[str], arrived: datetime
    ) -> None:
        for step in steps(self._behaviour, entry, hub_ids, arrived):
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


def _refusals(*of_reasons: tuple[str, Sequence[str]]) -> tuple[RefusedHubs, ...]:
    return tuple(RefusedHubs(reason, tuple(hub_ids)) for reason, hub_ids in of_reasons if hub_ids)
