"""Yesterday's traffic against this build: the messages in the inbox of an instance, at their times, in their order.

What was drawn by chance then, ids of schedules and lists, is drawn again, for later messages name them. See
`docs/fixtures.md` for what is and is not played.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from sqlalchemy import Connection

from sr_engine.bootstrap import Instance, open_instance
from sr_engine.clock import FixedClock
from sr_engine.configuration import SETTINGS_FILE, ConfigurationError, load_settings
from sr_engine.gateway.csp import CSP
from sr_engine.replay.log_player import Changed, Event, Memory, Player, Told, differences
from sr_engine.replay.running import quietly
from sr_engine.replay.theatre import DATABASE, at_once, closing
from sr_engine.store import log
from sr_engine.store.database import create_tables, open_engine

_OPENED = "release opened"
Say = Callable[[str], object]


def replay_log(directory: Path, before: Path | None, say: Say) -> Told:
    """Play the traffic of an instance on a copy, which is thrown away, and say what differs.

    `before` is its database from before that traffic; without it the copy is taken back as far as is known. Raises
    ConfigurationError or DatabaseError for an instance that cannot be used. Nothing in its folder is changed.
    """
    told = Told()
    settings = load_settings(directory / SETTINGS_FILE)
    source = open_engine(settings.database_url, read_only=True)
    with quietly(), closing(source), source.connect() as connection, tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "instance"
        shutil.copytree(directory, copy, ignore=shutil.ignore_patterns(f"{DATABASE}*"))
        _use_own_database(copy, settings.database_url)
        since = _begin(connection, copy / DATABASE, before, told)
        with _instance(copy, since[2]) as (instance, clock):
            player = Player(connection, instance, clock, Memory.of(connection), told)
            with asyncio.Runner() as loop:
                events, left = _timeline(connection, since[0], since[1])
                told.notes += [f"{one.what} {one.key}: not played: the audit trail does not say when" for one in left]
                player.play(loop, events)
            _compare_responses(connection, instance, told, since[0])
    for note in told.notes:
        say(f"note: {note}")
    for one in told.differences:
        say(str(one))
    say(f"{told.messages:,} messages played; {len(told.differences):,} answers differ")
    return told


def _use_own_database(copy: Path, url: str) -> None:
    settings = copy / SETTINGS_FILE
    text = settings.read_text("utf-8")
    lines = [
        f'database_url = "sqlite:///{DATABASE}"' if line.startswith("database_url") else line
        for line in text.splitlines()
    ]
    if text.count("database_url") != 1:
        raise ConfigurationError((f"{SETTINGS_FILE}: database_url: must stand once, and not as {url}",))
    settings.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _begin(connection: Connection, database: Path, before: Path | None, told: Told) -> tuple[int, int, datetime]:
    """Make the database with which the copy begins; up to where its inbox and trail go, and when that is."""
    times = [*log.nights_done(connection)[:1], *(one.at for one in log.trail(connection, after=0)[:1])]
    begins = min(times, default=datetime.now(UTC)) - timedelta(seconds=1)
    if before is not None:
        shutil.copyfile(before, database)
        engine = open_engine(f"sqlite:///{database}")
        with closing(engine), engine.connect() as own:
            return *log.last_ids(own), begins
    engine = open_engine(f"sqlite:///{database}", durable=False)
    with closing(engine):
        create_tables(engine)
        taken_back = log.take_back(connection, engine, begins)
    if taken_back.unknown:
        told.notes.append(
            f"{taken_back.unknown} hubs were upgraded from a version that is not on record, and begin with it: "
            "name a copy of the database from before with --before"
        )
    return 0, 0, begins


@contextmanager
def _instance(copy: Path, begins: datetime) -> Iterator[tuple[Instance, FixedClock]]:
    clock = FixedClock(begins)
    chance = Random("from log")  # noqa: S311 - nobody has anything to gain from guessing it
    opened = open_instance(copy, clock=clock, randbelow=chance.randrange)
    url = f"sqlite:///{copy / DATABASE}"
    engine, reading = open_engine(url, durable=False), open_engine(url, read_only=True, durable=False)
    with closing(opened.engine, opened.reading_engine, engine, reading):
        yield at_once(opened, engine, reading), clock


def _timeline(
    connection: Connection, exchanges: int, trail: int
) -> tuple[list[tuple[datetime, Event]], list[log.Kept]]:
    """Everything that happened, in the order in which it was committed; and messages that stand in no trail."""
    inbox = log.kept(connection, after=exchanges)
    messages = {(one.interface != CSP, one.key): one for one in reversed(inbox)}
    releases_opened = {one.release_id: one for one in log.opened_releases(connection, log.gates_opened(connection))}
    nights = log.nights_done(connection)
    events: list[tuple[datetime, Event]] = []
    looked: datetime | None = None
    for act in log.trail(connection, after=trail):
        while nights and nights[0] <= act.at:
            looked = nights.pop(0)
            events.append((looked, None))
        kind = act.actor.partition(":")[0]
        if kind == "processor":
            if looked != act.at:
                events.append((act.at, None))
            looked = act.at
            continue
        looked = None
        if act.action == _OPENED:
            events.append((act.at, releases_opened[act.release_id or ""]))
        elif act.action == "refused":
            # Nothing of it is kept, and its RequestID was free to be used again.
            continue
        elif kind in ("user", "csp"):
            kept = messages.pop((kind == "user", act.message_key or ""), None)
            if kept is not None:
                events.append((kept.at, kept))
        else:
            events.append((act.at, act))
    played = {event.exchange_id for _, event in events if isinstance(event, log.Kept)}
    return [*events, *((at, None) for at in nights)], [one for one in inbox if one.exchange_id not in played]


def _compare_responses(connection: Connection, instance: Instance, told: Told, after: int) -> None:
    """What requests that were held came to, then and now."""
    known = {(one.key, one.command_variant) for one in log.kept(connection, after=after)}
    with instance.reading_engine.connect() as own:
        now = {(one.key, one.command_variant): one for one in log.ended(own)}
    for one in log.ended(connection):
        key = (one.key, one.command_variant)
        if key not in known:
            continue
        again = now.get(key)
        code = "nothing yet" if again is None else again.code
        elements = () if again is None else differences(one.response, again.response)
        if code != one.code or elements:
            told.differences.append(Changed(instance.clock.now(), one.key, "Response to", one.code, code, elements))
