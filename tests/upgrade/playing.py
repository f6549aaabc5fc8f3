"""Plays an upgrade from the first release: its processes serve under load, and those of now take over from them."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from sqlalchemy import func, select

from sr_engine.bootstrap import open_instance
from sr_engine.clock import Clock
from sr_engine.configuration import SETTINGS_FILE, Configuration, UserDirectory, clock_of, load_settings, load_users
from sr_engine.configuration import load as load_configuration
from sr_engine.delivery.telling import remind
from sr_engine.domain.states import WITH_CSP
from sr_engine.store import tables
from sr_engine.store.database import open_engine
from sr_engine.store.outbox import PENDING
from sr_engine.store.schema import known_revisions
from tests.crash.collecting import collect
from tests.crash.country import NAMES, homes
from tests.crash.invariants import violations
from tests.crash.load import Load
from tests.crash.receivers import Receivers, behaviour_of
from tests.crash.stage import dispose, rest
from tests.drill.balancer import Balancer
from tests.drill.site import DrillFailed, Site
from tests.ports import reserved_port
from tests.postgres import PostgresServer
from tests.upgrade.first_release import REVISION, bring_new_keys, unpack

GATEWAYS, WORKERS = 2, 2
AT_ONCE = 3
CONNECTIONS = len(NAMES) * AT_ONCE
SEED = 1
HUBS_PER_REQUEST = 24
ASLEEP = NAMES[-1]
"""A Supplier that takes nothing before the upgrade is over: what it is to be told waits in the old schema."""
WAITING = 20
"""Messages that have to wait before the first of the old processes is stopped."""
_MAKE = """
import sys
from pathlib import Path
from tests.crash.country import make_country
directory, url, port, database, hubs = sys.argv[1:]
make_country(Path(directory), url=url, port=int(port), database_url=database, hubs=int(hubs))
"""
_LEASE = "leases are held"
_TOO_EARLY = "first `sr-engine db upgrade`"
"""In refusals of `db upgrade`."""
_WITHIN_SECONDS = 90


class Way(StrEnum):
    """What becomes of the processes of the first release."""

    REPLACED = "replaced"
    """One after another, while the others serve."""
    STOPPED = "stopped"
    """All are told to stop before the schema is brought forward."""
    KILLED = "killed"
    """All are, as when a computer is lost."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be played."""

    folder: Path
    """Empty."""
    requests: int = 150
    """How many are answered, at least, before the upgrade, and again after it."""
    server: PostgresServer | None = None
    """Without one the database is SQLite."""
    way: Way = Way.REPLACED
    say: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What those around an instance know of it."""

    clock: Clock
    configuration: Configuration
    users: UserDirectory


@dataclass
class Result:
    """What came of it; `violations` is empty if all is as it has to be."""

    answered: Counter[str] = field(default_factory=Counter)
    """Requests, by when: `before` anything was done, `meanwhile` and `after` all that was done."""
    again: int = 0
    """POSTs meanwhile or after that nobody answered, or with 503."""
    tries: int = 0
    left_over: Counter[str] = field(default_factory=Counter)
    """By what it is: what had not been finished when the first process of the first release was stopped."""
    upgrade_seconds: float = 0
    """Of `db upgrade`, both times if it was needed twice."""
    seconds: float = 0
    """From the first process that was told to stop to the last that serves."""
    violations: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For people."""
        left = ", ".join(f"{number} {what}" for what, number in sorted(self.left_over.items()))
        answered = ", ".join(f"{number} {when}" for when, number in self.answered.items())
        return [
            (
                f"revision {REVISION} to {known_revisions()[-1]} in {self.upgrade_seconds:.1f} s, all processes in "
                f"{self.seconds:.1f} s"
            ),
            (
                f"requests answered: {answered}, and each once more at the end; {self.again} POSTs were without an "
                "answer, and repeated"
            ),
            f"not finished when the first process of the first release was stopped: {left}",
        ]


def play(wanted: Wanted) -> Result:
    """Play it. Raises HistoryMissing, and DrillFailed if a step cannot be done at all."""
    return asyncio.run(_play(wanted))


