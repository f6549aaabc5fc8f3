"""The instance of the soak: the crash matrix's, with TLS, tokens, quarantine, webhooks and retention."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sr_engine.bootstrap import Instance
from sr_engine.replay.homes import Home
from sr_engine.store import cpl
from tests.crash.country import RATE, make_country
from tests.postgres import PostgresServer
from tests.soak import faces, quarantine
from tests.soak.certificates import Certificates
from tests.soak.moves import FEED_TOKEN
from tests.soak.pruning import KEPT_DAYS
from tests.soak.traffic import CPL
from tests.world import edit

CLOCKS_CHANGE = datetime(2027, 3, 28, 1, 0, tzinfo=UTC)
CHANGE_AT_SHARE = 0.4
"""When the clocks change, as a share of the soak."""
_SET_UP_SECONDS, _HUBS_SET_UP_PER_SECOND = 8, 1_000
"""How long it takes, about, until there is traffic; the clock runs meanwhile."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be soaked, and how long."""

    directory: Path
    """A folder that is not there yet."""
    seconds: float
    seed: int
    server: PostgresServer | None = None
    """Without one the engine is SQLite."""
    say: Callable[[str], None] = lambda _: None
    """Told of progress."""

    @property
    def engine(self) -> str:
        return "sqlite" if self.server is None else "postgresql"


def make_site(plan: Plan, certificates: Certificates, url: str, port: int, homes: Sequence[Home]) -> Instance:
    """With receivers below a URL, and homes that move in."""

    def configure(directory: Path) -> None:
        faces.prepare(directory)
        policy, api = directory / "config" / "policy.toml", directory / "config" / "api.toml"
        # Nothing is given up: hours of trying pass in a second here, and what is given up is not to be told from lost.
        edit(policy, "max_tries = 30\n", "max_tries = 1_000_000\n")
        edit(api, "max_tries = 30\n", "max_tries = 10_000\n")
        edit(api, "poll_seconds = 2\n", "poll_seconds = 1\n")
        for kept in ("messages", "requests", "audit"):
            edit(policy, f"{kept}_days = 36_500", f"{kept}_days = {KEPT_DAYS}")
        edit(policy, "quarantine_hours = 72", f"quarantine_hours = {quarantine.HOURS}")
        with (directory / "sr-engine.toml").open("a", encoding="utf-8") as settings:
            settings.write(certificates.settings)
            settings.write(f'\n[registration_feed]\ntoken_sha256 = "{_sha256(FEED_TOKEN)}"\n')
            settings.write(f'\n[operator]\ntoken_sha256 = "{_sha256(quarantine.TOKEN)}"\n')

    set_up = _SET_UP_SECONDS + len(homes) / _HUBS_SET_UP_PER_SECOND
    before_change = timedelta(seconds=(set_up + CHANGE_AT_SHARE * plan.seconds) * RATE)
    instance = make_country(
        plan.directory,
        url=url,
        port=port,
        database_url="sqlite:///sr-engine.db" if plan.server is None else plan.server.new_database(),
        known=homes,
        starts_at=CLOCKS_CHANGE - before_change,
        configure=configure,
    )
    instance.transactions.run_now(lambda uow: cpl.put_entries(uow.connection, CPL))
    quarantine.watch(instance)
    return instance


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
