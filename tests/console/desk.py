"""A world with a console, accounts in it, and people who use it through forms as a browser without JavaScript does."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pyotp
from lxml import html
from starlette.applications import Starlette

from sr_engine.bootstrap import Instance
from sr_engine.configuration.console import ConsoleRole, ConsoleRules, load_console
from sr_engine.console.supplier.taking_up import TakingUp
from sr_engine.faces import Console, console_of
from sr_engine.operations import accounts as operations
from sr_engine.operations.passwords import Passwords
from sr_engine.store import accounts as stored
from tests.world import A, World, edit, make_world

PASSWORD = "correct horse battery staple"
AT = "http://127.0.0.1"


def plain(directory: Path) -> None:
    """Cheap passwords, and nobody needs a second factor: for tests that are about something else."""
    console = directory / "config" / "console.toml"
    edit(console, 'second_factor_for = ["operator"]', "second_factor_for = []")
    edit(console, "argon2_memory_kib = 19456", "argon2_memory_kib = 8192")
    edit(console, "wait_milliseconds = 200", "wait_milliseconds = 60000")
    edit(console, "argon2_passes = 2", "argon2_passes = 1")


def console_world(directory: Path, *more: Callable[[Path], None], **kwargs: Any) -> World:
    """A world whose console `more` may change the configuration of."""

    def prepare(place: Path) -> None:
        plain(place)
        for change in more:
            change(place)

    return make_world(directory, prepare=prepare, **kwargs)


def add_account(
    instance: Instance,
    login: str,
    organisation: str | None,
    roles: Sequence[ConsoleRole],
    *,
    password: str | None = PASSWORD,
) -> str:
    """Add an account whose password is no longer the first one (with None it is); returns the password."""
    passwords = Passwords(load_console(instance.settings.config_directory).sign_in)
    first = instance.transactions.run_now(
        lambda uow: operations.add(
            uow,
            instance.users,
            passwords,
            instance.randbelow,
            login=login,
            organisation=organisation,
            roles=roles if organisation is not None else (),
        )
    )
    assert first is not None
    if password is None:
        return first
    hashed = passwords.hash(password)

    def settle(uow: Any) -> None:
        account = stored.by_login(uow.connection, login)
        assert account is not None
        stored.change(uow.connection, account.account_id, password_hash=hashed, must_change=False)

    instance.transactions.run_now(settle)
    return password


@dataclass
class Front:
    """The console of a world."""

    world: World
    app: Starlette = field(init=False)
    taking_up: TakingUp = field(init=False)
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    release_id: str = ""

    def __post_init__(self) -> None:
        self.serve(console_of(self.world.instance, lambda: None, real=self.world.clock))

    def serve(self, console: Console) -> None:
        """Be the front of this console."""
        self.app = Starlette(routes=list(console.routes))
        self.taking_up = console.taking_up

    @property
    def rules(self) -> ConsoleRules:
        return load_console(self.world.instance.settings.config_directory)

    def close(self) -> None:
        self.runner.close()
        self.world.close()

    def add(
        self,
        login: str = "ann",
        organisation: str | None = A.name,
        roles: Sequence[ConsoleRole] = (ConsoleRole.ACT, ConsoleRole.APPROVE),
        *,
        password: str | None = PASSWORD,
    ) -> str:
        """Add an account whose password is no longer the first one (with None it is); returns the password."""
        return add_account(self.world.instance, login, organisation, roles, password=password)

    def somebody(self, address: str = "127.0.0.1") -> Somebody:
        """A browser in which nobody is signed in."""
        return Somebody(Client(self, address), self)

    def signed_in(self, login: str = "ann", password: str = PASSWORD) -> Somebody:
        """A browser in which somebody is."""
        browser = self.somebody()
        browser.sign_in(login, password)
        assert browser.page.status_code == 200, browser.text
        return browser


class Client:
    """Asks the console as HTTP would; what goes on after an answer goes on while the next is asked for.

    What a transaction left to be done is not kept waiting for that: nobody may ask again.
    """

    def __init__(self, front: Front, address: str) -> None:
        self._runner = front.runner
        self._transactions = front.world.instance.transactions
        self._http = httpx.AsyncClient(
            transport=httpx.ASGITransport(front.app, client=(address, 1)),
            base_url=AT,
            follow_redirects=True,
            timeout=60,
        )
        self.cookies = self._http.cookies
        self.headers = self._http.headers

    def get(self, url: str, **kwargs: Any) -> httpx.Response:
        return self._runner.run(self._http.get(url, **kwargs))

    def elsewhere(self, url: str) -> httpx.Response:
        """What another server answers, over the network, without our cookies."""
        return httpx.get(url, follow_redirects=False, timeout=60)

    def post(self, url: str, **kwargs: Any) -> httpx.Response:
        answer = self._runner.run(self._http.post(url, **kwargs))
        self._runner.run(self._transactions.close())
        return answer


class Somebody:
    """A browser without JavaScript: it opens pages, and sends the forms on them."""

    def __init__(self, client: Client, front: Front) -> None:
        self.client = client
        self.front = front
        self.page: httpx.Response = httpx.Response(204)

    @property
    def text(self) -> str:
        """What can be read on the page, without its marks."""
        return _read(self.tree)

    @property
    def tree(self) -> html.HtmlElement:
        return html.fromstring(self.page.text)

    @property
    def main(self) -> str:
        """What can be read in the main part of the page."""
        (main,) = self.tree.xpath("//main")
        return _read(main)

    @property
    def heading(self) -> str:
        return re.sub(r"\s+", " ", self.tree.xpath("//h1")[0].text_content()).strip()

    @property
    def path(self) -> str:
        return self.page.url.path

    def open(self, path: str) -> httpx.Response:
        """Open a page; `path` without /console."""
        self.page = self.client.get(f"/console{path}")
        return self.page

    def follow(self, text: str) -> httpx.Response:
        """Follow the first link on the page with this text."""
        links = [one for one in self.tree.xpath("//a") if text in re.sub(r"\s+", " ", one.text_content())]
        assert links, f"no link {text!r} on {self.path}: {self.text}"
        self.page = self.client.get(links[0].get("href"))
        return self.page

    def send(
        self,
        button: str,
        *,
        files: Mapping[str, Any] | None = None,
        tampered: Mapping[str, str] | None = None,
        **values: str,
    ) -> httpx.Response:
        """Press a button, of whose form some fields were filled in; what is `tampered` no form would have sent."""
        for form in self.tree.xpath("//form"):
            pressed = [one for one in form.xpath(".//button") if button in one.text_content()]
            if not pressed:
                continue
            fields = self._fields(form)
            unknown = values.keys() - {one.get("name") for one in form.xpath(".//*[@name]")}
            assert not unknown, f"the form has no field {unknown}"
            fields.update(values)
            if pressed[0].get("name"):
                fields[pressed[0].get("name")] = pressed[0].get("value", "")
            fields.update(tampered or {})
            if form.get("method", "get") == "get":
                self.page = self.client.get(form.get("action") or self.path, params=fields)
            else:
                self.page = self.client.post(form.get("action") or self.path, data=fields, files=files)
            return self.page
        raise AssertionError(f"no button {button!r} on {self.path}: {self.text}")

    @staticmethod
    def _fields(form: html.HtmlElement) -> dict[str, str]:
        found: dict[str, str] = {}
        for one in form.xpath(".//input | .//select | .//textarea"):
            name, kind = one.get("name"), one.get("type", "text")
            if not name or kind == "file" or (kind in {"radio", "checkbox"} and one.get("checked") is None):
                continue
            if one.tag == "select":
                chosen = one.xpath("./option[@selected]") or one.xpath("./option[1]")
                found[name] = chosen[0].get("value", "") if chosen else ""
            else:
                found[name] = one.text or "" if one.tag == "textarea" else one.get("value", "")
        return found

    def sign_in(self, login: str = "ann", password: str = PASSWORD) -> httpx.Response:
        """Go to the sign-in page and fill it in."""
        self.open("/sign-in")
        return self.send("Sign in", login=login, password=password)


def _read(element: html.HtmlElement) -> str:
    return re.sub(r"\s+([.,:])", r"\1", re.sub(r"\s+", " ", " ".join(element.itertext())).strip())


def code_now(secret: str, front: Front) -> str:
    """What an authenticator app shows now."""
    return pyotp.TOTP(secret).at(front.world.clock.now())
