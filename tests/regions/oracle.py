"""The lists of a night as the rules have them, each hub judged by itself and all planned at once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from sr_engine.configuration import Lifecycle, Region
from sr_engine.domain.changes import Changes, settle
from sr_engine.domain.listing import obstacle
from sr_engine.messages.model import Period
from sr_engine.regions.periods import NightCounter, PeriodFinder
from sr_engine.regions.planner import Candidate, ListDraft, Plan, cut, plan_period
from sr_engine.store import releases, upgrades
from sr_engine.store.overlays import QuietDays
from sr_engine.store.owed import owed as owed_in
from sr_engine.store.tables import attempts
from sr_engine.store.upgrades import attempt_of


@dataclass(frozen=True)
class Oracle:
    """Judges hubs by what an instance is configured with."""

    region: Region
    lifecycle: Lifecycle
    quiet_days: QuietDays


def planned(connection: Connection, oracle: Oracle, period: Period, due_at: datetime) -> Plan:
    """Who is listed in a night that is cut at its time, and who is left out; nothing is written."""
    region = oracle.region
    scheduled: dict[str, list[str]] = defaultdict(list)
    rows = connection.execute(
        select(attempts).where(attempts.c.region == region.name, attempts.c.state == "Scheduled")
    ).all()
    known = {one.release_id: one for one in releases.all_releases(connection)}
    for row in rows:
        release, scheduled_attempt = known[row.release_id], attempt_of(row)
        compulsory = (
            release.compulsory_from is not None
            and release.comply_by is not None
            and release.compulsory_from <= due_at < release.comply_by
        )
        if scheduled_attempt.pilot or scheduled_attempt.compulsory or compulsory or region.name in release.general_open:
            scheduled[row.release_id].append(row.hub_id)
    has_period = PeriodFinder({region.name: region}, due_at)
    nights_left = NightCounter(region, period.end)
    candidates = []
    for release_id, hub_ids in scheduled.items():
        release = known[release_id]
        loaded = upgrades.load(connection, hub_ids, release, due_at, quiet_days=oracle.quiet_days)
        window = release.compulsory_window(due_at)
        for hub_id, upgrade in loaded.items():
            changes = Changes(release, oracle.lifecycle)
            settle(changes, upgrade, now=due_at, has_period=has_period)
            attempt = upgrade.attempt
            if changes.attempts or attempt is None or obstacle(upgrade, release, region.name, period, due_at):
                continue
            deadline = attempt.window.end if window is None else min(attempt.window.end, window.end)
            candidates.append(
                Candidate(
                    hub_id,
                    release_id,
                    attempt.organisation,
                    attempt.window,
                    attempt.pilot,
                    nights_left(deadline),
                    attempt.compulsory,
                )
            )
    owed = owed_in(connection, region.name)
    return plan_period(candidates, period=period, capacity=region.hubs_per_night, owed=owed)


def drafts(plan: Plan, region: Region) -> tuple[ListDraft, ...]:
    """The lists of a plan."""
    return cut(plan.chosen, list_size=region.list_size)
