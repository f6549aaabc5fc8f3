"""Changes of Supplier, announced by the registration feed, by the interface for CRM systems, and in files."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import aiohttp

from sr_engine.clock import Clock
from sr_engine.replay.homes import Home
from tests.crash.country import NAMES
from tests.crash.evidence import Move
from tests.crash.load import Load
from tests.crash.processes import Nursery
from tests.soak.asking import ask_until_answered

FEED_TOKEN = "registrations-of-the-soak"
_DAY = timedelta(days=1)
_TOGETHER = 3
_RECENT = 40
"""Requests of a Supplier that count as recent: what they asked for is under way, as a rule."""
_UNDER_WAY_PERCENT, _FAR_PERCENT, _LATE_PERCENT, _CANCELLED_PERCENT, _BOTH_PERCENT = 75, 25, 15, 30, 60
FEED, INTERFACE, FILE = "by the registration feed", "over the interface for CRM systems", "by a file"

Row = Mapping[str, object]


@dataclass
class Moving:
    """Announces changes of Supplier until told to stop; each home has one at most."""

    url: str
    """Of a gateway that is not killed."""
    token: str
    """For the interface for CRM systems."""
    load: Load
    homes: Sequence[Home]
    clock: Clock
    nursery: Nursery
    directory: Path
    seed: int
    moves: list[Move] = field(default_factory=list)
    used: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    hubs: set[str] = field(default_factory=set)
    """Those that have, or may have, another Supplier than at first."""

    def __post_init__(self) -> None:
        self._chance = random.Random(f"{self.seed} moves")
        self._by_hub = {home.chf: home for home in self.homes}

    async def run(self, session: aiohttp.ClientSession, pause: float, stopped: asyncio.Event) -> None:
        """Go on until `stopped`; what was announced is answered then."""
        while not stopped.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._chance.uniform(0.3, 1.7) * pause):
                    await stopped.wait()
                    return
            await self._announce(session)

    async def _announce(self, session: aiohttp.ClientSession) -> None:
        draw = self._chance.random() * 100
        now = self.clock.now()
        is_far = draw < _FAR_PERCENT
        days = self._chance.uniform(2, 12)
        if is_far:
            days = self._chance.uniform(14, 35)
        elif draw < _FAR_PERCENT + _LATE_PERCENT:
            days = -self._chance.uniform(0.1, 2)
        effective = (now + days * _DAY).replace(microsecond=0)
        chosen = [(home, under_way) for home, under_way in map(self._choose, range(_TOGETHER)) if home is not None]
        announced = [self._move(home, effective, now, under_way=under_way) for home, under_way in chosen]
        rows = [row for _, rows in announced for row in rows]
        if not rows:
            return
        self.hubs |= {move.hub for move, _ in announced}
        await self._send(session, rows)
        known = self.clock.now()
        some = [replace(move, known=known) for move, _ in announced]
        if is_far and self._chance.random() * 100 < _CANCELLED_PERCENT:
            await self._send(session, [{**row, "cancelled": True} for row in rows])
            if self.clock.now() < effective:
                self.used["changes of Supplier that were taken back"] += len(some)
                return
        self.moves += some
        for move in some:
            self.load.suppliers[move.gains].known.append(move.hub)
            self.load.suppliers[move.gains].to_answer.append(move.hub)

    def _choose(self, _: int) -> tuple[Home | None, bool]:
        """A home that has not changed hands, and whether an upgrade of it is under way."""
        if self._chance.random() * 100 < _UNDER_WAY_PERCENT:
            supplier = self.load.suppliers[self._chance.choice(NAMES)]
            recent = [one for one in supplier.asked[-_RECENT:] if one.variant == "11.5" and one.answers]
            hubs = sorted({hub for one in recent for hub in one.hubs} - self.hubs)
            if hubs:
                hub = self._chance.choice(hubs)
                self.hubs.add(hub)
                return self._by_hub[hub], True
        home = self._chance.choice(self.homes)
        if home.chf in self.hubs:
            return None, False
        self.hubs.add(home.chf)
        return home, False

    def _move(self, home: Home, effective: datetime, now: datetime, *, under_way: bool) -> tuple[Move, list[Row]]:
        electricity, gas = home.electricity or "", home.gas or ""
        others = [name for name in NAMES if name not in {electricity, gas}]
        gains = self._chance.choice(others)
        is_shared = electricity != gas
        both = not is_shared and self._chance.random() * 100 < _BOTH_PERCENT
        after = (gains, gains if both else gas) if both or is_shared else (electricity, gains)
        moved = [
            (mpxn, role, organisation)
            for mpxn, role, organisation, was in (
                (home.mpan, "IS", after[0], electricity),
                (home.mprn, "GS", after[1], gas),
            )
            if organisation != was
        ]
        rows: list[Row] = [
            {"mpxn": mpxn, "role": role, "organisation": organisation, "effective_from": effective.isoformat()}
            for mpxn, role, organisation in moved
        ]
        loses = electricity if both or is_shared else None
        earliest = max(effective, now)
        return Move(home.chf, len(rows), gains, loses, frozenset(after), effective, now, earliest, under_way), rows

    async def _send(self, session: aiohttp.ClientSession, rows: Sequence[Row]) -> None:
        ways: Mapping[str, Callable[[], Awaitable[str | None]]] = {
            FEED: lambda: self._post(session, "/registrations", rows, FEED_TOKEN),
            INTERFACE: lambda: self._post(session, "/api/v2/registrations", rows, self.token),
            FILE: lambda: self._import(rows),
        }
        (way,) = self._chance.choices(list(ways), (6, 3, 1))
        refused = await ways[way]()
        self.used[f"registrations {way}"] += len(rows)
        if refused is not None:
            self.wrong.append(f"registrations {way} were answered {refused}")

    async def _post(self, session: aiohttp.ClientSession, path: str, rows: Sequence[Row], token: str) -> str | None:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        status, said = await ask_until_answered(
            session, "POST", self.url + path, data=json.dumps(list(rows)), headers=headers
        )
        return None if status == HTTPStatus.NO_CONTENT else f"{status}: {said}"

    async def _import(self, rows: Sequence[Row]) -> str | None:
        text = io.StringIO()
        table = csv.writer(text)
        table.writerow(("mpxn", "role", "organisation", "effective_from", "cancelled"))
        for row in rows:
            cancelled = "yes" if row.get("cancelled") else "no"
            table.writerow((row["mpxn"], row["role"], row["organisation"], row["effective_from"], cancelled))
        path, log = self.directory / "registrations.csv", self.directory / "registrations.log"
        path.write_text(text.getvalue(), encoding="utf-8")
        arguments = ["registration", "import", "--dir", str(self.directory), str(path)]
        status = await self.nursery.end_of(await self.nursery.start(arguments, {}, log))
        return None if status == 0 else f"{status}: {log.read_text(encoding='utf-8')[-300:]}"
