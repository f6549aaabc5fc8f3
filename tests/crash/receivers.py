"""Everybody outside that the processor sends to: Suppliers that take alerts, CSPs that act on lists."""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
import ssl
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

import aiohttp
from aiohttp import web

from sr_engine.instance import folder_name
from sr_engine.simulator.behaviour import Behaviour
from sr_engine.simulator.csp import SimulatedCsp
from sr_engine.simulator.party import MAX_BODY, Party
from tests.crash.country import Surrounded
from tests.crash.evidence import Arrival, OfCsp
from tests.crash.sending import post_until_answered

TURNED_AWAY_PERCENT = 2
"""Of messages to Suppliers: answered 503, and to be sent again."""
_HOME = re.compile(rb"00-00-5E-EF-(?:C0|E0|F0)(-[0-9A-F]{2}-[0-9A-F]{2}-[0-9A-F]{2})")
"""A hub, or a meter at it: what there is in a home has the home's number."""
_OF_HUBS = "00-00-5E-EF-C0"
_MESSAGE_ID = re.compile(rb"MessageID>([^<]+)<")
_STOP_WITHIN_SECONDS = 60


class PersistentParty(Party):
    """A CSP's side that sends its messages until they are answered, whatever becomes of the processor."""

    answered: dict[str, list[int]]
    processors: Sequence[str]
    """Addresses, any of which takes what is sent to any."""

    async def post(self, session: aiohttp.ClientSession, path: str, data: bytes) -> tuple[int, bytes, str]:
        found = _MESSAGE_ID.search(data)
        assert found is not None
        of_message = self.answered[found[1].decode().upper()]
        urls = [url + path for url in self.processors]
        answer = await post_until_answered(session, urls, data, first=len(self.answered))
        of_message.append(answer.status)
        return answer.status, answer.body, answer.detail


class Receivers:
    """Listens below one address; `arrivals` are in the order in which they came."""

    def __init__(self, seed: int) -> None:
        self.arrivals: list[Arrival] = []
        self.of_csps: dict[str, list[int]] = defaultdict(list)
        self.csps: dict[str, PersistentParty] = {}
        self.url = ""
        self.down: set[str] = set()
        """Suppliers that take nothing for the time being: whoever connects is hung up on."""
        self._acting: dict[str, SimulatedCsp] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._destinations: dict[str, str] = {}
        self._chance = random.Random(f"{seed} receivers")
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    async def listen(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen on a free port, over HTTPS if told how; nobody is served before `take_part`."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/supplier/{name}", self._supplier)
        app.router.add_post("/csp/{name}", self._csp)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=tls).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"{'http' if tls is None else 'https'}://{host}:{port}"

    def take_part(self, instance: Surrounded, directory: Path, processors: Sequence[str], behaviour: Behaviour) -> None:
        """Be the Suppliers and CSPs of an instance that is served at `processors`."""
        self.be_suppliers(instance)
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
        regions = instance.configuration.regions
        broker = instance.configuration.policy.access_control_broker_eui
        for number, (name, region) in enumerate(regions.items()):
            party = PersistentParty.load(directory, folder_name(region.csp_name), processors[0])
            assert isinstance(party, PersistentParty)
            party.answered, party.processors = self.of_csps, processors
            # Two regions have one CSP with one EUI.
            party.step, party.counter = len(regions), number
            self.csps[name] = party
            self._acting[name] = SimulatedCsp(party, broker, name, behaviour)
            self._tasks.append(asyncio.create_task(self._acting[name].act(self._session)))

    def be_suppliers(self, instance: Surrounded) -> None:
        """Be its Suppliers."""
        for user in instance.users.users():
            self._destinations[user.organisation_id] = f"user:{user.eui}"

    async def _supplier(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name in self.down:
            assert request.transport is not None
            request.transport.abort()
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)
        taken = self._chance.random() * 100 >= TURNED_AWAY_PERCENT
        destination = self._destinations[name]
        self._note(destination, request, await request.read(), taken=taken)
        return web.Response(status=HTTPStatus.NO_CONTENT if taken else HTTPStatus.SERVICE_UNAVAILABLE)

    async def _csp(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        body = await request.read()
        status = await self.hand_on(name, body)
        self._note(f"csp:{name}", request, body, taken=status == HTTPStatus.NO_CONTENT)
        return web.Response(status=status)

    async def hand_on(self, name: str, body: bytes) -> int:
        """Give a CSP what has come for a region; with which status it answers."""
        await self.csps[name].take(body, self._acting[name].handle)
        return HTTPStatus.NO_CONTENT

    def _note(self, destination: str, request: web.Request, body: bytes, *, taken: bool) -> None:
        hubs = frozenset(f"{_OF_HUBS}{one.decode()}" for one in _HOME.findall(body.upper()))
        digest = hashlib.sha256(body).hexdigest()
        self.arrivals.append(Arrival(destination, request.headers["DUIS-Message-ID"], digest, taken, hubs))

    @property
    def lists_are_done(self) -> bool:
        """Every CSP has reported on all that it has taken."""
        return all(one.stats["lists"] == one.stats["lists done"] for one in self.csps.values())

    def of_csps_answered(self) -> list[OfCsp]:
        """What CSPs have sent; what nobody has answered yet is among it."""
        return [OfCsp(key, tuple(statuses)) for key, statuses in self.of_csps.items()]

    async def stop_acting(self) -> None:
        """Let the CSPs do nothing more; raises what went wrong with them."""
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        if self._runner is not None:
            await self._runner.cleanup()


def behaviour_of(seed: int) -> Behaviour:
    """CSPs that refuse, fail, repeat and confuse the order now and then."""
    return Behaviour(
        refuse=4,
        fail=4,
        late=2,
        late_by=timedelta(days=2),
        out_of_order=10,
        duplicate=20,
        seed=seed,
        report_size=3,
    )
