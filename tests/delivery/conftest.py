"""Receivers that really listen, and a dispatcher over a real database."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from sqlalchemy import Engine, select

from sr_engine.claims import Claims, Terms
from sr_engine.clock import FixedClock
from sr_engine.configuration import Delivery
from sr_engine.delivery.dispatch import Dispatcher
from sr_engine.store import leases
from sr_engine.store.database import create_tables, open_engine
from sr_engine.store.outbox import Outgoing, put
from sr_engine.store.reading import Reading
from sr_engine.store.tables import outbox
from sr_engine.store.transactions import Transactions
from tests.databases import new_url
from tests.world import NOW, A, edit

GAS_EUI = "00-00-5E-EF-10-00-00-A9"

WAIT = 90
"""Seconds after which a test gives up."""

POLICY = Delivery(
    # Longer than any test waits, but for those of receivers that do not answer.
    connect_timeout=timedelta(seconds=300),
    total_timeout=timedelta(seconds=300),
    concurrency_per_destination=4,
    back_off=(timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=2)),
    max_tries=5,
    circuit_failures=1000,
    circuit=(timedelta(seconds=10), timedelta(seconds=60)),
    refusals_of_one=frozenset({400}),
    poll=timedelta(seconds=1),
)


def longest(limit: int) -> int:
    """Draws the longest wait there may be."""
    return limit - 1


TERMS = Terms(timedelta(seconds=60), timedelta(seconds=20))


@dataclass(frozen=True, slots=True)
class Received:
    """One POST as it came."""

    message_id: str
    body: bytes
    content_type: str
    cookie: str | None = None


@dataclass
class Receiver:
    """Somebody's receiving adapter; `answer` chooses a status for each POST, and may wait first."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    status: int = 204
    statuses: dict[str, int] = field(default_factory=dict)
    """By message id, where it differs from `status`."""
    gate: asyncio.Event | None = None
    """If set, every answer waits for it."""
    retry_after: str | None = None
    """What is said with every answer."""
    at_once: int = 0
    most_at_once: int = 0

    @property
    def ids(self) -> list[str]:
        return [one.message_id for one in self.received]

    async def handle(self, request: web.Request) -> web.Response:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            message_id = request.headers["DUIS-Message-ID"]
            cookie = request.headers.get("Cookie")
            self.received.append(Received(message_id, await request.read(), request.content_type, cookie))
            if self.gate is not None:
                await self.gate.wait()
            status = self.statuses.get(message_id, self.status)
            headers = {"Set-Cookie": f"taken={message_id}; Path=/"}
            if self.retry_after is not None:
                headers["Retry-After"] = self.retry_after
            return web.Response(status=status, headers=headers)
        finally:
            self.at_once -= 1


@asynccontextmanager
async def listening(receiver: Receiver, port: int = 0) -> AsyncIterator[Receiver]:
    """Let a receiver listen on the loopback address until the end of the block."""
    app = web.Application()
    app.router.add_post("/in", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        host, bound = runner.addresses[0][:2]
        receiver.url = f"http://{host}:{bound}/in"
        yield receiver
    finally:
        await runner.cleanup()


async def until(condition: Callable[[], bool]) -> None:
    """Let others work until something is so."""
    async with asyncio.timeout(WAIT):
        # The condition is in the database or in another task; there is no event to wait for.
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.002)


def message(message_id: str, hub_id: str | None = None, destination: str = "user:A") -> Outgoing:
    return Outgoing(message_id, "alert", destination, "hub_listed", f"<m>{message_id}</m>".encode(), hub_id)


@dataclass
class Post:
    """An outbox on a clock that stands still, and what dispatches it."""

    engine: Engine
    clock: FixedClock
    policy: Delivery = POLICY
    urls: dict[str, str] = field(default_factory=dict)
    monotonic: Callable[[], float] = time.monotonic
    randbelow: Callable[[int], int] = longest
    transactions: Transactions = field(init=False)

    def __post_init__(self) -> None:
        self.transactions = Transactions(self.engine, self.clock)

    def put(self, *messages: Outgoing) -> None:
        self.transactions.run_now(lambda uow: put(uow.connection, messages, uow.now))

    def states(self) -> dict[str, str]:
        """State by message id."""
        with self.engine.connect() as connection:
            return dict(connection.execute(select(outbox.c.message_id, outbox.c.state)).all())

    def tries(self) -> dict[str, int]:
        with self.engine.connect() as connection:
            return dict(connection.execute(select(outbox.c.message_id, outbox.c.tries)).all())

    def last_errors(self) -> dict[str, str | None]:
        with self.engine.connect() as connection:
            return dict(connection.execute(select(outbox.c.message_id, outbox.c.last_error)).all())

    def present(self) -> list[str]:
        """Processes that deliver."""
        with self.engine.connect() as connection:
            return leases.present(connection, self.clock.now(), TERMS.length)

    def next_tries(self) -> dict[str, datetime]:
        with self.engine.connect() as connection:
            return dict(connection.execute(select(outbox.c.message_id, outbox.c.next_try_at)).all())

    def all_in(self, states: Sequence[str]) -> Callable[[], bool]:
        return lambda: set(self.states().values()) <= set(states)

    def tried(self, message_id: str, times: int) -> Callable[[], bool]:
        """That many tries at a message are recorded."""
        return lambda: self.tries()[message_id] == times

    def claims(self, holder: str = "a") -> Claims:
        """The leases of a process."""
        return Claims(
            transactions=self.transactions,
            reading=Reading(self.engine),
            clock=self.clock,
            monotonic=self.monotonic,
            holder=holder,
            terms=TERMS,
        )

    @asynccontextmanager
    async def dispatching(
        self, claims: Claims | None = None, *, reaching: Callable[[str], str | None] | None = None, poll: float = 0.01
    ) -> AsyncIterator[Dispatcher]:
        """Dispatch until the end of the block, as one process or the one whose leases are named.

        `reaching` says by which way it gets to a destination, where that is not the one of all.
        """
        dispatcher = Dispatcher(
            engine=self.engine,
            clock=self.clock,
            policy=self.policy,
            resolve=reaching or self.urls.get,
            claims=claims or self.claims(),
            randbelow=self.randbelow,
            poll_seconds=poll,
            stop_seconds=0.05,
        )
        task = asyncio.create_task(dispatcher.run())
        try:
            yield dispatcher
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.transactions.close()

    def change_policy(self, **values: object) -> None:
        self.policy = replace(self.policy, **values)  # type: ignore[arg-type]  # the names are Delivery's own


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    engine = open_engine(new_url(tmp_path))
    create_tables(engine)
    yield Post(engine, FixedClock(NOW))
    engine.dispose()


@pytest.fixture(autouse=True)
def quiet_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)


def with_a_user_for_gas(directory: Path) -> None:
    """Have the first Supplier of an instance use its User for electricity, and another for gas."""
    users = directory / "users.toml"
    edit(users, f'eui = "{A.eui}"\nroles = ["IS", "GS"]\n', f'eui = "{A.eui}"\nroles = ["IS"]\n')
    edit(
        users,
        '[[organisation]]\nid = "supplier-b"',
        f'[[organisation.user]]\neui = "{GAS_EUI}"\nroles = ["GS"]\nreceiving_url = "http://127.0.0.1:8093/gas"\n'
        'duis_version = 5.4\nstatus = "Active"\n\n[[organisation]]\nid = "supplier-b"',
    )
