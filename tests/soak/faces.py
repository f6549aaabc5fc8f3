"""What people and CRM systems do beside signed requests, at a low rate: the JSON interface, console pages, sheets."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import httpx

from sr_engine.bootstrap import Instance
from sr_engine.configuration.console import ConsoleRole
from sr_engine.operations.api_tokens import TokenDesk
from sr_engine.pipeline.acting import Channel
from sr_engine.replay.homes import Home
from sr_engine.store.api_tokens import Scope
from tests.console.desk import Somebody, add_account, plain
from tests.crash.country import FIRMWARE, NAMES
from tests.crash.evidence import Acted
from tests.soak.asking import ask_until_answered
from tests.world import bound, edit

OPERATOR = "olga"
_LOGIN = {name: f"ann-{name}" for name in NAMES}
_PAUSE_SECONDS = (0.3, 1.5)
_PAGES = ("/", "/releases", "/hubs", "/schedules", "/calendar", "/alerts", "/exclusions", "/proposals", "/sheets")
_OPERATOR_PAGES = (
    "/operator",
    "/operator/releases",
    "/operator/deliveries",
    "/operator/csp",
    "/operator/audit",
    "/operator/messages",
)
_FIRMWARE = {"manufacturer": FIRMWARE.manufacturer, "model": FIRMWARE.model, "version": FIRMWARE.version}
_OVER = ("Done", "Nothing was accepted")
_WORKED_OUT_WITHIN = 200
"""Looks at a proposal that is being worked out."""


def prepare(directory: Path) -> None:
    """Configure the console for people who are in a hurry; hours pass quickly here."""
    plain(directory)
    edit(directory / "config" / "console.toml", "draft_hours = 2\n", "draft_hours = 168\n")


def add_people(instance: Instance) -> dict[str, str]:
    """Accounts for the console, and tokens: the secret of each Supplier's."""
    add_account(instance, OPERATOR, None, ())
    for name, login in _LOGIN.items():
        add_account(instance, login, name, (ConsoleRole.ACT, ConsoleRole.APPROVE))
    desk, euis = TokenDesk(instance.draw_id, instance.randbelow), {}
    for user in instance.users.users():
        euis[user.organisation_id] = user.eui
    scopes = (Scope.READ, Scope.ACT, Scope.WEBHOOKS)
    return {
        name: instance.transactions.run_now(bound(desk.create, f"soak-{name}", euis[name], scopes)).secret
        for name in NAMES
    }


class Http:
    """A browser's way to the console, over HTTP."""

    def __init__(self, url: str, tls: ssl.SSLContext) -> None:
        self._http = httpx.Client(base_url=url, follow_redirects=True, timeout=60, verify=tls)

    def get(self, url: str, **kwargs: Any) -> httpx.Response:
        return self._http.get(url, **kwargs)

    def post(self, url: str, **kwargs: Any) -> httpx.Response:
        return self._http.post(url, **kwargs)

    def close(self) -> None:
        self._http.close()


