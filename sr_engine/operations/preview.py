"""Gathers what the preview of the plan depends on, and plays it, region by region."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice, takewhile

from sqlalchemy import Connection

from sr_engine.configuration import Region
from sr_engine.domain.phases import RegionPhase, gate_opens_at
from sr_engine.domain.upgrades import Release
from sr_engine.messages.model import Period
from sr_engine.regions.calendar import cut_time, open_periods
from sr_engine.regions.lists import CUT
from sr_engine.regions.preview import ALWAYS, ComingNight, RegionPreview, preview
from sr_engine.store import list_runs, lists, phases, releases, standings
from sr_engine.store.overlays import QuietDays
from sr_engine.store.owed import owed

_ONE_DAY = timedelta(days=1)
_LOOK_AHEAD = timedelta(days=3660)
"""How far nights are looked for, at most."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """How far to look: so many nights of each region, or all that begin up to a local date."""

    nights: int | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The preview of a region, and the releases it speaks of by their ids."""

    region: Region
    preview: RegionPreview
    releases: dict[str, Release]


def foresee(connection: Connection, region: Region, now: datetime, horizon: Horizon, quiet_days: QuietDays) -> Foreseen:
    """What the coming nights will bring in a region, from what is Scheduled at `now`."""
    nights = list(_nights(connection, region, now, horizon))
    known = {release.release_id: release for release in releases.all_releases(connection)}
    until = nights[-1].cut_at if nights else now
    found = standings.standings(connection, region.name, known, now, until=until, quiet_days=quiet_days)
    gates = {phase.release_id: _gate(connection, phase, now) for phase in phases.in_region(connection, region.name)}
    owed_now = owed(connection, region.name)
    return Foreseen(region, preview(region, nights, found, known, gates, owed=owed_now), known)


def _nights(connection: Connection, region: Region, now: datetime, horizon: Horizon) -> Iterator[ComingNight]:
    """The nights for which nothing has been cut yet; a list that is overdue is cut at once, if its night is to come."""
    done = lists.runs_after(connection, region.name, CUT, now, now)
    coming = (
        ComingNight(period, max(cut_time(region, period), now), _places(connection, region, period, now))
        for period in open_periods(region, Period(now, now + _LOOK_AHEAD))
        if period.start > now and period.start not in done
    )
    if horizon.until is not None:
        until = horizon.until
        return takewhile(lambda night: night.period.start.astimezone(region.time_zone).date() <= until, coming)
    return islice(coming, horizon.nights)


def _places(connection: Connection, region: Region, period: Period, now: datetime) -> int:
    """How many hubs may still be listed for a night: some of its lists may have been cut, or had other hours."""
    if cut_time(region, period) > now + _ONE_DAY:
        return region.hubs_per_night
    run = list_runs.find(connection, region.name, period)
    if run is not None:
        return run.places
    return max(0, region.hubs_per_night - lists.with_csp_beside(connection, region.name, period))


def _gate(connection: Connection, phase: RegionPhase, now: datetime) -> datetime | None:
    """From when hubs of the General phase are listed, as things stand; None: nobody can say yet."""
    if phase.general_open:
        return ALWAYS
    if phase.halted_at is not None:
        return None
    return gate_opens_at(phase.plan, phases.pilot_counts(connection, phase, now))
