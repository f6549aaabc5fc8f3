"""Plays the campaign of one release: time jumps from event to event, and everything is done by the real processor."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from heapq import heappop, heappush
from itertools import count
from pathlib import Path

from signing import Signer, SoftwareKey
from sr_engine.bootstrap import csp_desk_of, phases_of, processor_of, triggers
from sr_engine.configuration import Region
from sr_engine.domain.phases import PhasePlan
from sr_engine.domain.terms import Management, Obligation
from sr_engine.gateway.csp import AdmittedCspMessage
from sr_engine.instance import folder_name
from sr_engine.messages.model import Period
from sr_engine.national import country as homes
from sr_engine.national.comparison import Regime
from sr_engine.national.country import FIRMWARE, IMAGE_HASH, OLD_VERSION, Country, Move, hubs_to_upgrade
from sr_engine.national.csps import Csp, Write, behaviour_of
from sr_engine.national.offices import Office
from sr_engine.national.parameters import Parameters
from sr_engine.national.post import Post, Receive
from sr_engine.national.running import EVERY_REGION, AtOnce, Forecast, Say, Stopwatch
from sr_engine.national.setting_up import Stage, regions_of
from sr_engine.operations import terms
from sr_engine.operations.phases import resume
from sr_engine.operations.registrations import receive_feed
from sr_engine.operations.releases import open_release
from sr_engine.pipeline.process import Admitted
from sr_engine.regions.calendar import cut_time, open_periods
from sr_engine.regions.triggers import Trigger
from sr_engine.store import campaign as store
from sr_engine.store import phases
from sr_engine.store.reading import Reading
from sr_engine.store.units_of_work import UnitOfWork

_DAY = timedelta(days=1)
_TELL_EVERY_DAYS = 7
Act = Callable[[], Awaitable[None]]


class CampaignFailed(Exception):
    """The processor did what it must not do; the text says what."""


@dataclass(frozen=True, slots=True)
class Played:
    """What is known of a campaign beside its database."""

    release_id: str
    opened_at: datetime
    ended_at: datetime
    answers: Counter[str]
    """Answers to Service Requests, by Service Request and code."""
    alerts_taken: int
    signatures_verified: int
    """Of these by Suppliers."""
    lists_taken: int
    halts: int
    seconds: float
    """Of wall time, from the opening to the end."""
    cpu_seconds_of: Mapping[str, float]
    """Of processor time in this process, by kind of work."""


@dataclass(slots=True)
class Campaign:
    """One release in one country under one regime."""

    stage: Stage
    parameters: Parameters
    country: Country
    regime: Regime
    seed: int
    say: Say
    _events: list[tuple[datetime, int, str, Act]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)
    _spent: dict[str, float] = field(default_factory=dict)
    _halts: int = 0
    _csp_messages_due: int = 0
    _looked_at: dict[str, datetime] = field(default_factory=dict)
    """Regions, and when their triggers last looked for due work."""
    _opened_at: datetime = field(init=False)
    _release_id: str = field(init=False)
    _forecast: Forecast = field(default_factory=Forecast)
    _hopeful: int = field(init=False)
    """Hubs that will be upgraded if all goes well."""
    _offices: list[Office] = field(init=False)
    _csps: dict[str, Csp] = field(init=False)
    _post: Post = field(init=False)
    _known_moves: dict[int, list[Move]] = field(init=False)
    _moves: dict[int, list[Move]] = field(init=False)
    _triggers: dict[str, Trigger] = field(init=False)

    def __post_init__(self) -> None:
        self._opened_at = self.parameters.campaign.starts_at

    def play(self) -> Played:
        """Play it to its end; raises CampaignFailed."""
        started = time.perf_counter()
        compelled = self.regime is not Regime.VOLUNTARY
        self._hopeful = hubs_to_upgrade(self.country, compulsory=compelled)
        self._take_places()
        asyncio.run(self._run())
        answers: Counter[str] = Counter()
        for office in self._offices:
            answers += office.answers
        return Played(
            self._release_id,
            self._opened_at,
            self.stage.clock.now(),
            answers,
            sum(office.taken for office in self._offices),
            sum(office.verified for office in self._offices),
            sum(csp.lists for csp in self._csps.values()),
            self._halts,
            time.perf_counter() - started,
            self._spent,
        )

    # --- Who takes part ---

    def _take_places(self) -> None:
        instance, parameters = self.stage.instance, self.parameters
        broker = instance.configuration.policy.access_control_broker_eui
        self._offices = [
            Office(
                index,
                seed.eui,
                broker,
                self._signer(seed.name),
                instance.verifier,
                self.country,
                parameters.campaign,
                parameters.suppliers[index].schedules_after_days,
                parameters.suppliers[index].waves,
                schedules=self.regime is not Regime.DCC_MANAGED,
            )
            for index, seed in enumerate(self.stage.suppliers)
        ]
        numbers: defaultdict[str, count[int]] = defaultdict(lambda: count(1))
        self._csps = {
            name: Csp(
                name,
                region.csp_eui,
                broker,
                self._signer(folder_name(region.csp_name)),
                instance.verifier,
                behaviour_of(parameters.csp, self.seed),
                numbers[region.csp_eui],
            )
            for name, region in self._regions().items()
        }
        receivers: dict[str, Receive] = {f"user:{office.eui}": office.take for office in self._offices}
        receivers |= {f"csp:{name}": partial(self._list_arrives, csp) for name, csp in self._csps.items()}
        reading = Reading(instance.reading_engine)
        policy = instance.configuration.policy.delivery
        self._post = Post(instance.transactions, reading, self.stage.clock, policy, receivers)
        self._moves, self._known_moves = defaultdict(list), defaultdict(list)
        known_before = parameters.country.moves_known.days
        for move in self.country.moves:
            self._moves[move.day].append(move)
            self._known_moves[move.day - known_before].append(move)

    def _signer(self, folder: str) -> Signer:
        keys = self.stage.directory / "pki" / folder
        return Signer(SoftwareKey.load(Path(keys / "key.pem"), Path(keys / "certificate.pem")))

    def _regions(self) -> dict[str, Region]:
        return regions_of(self.stage, self.parameters)

    # --- What happens ---

    async def _run(self) -> None:
        clock = self.stage.clock
        asyncio.get_running_loop().set_default_executor(AtOnce())
        self._triggers = {trigger.name: trigger for trigger in triggers(self.stage.instance, lambda: None)}
        with self._spending("open"):
            await self.stage.instance.transactions.run(self._open, heavy=True)
            await self._post.deliver()
        self.say(f"the release is opened for {len(self.country):,} hubs")
        for name, region in self._regions().items():
            self._follow(name, self._nights(region))
            await self._look(name)
        for day in self._moves:
            self._at(self._midnight + day * _DAY, "registrations", partial(self._move, day))
        self._at(self._opened_at, "day", partial(self._day, 0))
        try:
            while self._events:
                at, _, kind, act = heappop(self._events)
                clock.set(max(at, clock.now()))
                with self._spending(kind):
                    await act()
                with self._spending("deliver"):
                    await self._post.deliver()
        finally:
            await self.stage.instance.transactions.close()

    def _at(self, moment: datetime, kind: str, act: Act) -> None:
        heappush(self._events, (moment, next(self._order), kind, act))

    def _open(self, work: UnitOfWork) -> None:
        instance, campaign = self.stage.instance, self.parameters.campaign
        plan = PhasePlan(
            pilot_limit=None,
            pilot_closes=self._opened_at + (campaign.pilot_from_days + campaign.pilot_days) * _DAY,
            soak=campaign.soak,
            automatic_gate=True,
            failure_percent=campaign.failure_percent,
            minimum_sample=campaign.minimum_sample,
        )
        release, _ = open_release(
            work,
            configuration=instance.configuration,
            alerts=instance.alerts,
            draw_id=instance.draw_id,
            firmware=FIRMWARE,
            image_hash=IMAGE_HASH,
            regions=list(self._regions()),
            reachable_from=(OLD_VERSION,),
            general_open=False,
            phase_plan=plan,
        )
        self._release_id = release.release_id
        if self.regime is not Regime.VOLUNTARY:
            wanted = terms.Wanted(
                Obligation.MANDATORY if self.regime is Regime.MANDATORY else None,
                Management.DCC_MANAGED if self.regime is Regime.DCC_MANAGED else None,
                self.comply_by,
                None,
                "national simulation",
                (self._opened_at - _DAY).date(),
            )
            policy = instance.configuration.policy.compulsion
            terms.announce(work, firmware=FIRMWARE, wanted=wanted, policy=policy, alerts=instance.alerts)

    @property
    def _midnight(self) -> datetime:
        """The first moment of the day of the opening."""
        return self._opened_at.replace(hour=0, minute=0, second=0, microsecond=0)

    @property
    def comply_by(self) -> datetime:
        """By when every hub is to be upgraded, where that is compulsory."""
        return self._opened_at + self.parameters.terms.comply_by_days * _DAY

    def _nights(self, region: Region) -> Iterator[Period]:
        """The nights whose lists are cut after the opening."""
        end = self._opened_at + (self.parameters.campaign.longest_days + 1) * _DAY
        for period in open_periods(region, Period(self._opened_at, end)):
            if cut_time(region, period) > self._opened_at:
                yield period

    def _follow(self, name: str, nights: Iterator[Period]) -> None:
        """Look at the region again when the next list is due."""
        period = next(nights, None)
        if period is None:
            return

        async def cut() -> None:
            # Where nothing waits to be listed, the look of the day finds the night past and says nothing of it.
            if self._post.reading(lambda connection: store.is_anything_scheduled(connection, name)):
                await self._look(name)
            self._follow(name, nights)

        self._at(cut_time(self._regions()[name], period), "cut", cut)

    async def _look(self, name: str) -> None:
        """What a running processor does all the time is done once a day at least, and whenever a list is due."""
        self._looked_at[name] = self.stage.clock.now()
        await self._triggers[name].tick()

    async def _day(self, day: int) -> None:
        """One day: registrations, time-outs, and what Suppliers and the operator do in their offices."""
        now = self.stage.clock.now()
        if day % _TELL_EVERY_DAYS == 0:
            self._tell(now)
        await self._register(day)
        over = day > 0 and self._is_over(day, now)
        await self._triggers[EVERY_REGION].tick()
        for name in self._csps:
            if over or self._looked_at.get(name, self._opened_at) <= now - _DAY:
                await self._look(name)
        with self._spending("deliver"):
            await self._post.deliver()
        if over:
            self._events.clear()
            return
        for office in self._offices:
            for order in office.work(day, self._opened_at):
                with self._spending(order.variant):
                    answer = await self._answer(office.request(order))
                    office.answered(order, answer, now)
        await self._resume(now)
        self._at(self._opened_at + (day + 1) * _DAY, "day", partial(self._day, day + 1))

    def _tell(self, now: datetime) -> None:
        """How far it has come, by the hubs that are upgraded, for which most of the work is done."""
        done = self._post.reading(lambda connection: store.activated(connection, self._release_id))
        said = f"{now:%d %b %Y}: {done:,} hubs upgraded, {self._post.delivered:,} messages delivered"
        self.say(said + self._forecast(done, self._hopeful))

    def _is_over(self, day: int, now: datetime) -> bool:
        if day >= self.parameters.campaign.longest_days:
            return True
        if self.regime is not Regime.VOLUNTARY and now < self.comply_by:
            return False
        if self._csp_messages_due or any(office.has_plans for office in self._offices):
            return False
        return not self._post.reading(store.is_anything_open)

    async def _register(self, day: int) -> None:
        transactions = self.stage.instance.transactions
        known = self._known_moves.pop(day, ())
        rows = [row for move in known for row in homes.move_rows(self.country, move, self._midnight + move.day * _DAY)]
        if rows:
            await transactions.run(lambda work: receive_feed(work, rows), heavy=True)

    async def _move(self, day: int) -> None:
        """What becomes effective at midnight is carried out before lists are cut in the early hours."""
        for move in self._moves[day]:
            self.country.move(move)
        await self._triggers[EVERY_REGION].tick()

    async def _answer(self, request: bytes) -> bytes:
        """What the processor answers, by the steps of the gateway."""
        processor = processor_of(self.stage.instance)
        admitted = processor.admit("serviceD", request, self.stage.clock.now())
        if not isinstance(admitted, Admitted):
            raise CampaignFailed(f"a Service Request was turned away: {admitted}")
        answer = await self.stage.instance.transactions.run(lambda work: processor.execute(work, admitted), heavy=True)
        return answer.body

    async def _resume(self, now: datetime) -> None:
        """The operator resumes what has halted for so long."""
        waits = self.parameters.campaign.resumes_after_days * _DAY
        found = self._post.reading(lambda connection: phases.of_release(connection, self._release_id))
        machinery = phases_of(self.stage.instance)
        for name, phase in found.items():
            if phase.halted_at is not None and phase.halted_at + waits <= now:
                self._halts += 1
                await self.stage.instance.transactions.run(
                    lambda work, name=name: resume(work, machinery, FIRMWARE, name),  # type: ignore[misc]
                    heavy=True,
                )

    # --- The CSPs ---

    def _list_arrives(self, csp: Csp, data: bytes, now: datetime) -> None:
        for at, write in csp.take(data, now):
            self._csp_messages_due += 1
            self._at(at, "CSP", partial(self._csp_says, csp, write))

    async def _csp_says(self, csp: Csp, write: Write) -> None:
        self._csp_messages_due -= 1
        desk, now = csp_desk_of(self.stage.instance), self.stage.clock.now()
        for data in write(now):
            admitted = desk.admit(data, now)
            if not isinstance(admitted, AdmittedCspMessage):
                raise CampaignFailed(f"a message of the CSP of {csp.region} was turned away: {admitted}")
            answer = await self.stage.instance.transactions.run(
                lambda work, admitted=admitted: desk.execute(work, admitted),  # type: ignore[misc]
                heavy=True,
            )
            if answer.status >= 300:
                raise CampaignFailed(f"a message of the CSP of {csp.region} was answered {answer.status}")

    def _spending(self, kind: str) -> Stopwatch:
        return Stopwatch(self._spent, kind)