@dataclass
class Faces:
    """Everybody who uses a face, until told to stop; `url` is of a process that is not killed."""

    url: str
    tls: ssl.SSLContext
    """With what everybody connects."""
    tokens: Mapping[str, str]
    homes: Sequence[Home]
    seed: int
    moved: Collection[str]
    """Hubs that have another Supplier than at first, or are going to."""
    used: Counter[str] = field(default_factory=Counter)
    """What was done, by kind."""
    acted: list[Acted] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    async def run(self, stopped: asyncio.Event) -> None:
        """Until `stopped`; nothing is left half done."""
        async with asyncio.TaskGroup() as group:
            for name in NAMES:
                group.create_task(self._crm(name, stopped))
            group.create_task(self._person(_LOGIN[NAMES[0]], NAMES[0], stopped))
            group.create_task(self._person(OPERATOR, None, stopped))

    # --- CRM systems ---

    async def _crm(self, name: str, stopped: asyncio.Event) -> None:
        chance, keys, after = random.Random(f"{self.seed} {name} crm"), 0, "beginning"
        mine = [home for home in self.homes if name in {home.electricity, home.gas}]
        headers = {"Authorization": f"Bearer {self.tokens[name]}"}
        connector = aiohttp.TCPConnector(ssl=self.tls)
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(headers=headers, connector=connector, timeout=timeout) as session:
            while not stopped.is_set():
                hub = chance.choice(mine).chf
                match chance.choices(("hub", "page", "changes", "approve", "exclude"), (4, 3, 4, 2, 2))[0]:
                    case "hub":
                        await self._get(session, f"/hubs/{hub}", may_be_gone=hub in self.moved)
                    case "page":
                        await self._get(session, chance.choice(("/hubs", "/releases", "/schedules", "/exclusions")))
                    case "changes":
                        seen = await self._get(session, f"/changes?after={after}&wait=1")
                        after = after if seen is None else seen["next"]
                    case "approve":
                        keys += 1
                        body = {"firmware": _FIRMWARE, "decision": "Approve", "device_ids": [hub]}
                        await self._do(session, "/approvals", body, f"{self.seed}-{keys}")
                    case _:
                        keys += 1
                        body = {"action": chance.choice(("Exclude", "Include", "Include")), "device_ids": [hub]}
                        await self._do(session, "/exclusions", body, f"{self.seed}-{keys}")
                await asyncio.sleep(chance.uniform(*_PAUSE_SECONDS))

    async def _get(self, session: aiohttp.ClientSession, path: str, *, may_be_gone: bool = False) -> Any:
        status, body = await self._asked(session, "GET", path)
        self.used["read over the interface for CRM systems"] += 1
        if status == HTTPStatus.NOT_FOUND and may_be_gone:
            self.used["read of a hub that has another Supplier now"] += 1
        elif status != HTTPStatus.OK:
            self.wrong.append(f"GET {path} was answered {status}: {body}")
            return None
        return body

    async def _do(self, session: aiohttp.ClientSession, path: str, body: object, key: str) -> None:
        status, answer = await self._asked(session, "POST", path, json=body, headers={"Idempotency-Key": key})
        self.used["done over the interface for CRM systems"] += 1
        if status == HTTPStatus.OK:
            self.acted.append(Acted(Channel.API.interface, answer["request_id"].upper()))
        elif status == HTTPStatus.CONFLICT and "code" in answer:
            self.acted.append(Acted(Channel.API.interface))
        else:
            self.wrong.append(f"POST {path} was answered {status}: {answer}")

    async def _asked(self, session: aiohttp.ClientSession, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """Ask until something other than 503 and 429 is answered."""
        return await ask_until_answered(session, method, f"{self.url}/api/v2{path}", **more)

    # --- People ---

    async def _person(self, login: str, name: str | None, stopped: asyncio.Event) -> None:
        chance, http = random.Random(f"{self.seed} {login}"), Http(self.url, self.tls)
        browser = Somebody(http, None)  # type: ignore[arg-type] # as its client; a world is not needed for what it does here
        mine = [home.chf for home in self.homes if name is not None and name in {home.electricity, home.gas}]
        try:
            await asyncio.to_thread(browser.sign_in, login)
            while not stopped.is_set():
                if name is not None and chance.random() * 3 < 1:
                    hubs = [one for one in chance.sample(mine, 20) if one not in self.moved][:3]
                    await asyncio.to_thread(self._bring_sheet, browser, hubs)
                else:
                    pages = _OPERATOR_PAGES if name is None else _PAGES
                    await asyncio.to_thread(self._open, browser, chance.choice(pages))
                await asyncio.sleep(chance.uniform(*_PAUSE_SECONDS))
        finally:
            http.close()

    def _open(self, browser: Somebody, path: str) -> bool:
        answer = browser.open(path)
        self.used["pages of the console"] += 1
        if answer.status_code != HTTPStatus.OK or answer.url.path == "/console/sign-in":
            self.wrong.append(f"the page {path} was answered {answer.status_code}, at {answer.url.path}")
            return False
        return True

    def _bring_sheet(self, browser: Somebody, hubs: Sequence[str]) -> None:
        """Approve some hubs by a sheet, if that comes to anything."""
        if not self._open(browser, "/sheets"):
            return
        text = "Hub ID,Decision\r\n" + "".join(f"{hub},Approve\r\n" for hub in hubs)
        releases = browser.tree.xpath("//form[@enctype]//select/option[@value != '']/@value")
        browser.send(
            "Show what will happen", files={"sheet": ("plan.csv", text.encode(), "text/csv")}, release=releases[0]
        )
        self.used["sheets"] += 1
        if not self._settled(browser):
            self.wrong.append(f"a sheet was not worked out: {browser.page.status_code} {browser.text[:300]}")
        elif "Do it for" in browser.main:
            browser.send("Do it for")
            if not self._settled(browser) or not any(one in browser.main for one in _OVER):
                self.wrong.append(f"a sheet was not carried out: {browser.page.status_code} {browser.text[:300]}")
            else:
                self.acted.append(Acted(Channel.SHEET.interface))

    @staticmethod
    def _settled(browser: Somebody) -> bool:
        """Look at a proposal until nothing about it is under way."""
        for _ in range(_WORKED_OUT_WITHIN):
            if browser.page.status_code != HTTPStatus.OK:
                return False
            if "This is being" not in browser.main:
                return True
            browser.open(browser.path.removeprefix("/console"))
        return False
