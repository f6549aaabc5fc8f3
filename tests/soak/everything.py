"""All that goes on beside requests, console and kills: changes of Supplier, TLS, webhooks, quarantine, pruning, CSPs.

Each is counted, and a soak that is long enough fails if one of them did not happen.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import aiohttp

from sr_engine.bootstrap import Instance
from sr_engine.operations.api_tokens import TokenDesk
from sr_engine.replay.homes import Home
from sr_engine.store.api_tokens import Scope
from tests.crash.country import NAMES
from tests.crash.evidence import Evidence, Move
from tests.crash.invariants import VOID
from tests.crash.load import Load
from tests.crash.processes import Nursery
from tests.crash.telling import CAME
from tests.soak.certificates import PEOPLE, Certificates
from tests.soak.csps import Csps
from tests.soak.hooks import Hook
from tests.soak.moves import Moving
from tests.soak.pruning import Pruner
from tests.soak.quarantine import Operator
from tests.soak.site import Plan

CSPS_END_FROM_SECONDS = 120.0
"""What a CSP that was killed had taken is Missed after the end of its window, which may be two minutes away."""
LEFT_FROM_SECONDS = 240.0
"""What is left in quarantine waits for a minute and a half."""
HOOKED = (NAMES[0], NAMES[1])
"""Suppliers that have changes sent to them."""
CHANGES, UNDER_WAY = "changes of Supplier", "changes of Supplier while an upgrade was under way"
VOIDED, TOLD = "answers made void by them", "alerts to whoever gained a meter"
OVER_TLS = "requests and messages of CSPs over TLS, each with a certificate"
RENEWALS, REVOKED = "renewals of all certificates", "connections with a revoked certificate, turned away"
HOOKS, HOOKS_DOWN = "messages to webhooks", "receivers of webhooks killed"
HOOKED_CHANGES = "changes sent to webhooks"
QUARANTINED, RELEASED, DELETED = "requests in quarantine", "released from quarantine", "deleted from quarantine"
LEFT = "left in quarantine for too long"
DATED = "requests that waited for their date or another"
PRUNED, PRUNED_AFTERWARDS, PRUNES = "lines pruned meanwhile", "lines pruned afterwards", "runs of sr-engine prune"
CSPS_ENDED, LISTS = "CSP processes killed or told to stop", "lists that CSP processes have taken"
FROM_SECONDS = {
    CHANGES: 30,
    UNDER_WAY: 60,
    VOIDED: 60,
    TOLD: 60,
    OVER_TLS: 0,
    RENEWALS: 10,
    REVOKED: 10,
    HOOKS: 10,
    HOOKS_DOWN: 60,
    HOOKED_CHANGES: 10,
    QUARANTINED: 60,
    RELEASED: 180,
    DELETED: 300,
    LEFT: 900,
    DATED: 30,
    PRUNED: 400,
    PRUNED_AFTERWARDS: 0,
    PRUNES: 10,
    CSPS_ENDED: 120,
    LISTS: 30,
}
"""What has to have happened in a soak of so many seconds."""


def missing(parts: Counter[str], seconds: float) -> list[str]:
    """What should have happened in so many seconds, and has not."""
    return [f"{name}: none" for name, least in FROM_SECONDS.items() if seconds >= least and not parts[name]]


@dataclass
class Everything:
    """All of it, over gateways at `urls`, of which the first is not killed."""

    plan: Plan
    instance: Instance
    certificates: Certificates
    csps: Csps
    pruner: Pruner
    load: Load
    homes: Sequence[Home]
    nursery: Nursery
    urls: Sequence[str]
    ports: Sequence[int]
    """For the receivers of webhooks."""
    faults: Counter[tuple[str, str]]
    wrong: list[str]
    used: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        plan, url = self.plan, self.urls[0]
        self._hooks: list[Hook] = []
        self.operator = Operator(url, plan.seed, plan.seconds >= LEFT_FROM_SECONDS, self.used, self.wrong)
        desk = TokenDesk(self.instance.draw_id, self.instance.randbelow)
        feed = self.instance.transactions.run_now(
            lambda uow: desk.create(uow, "soak-registrations", None, (Scope.REGISTRATIONS,))
        )
        self.moving = Moving(
            url,
            feed.secret,
            self.load,
            self.homes,
            self.instance.clock,
            self.nursery,
            plan.directory,
            plan.seed,
            used=self.used,
            wrong=self.wrong,
        )

    @property
    def moves(self) -> list[Move]:
        """In the order of their dates."""
        return sorted(self.moving.moves, key=lambda one: one.effective)

    def people(self) -> aiohttp.ClientSession:
        """Over TLS with the certificate of somebody who is no User."""
        return self.certificates.session(PEOPLE, random.Random(f"{self.plan.seed} people"))

    async def subscribe(self, stack: AsyncExitStack, tokens: dict[str, str]) -> None:
        """Have changes sent, by tokens of the interface for CRM systems."""
        for name, port in zip(HOOKED, self.ports, strict=True):
            session = await stack.enter_async_context(self.people())
            session.headers["Authorization"] = f"Bearer {tokens[name]}"
            chance = random.Random(f"{self.plan.seed} webhook of {name}")
            hook = Hook(name, port, f"{self.urls[0]}/api/v2", session, chance, self.used, self.wrong)
            stack.push_async_callback(hook.close)
            await hook.subscribe()
            self._hooks.append(hook)

    async def run(self, port: int, stopped: asyncio.Event) -> None:
        """All of it until `stopped`; nothing is left half done. The first gateway is at `port`."""
        seconds = self.plan.seconds
        async with self.people() as session, asyncio.TaskGroup() as group:
            for hook in self._hooks:
                group.create_task(hook.run(stopped))
            group.create_task(self.moving.run(session, min(2.0, seconds / 15), stopped))
            group.create_task(self.operator.run(session, min(2.0, seconds / 10), stopped))
            group.create_task(self.certificates.run(port, min(45.0, seconds / 3), stopped))
            group.create_task(self.pruner.run(min(40.0, seconds / 2), stopped))
            if seconds >= CSPS_END_FROM_SECONDS:
                chance = random.Random(f"{self.plan.seed} CSPs")
                group.create_task(self.csps.come_and_go(chance, min(20.0, seconds / 8), self.faults, stopped))

    async def decide_all(self) -> None:
        """Nothing is left in quarantine."""
        async with self.people() as session:
            await self.operator.decide_all(session, for_good=True)

    async def settle(self) -> None:
        """All changes have come to webhooks."""
        moves = {one.hub: one for one in self.moves}
        await asyncio.gather(*(hook.settle(moves) for hook in self._hooks))

    def counts(self, evidence: Evidence) -> Counter[str]:
        """How much of each there was."""
        came = {(hub, one.detail) for one in evidence.records if one.action == CAME for hub in one.hubs}
        quarantined = [one for one in evidence.held if one.was_quarantined]
        ended = sum(times for (_, who), times in self.faults.items() if who.startswith("CSP "))
        found: dict[str, int] = {
            CHANGES: len(came),
            UNDER_WAY: sum(one.under_way for one in self.moves if (one.hub, one.gains) in came),
            VOIDED: sum(len(one.hubs) for one in evidence.records if one.action == VOID),
            TOLD: sum(one.event == "change_of_supplier" for one in evidence.alerted),
            OVER_TLS: self.load.answered + sum(len(one.statuses) for one in evidence.of_csps),
            HOOKED_CHANGES: sum(len(one.taken) for one in self._hooks),
            QUARANTINED: len(quarantined),
            RELEASED: sum(one.word == "released" for one in quarantined),
            DELETED: sum(one.word == "deleted" for one in quarantined),
            LEFT: sum(not one.word for one in quarantined),
            DATED: len(evidence.held) - len(quarantined),
            CSPS_ENDED: ended,
            LISTS: self.csps.counted()["lists"],
        }
        return Counter(dict(_in_order(found | dict(self.used) | dict(self.pruner.used) | dict(self.certificates.used))))


def _in_order(found: dict[str, int]) -> Iterator[tuple[str, int]]:
    """First what has to be there, in its order."""
    for name in (*FROM_SECONDS, *sorted(found.keys() - FROM_SECONDS.keys())):
        yield name, found.get(name, 0)
