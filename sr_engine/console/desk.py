"""What every page of the console works with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sr_engine.clock import Clock
from sr_engine.configuration import Configuration, UserDirectory
from sr_engine.configuration.console import ConsoleRules
from sr_engine.console.assets import Assets
from sr_engine.console.counting import Counting
from sr_engine.console.crowding import Hashing, Streams
from sr_engine.console.security import HEADERS
from sr_engine.operations.passwords import Passwords
from sr_engine.operations.signing_in import SigningIn
from sr_engine.store.reading import Connection, Reading
from sr_engine.store.transactions import Transactions

if TYPE_CHECKING:
    from sr_engine.console.pages import Entry, Visit

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts of an instance that pages use, and the templates."""

    environment_name: str
    configuration: Configuration
    users: UserDirectory
    clock: Clock
    rules: ConsoleRules
    reading: Reading
    transactions: Transactions
    passwords: Passwords
    signing_in: SigningIn
    draw_id: Callable[[], str]
    randbelow: Callable[[int], int]
    templates: Environment
    assets: Assets
    after_work: Callable[[], None]
    """To be called once something was done that leaves messages to be sent."""
    threads: Executor
    """Of its own: pages and sheets take none of those that Service Requests are worked on in."""
    hashing: Hashing
    """For passwords, which whoever has no account can have verified, too."""
    streams: Streams
    counting: Counting
    navigation: Sequence[Entry] = ()
    provider_name: str | None = None
    """What people call the OpenID provider where they can sign in; None: there is none."""
    background: set[asyncio.Task[None]] = field(default_factory=set)
    """What goes on after an answer."""

    async def read(self, look: Callable[[Connection], T]) -> T:
        """What a look into the database returns, in a thread of its own."""
        return await self.apart(partial(self.reading, look))

    async def apart(self, work: Callable[[], T]) -> T:
        """What takes longer than the event loop can wait, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, work)

    async def hash(self, password: str) -> str:
        """The encoded hash of a password; raises Crowded."""
        return await self.hashing(partial(self.passwords.hash, password))

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Whether a password is the one that was hashed; raises Crowded."""
        return await self.hashing(partial(self.passwords.verify, hashed, password))

    async def show(
        self, request: Request, template: str, *, status: int = 200, visit: Visit | None = None, **context: object
    ) -> Response:
        """A page from a template, made in a thread."""
        text = await self.apart(partial(self.render, request, template, visit=visit, **context))
        return HTMLResponse(text, status, headers=HEADERS)

    def render(self, request: Request, template: str, *, visit: Visit | None = None, **context: object) -> str:
        """The text of a page."""
        entries = [] if visit is None else [one for one in self.navigation if visit.may(one.role)]
        return self.templates.get_template(template).render(
            request=request,
            visit=visit,
            desk=self,
            csrf="" if visit is None else visit.csrf,
            navigation=_grouped(entries),
            here=request.url.path,
            **context,
        )

    def go_on(self, work: asyncio.Task[None]) -> None:
        """Keep what goes on after an answer until it is done."""
        self.background.add(work)
        work.add_done_callback(self.background.discard)


def _grouped(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """The navigation under its headings, in the order in which sections name them."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.group, []).append(entry)
    return found
