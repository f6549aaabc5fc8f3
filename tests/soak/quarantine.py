"""Requests that cross a User's anomaly threshold, and the operator who releases them, refuses them or lets them be."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp

from sr_engine.bootstrap import Instance
from sr_engine.domain.holding import Breach, Thresholds
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Decision,
    ExclusionAction,
    UpdateCommsHubFirmwareExclusion,
)
from sr_engine.operations.quarantine import set_thresholds
from tests.crash.country import FIRMWARE, NAMES
from tests.crash.load import Deed, Supplier
from tests.soak.asking import ask_until_answered

TOKEN = "operator-of-the-soak"
WATCHED = NAMES[2]
"""Whose threshold is crossed now and then."""
DEVICES_AN_HOUR = 60
"""What its other requests name in an eighth of a second does not come near."""
HOURS = 720
"""How long a request waits: a minute and a half here."""
_MANY, _OFTEN = 70, 5
_RELEASED, _DELETED, _LEFT = "released", "deleted", "left"


def watch(instance: Instance) -> None:
    """Set the threshold."""
    (user,) = instance.users.users_of(WATCHED)
    wanted = Thresholds(None, DEVICES_AN_HOUR)
    instance.transactions.run_now(lambda uow: set_thresholds(uow, user.eui, Breach.DCC, wanted))


def deeds(supplier: Supplier) -> Sequence[Deed]:
    """What crosses it."""

    async def ask_for_too_much(session: aiohttp.ClientSession) -> None:
        hubs = supplier.some(_MANY)
        if supplier.chance.random() * 2 < 1:
            await supplier.ask(
                session, "11.9", UpdateCommsHubFirmwareExclusion(ExclusionAction.INCLUDE, tuple(hubs)), hubs
            )
        else:
            await supplier.ask(session, "11.6", ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, tuple(hubs)), hubs)

    return [(_OFTEN, ask_for_too_much)] if supplier.name == WATCHED else []


@dataclass
class Operator:
    """Decides on what waits in quarantine, over HTTP at a gateway that is not killed."""

    url: str
    seed: int
    leaves: bool
    """Some are left, until they have waited too long: there has to be time for that."""
    used: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _left: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._chance = random.Random(f"{self.seed} quarantine")

    async def run(self, session: aiohttp.ClientSession, pause: float, stopped: asyncio.Event) -> None:
        """Look every so many seconds, until `stopped`."""
        while not stopped.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._chance.uniform(0.3, 1.7) * pause):
                    await stopped.wait()
            await self.decide_all(session)

    async def decide_all(self, session: aiohttp.ClientSession, *, for_good: bool = False) -> None:
        """Decide on all that waits; with `for_good` on what was left, too."""
        status, found = await self._ask(session, "GET", "/operator/quarantine")
        if status != HTTPStatus.OK:
            self.wrong.append(f"the operator was answered {status}: {found}")
            return
        for one in found["quarantined"]:
            reference = one["quarantine_event_ref"]
            if one["decided"] or (reference in self._left and not for_good):
                continue
            (word,) = self._chance.choices((_RELEASED, _DELETED, _LEFT), (65, 25, 10 if self.leaves else 0))
            if word == _LEFT and not for_good:
                self._left.add(reference)
                continue
            await self._decide(session, reference, release=word != _DELETED)

    async def _decide(self, session: aiohttp.ClientSession, reference: str, *, release: bool) -> None:
        path = f"/operator/quarantine/{reference}/{'release' if release else 'delete'}"
        status, said = await self._ask(session, "POST", path)
        # One that has waited too long meanwhile is not there any more.
        if status >= HTTPStatus.BAD_REQUEST and status not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
            self.wrong.append(f"the operator's word on {reference} was answered {status}: {said}")

    async def _ask(self, session: aiohttp.ClientSession, method: str, path: str) -> tuple[int, Any]:
        return await ask_until_answered(session, method, self.url + path, headers={"Authorization": f"Bearer {TOKEN}"})