async def _play(wanted: Wanted) -> Result:
    release = wanted.folder / "release"
    unpack(release)
    async with AsyncExitStack() as stack:
        receivers = Receivers(SEED)
        stack.push_async_callback(receivers.close)
        await receivers.listen()
        ports = [stack.enter_context(reserved_port()) for _ in range(GATEWAYS)]
        balancer = Balancer(ports)
        stack.push_async_callback(balancer.close)
        urls = [await balancer.listen()]
        directory = wanted.folder / "instance"
        old = Site(_new_folder(wanted.folder / "old"), directory, ports, WORKERS, release)
        new = Site(_new_folder(wanted.folder / "new"), directory, ports, WORKERS)
        for site in (old, new):
            stack.push_async_callback(site.kill_all)
        known = homes(HUBS_PER_REQUEST * wanted.requests)
        database = "sqlite:///sr-engine.db" if wanted.server is None else wanted.server.new_database()
        await old.python(_MAKE, str(directory), receivers.url, str(ports[0]), database, str(len(known)))
        around = _surroundings(directory, wanted.folder / "config")
        receivers.be_suppliers(around)
        await old.start_all()
        receivers.take_part(around, directory, urls, behaviour_of(SEED))
        load = Load(around, directory, urls, known, SEED, at_once=AT_ONCE)
        playing = _Playing(wanted, old, new, load, asyncio.create_task(load.run()))
        try:
            wanted.say("gateways and workers of the first release serve, and Suppliers send")
            await playing.answered(wanted.requests // 2)
            receivers.down = {ASLEEP}
            await playing.answered(wanted.requests // 2)
            await playing.until(lambda: _left_over(directory)["messages"] >= WAITING)
            await playing.upgrade()
            wanted.say("the schema is brought forward, and this version serves alone")
            receivers.down = set()
            await playing.answered(wanted.requests)
        except BaseException:
            # Nobody answers any more what is still under way.
            playing.loading.cancel()
            await asyncio.gather(playing.loading, return_exceptions=True)
            raise
        result = await playing.end()
        instance = open_instance(directory)
        stack.callback(dispose, instance)
        await rest(instance, receivers, whole=True)
        await load.repeat_all()
        await receivers.stop_acting()
        at_rest = await rest(instance, receivers, whole=False)
        for name in new.names:
            await new.stop(name)
        await new.command("db", "check", "--dir", str(directory))
        await new.command("audit", "verify", "--dir", str(directory))
        # What has happened by itself since everything was at rest is still to be told.
        instance.transactions.run_now(remind)
        evidence = collect(instance, load, receivers, known, at_rest)
        result.violations = [*violations(evidence), *new.tracebacks()]
        if wanted.way is Way.REPLACED and new.names[0] not in new.said("processes of a version before may be at work"):
            result.violations.append("nobody was told in the log what still waits")
        result.tries = load.tries
    return result


@dataclass
class _Playing:
    """The part that is under load."""

    wanted: Wanted
    old: Site
    new: Site
    load: Load
    loading: asyncio.Task[None]
    result: Result = field(default_factory=Result)
    unanswered_before: int = 0

    async def upgrade(self) -> None:
        """As docs/deployment.md says; what would do harm is tried, and has to be refused."""
        load, result = self.load, self.result
        answered, unanswered = load.answered, load.tries - load.answered
        result.answered["before"] = answered
        if self.wanted.way is Way.REPLACED:
            await self._replace()
        else:
            await self._stop_and_start()
        result.answered["meanwhile"] = load.answered - answered
        self.unanswered_before = unanswered

    async def _replace(self) -> None:
        """The schema, then one process after another, then what waits until the last of before is gone."""
        await self._refused(_TOO_EARLY, "--all-replaced")
        await self._bring_forward()
        bring_new_keys(self.new.directory / "config")
        self.result.left_over = _left_over(self.new.directory)
        began = time.monotonic()
        for name in self.new.names:
            await self.answered(self.wanted.requests // len(self.new.names))
            if name == self.new.names[-1]:
                await self._refused(_LEASE, "--all-replaced")
            await self.old.stop(name)
            await self.new.start(name)
        self.result.seconds = time.monotonic() - began
        await self.answered(self.wanted.requests // 2)
        await self._bring_forward("--all-replaced")

    async def _stop_and_start(self) -> None:
        bring_new_keys(self.new.directory / "config")
        await self._refused(_LEASE, "--all-stopped")
        began = time.monotonic()
        self.result.left_over = _left_over(self.new.directory)
        if self.wanted.way is Way.KILLED:
            await self.old.kill_all()
        else:
            await asyncio.gather(*(self.old.stop(name) for name in self.old.names))
        await self._bring_forward("--all-stopped")
        await self.new.start_all()
        self.result.seconds = time.monotonic() - began

    async def _bring_forward(self, *how: str) -> None:
        began = time.monotonic()
        async with asyncio.timeout(_WITHIN_SECONDS):
            while True:
                try:
                    await self.new.command("db", "upgrade", "--dir", str(self.new.directory), *how)
                    break
                except DrillFailed as failed:
                    # What was killed holds its leases for a while yet.
                    if _LEASE not in str(failed):
                        raise
        self.result.upgrade_seconds += time.monotonic() - began

    async def _refused(self, why: str, how: str) -> None:
        try:
            await self.new.command("db", "upgrade", "--dir", str(self.new.directory), how)
        except DrillFailed as failed:
            if why not in str(failed):
                raise
        else:
            raise DrillFailed(f"db upgrade {how} was not refused")

    async def answered(self, more: int) -> None:
        """Wait until so many more requests have been answered."""
        enough = self.load.answered + more
        await self.until(lambda: self.load.answered >= enough)

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait for something while the load goes on; raises what it raises."""
        async with asyncio.timeout(_WITHIN_SECONDS):
            while not await asyncio.to_thread(reached):
                if self.loading.done():
                    self.loading.result()
                await asyncio.sleep(0.05)

    async def end(self) -> Result:
        """Let what is under way be answered, and nothing more be sent."""
        self.load.stopped.set()
        await self.loading
        answered = self.result.answered
        answered["after"] = self.load.answered - answered.total()
        # POSTs count once their request is answered.
        self.result.again = self.load.tries - self.load.answered - self.unanswered_before
        return self.result


def _new_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _surroundings(directory: Path, config: Path) -> Surroundings:
    """Of an instance of the first release, by a copy of its configuration that this version can read."""
    shutil.copytree(directory / "config", config)
    bring_new_keys(config)
    settings = load_settings(directory / SETTINGS_FILE)
    return Surroundings(clock_of(settings), load_configuration(config), load_users(settings.users_file))


def _left_over(directory: Path) -> Counter[str]:
    """What there is to do, in words that the old schema and the new have in common."""
    counts = {
        "messages": select(func.count()).where(tables.outbox.c.state == PENDING),
        "hubs with a CSP": select(func.count()).where(tables.attempts.c.state.in_([one.value for one in WITH_CSP])),
        "requests that wait for their time": select(func.count()).where(tables.held_requests.c.ended_at.is_(None)),
    }
    engine = open_engine(load_settings(directory / SETTINGS_FILE).database_url, read_only=True)
    try:
        with engine.connect() as connection:
            return Counter({what: connection.scalar(count) or 0 for what, count in counts.items()})
    finally:
        engine.dispose()
