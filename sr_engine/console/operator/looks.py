"""Looks into an instance that take long: made beside everything else, by a process that has nothing but the place.

Each is one of the uses of the command line, with the same result.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from signing import Certificate
from sr_engine import configuration
from sr_engine.apart import Say
from sr_engine.configuration import Configuration
from sr_engine.domain.sla import Levels, Month
from sr_engine.domain.upgrades import Release
from sr_engine.operations import audit_verification
from sr_engine.operations.audit_verification import Verification
from sr_engine.operations.preview import Horizon, foresee
from sr_engine.operations.status import ReleaseStatus, of_release
from sr_engine.regions.preview import RegionPreview
from sr_engine.reports.sla import measure
from sr_engine.store import releases
from sr_engine.store.database import open_engine
from sr_engine.store.overlays import QuietDays
from sr_engine.store.reading import Connection


@dataclass(frozen=True, slots=True)
class Place:
    """Where an instance is, as far as looking into it goes."""

    database_url: str
    config_directory: Path
    certificate: Path
    """That of its own key."""

    @contextmanager
    def looking(self) -> Iterator[tuple[Connection, Configuration]]:
        """A connection that sees one state, and the configuration."""
        loaded = configuration.load(self.config_directory)
        engine = open_engine(self.database_url, read_only=True)
        try:
            with engine.connect() as connection:
                yield connection, loaded
        finally:
            engine.dispose()


@dataclass(frozen=True, slots=True)
class RegionPlan:
    """The preview of a region, and the releases it speaks of by their ids."""

    preview: RegionPreview
    releases: dict[str, Release]


def plan(say: Say, *, place: Place, now: datetime, nights: int) -> list[RegionPlan]:
    """What the coming nights will bring, region by region."""
    found: list[RegionPlan] = []
    with place.looking() as (connection, loaded):
        quiet = loaded.policy.change_of_supplier
        quiet_days = QuietDays(quiet.quiet_before, quiet.quiet_after)
        for number, region in enumerate(loaded.regions.values(), start=1):
            say(f"region {number} of {len(loaded.regions)}: {region.name}")
            foreseen = foresee(connection, region, now, Horizon(nights=nights), quiet_days)
            found.append(RegionPlan(foreseen.preview, foreseen.releases))
    return found


def levels(say: Say, *, place: Place, now: datetime, month: Month) -> dict[str, Levels]:
    """The service levels of a month, by region."""
    found: dict[str, Levels] = {}
    with place.looking() as (connection, loaded):
        for number, region in enumerate(loaded.regions.values(), start=1):
            say(f"region {number} of {len(loaded.regions)}: {region.name}")
            (one,) = measure(connection, [region], loaded.lifecycle, month, now)
            found[region.name] = one.levels
    return found


def trail(say: Say, *, place: Place) -> Verification:
    """Whether the audit trail is what was written."""
    with place.looking() as (connection, _):
        say("every record is hashed again")
        return audit_verification.verify(connection, [Certificate.from_file(place.certificate)])


def release(say: Say, *, place: Place, now: datetime, release_id: str) -> ReleaseStatus:
    """The hubs of a release by the state of their newest attempt, each counted."""
    with place.looking() as (connection, _):
        say("every hub is counted")
        return of_release(connection, releases.by_id(connection, release_id), now)
