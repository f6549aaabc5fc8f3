"""Plays an upgrade from the first release: its processes serve, are stopped, and those of now go on with its work."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
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
from tests.crash.evidence import Evidence
from tests.crash.invariants import violations
from tests.crash.load import Load
from tests.crash.receivers import Receivers, behaviour_of
from tests.crash.stage import dispose, rest
from tests.drill.site import ROOT, DrillFailed, Site
from tests.ports import reserved_port
from tests.postgres import PostgresServer
from tests.upgrade.first_release import REVISION, bring_new_keys, unpack

GATEWAYS, WORKERS = 2, 2
AT_ONCE = 3
SEED = 1
ASLEEP = NAMES[-1]
"""A Supplier that takes nothing before the upgrade is over: what it is to be told waits in the old schema."""
WAITING = 20
"""Messages that have to wait for it before the old processes are stopped."""
_MAKE = """
import sys
from pathlib import Path
from tests.crash.country import make_country
directory, url, port, database, hubs = sys.argv[1:]
make_country(Path(directory), url=url, port=int(port), database_url=database, hubs=int(hubs))
"""
_LEASE = "leases are held"
"""In the refusal of an upgrade beside somebody."""
_WITHIN_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be played."""

    folder: Path
    """Empty."""
    requests: int = 150
    """How many are answered, at least, by the first release, and again by this version."""
    server: PostgresServer | None = None
    """Without one the database is SQLite."""
    killed: bool = False
    """The processes of the first release are killed instead of told to stop."""
    say: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What those around an instance know of it."""

    clock: Clock
    configuration: Configuration
    users: UserDirectory


@dataclass
class Result:
    """What came of it; `violations` and `wrong` are empty if all is as it has to be."""

    answered_before: int = 0
    """By the first release."""
    answered_after: int = 0
    tries: int = 0
    left_over: Counter[str] = field(default_factory=Counter)
    """By what it is: what the first release had not finished."""
    revisions: tuple[str, str] = ("", "")
    upgrade_seconds: float = 0
    stopped_seconds: float = 0
    """From the first process that was told to stop to the last that serves."""
    violations: list[str] = field(default_factory=list)
    evidence: Evidence | None = None

    def lines(self) -> list[str]:
        """For people."""
        left = ", ".join(f"{number} {what}" for what, number in sorted(self.left_over.items()))
        return [
            (
                f"upgraded from {self.revisions[0]} to {self.revisions[1]} in {self.upgrade_seconds:.1f} s, "
                f"nobody being answered for {self.stopped_seconds:.1f} s"
            ),
            (
                f"{self.answered_before} requests answered by the first release, {self.answered_after} by this "
                f"version, in {self.tries} POSTs"
            ),
            f"left by the first release, and finished by this version: {left}",
        ]


def play(wanted: Wanted) -> Result:
    """Play it. Raises HistoryMissing, and DrillFailed if a step cannot be done at all."""
    return asyncio.run(_play(wanted))


async def _play(wanted: Wanted) -> Result:
    result = Result()
    release = wanted.folder / "release"
    unpack(release)
    async with AsyncExitStack() as stack:
        receivers = Receivers(SEED)
        stack.push_async_callback(receivers.close)
        await receivers.listen()
        ports = [stack.enter_context(reserved_port()) for _ in range(GATEWAYS)]
        directory = wanted.folder / "instance"
        old, new = (
            Site(_new_folder(wanted.folder / name), directory, ports, WORKERS, root)
            for name, root in (("old", release), ("new", ROOT))
        )
        for site in (old, new):
            stack.push_async_callback(site.kill_all)
        known = homes(12 * wanted.requests)
        database = "sqlite:///sr-engine.db" if wanted.server is None else wanted.server.new_database()
        await old.python(_MAKE, str(directory), receivers.url, str(ports[0]), database, str(len(known)))
        around = _surroundings(directory, wanted.folder / "config")
        receivers.be_suppliers(around)
        await old.start_all()
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        receivers.take_part(around, directory, urls, behaviour_of(SEED))
        load = Load(around, directory, urls, known, SEED, at_once=AT_ONCE)
        loading = asyncio.create_task(load.run())
        try:
            wanted.say("gateways and workers of the first release serve, and Suppliers send")
            await _until(lambda: load.answered >= wanted.requests // 2, loading)
            receivers.down = {ASLEEP}
            await _until(lambda: load.answered >= wanted.requests and _waiting(directory) >= WAITING, loading)
            await _upgrade(old, new, wanted, load, result)
            wanted.say("the database is brought forward, and this version serves")
            receivers.down = set()
            enough = load.answered + wanted.requests
            await _until(lambda: load.answered >= enough, loading)
        except BaseException:
            # Nobody answers any more what is still under way.
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
            raise
        load.stopped.set()
        await loading
        result.answered_after = load.answered - result.answered_before
        instance = open_instance(directory)
        stack.callback(dispose, instance)
        await rest(instance, receivers, whole=True)
        await load.repeat_all()
        await receivers.stop_acting()
        at_rest = await rest(instance, receivers, whole=False)
        for name in new.names:
            await new.stop(name)
        await new.command("audit", "verify", "--dir", str(directory))
        # What has happened by itself since everything was at rest is still to be told.
        instance.transactions.run_now(remind)
        result.tries = load.tries
        result.evidence = collect(instance, load, receivers, known, at_rest)
        result.violations = [*violations(result.evidence), *new.tracebacks()]
        result.revisions = (REVISION, known_revisions()[-1])
    return result


async def _upgrade(old: Site, new: Site, wanted: Wanted, load: Load, result: Result) -> None:
    """As docs/deployment.md says of an upgrade with a stop; what would do harm is tried, and refused."""
    bring_new_keys(new.directory / "config")
    directory = str(new.directory)
    await _refused(new, "--all-stopped", "db", "upgrade", "--dir", directory)
    await _refused(new, _LEASE, "db", "upgrade", "--all-stopped", "--dir", directory)
    began = time.monotonic()
    if wanted.killed:
        await old.kill_all()
    else:
        await asyncio.gather(*(old.stop(name) for name in old.names))
    result.answered_before = load.answered
    result.left_over = _left_over(new.directory)
    stopped = time.monotonic()
    await _once_leases_have_run_out(new, "db", "upgrade", "--all-stopped", "--dir", directory)
    result.upgrade_seconds = time.monotonic() - stopped
    await new.start_all()
    result.stopped_seconds = time.monotonic() - began


async def _refused(site: Site, reason: str, *command: str) -> None:
    """A command has to say no, and why."""
    try:
        await site.command(*command)
    except DrillFailed as failed:
        if reason not in str(failed):
            raise
    else:
        raise DrillFailed(f"{' '.join(command)} was not refused")


async def _once_leases_have_run_out(site: Site, *command: str) -> None:
    """What was killed holds its leases for a while yet."""
    async with asyncio.timeout(_WITHIN_SECONDS):
        while True:
            try:
                await site.command(*command)
            except DrillFailed as failed:
                if _LEASE not in str(failed):
                    raise
            else:
                return


async def _until(reached: Callable[[], bool], loading: asyncio.Task[None]) -> None:
    async with asyncio.timeout(_WITHIN_SECONDS):
        while not await asyncio.to_thread(reached):
            if loading.done():
                loading.result()
            await asyncio.sleep(0.05)


def _new_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _surroundings(directory: Path, config: Path) -> Surroundings:
    """Of an instance of the first release, by a copy of its configuration that this version can read."""
    shutil.copytree(directory / "config", config)
    bring_new_keys(config)
    settings = load_settings(directory / SETTINGS_FILE)
    return Surroundings(clock_of(settings), load_configuration(config), load_users(settings.users_file))


def _waiting(directory: Path) -> int:
    return _left_over(directory)["messages"]


def _left_over(directory: Path) -> Counter[str]:
    """What there is to do, in words of the old schema and of the new."""
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
