"""CSPs that are processes of their own, `sr-engine simulate-csp`, which are killed and started again.

Between them and the processor stands what a CSP has there too: an adapter that speaks TLS with its CSP's certificate,
and sends what it was given until it is answered. What goes through it is noted.
"""

from __future__ import annotations

import asyncio
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import aiohttp
from aiohttp import web

from sr_engine import configuration
from sr_engine.bootstrap import Instance
from sr_engine.resources import data_directory
from sr_engine.simulator.party import MAX_BODY
from tests.crash.country import REGIONS
from tests.crash.processes import Nursery
from tests.crash.receivers import Receivers
from tests.crash.sending import post_until_answered
from tests.soak.seats import KILLED, STOPPED, Seat

Connect = Callable[[str], aiohttp.ClientSession]
"""A session of a CSP, by its name."""
_MESSAGE_ID = re.compile(rb"MessageID>([^<]+)<")
_CLIENT_SECONDS, _LOOK_SECONDS = 30, 0.2
_KILLED_OF_TEN = 7


@dataclass
class Desk:
    """A CSP: its regions, the process that acts for it, and what that, and those before it, have counted."""

    name: str
    regions: Sequence[str]
    port: int
    seat: Seat
    stats: Counter[str] = field(default_factory=Counter)
    """Of the process that is there, when it was last asked."""
    before: Counter[str] = field(default_factory=Counter)


def euis_of_csps() -> dict[str, str]:
    """Those of the country, by their names; as shipped."""
    regions = configuration.load(data_directory("config")).regions
    return {regions[one].csp_name: regions[one].csp_eui for one in REGIONS}


