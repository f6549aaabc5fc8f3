"""Plays the drill: a rolling restart, a backup and the loss of everything, under load; and judges what came of it."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select

from sr_engine.backup.manifest import read
from sr_engine.configuration import load_settings
from sr_engine.store.database import open_engine
from sr_engine.store.outbox import PENDING
from sr_engine.store.tables import outbox
from tests.drill.balancer import Balancer
from tests.drill.load import Load, Receivers, Sent, keys_of
from tests.drill.site import DEPLOYMENT, NAMES, DrillFailed, Site, make_homes, make_instance
from tests.ports import reserved_port
from tests.postgres import PostgresServer

GATEWAYS, WORKERS = 2, 2
WARM_UP_SECONDS = 2.0
QUIET_WITHIN_SECONDS = 90
_SPARE_SECONDS = 240
"""For which there are hubs beside those that the drill needs by itself."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be played."""

    folder: Path
    """Empty."""
    rate: float = 40
    """Requests a second."""
    lost_seconds: float = 20
    """Between the backup and the loss."""
    server: PostgresServer | None = None
    """Without one the database is SQLite."""
    say: Callable[[str], None] = lambda _: None


@dataclass
class Moments:
    """Of the monotonic clock."""

    backup_began: float = 0
    backup_ended: float = 0
    lost: float = 0
    """When the first process was killed."""
    recovery_began: float = 0
    """When nothing was left."""


