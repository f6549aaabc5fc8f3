"""Instances for fixtures: one prepared for everything that is given alike, a copy of its database for each fixture."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from sqlalchemy import Engine

from sr_engine.bootstrap import Instance, open_instance, triggers
from sr_engine.clock import FixedClock
from sr_engine.configuration import SETTINGS_FILE, ConfigurationError
from sr_engine.domain.terms import Announced, Management, Obligation, Terms
from sr_engine.instance import create_instance
from sr_engine.messages.model import Firmware
from sr_engine.operations.releases import open_release
from sr_engine.replay.embedded import EmbeddedStage
from sr_engine.replay.fixture import Fixture
from sr_engine.replay.given import HAN_MANUFACTURER, Given
from sr_engine.replay.homes import MANUFACTURER, MODEL, OLD_VERSION, move_in
from sr_engine.replay.stage import FEED_TOKEN
from sr_engine.store import cpl, observed, terms
from sr_engine.store.database import open_engine
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import Foreseen, UnitOfWork, Work

T = TypeVar("T")

IMAGE_HASH = "AB" * 32
DATABASE = "sr-engine.db"


class Chance:
    """Numbers that look drawn and are the same for everybody who begins with the same word."""

    def __init__(self) -> None:
        self._random = Random()  # noqa: S311 - nobody has anything to gain from guessing them

    def begin(self, word: str) -> None:
        self._random.seed(word)

    def below(self, limit: int) -> int:
        """A whole number from 0 and below the limit."""
        return self._random.randrange(limit)


class AtOnce(Transactions):
    """The same transactions, without changing threads for each: a fixture looks for due work some thousand times."""

    async def run(
        self,
        work: Work[T],
        *,
        heavy: bool = False,  # noqa: ARG002 - nobody else works
        of: str = "",  # noqa: ARG002
        hubs: Collection[str] | None = None,  # noqa: ARG002
        foreseen: Foreseen[Any] | None = None,  # noqa: ARG002
    ) -> T:
        return self.run_now(work)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An instance as it is given, whose database is copied."""

    instance: Instance
    database: Path
    """What its own is copied from, for each fixture."""
    clock: FixedClock
    chance: Chance

    @contextmanager
    def fresh(self) -> Iterator[Instance]:
        """The instance with everything as it is given, until the end of the block."""
        own = Path(str(self.instance.engine.url.database))
        shutil.copyfile(self.database, own)
        try:
            with closing(self.instance.engine, self.instance.reading_engine):
                yield self.instance
        finally:
            # What one that failed leaves behind must not meet the copy for the next.
            for file in own.parent.glob(f"{own.name}*"):
                file.unlink()


