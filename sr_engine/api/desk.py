"""What the interface works with, and whom it works for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

from fastapi import Request
from sqlalchemy import Connection

from sr_engine.api.limits import Reads, Waiting
from sr_engine.api.problems import Problem
from sr_engine.clock import Clock
from sr_engine.configuration import Api, User, UserDirectory
from sr_engine.domain.eligibility import Applicant
from sr_engine.operations.changes import Changes
from sr_engine.operations.supplier_answers import SupplierAnswers
from sr_engine.operations.supplier_hubs import SupplierHubs
from sr_engine.pipeline.acting import Acting
from sr_engine.pipeline.answer import Answer
from sr_engine.sealing import NotSealed, Sealer
from sr_engine.store.api_tokens import Scope, Token
from sr_engine.store.reading import Reading
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import UnitOfWork

T = TypeVar("T")

_EUI = re.compile(r"[0-9A-Fa-f]{2}([-:]?[0-9A-Fa-f]{2}){7}")
_CANONICAL = re.compile(r"[0-9A-F]{2}(?:-[0-9A-F]{2}){7}")


class Registrations(Protocol):
    """What takes registrations and changes of Supplier, as the registration feed does."""

    def admit(self, data: bytes) -> Sequence[Mapping[str, object]] | Answer:
        """Check all that needs no database."""

    def execute(self, unit_of_work: UnitOfWork, rows: Sequence[Mapping[str, object]]) -> Answer:
        """Take them in."""

    @property
    def changes(self) -> Callable[[UnitOfWork], bool]:
        """Carries out what became effective."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose token a request came with, and what it may see."""

    token: Token
    user: User | None
    """None: it is the registration feed's."""

    @property
    def viewer(self) -> Applicant:
        """The Supplier, in the roles of the User; a token of the feed sees nothing."""
        if self.user is None:
            return Applicant("", frozenset())
        return Applicant(self.user.organisation_id, frozenset(role.value for role in self.user.roles))

    @property
    def name(self) -> str:
        """By which what it seals, and does once, is kept apart from all others'."""
        return self.token.user_eui or "registration feed"


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts that answer requests."""

    users: UserDirectory
    reading: Reading
    transactions: Transactions
    clock: Clock
    policy: Api
    sealer: Sealer
    hubs: SupplierHubs
    answers: SupplierAnswers
    changes: Changes
    acting: Acting
    registrations: Registrations
    after_work: Callable[[], None]
    body_within: timedelta
    reads: Reads
    threads: Executor
    """Of its own: reading here takes none of those that Service Requests are worked on in."""
    preparing: Executor
    """For what is to be done, one after the other: a list of 50,000 hubs takes none of the threads for reading."""
    waiting: Waiting

    async def look(self, caller: Caller, look: Callable[[Connection], T]) -> T:
        """Read beside the transactions, in a thread; raises Problem if too many do."""
        with self.reads.place(caller.name):
            return await self.read(look)

    async def read(self, look: Callable[[Connection], T]) -> T:
        """The same for what is small, and is read for every request."""
        return await self.apart(partial(self.reading, look))

    async def apart(self, work: Callable[[], T]) -> T:
        """What would keep the event loop from Service Requests, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, work)

    async def prepare(self, work: Callable[[], T]) -> T:
        """What can be done of an act before its transaction."""
        return await asyncio.get_running_loop().run_in_executor(self.preparing, work)

    def seal(self, caller: Caller, what: str, value: str) -> str:
        """A cursor: where to read on, for this caller alone."""
        return self.sealer.seal(value.encode(), f"{what} {caller.name}", always_alike=True)

    def unseal(self, caller: Caller, what: str, cursor: str) -> str:
        """Where to read on; raises Problem for a cursor that was not given to this caller for this."""
        try:
            return self.sealer.open(cursor, f"{what} {caller.name}").decode()
        except NotSealed:
            raise Problem(HTTPStatus.BAD_REQUEST, "the cursor is none that you were given for this") from None


def desk_of(request: Request) -> Desk:
    """The parts, of a request."""
    desk: Any = request.app.state.desk
    if not isinstance(desk, Desk):
        raise TypeError("this application has no desk")
    return desk


def caller_of(request: Request) -> Caller:
    """Whose request it is."""
    caller: Any = request.scope["caller"]
    if not isinstance(caller, Caller):
        raise TypeError("nobody was let in")
    return caller


def stopping_of(request: Request) -> Callable[[], bool]:
    """What tells whether the server has been told to stop: nobody is kept waiting then."""
    found: Callable[[], bool] = request.scope["stopping"]
    return found


class Needs:
    """Lets in only those whose token is for something; gives the caller."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def __call__(self, request: Request) -> Caller:
        caller = caller_of(request)
        if self.scope not in caller.token.scopes:
            raise Problem(HTTPStatus.FORBIDDEN, f"your token is not for this: it lacks the scope {self.scope}")
        return caller


def device_id_of(text: str) -> str:
    """The canonical form of an id, whatever stands between its octets; one that is none comes back as it is."""
    if _CANONICAL.fullmatch(text) is not None or _EUI.fullmatch(text) is None:
        return text
    return bytes.fromhex(text.replace("-", "").replace(":", "")).hex("-").upper()
