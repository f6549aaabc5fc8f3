"""The soak: an instance with everything on, under mixed traffic, its processes killed at random; then the judgement."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sr_engine.delivery.telling import remind
from tests.crash.collecting import collect
from tests.crash.country import suppliers
from tests.crash.evidence import Evidence
from tests.crash.invariants import violations
from tests.crash.load import Load
from tests.crash.processes import Nursery
from tests.crash.receivers import Receivers, behaviour_of
from tests.crash.stage import dispose, rest
from tests.ports import reserved_port
from tests.soak import faces
from tests.soak.certificates import PEOPLE, Certificates
from tests.soak.csps import Csps, euis_of_csps
from tests.soak.everything import HOOKED, Everything
from tests.soak.everything import missing as nothing_of
from tests.soak.faces import Faces
from tests.soak.growth import Growth, growths, not_judged
from tests.soak.judging import CHECKS
from tests.soak.pruning import Pruner
from tests.soak.sampling import Sampler
from tests.soak.seats import KILLED, Faults, Seat
from tests.soak.site import Plan, make_site
from tests.soak.traffic import Mixed, mixed_homes

LONG_SECONDS = 60.0
"""A soak that is so long has to have met a night in which the clocks change."""
AT_ONCE, PAUSE_SECONDS = 2, 0.3
HUBS_PER_SECOND = 20
"""Hubs that are scheduled for the first time: there are as many as the traffic asks for, and some."""
_HUBS_AT_FIRST = 400
_REPEATED = 1_000
"""Requests of each Supplier that are sent once more in the end."""
_FAULT_PAUSE_SECONDS, _FAULTS_AT_LEAST = 5.0, 8
LOSING_FROM_SECONDS, REST_WITHIN_SECONDS = 120.0, 240.0
"""What is never reported is Missed after the end of its window, which may be two minutes away."""
_SAMPLES = 600
STEADY = ("gateway 1", "worker 1")
"""Those that are never ended: of a soak that is long enough, their growth has to be told."""
_DOWN = "supplier-b"
_DOWN_SECONDS, _UP_SECONDS = (0.5, 3.0), (4.0, 15.0)
_LONDON = ZoneInfo("Europe/London")
_ALL_PERCENT = 25
"""Of the gateways that are killed: they do all the rest, too."""


@dataclass(frozen=True, slots=True)
class Soaked:
    """What came of it."""

    plan: Plan
    began: datetime
    ended: datetime
    """By the clock of the instance, of the traffic."""
    seconds: float
    """Of all of it, settling and judging included."""
    exchanges: int
    posts: int
    codes: Counter[tuple[str, str]]
    """By Service Request and what it was answered first."""
    statuses: Counter[int]
    """Of all answers but 503, which is busy or about to stop, and sent again."""
    refused: Counter[str]
    used: Counter[str]
    faults: Counter[tuple[str, str]]
    csps: Counter[str]
    parts: Counter[str]
    """How much there was of all that has to be on."""
    sampler: Sampler
    growths: Sequence[Growth]
    evidence: Evidence
    violations: Sequence[str]
    """What the invariants found."""
    wrong: Sequence[str]
    """What else should not have been."""

    @property
    def clock_changes(self) -> Sequence[datetime]:
        """Nights of the soak in which the clocks were changed."""
        return clock_changes(self.began, self.ended)

    @property
    def kills(self) -> int:
        return sum(times for (deed, _), times in self.faults.items() if deed == KILLED)

    @property
    def objections(self) -> list[str]:
        """All for which the soak has failed."""
        growing = [one for growth in self.growths for one in growth.objections()]
        failures = [f"{times} answers were {status}" for status, times in self.statuses.items() if status >= 500]
        long = self.plan.seconds >= LONG_SECONDS
        missing = ["no night in which the clocks change was part of it"] if long and not self.clock_changes else []
        missing += not_judged(self.growths, STEADY, self.plan.seconds)
        missing += nothing_of(self.parts, self.plan.seconds)
        return [*self.violations, *self.wrong, *failures, *growing, *missing]


def clock_changes(began: datetime, ended: datetime) -> list[datetime]:
    """A moment within an hour after each change of the clocks in London between two moments."""
    found, moment = [], began
    while (later := moment + timedelta(hours=1)) <= ended:
        if moment.astimezone(_LONDON).utcoffset() != later.astimezone(_LONDON).utcoffset():
            found.append(later)
        moment = later
    return found


def soak(plan: Plan) -> Soaked:
    """Let it run, let all come to rest, and judge."""
    return asyncio.run(_soak(plan))


async def _soak(plan: Plan) -> Soaked:
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        nursery = Nursery()
        opening = asyncio.create_task(nursery.open())
        stack.push_async_callback(nursery.close)
        euis = euis_of_csps()
        ports = [stack.enter_context(reserved_port()) for _ in range(3 + len(HOOKED) + len(euis))]
        urls = [f"https://127.0.0.1:{port}" for port in ports[:2]]
        certificates = Certificates(
            plan.directory.with_name("tls"), {one.name: one.eui for one in suppliers("")} | euis
        )
        chance = random.Random(f"{plan.seed} connections")
        csps = Csps(plan.seed, lambda name: certificates.session(name, chance), ports[2])
        stack.push_async_callback(csps.close)
        await csps.listen(certificates.receiving)
        homes = mixed_homes(_HUBS_AT_FIRST + round(HUBS_PER_SECOND * plan.seconds))
        instance = make_site(plan, certificates, csps.url, ports[0], homes)
        stack.callback(dispose, instance)
        await opening
        mixed, faults_done = Mixed(), Counter[tuple[str, str]]()
        wrong = certificates.wrong
        load = Load(
            instance,
            plan.directory,
            urls,
            homes,
            plan.seed,
            at_once=AT_ONCE,
            pause=PAUSE_SECONDS,
            more=mixed.deeds,
            connect=lambda name: certificates.session(name, chance),
        )
        pruner = Pruner(instance, plan.directory, nursery, wrong=wrong)
        everything = Everything(
            plan,
            instance,
            certificates,
            csps,
            pruner,
            load,
            homes,
            nursery,
            urls,
            ports[-len(HOOKED) :],
            faults_done,
            wrong,
        )
        tokens = faces.add_people(instance)
        people = Faces(urls[0], certificates.context(PEOPLE), tokens, homes, plan.seed, everything.moving.hubs)
        seats = _seats(plan, nursery, ports, wrong)
        of_csps = dict(zip(euis, ports[3:], strict=False))
        await asyncio.gather(
            *(seat.start() for seat in seats),
            csps.open(
                instance,
                plan.directory,
                urls,
                nursery=nursery,
                ports=of_csps,
                habits=_habits(plan),
                wrong=wrong,
            ),
        )
        await everything.subscribe(stack, tokens)
        plan.say(f"{len(homes):,} hubs are there, and {len(seats) + len(of_csps)} processes serve")
        sampler = Sampler(
            instance,
            lambda: {seat.life: seat.process for seat in seats if seat.is_up},
            lambda: load.answered,
            max(0.25, plan.seconds / _SAMPLES),
        )
        faults = Faults(
            seats,
            random.Random(f"{plan.seed} faults"),
            min(_FAULT_PAUSE_SECONDS, plan.seconds / _FAULTS_AT_LEAST),
            faults_done,
        )
        first = instance.clock.now()
        try:
            await _traffic(plan, sampler, ports[0], load=load, people=people, faults=faults, everything=everything)
        except* Exception as failures:
            # What is left is judged all the same: the page says what it was.
            load.stopped.set()
            wrong += [f"the traffic ended: {type(one).__name__}: {one}" for one in _each(failures)]
            for seat in (*seats, *(one.seat for one in csps.desks.values())):
                if not seat.is_up:
                    await seat.start()
        last = instance.clock.now()
        plan.say(f"{load.answered:,} exchanges, {faults.done.total()} faults; now it comes to rest")
        await everything.decide_all()
        await rest(instance, csps, whole=True, within=REST_WITHIN_SECONDS)
        await load.repeat_all(_REPEATED)
        # What crosses a threshold by being sent again is held no second time, but something else of that hour may be.
        await everything.decide_all()
        await csps.stop_acting()
        at_rest = await rest(instance, csps, whole=False)
        await everything.settle()
        await asyncio.gather(*(seat.stop() for seat in seats))
        # What has happened by itself since everything was at rest is still to be told.
        instance.transactions.run_now(remind)
        await pruner.finish()
        evidence = collect(instance, load, csps, homes, at_rest, acted=people.acted, moves=everything.moves)
        return Soaked(
            plan,
            first,
            last,
            time.monotonic() - began,
            load.answered,
            load.tries,
            Counter((one.variant, one.code) for one in evidence.sent),
            Counter(status for one in load.asked for status in one.statuses),
            mixed.refused,
            people.used,
            faults.done,
            csps.counted(),
            everything.counts(evidence),
            sampler,
            growths(sampler.samples),
            evidence,
            violations(evidence, CHECKS),
            [*wrong, *mixed.wrong, *people.wrong],
        )


async def _traffic(
    plan: Plan, sampler: Sampler, port: int, *, load: Load, people: Faces, faults: Faults, everything: Everything
) -> None:
    """Everybody at once, for as long as it is to last; then nobody, and all processes are there."""
    watching = asyncio.create_task(sampler.run())
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            group.create_task(people.run(load.stopped))
            group.create_task(faults.run(load.stopped))
            group.create_task(everything.run(port, load.stopped))
            group.create_task(_come_and_go(everything.csps, random.Random(f"{plan.seed} down"), load.stopped))
            until = time.monotonic() + plan.seconds
            told = time.monotonic()
            while (left := until - time.monotonic()) > 0:
                await asyncio.sleep(min(1.0, left))
                if time.monotonic() - told > 60:
                    told = time.monotonic()
                    plan.say(f"  {left:.0f} s left, {load.answered:,} exchanges, {faults.done.total()} faults")
            load.stopped.set()
    finally:
        watching.cancel()
    await asyncio.wait([watching])
    if not watching.cancelled() and (failure := watching.exception()) is not None:
        raise failure


def _each(failures: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for one in failures.exceptions:
        if isinstance(one, BaseExceptionGroup):
            yield from _each(one)
        else:
            yield one


async def _come_and_go(receivers: Receivers, chance: random.Random, stopped: asyncio.Event) -> None:
    """One Supplier cannot be reached now and then, until `stopped`; then it can."""
    while not stopped.is_set():
        for away, (least, most) in ((False, _UP_SECONDS), (True, _DOWN_SECONDS)):
            receivers.down = {_DOWN} if away and not stopped.is_set() else set()
            try:
                async with asyncio.timeout(chance.uniform(least, most)):
                    await stopped.wait()
            except TimeoutError:
                continue
    receivers.down = set()


def _habits(plan: Plan) -> Sequence[str]:
    """As in the crash matrix; in a soak that is long enough, now and then the outcome of a hub is never reported."""
    habits = behaviour_of(plan.seed)
    shares = {
        "refuse": habits.refuse,
        "fail": habits.fail,
        "late": habits.late,
        "out-of-order": habits.out_of_order,
        "duplicate": habits.duplicate,
        "lose": 1 if plan.seconds >= LOSING_FROM_SECONDS else 0,
    }
    return [word for name, share in shares.items() for word in (f"--{name}", str(share))] + ["--seed", str(plan.seed)]


def _seats(plan: Plan, nursery: Nursery, ports: Sequence[int], wrong: list[str]) -> list[Seat]:
    chance = random.Random(f"{plan.seed} roles")
    kept, killed = ports[:2]
    serve = ("serve", "--dir", str(plan.directory))

    def gateway() -> Sequence[str]:
        role = "all" if chance.random() * 100 < _ALL_PERCENT else "gateway"
        return (*serve, "--role", role, "--port", str(killed))

    def seat(name: str, arguments: Callable[[], Sequence[str]], *, steady: bool) -> Seat:
        return Seat(name, arguments, nursery, plan.directory, wrong, steady)

    return [
        seat("gateway", lambda: (*serve, "--role", "gateway", "--port", str(kept)), steady=True),
        seat("worker", lambda: (*serve, "--role", "worker"), steady=True),
        seat("second gateway", gateway, steady=False),
        seat("second worker", lambda: (*serve, "--role", "worker"), steady=False),
    ]