class Theatre:
    """Where fixtures are played, in a folder of its own that is empty at first."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._prepared: dict[str, Prepared] = {}
        self._folders = count()

    @contextmanager
    def stage(self, fixture: Fixture) -> Iterator[EmbeddedStage]:
        """A stage for one fixture, gone at the end of the block. Raises ConfigurationError for an impossible given."""
        prepared = self._prepared.get(fixture.given.key)
        if prepared is None:
            prepared = self._prepared[fixture.given.key] = self._prepare(fixture.given)
        prepared.clock.set(fixture.given.at)
        prepared.chance.begin(fixture.title)
        with prepared.fresh() as instance, asyncio.Runner() as loop:
            yield EmbeddedStage(fixture, instance, prepared.clock, instance.settings.trust_directory, loop)

    def _prepare(self, given: Given) -> Prepared:
        directory = self._directory / f"given-{next(self._folders)}"
        make_instance(directory, given)
        # Nobody has to take an answer in here before a Response may follow.
        set_policy(directory / "config" / "policy.toml", {"held": {"answer_grace_milliseconds": 0}})
        clock, chance = FixedClock(given.at), Chance()
        chance.begin("given")
        opened_once = open_instance(directory, clock=clock, randbelow=chance.below)
        with closing(opened_once.engine, opened_once.reading_engine):
            instance = at_once(opened_once, opened_once.engine, opened_once.reading_engine)
            furnish(instance, given)
            with asyncio.Runner() as loop:
                for trigger in triggers(instance, lambda: None):
                    loop.run(trigger.tick())
            instance.transactions.run_now(lambda work: observed.take_all(work.connection, work.now))
        # One engine for all copies: what it has compiled serves every fixture.
        url = f"sqlite:///{directory / 'copy.db'}"
        engine, reading_engine = open_engine(url, durable=False), open_engine(url, read_only=True, durable=False)
        return Prepared(at_once(opened_once, engine, reading_engine), directory / DATABASE, clock, chance)


def make_instance(directory: Path, given: Given, **settings: Any) -> None:
    """An instance with the Users, keys and policy that are given, and nothing in its database."""
    create_instance(
        directory,
        now=given.at,
        suppliers=[one for name, one in given.suppliers.items() if name not in given.strangers],
        strangers=[one for name, one in given.suppliers.items() if name in given.strangers],
        **settings,
    )
    with (directory / SETTINGS_FILE).open("a", encoding="utf-8") as file:
        digest = hashlib.sha256(FEED_TOKEN.encode()).hexdigest()
        file.write(f'\n[registration_feed]\ntoken_sha256 = "{digest}"\n')
    set_policy(directory / "config" / "policy.toml", given.policy)


def furnish(instance: Instance, given: Given) -> None:
    """Put homes, CPL and releases into the instance's database, as they are given."""
    if not given.spreadsheets:
        instance.transactions.run_now(lambda work: move_in(work, given.homes.values()))
    instance.transactions.run_now(lambda work: cpl.put_entries(work.connection, given.cpl))
    horizon = instance.configuration.policy.horizon.upgrade_window
    for release in given.releases:
        firmware = Firmware(MANUFACTURER, MODEL, release.version)

        def opens(work: UnitOfWork, release: Any = release, firmware: Firmware = firmware) -> None:
            opened_release, _ = open_release(
                work,
                configuration=instance.configuration,
                alerts=instance.alerts,
                draw_id=instance.draw_id,
                firmware=firmware,
                image_hash=IMAGE_HASH,
                regions=release.regions or tuple(instance.configuration.regions),
                reachable_from=[OLD_VERSION],
                han_models=[(HAN_MANUFACTURER, model) for model in release.may_break],
                general_open=release.general,
            )
            if release.dcc_managed:
                managed = Terms(Obligation.VOLUNTARY, Management.DCC_MANAGED, given.at + horizon)
                known = Announced(managed, work.now, "given", work.now.date())
                terms.announce(work.connection, opened_release.release_id, known, work.now)

        instance.transactions.run_now(opens)


def at_once(instance: Instance, engine: Engine, reading_engine: Engine) -> Instance:
    """The instance with transactions that run where they are asked for."""
    telling = replace(instance.telling, engine=reading_engine)
    transactions = AtOnce(engine, instance.clock, follow_up=telling)
    return replace(instance, engine=engine, reading_engine=reading_engine, transactions=transactions, telling=telling)


@contextmanager
def closing(*engines: Engine) -> Iterator[None]:
    """Let go of databases at the end of the block."""
    try:
        yield
    finally:
        for engine in engines:
            engine.dispose()


def set_policy(path: Path, policy: Mapping[str, Mapping[str, Any]]) -> None:
    """Give values of policy.toml others; raises ConfigurationError for a table or key that it does not have."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for table, settings in policy.items():
        for key, value in settings.items():
            place = _line_of(lines, table, key)
            if place is None:
                raise ConfigurationError((f"policy.{table}.{key}: policy.toml has no such key",))
            lines[place] = f"{key} = {json.dumps(value, default=str)}"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _line_of(lines: list[str], table: str, key: str) -> int | None:
    inside = False
    for number, line in enumerate(lines):
        if re.match(r"\s*\[", line):
            inside = line.strip() == f"[{table}]"
        elif inside and re.match(rf"{re.escape(key)}\s*=", line):
            return number
    return None
