"""Suppliers that send requests all the time: 11.5 to 11.9, dated ones, ones in sequence, and repeats."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import aiohttp

from signing import Signer, SoftwareKey
from sr_engine.clock import Clock
from sr_engine.messages.compose import build_request
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Body,
    Decision,
    DeleteCommsHubFirmwareSchedule,
    ExclusionAction,
    Period,
    Phase,
    ReadCommsHubFirmwareSchedule,
    ScheduleCommsHubFirmware,
    UpdateCommsHubFirmwareExclusion,
)
from sr_engine.replay.homes import Home
from tests.crash.country import FIRMWARE, NAMES, Surrounded
from tests.crash.evidence import Sent
from tests.crash.sending import HttpAnswer, post_until_answered

PAUSE_SECONDS = 0.06
"""Between two requests, in the middle."""
Connect = Callable[[str], aiohttp.ClientSession]
"""A session of a Supplier."""
Deed = tuple[int, Callable[[aiohttp.ClientSession], Awaitable[object]]]
"""Something that a Supplier does, and how often, beside the others."""
_NEW_HUBS = 3
_NO_HUBS = [f"00-00-5E-EF-CF-00-{number >> 8:02X}-{number & 255:02X}" for number in range(400)]
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_CODE = re.compile(rb"ResponseCode>([^<]+)<")
_SCHEDULE = re.compile(rb"CommsHubFirmwareScheduleID>(\d+)<")
_ACCEPTED = re.compile(rb"AcceptedDeviceCount>(\d+)<")


@dataclass
class Asked:
    """A request, and every answer to it so far."""

    request_id: str
    organisation: str
    variant: str
    hubs: frozenset[str]
    data: bytes = field(repr=False)
    answers: list[bytes] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    follows: bool = False

    def evidence(self) -> Sent:
        first = self.answers[0] if self.answers else b""
        found = [pattern.search(first) for pattern in (_CODE, _SCHEDULE, _ACCEPTED)]
        code, schedule, accepted = (None if one is None else one[1].decode() for one in found)
        return Sent(
            self.request_id.upper(),
            self.organisation,
            self.variant,
            self.hubs,
            tuple(self.answers),
            code or f"HTTP {self.statuses[0] if self.statuses else 'nothing'}",
            self.follows,
            None if schedule is None else int(schedule),
            None if accepted is None else int(accepted),
        )


class Supplier:
    """One Supplier: `act` sends until told to stop, `repeat_all` repeats what it has sent."""

    def __init__(self, name: str, load: Load, key: SoftwareKey, seed: int) -> None:
        self.name = name
        self.asked: list[Asked] = []
        self.to_answer: list[str] = []
        """Shared hubs that the other side has scheduled."""
        self._load = load
        self._eui = key.eui
        self._signer = Signer(key)
        self.chance = random.Random(f"{seed} {name}")
        self._counter = 0
        self.homes = load.homes
        self._new = [home for home in load.homes if home.electricity == name]
        self.known = [home.chf for home in load.homes if name in {home.electricity, home.gas}]
        self._schedules: list[int] = []

    async def act(self, session: aiohttp.ClientSession) -> None:
        """Send one request after another until told to stop; none is left half sent."""
        deeds: list[Deed] = [
            (28, self._schedule),
            (8, self._schedule_many),
            (20, self._answer),
            (10, self._read),
            (8, self._exclude),
            (3, self._take_back),
            (10, self._dated),
            (6, self._in_sequence),
            (12, self._again),
            *self._load.more(self),
        ]
        weights, chosen = [weight for weight, _ in deeds], [deed for _, deed in deeds]
        while not self._load.stopped.is_set():
            (deed,) = self.chance.choices(chosen, weights)
            await deed(session)
            await asyncio.sleep(self._load.pause * self.chance.uniform(0.5, 1.5))

    async def repeat_all(self, session: aiohttp.ClientSession, most: int | None) -> None:
        """Send everything once more, or as much of it as `most` says."""
        some = self.asked if most is None or most >= len(self.asked) else self.chance.sample(self.asked, most)
        for asked in some:
            await self.send(session, asked)

    # --- What it asks for ---

    async def _schedule(self, session: aiohttp.ClientSession) -> None:
        some = [self._new.pop() for _ in range(min(_NEW_HUBS, len(self._new)))]
        hubs = [home.chf for home in some] or self.some(2)
        # Some windows end before anybody else approves.
        days = self.chance.choice((5, 40, 40))
        asked = await self.ask(session, "11.5", self._window(hubs, days), hubs)
        self._note(asked, some)

    async def _schedule_many(self, session: aiohttp.ClientSession) -> None:
        """A list so long that it is carried out after its answer; most of what it names is no hub."""
        some = [self._new.pop() for _ in range(min(2 * _NEW_HUBS, len(self._new)))]
        hubs = [home.chf for home in some] or self.some(2 * _NEW_HUBS)
        listed = self.chance.sample([*hubs, *_NO_HUBS], len(hubs) + len(_NO_HUBS))
        self._note(await self.ask(session, "11.5", self._window(listed, 40), hubs), some)

    def _note(self, asked: Asked, homes: Sequence[Home]) -> None:
        """The other side may answer for what was scheduled."""
        schedule_id = asked.evidence().schedule_id
        if schedule_id is None:
            return
        self._schedules.append(schedule_id)
        for home in homes:
            if home.gas is not None and home.gas != self.name:
                self._load.suppliers[home.gas].to_answer.append(home.chf)

    async def _answer(self, session: aiohttp.ClientSession) -> None:
        hubs = self._waiting(3) or self.some(1)
        decision = self.chance.choices((Decision.APPROVE, Decision.DECLINE), (9, 1))[0]
        await self.ask(session, "11.6", ApproveCommsHubFirmware(FIRMWARE, decision, tuple(hubs)), hubs)

    async def _read(self, session: aiohttp.ClientSession) -> None:
        (hub,) = self.some(1)
        await self.ask(session, "11.7", ReadCommsHubFirmwareSchedule(device_id=hub), [hub])

    async def _exclude(self, session: aiohttp.ClientSession) -> None:
        hubs = self.some(2)
        # What is excluded is mostly included again, or nothing would be left in the end.
        action = self.chance.choices((ExclusionAction.EXCLUDE, ExclusionAction.INCLUDE), (1, 2))[0]
        await self.ask(session, "11.9", UpdateCommsHubFirmwareExclusion(action, tuple(hubs)), hubs)

    async def _take_back(self, session: aiohttp.ClientSession) -> None:
        if self._schedules:
            schedule_id = self.chance.choice(self._schedules[-4:])
            await self.ask(session, "11.8", DeleteCommsHubFirmwareSchedule(schedule_id), [])

    async def _dated(self, session: aiohttp.ClientSession) -> None:
        at = self._load.clock.now() + self.chance.uniform(6, 30) * _HOUR
        hubs = self._waiting(2)
        if hubs:
            body: Body = ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, tuple(hubs), execution_date_time=at)
            await self.ask(session, "11.6", body, hubs)
        else:
            hubs = [self._new.pop().chf] if self._new else self.some(1)
            await self.ask(session, "11.5", self._window(hubs, 40, execution_date_time=at), hubs)

    async def _in_sequence(self, session: aiohttp.ClientSession) -> None:
        """Two requests, of which the second may come before the first."""
        first, second = self.some(1), self.some(1)
        leader = self.prepared("11.9", UpdateCommsHubFirmwareExclusion(ExclusionAction.INCLUDE, tuple(first)), first)
        body = UpdateCommsHubFirmwareExclusion(ExclusionAction.INCLUDE, tuple(second))
        follower = self.prepared("11.9", body, second, preceding=leader.request_id)
        await asyncio.gather(self.send(session, follower), self.send(session, leader))

    async def _again(self, session: aiohttp.ClientSession) -> None:
        answered = [one for one in self.asked[-40:] if one.answers]
        if answered:
            await self.send(session, self.chance.choice(answered))

    # --- How ---

    def _window(self, hubs: Sequence[str], days: int, **more: object) -> ScheduleCommsHubFirmware:
        start = self._load.clock.now() + _DAY
        window = Period(start, start + days * _DAY)
        return ScheduleCommsHubFirmware(FIRMWARE, window, Phase.GENERAL, tuple(hubs), **more)  # type: ignore[arg-type]

    def some(self, count: int) -> list[str]:
        return self.chance.sample(self.known, count)

    def _waiting(self, count: int) -> list[str]:
        found, self.to_answer = self.to_answer[:count], self.to_answer[count:]
        return found

    async def ask(self, session: aiohttp.ClientSession, variant: str, body: Body, hubs: Sequence[str]) -> Asked:
        asked = self.prepared(variant, body, hubs)
        await self.send(session, asked)
        return asked

    def prepared(self, variant: str, body: Body, hubs: Sequence[str], *, preceding: str | None = None) -> Asked:
        """A request that is going to be sent, and has to be in the inbox then."""
        asked = self.written(variant, body, hubs, preceding=preceding)
        self.asked.append(asked)
        return asked

    def written(self, variant: str, body: Body, hubs: Sequence[str], *, preceding: str | None = None) -> Asked:
        """A request, signed, under a RequestID of its own."""
        self._counter += 1
        request_id = f"{self._eui}:{self._load.broker}:{self._counter}"
        root = build_request(
            schema_version="5.4",
            request_id=request_id,
            command_variant=8,
            service_reference=variant,
            service_reference_variant=variant,
            body=body,
            preceding_request_id=None if preceding is None else RequestId.parse(preceding),
        )
        return Asked(request_id, self.name, variant, frozenset(hubs), self._signer.sign(root))

    async def send(self, session: aiohttp.ClientSession, asked: Asked) -> None:
        answer = await self.post(session, asked.data)
        if not asked.answers:
            asked.follows = answer.follows
        asked.answers.append(answer.body)
        asked.statuses.append(answer.status)

    async def post(self, session: aiohttp.ClientSession, data: bytes, service: str = "serviceD") -> HttpAnswer:
        """What bytes are answered by whichever process takes them."""
        urls = [f"{url}/api/v1/{service}" for url in self._load.urls]
        answer = await post_until_answered(session, urls, data, first=self._load.tries)
        self._load.tries += answer.tries
        self._load.answered += 1
        return answer


class Load:
    """All Suppliers of an instance that is served at `urls`."""

    def __init__(
        self,
        instance: Surrounded,
        directory: Path,
        urls: Sequence[str],
        homes: Sequence[Home],
        seed: int,
        *,
        at_once: int,
        pause: float = PAUSE_SECONDS,
        more: Callable[[Supplier], Sequence[Deed]] = lambda _: (),
        connect: Connect = lambda _: _session(),
    ) -> None:
        """`at_once` is how many requests of one Supplier are under way at a time, `pause` the seconds between them.

        `more` says what a Supplier does beside 11.5 to 11.9, `connect` how it connects.
        """
        self._at_once = at_once
        self._connect = connect
        self.pause = pause
        self.more = more
        self.urls = urls
        self.clock: Clock = instance.clock
        self.broker = instance.configuration.policy.access_control_broker_eui
        self.homes = homes
        self.stopped = asyncio.Event()
        self.tries = 0
        """POSTs that were made, those without an answer among them."""
        self.answered = 0
        self.suppliers: dict[str, Supplier] = {}
        for name in NAMES:
            folder = directory / "pki" / name
            key = SoftwareKey.load(folder / "key.pem", folder / "certificate.pem")
            self.suppliers[name] = Supplier(name, self, key, seed)

    async def run(self) -> None:
        """Send until `stopped`; every request that was sent has been answered then."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            for name, supplier in self.suppliers.items():
                for _ in range(self._at_once):
                    session = await stack.enter_async_context(self._connect(name))
                    group.create_task(supplier.act(session))

    async def repeat_all(self, most: int | None = None) -> None:
        """Send everything once more, or so many requests of each Supplier."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            for name, supplier in self.suppliers.items():
                session = await stack.enter_async_context(self._connect(name))
                group.create_task(supplier.repeat_all(session, most))

    @property
    def asked(self) -> list[Asked]:
        return [one for supplier in self.suppliers.values() for one in supplier.asked]


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
