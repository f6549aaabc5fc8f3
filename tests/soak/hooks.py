"""Receivers of webhooks that come and go, and readers of the same changes, by whom the former are judged."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

import aiohttp
from aiohttp import web

from sr_engine.api.sending import ID, is_genuine
from tests.crash.evidence import Move
from tests.soak.asking import ask_until_answered

_CARRIED_OUT_WITHIN = timedelta(days=3)
"""Nine seconds."""
_FOR_EVER = 10**10
"""Seconds: how old a message is says little where eight hours pass in a second."""
_REFUSED_PERCENT, _UNHEARD_PERCENT = 4, 4
"""Of messages: answered 500 and not taken, or taken and hung up on, so that they come again."""
_DOWN_SECONDS, _UP_SECONDS = (0.5, 4.0), (4.0, 15.0)
_READ_SECONDS, _COMES_WITHIN_SECONDS = 1.0, 60
_MOST_TOGETHER = 1_000


@dataclass(frozen=True, slots=True)
class Told:
    """A change."""

    identifier: str
    at: datetime
    hub: str | None = None
    what: str = ""

    @classmethod
    def of(cls, change: Mapping[str, Any]) -> Told:
        """As it stands in JSON."""
        at = datetime.fromisoformat(change["at"])
        return cls(change["id"], at, change["device_id"], f"{change['kind']} {change['what']}")

    def is_of(self, moves: Mapping[str, Move]) -> bool:
        """Whether it lies between the date of one of these changes of Supplier and its being carried out."""
        move = moves.get(self.hub or "")
        return move is not None and move.effective <= self.at <= move.latest + _CARRIED_OUT_WITHIN


@dataclass
class Hook:
    """A Supplier's receiver at a port, and the feed of changes of the same Supplier read over `session`."""

    name: str
    port: int
    url: str
    """Of the interface for CRM systems, without a slash at the end."""
    session: aiohttp.ClientSession
    chance: random.Random
    used: Counter[str]
    wrong: list[str]
    taken: dict[str, Told] = field(default_factory=dict)
    """By the ids of changes, in the order in which they came first."""
    read: dict[str, Told] = field(default_factory=dict)
    secret: str = ""
    _messages: set[str] = field(default_factory=set)
    _came: asyncio.Event = field(default_factory=asyncio.Event)
    _after: str = "beginning"
    _runner: web.AppRunner | None = None

    async def subscribe(self) -> None:
        """Have all changes sent here; the same again shows the same secret."""
        await self._listen()
        body = {"url": f"http://127.0.0.1:{self.port}/hook", "after": "beginning"}
        made = await self._ask("POST", "/webhooks", json=body, headers={"Idempotency-Key": f"soak-{self.name}"})
        self.secret = made["secret"]

    async def run(self, stopped: asyncio.Event) -> None:
        """Come and go, and read, until `stopped`; then it is there."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._come_and_go(stopped))
            group.create_task(self._follow(stopped))

    async def settle(self, moves: Mapping[str, Move]) -> None:
        """Read to the end, and wait until all of that has been sent; notes what has not, or in another order.

        What happened at a hub between the date of a change of Supplier and when that was known and carried out may be
        one Supplier's when it is read before, and another's, or nobody's, when it is read after that.
        """
        while await self._read():
            pass
        with suppress(TimeoutError):
            async with asyncio.timeout(_COMES_WITHIN_SECONDS):
                while any(one not in self.taken and not told.is_of(moves) for one, told in self.read.items()):
                    self._came.clear()
                    await self._came.wait()
        read, taken = ([one for one in told.values() if not one.is_of(moves)] for told in (self.read, self.taken))
        self.wrong += [f"webhook of {self.name}: {one}" for one in differences(read, taken)]

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # --- Receiving ---

    async def _listen(self) -> None:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def _come_and_go(self, stopped: asyncio.Event) -> None:
        while not stopped.is_set():
            for away, (least, most) in ((False, _UP_SECONDS), (True, _DOWN_SECONDS)):
                if away and not stopped.is_set():
                    await self.close()
                    self.used["receivers of webhooks killed"] += 1
                elif self._runner is None:
                    await self._listen()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.chance.uniform(least, most)):
                        await stopped.wait()
        if self._runner is None:
            await self._listen()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not is_genuine(self.secret, request.headers, body, 0, window=_FOR_EVER):
            self.wrong.append(f"webhook of {self.name}: a message was not signed as it has to be")
        if is_genuine(self.secret, request.headers, body + b" ", 0, window=_FOR_EVER):
            self.wrong.append(f"webhook of {self.name}: a signature is good for other bytes")
        draw = self.chance.random() * 100
        if draw < _REFUSED_PERCENT:
            return web.Response(status=HTTPStatus.INTERNAL_SERVER_ERROR)
        again = request.headers[ID] in self._messages
        self._messages.add(request.headers[ID])
        self.used["messages to webhooks, repeated" if again else "messages to webhooks"] += 1
        for one in json.loads(body)["changes"]:
            self.taken.setdefault(one["id"], Told.of(one))
        self._came.set()
        if draw < _REFUSED_PERCENT + _UNHEARD_PERCENT:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    # --- Reading ---

    async def _follow(self, stopped: asyncio.Event) -> None:
        while not stopped.is_set():
            if not await self._read():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_READ_SECONDS):
                        await stopped.wait()

    async def _read(self) -> bool:
        """The next changes; whether there may be more."""
        found = await self._ask("GET", f"/changes?after={self._after}&limit={_MOST_TOGETHER}")
        self._after = found["next"]
        for one in found["changes"]:
            if one["id"] in self.read:
                self.wrong.append(f"the changes of {self.name} have {one['id']} twice")
            self.read[one["id"]] = Told.of(one)
        return bool(found["more"])

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        status, answer = await ask_until_answered(self.session, method, self.url + path, **more)
        if status not in {HTTPStatus.OK, HTTPStatus.CREATED}:
            raise RuntimeError(f"{method} {path}: {status} {answer}")
        return answer


def differences(read: Sequence[Told], taken: Sequence[Told]) -> list[str]:
    """In what the changes that were sent are not those that were read, in their order; what came later is no matter."""
    came = {one.identifier for one in taken}
    if missing := [one for one in read if one.identifier not in came]:
        return [f"{len(missing)} of {len(read)} changes never came, the first of them {missing[0]}"]
    for number, (one, other) in enumerate(zip(read, taken, strict=False)):
        if one.identifier != other.identifier:
            return [f"changes came in another order, from number {number} on: {other} for {one}"]
    return []