class Csps(Receivers):
    """Suppliers as they are everywhere here, and CSPs that are processes; the adapter listens at `relay_port`."""

    def __init__(self, seed: int, connect: Connect, relay_port: int) -> None:
        super().__init__(seed)
        self.desks: dict[str, Desk] = {}
        self._connect = connect
        self._relay_port = relay_port
        self._relay: web.AppRunner | None = None
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._inside: aiohttp.ClientSession | None = None
        self._of_region: dict[str, Desk] = {}
        self._of_eui: dict[str, str] = {}
        self._urls: Sequence[str] = ()
        self._asking: asyncio.Task[None] | None = None
        self._is_over = False

    async def open(
        self,
        instance: Instance,
        directory: Path,
        processors: Sequence[str],
        *,
        nursery: Nursery,
        ports: Mapping[str, int],
        habits: Sequence[str],
        wrong: list[str],
    ) -> None:
        """Start the CSPs of an instance that is served at `processors`, each at a port by its name."""
        self.be_suppliers(instance)
        self._urls = [f"{url}/api/v1/csp" for url in processors]
        regions = instance.configuration.regions
        names = sorted({one.csp_name for one in regions.values()})
        folder = _settings(directory, self.url, {name: ports[one.csp_name] for name, one in regions.items()})
        self._inside = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_CLIENT_SECONDS))
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/api/v1/csp", self._from_csp)
        self._relay = web.AppRunner(app, access_log=None)
        await self._relay.setup()
        await web.TCPSite(self._relay, "127.0.0.1", self._relay_port, reuse_address=True).start()
        for name in names:
            mine = [one for one, region in regions.items() if region.csp_name == name]
            arguments = ["simulate-csp", "--dir", str(folder), *habits, "--late-by", "48"]
            arguments += ["--processor", f"http://127.0.0.1:{self._relay_port}"]
            arguments += [word for one in mine for word in ("--region", one)]
            seat = Seat(name, lambda words=arguments: words, nursery, directory, wrong, steady=False)  # type: ignore[misc]
            self.desks[name] = Desk(name, mine, ports[name], seat)
            self._of_region |= dict.fromkeys(mine, self.desks[name])
            self._of_eui[regions[mine[0]].csp_eui.upper()] = name
            self._sessions[name] = self._connect(name)
        await asyncio.gather(*(one.seat.start() for one in self.desks.values()))
        self._asking = asyncio.create_task(self._ask())

    # --- Messages ---

    async def hand_on(self, name: str, body: bytes) -> int:
        """To the process of its CSP; 503 while there is none. In the end it is taken, and nobody acts on it."""
        desk = self._of_region[name]
        if self._is_over:
            return HTTPStatus.NO_CONTENT
        if not desk.seat.is_up:
            return HTTPStatus.SERVICE_UNAVAILABLE
        assert self._inside is not None
        try:
            async with self._inside.post(f"http://127.0.0.1:{desk.port}/csp/{name}", data=body) as answer:
                return answer.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            return HTTPStatus.SERVICE_UNAVAILABLE

    async def _from_csp(self, request: web.Request) -> web.Response:
        data = await request.read()
        found = _MESSAGE_ID.search(data)
        assert found is not None
        key = found[1].decode().upper()
        name = self._of_eui[key.partition(":")[0]]
        of_message = self.of_csps[key]
        answer = await post_until_answered(self._sessions[name], self._urls, data, first=len(self.of_csps))
        of_message.append(answer.status)
        return web.Response(status=answer.status, headers={"DUIS-Response-Detail": answer.detail})

    # --- Processes ---

    async def come_and_go(
        self, chance: random.Random, pause: float, done: Counter[tuple[str, str]], stopped: asyncio.Event
    ) -> None:
        """Kill one, or tell it to stop, every so many seconds, and start it again, until `stopped`."""
        while not stopped.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(chance.uniform(0.5, 1.5) * pause):
                    await stopped.wait()
                    return
            desk = chance.choice(list(self.desks.values()))
            kills = chance.randrange(10) < _KILLED_OF_TEN
            await self._look(desk)
            await (desk.seat.kill() if kills else desk.seat.stop())
            desk.before += desk.stats
            desk.stats = Counter()
            await asyncio.sleep(chance.uniform(0, 1))
            await desk.seat.start()
            done[KILLED if kills else STOPPED, f"CSP {desk.name}"] += 1

    async def _ask(self) -> None:
        while True:
            for desk in self.desks.values():
                if desk.seat.is_up:
                    await self._look(desk)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _look(self, desk: Desk) -> None:
        assert self._inside is not None
        life = desk.seat.life
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with self._inside.get(f"http://127.0.0.1:{desk.port}/stats") as answer:
                found = Counter(await answer.json())
                if desk.seat.life == life:
                    desk.stats = found

    @property
    def lists_are_done(self) -> bool:
        """Every process has reported on all that it has taken; what one had taken that was killed is not waited for."""
        return all(one.stats["lists"] == one.stats["lists done"] for one in self.desks.values())

    def counted(self) -> Counter[str]:
        """What all of them have, as far as it is known of those that were killed."""
        return sum((one.before + one.stats for one in self.desks.values()), Counter())

    async def stop_acting(self) -> None:
        """Tell the processes to stop."""
        self._is_over = True
        if self._asking is not None:
            self._asking.cancel()
        for desk in self.desks.values():
            if desk.seat.is_up:
                await self._look(desk)
                await desk.seat.stop()

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        for session in (*self._sessions.values(), self._inside):
            if session is not None:
                await session.close()
        if self._relay is not None:
            await self._relay.cleanup()
        await super().close()


def _settings(directory: Path, url: str, ports: Mapping[str, int]) -> Path:
    """A folder of the CSPs' own, in which each region is at its process and not at the adapter."""
    folder = directory / "csps"
    shutil.copytree(directory / "config", folder / "config")
    shutil.copy(directory / "sr-engine.toml", folder)
    (folder / "pki").symlink_to(directory / "pki")
    regions = folder / "config" / "regions.toml"
    text = regions.read_text(encoding="utf-8")
    for name, port in ports.items():
        text = text.replace(f"{url}/csp/{name}", f"http://127.0.0.1:{port}/csp/{name}")
    regions.write_text(text, encoding="utf-8")
    return folder
