"""A CSP that takes signed upgrade lists, answers them and reports on every hub, signed, in the way it is told to."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from datetime import datetime
from http import HTTPStatus

import aiohttp

from signing import VerifiedDocument
from sr_engine.messages.csp import build_csp_message, decode_csp_message
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import (
    CspMessage,
    ListEntry,
    Period,
    UpgradeList,
    UpgradeListAcknowledgement,
    UpgradeReport,
)
from sr_engine.simulator.behaviour import Again, Behaviour, Step, reply, steps
from sr_engine.simulator.party import Party

_POLL_SECONDS = 0.1
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
        self._lists: asyncio.Queue[UpgradeList] = asyncio.Queue()
        self._known: set[str] = set()

    async def handle(self, document: VerifiedDocument) -> None:
        """Take one message; a list that it has had before is not worked on again."""
        message = decode_csp_message(document)
        if not isinstance(message, UpgradeList):
            self._party.stats[f"other messages: {type(message).__name__}"] += 1
        elif message.list_id not in self._known:
            self._known.add(message.list_id)
            self._party.stats["lists"] += 1
            self._party.stats["hubs listed"] += sum(len(entry.device_ids) for entry in message.entries)
            self._lists.put_nowait(message)

    async def act(self, session: aiohttp.ClientSession) -> None:
        """Work list by list until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._work(session, await self._lists.get()))

    async def _work(self, session: aiohttp.ClientSession, upgrade_list: UpgradeList) -> None:
        answer = reply(self._behaviour, upgrade_list.entries, self._taken)
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
            await self._report(session, list_id, step)

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
