"""What the pages of an operator work with, beside what every page does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from starlette.exceptions import HTTPException

from sr_engine.configuration import Region, Spreadsheets, UserDirectory
from sr_engine.configuration.operator_pages import OperatorRules
from sr_engine.console.operator.long_looks import LongLooks
from sr_engine.console.operator.looks import Place
from sr_engine.console.pages import Visit
from sr_engine.console.rendering import TimeRefused, typed_moment
from sr_engine.operations.accounts import actor_of
from sr_engine.operations.certificates import Certificates
from sr_engine.operations.message_view import MessageView
from sr_engine.pipeline.acting import Channel
from sr_engine.regions.phases import Phases
from sr_engine.store.looking_back import Budget
from sr_engine.store.paging import Seconds


@dataclass(frozen=True, slots=True)
class Office:
    """The parts of an instance that an operator's pages use."""

    rules: OperatorRules
    users: UserDirectory
    regions: Mapping[str, Region]
    phases: Phases
    certificates: Certificates
    messages: MessageView
    looks: LongLooks
    place: Place
    spreadsheets: Spreadsheets
    monotonic: Seconds
    after_decision: Callable[[], None]
    """To be called once something was decided that a held request waits for."""

    @property
    def budget(self) -> Budget:
        """How long a page may search."""
        return Budget(self.monotonic, self.rules.search.time.total_seconds())

    @property
    def sheet_budget(self) -> Budget:
        """How long the search for the rows of a sheet may take."""
        return Budget(self.monotonic, self.rules.sheets.time.total_seconds())

    def party(self, destination: str) -> str:
        """Whom a destination or an actor stands for, in words."""
        kind, _, name = destination.partition(":")
        if kind == "user":
            user = self.users.by_eui(name)
            return f"{name} (nobody known here)" if user is None else user.organisation_id
        return f"CSP of {name}" if kind == "csp" else destination


def how(visit: Visit) -> str:
    """How the audit trail calls the way by which something was asked for, and by whom."""
    return f"{Channel.CONSOLE}, {actor_of(visit.account.login)}"


def not_found() -> HTTPException:
    """What is raised for an address that leads nowhere."""
    return HTTPException(404)


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time as it was typed into a form; `problem` says what is wrong with it."""

    since_text: str
    until_text: str
    since: datetime | None
    until: datetime | None
    problem: str


def span_of(visit: Visit) -> Span:
    """The span of time in an address."""
    zone = visit.desk.rules.pages.time_zone
    texts = visit.query("since"), visit.query("until")
    try:
        since, until = (typed_moment(text, zone) if text else None for text in texts)
    except TimeRefused as refused:
        return Span(*texts, None, None, str(refused))
    return Span(*texts, since, until, "")
