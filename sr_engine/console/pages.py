"""What a page is: an address, who may see it, and what answers; a section of the console is a list of them.

    def section() -> Section:
        return Section(
            pages=(
                Page("/operator/releases", show_releases, role=ConsoleRole.OPERATOR),
                Page("/operator/releases/{id}/halt", halt, role=ConsoleRole.OPERATOR, changes=True),
            ),
            navigation=(Entry("Releases", "/operator/releases", ConsoleRole.OPERATOR),),
        )

`show_releases` is `async def show_releases(visit: Visit) -> Response`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlencode

from starlette.datastructures import FormData, ImmutableMultiDict, UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from sr_engine.configuration.console import ConsoleRole
from sr_engine.console.security import PATH, csrf_token
from sr_engine.operations.signing_in import Present
from sr_engine.store.accounts import Account
from sr_engine.store.reading import Connection
from sr_engine.store.units_of_work import UnitOfWork

if TYPE_CHECKING:
    from sr_engine.console.desk import Desk

T = TypeVar("T")
_NUMBERS = 1 << 63
Handler = Callable[["Visit"], Awaitable[Response]]
Stamp = Callable[["Visit", Connection], str]
"""What tells whether a page would show anything new: a text that changes with what it shows, cheaply found."""


@dataclass(frozen=True, slots=True)
class Page:
    """An address below /console; `changes`: it takes a form by POST instead of being shown."""

    path: str
    handler: Handler
    role: ConsoleRole | None
    """Who may use it; None: whoever is signed in."""
    changes: bool = False
    stamp: Stamp | None = None
    """Given, the page refreshes what it marks as `data-live` when this changes; its address + `/live` tells when."""
    max_bytes: int = 1_048_576
    """The largest form that it takes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the navigation, for those of a role; `path` as in `Page`."""

    title: str
    path: str
    role: ConsoleRole
    group: str = ""
    """The heading it stands under."""


@dataclass(frozen=True, slots=True)
class Section:
    """Pages that belong together."""

    pages: Sequence[Page]
    navigation: Sequence[Entry] = ()


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for a page, by somebody who is let in to it."""

    request: Request
    desk: Desk
    page: Page
    present: Present
    token: str
    """Of the session, in clear: for this answer only."""
    form: Mapping[str, str | UploadFile] | FormData = field(default_factory=lambda: ImmutableMultiDict[str, str](()))

    @property
    def account(self) -> Account:
        return self.present.account

    @property
    def organisation(self) -> str:
        """Of whom the account is; raises LookupError for an operator's, which no page for Suppliers lets in."""
        if self.account.organisation is None:
            raise LookupError(f"{self.account.login} belongs to no organisation")
        return self.account.organisation

    @property
    def now(self) -> datetime:
        """The time of the instance."""
        return self.desk.clock.now()

    def query(self, name: str, default: str = "") -> str:
        """A value from the address, without spaces around it."""
        return self.request.query_params.get(name, default).strip()

    def field(self, name: str, default: str = "") -> str:
        """A value from the form, without spaces around it."""
        found = self.form.get(name, default)
        return found.strip() if isinstance(found, str) else default

    def may(self, role: ConsoleRole | str) -> bool:
        """Whether the account has a role."""
        return str(role) in self.account.roles

    async def read(self, look: Callable[[Connection], T]) -> T:
        """What a look into the database returns, in a thread of its own."""
        return await self.desk.read(look)

    async def write(self, work: Callable[[UnitOfWork], T], *, heavy: bool = False) -> T:
        """What a unit of work returned, once it is committed."""
        return await self.desk.transactions.run(work, heavy=heavy, of=self.account.organisation or "")

    async def show(self, template: str, *, status: int = 200, **context: object) -> Response:
        """A page from a template."""
        return await self.desk.show(self.request, template, status=status, visit=self, **context)

    def go(self, path: str, **query: str) -> Response:
        """Send the browser to another page, by GET; `path` as in `Page`."""
        return go(path, **query)

    @property
    def csrf(self) -> str:
        """What its forms hold."""
        return csrf_token(self.token)


def is_number(number: int) -> bool:
    """Whether a database can look for it."""
    return 0 <= number < _NUMBERS


def number_of(text: str) -> int:
    """A whole number that a database can look for; raises ValueError."""
    number = int(text)
    if not is_number(number):
        raise ValueError(f"{text} is no number of anything here")
    return number


def go(path: str, **query: str) -> Response:
    """Send the browser to another page, by GET; `path` as in `Page`."""
    return RedirectResponse(url(path, **query), status_code=303)


def url(path: str, **query: object) -> str:
    """The address of a page with what it is to show; what is None or empty is left out."""
    given = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{PATH}{path}" + (f"?{urlencode(given, doseq=True)}" if given else "")