@dataclass
class Result:
    """What came of it; `wrong` is empty if all is as it has to be."""

    restart_seconds: float = 0
    restart: Sequence[Sent] = ()
    """What was answered while processes were restarted."""
    backup_seconds: float = 0
    backup_bytes: int = 0
    lost_after_seconds: float = 0
    """From the beginning of the backup to the loss."""
    lost_seconds: float = 0
    """RPO: from the first answer that is not known any more to the loss."""
    restore_seconds: float = 0
    verify_seconds: float = 0
    start_seconds: float = 0
    recovered_seconds: float = 0
    """RTO: from the loss to the first answer that was given after it."""
    answered: int = 0
    known: int = 0
    lost: int = 0
    arrived: int = 0
    arrived_twice: int = 0
    wrong: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For people."""
        again = sum(one.tries > 1 for one in self.restart)
        longest = max((one.ended - one.began for one in self.restart), default=0)
        return [
            (
                f"rolling restart of {GATEWAYS} gateways and {WORKERS} workers: {self.restart_seconds:.1f} s; "
                f"{len(self.restart)} requests, all answered, {again} of them sent more than once; "
                f"the longest took {longest:.2f} s"
            ),
            f"backup: {self.backup_seconds:.1f} s, {self.backup_bytes / 1e6:.1f} MB, while requests were answered",
            (
                f"RPO: {self.lost_seconds:.1f} s, everything having been lost {self.lost_after_seconds:.1f} s after "
                f"the backup was begun; of {self.answered} requests that had been answered {self.known} are answered "
                f"the same, byte for byte, and {self.lost} were not known any more; sent again, each was carried out"
            ),
            (
                f"RTO: {self.recovered_seconds:.1f} s from the loss to the first answer: restored and verified in "
                f"{self.restore_seconds:.1f} s, verified once more in {self.verify_seconds:.1f} s, started in "
                f"{self.start_seconds:.1f} s"
            ),
            (
                f"messages to Suppliers: {self.arrived} arrived, {self.arrived_twice} of them more than once and with "
                "the same bytes each time; none waits"
            ),
        ]


def play(wanted: Wanted) -> Result:
    """Play it; raises DrillFailed if a step cannot be done at all."""
    return asyncio.run(_play(wanted))


async def _play(wanted: Wanted) -> Result:
    result, at = Result(), Moments()
    async with AsyncExitStack() as stack:
        receivers = Receivers()
        stack.push_async_callback(receivers.close)
        ports = [stack.enter_context(reserved_port()) for _ in range(GATEWAYS)]
        balancer = Balancer(ports)
        stack.push_async_callback(balancer.close)
        url = await balancer.listen()
        homes = make_homes(round(wanted.rate * (wanted.lost_seconds + _SPARE_SECONDS)))
        site = Site(wanted.folder, wanted.folder / "instance", ports, WORKERS)
        database = "sqlite:///sr-engine.db" if wanted.server is None else wanted.server.new_database()
        make_instance(site.directory, receivers=await receivers.listen(), database_url=database, homes=homes)
        site.keep_keys()
        stack.push_async_callback(site.kill_all)
        await site.start_all()
        load = Load(url, keys_of(site.directory, NAMES), homes, wanted.rate)
        loading = asyncio.create_task(load.run())
        wanted.say("gateways and workers serve, and Suppliers send")
        try:
            await asyncio.sleep(WARM_UP_SECONDS)
            await _restart(site, load, result)
            wanted.say("all were restarted, one after another")
            await _back_up(site, at, result)
            wanted.say("a backup was taken")
            await asyncio.sleep(max(0.0, wanted.lost_seconds - result.backup_seconds))
            await _lose_everything(site, wanted, database, at)
            wanted.say("everything was lost")
            await _recover(site, wanted, load, at, result)
            wanted.say("the instance is restored and serves")
            await asyncio.sleep(WARM_UP_SECONDS)
        except BaseException:
            # Nobody answers any more what is still under way.
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
            raise
        load.stopped.set()
        await loading
        await _judge(load, at, result)
        await _quiet(site)
        _judge_messages(receivers, result)
        for name in site.names:
            await site.stop(name)
    return result


async def _restart(site: Site, load: Load, result: Result) -> None:
    """As docs/deployment.md says: the schema first, then one process after another."""
    began = time.monotonic()
    await site.command("db", "upgrade", "--dir", str(site.directory))
    for name in site.names:
        await site.stop(name)
        await site.start(name)
    ended = time.monotonic()
    result.restart_seconds = ended - began
    # What was under way at either end counts too.
    result.restart = [one for one in load.sent if one.ended >= began and one.began <= ended]
    if not result.restart:
        result.wrong.append("nothing was answered while processes were restarted")


async def _back_up(site: Site, at: Moments, result: Result) -> None:
    """By the script that the timer starts."""
    at.backup_began = time.monotonic()
    backups = site.folder / "backups"
    backups.mkdir()
    script = str(DEPLOYMENT / "backup.sh")
    await site.run("/bin/sh", script, str(site.program), str(site.directory), str(backups))
    at.backup_ended = time.monotonic()
    result.backup_seconds = at.backup_ended - at.backup_began
    result.backup_bytes = sum(one.stat().st_size for one in _backup_of(site).rglob("*") if one.is_file())


def _backup_of(site: Site) -> Path:
    (folder,) = (site.folder / "backups").iterdir()
    return folder


async def _lose_everything(site: Site, wanted: Wanted, database: str, at: Moments) -> None:
    """The processes, the folder of the instance and its database."""
    at.lost = time.monotonic()
    await site.kill_all()
    shutil.rmtree(site.directory)
    if wanted.server is not None:
        wanted.server.execute(f"DROP DATABASE {database.rpartition('/')[2]} WITH (FORCE)")
    at.recovery_began = time.monotonic()


async def _recover(site: Site, wanted: Wanted, load: Load, at: Moments, result: Result) -> None:
    """As docs/deployment.md says, step by step."""
    backup = _backup_of(site)
    site.directory = site.folder / "restored"
    url = [] if wanted.server is None else ["--database", wanted.server.new_database()]
    await site.command("restore", str(backup), "--directory", str(site.directory), *url)
    site.bring_keys()
    restored = time.monotonic()
    heads = [argument for head in read(backup).dump.audit_heads for argument in ("--head", head)]
    await site.command("audit", "verify", "--dir", str(site.directory), *heads)
    verified = time.monotonic()
    await site.start_all()
    started = time.monotonic()
    # Suppliers have been trying all the time, and go on by themselves.
    first = await load.first_answer_after(at.recovery_began)
    result.lost_after_seconds = at.lost - at.backup_began
    result.restore_seconds = restored - at.recovery_began
    result.verify_seconds = verified - restored
    result.start_seconds = started - verified
    result.recovered_seconds = first.ended - at.lost


async def _judge(load: Load, at: Moments, result: Result) -> None:
    before = [one for one in load.sent if one.ended <= at.recovery_began]
    refused = Counter(one.code for one in load.sent if one.code != "I0")
    if refused:
        result.wrong.append(f"answered otherwise than by I0: {dict(refused)}")
    again = await load.again(before)
    known = [first.answer == second.answer for first, second in zip(before, again, strict=True)]
    result.answered, result.known, result.lost = len(before), sum(known), len(known) - sum(known)
    result.lost_seconds = max(
        (at.lost - one.ended for one, is_known in zip(before, known, strict=True) if not is_known), default=0
    )
    for is_known, first, second in zip(known, before, again, strict=True):
        if second.code != "I0":
            result.wrong.append(f"sent again, a request was answered {second.code}")
        if first.ended <= at.backup_began and not is_known:
            result.wrong.append("a request that was answered before the backup is answered otherwise")
        if first.began >= at.backup_ended and is_known:
            result.wrong.append("a request that came after the backup is known: nothing was lost, so nothing was tried")


def _judge_messages(receivers: Receivers, result: Result) -> None:
    result.arrived = len(receivers.arrived)
    result.arrived_twice = sum(len(one) > 1 for one in receivers.arrived.values())
    if any(len(set(one)) > 1 for one in receivers.arrived.values()):
        result.wrong.append("two different messages came under one id")


async def _quiet(site: Site) -> None:
    """Wait until every message has been taken."""
    engine = open_engine(load_settings(site.directory / "sr-engine.toml").database_url, read_only=True)
    waiting = select(func.count()).select_from(outbox).where(outbox.c.state == PENDING)
    try:
        async with asyncio.timeout(QUIET_WITHIN_SECONDS):
            while True:
                with engine.connect() as connection:
                    if connection.scalar(waiting) == 0:
                        return
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise DrillFailed(f"messages still wait after {QUIET_WITHIN_SECONDS} s") from None
    finally:
        engine.dispose()
