"""Cutting upgrade lists: from what is agreed to a signed list of hubs and a period for each (section 5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from signing import Signer
from sr_engine.configuration import Region
from sr_engine.delivery.alerts import Alerts
from sr_engine.domain.agreement import AttemptChange
from sr_engine.domain.changes import Changes, add_change, settle
from sr_engine.domain.listing import obstacle
from sr_engine.domain.states import AttemptEvent, AttemptState, Lifecycle
from sr_engine.domain.upgrades import HubUpgrade
from sr_engine.messages.model import ListEntry, Period
from sr_engine.regions.issuing import Issuing
from sr_engine.regions.periods import NightCounter, PeriodFinder
from sr_engine.regions.planner import Candidate, ListDraft, cut, plan_period
from sr_engine.store import audit, lists, releases, upgrades
from sr_engine.store.lists import StoredAttempt
from sr_engine.store.overlays import QuietDays
from sr_engine.store.owed import owed as owed_in
from sr_engine.store.owed import replace_owed
from sr_engine.store.transactions import UnitOfWork

CUT = "cut"


@dataclass(frozen=True, slots=True)
class _Eligible:
    """An attempt that may be listed, and by when it has to be."""

    stored: StoredAttempt
    upgrade: HubUpgrade
    deadline: datetime


@dataclass(frozen=True, slots=True)
class ListCutter:
    """Cuts the lists of one region for one nightly period, once."""

    signer: Signer
    alerts: Alerts
    access_control_broker: str
    draw_id: Callable[[], str]
    lifecycle: Lifecycle
    quiet_days: QuietDays

    def run(self, unit_of_work: UnitOfWork, region: Region, due_at: datetime, period: Period) -> int:
        """Cut, sign and queue the lists due at `due_at` for `period`; return how many hubs were listed.

        A second run for the same period does nothing. Approvals and authority are checked again as of now (section 5,
        Change of Supplier). A period that has begun is too late to list for: nothing is cut and the audit says so.
        """
        connection, now = unit_of_work.connection, unit_of_work.now
        if lists.has_run(connection, region.name, CUT, period.start):
            return 0
        lists.record_run(connection, region.name, CUT, period.start, now)
        scheduled = lists.scheduled_for(connection, region.name, period, now)
        if not scheduled:
            return 0
        if now >= period.start:
            self._say(
                unit_of_work, region, f"lists for {_span(period)} not cut: {_late(due_at, now)}, the period had begun"
            )
            return 0
        eligible = self._recheck(unit_of_work, region, scheduled, due_at, period)
        nights_left = NightCounter(region, period.end)
        candidates = [
            Candidate(
                stored.hub_id,
                stored.release_id,
                stored.attempt.organisation,
                stored.attempt.window,
                stored.attempt.pilot,
                nights_left(one.deadline),
                stored.attempt.compulsory,
            )
            for one in eligible
            for stored in [one.stored]
        ]
        owed = owed_in(connection, region.name)
        plan = plan_period(candidates, period=period, capacity=region.hubs_per_night, owed=owed)
        if plan.owed != owed:
            replace_owed(connection, region.name, plan.owed)
        by_hub = {one.stored.hub_id: one for one in eligible}
        for draft in cut(plan.chosen, list_size=region.list_size):
            self._issue(unit_of_work, region, period, draft, [by_hub[hub_id] for hub_id in draft.hub_ids])
        listed = f"{len(plan.chosen)} hubs listed, {len(plan.left_out)} left for later"
        self._say(unit_of_work, region, f"lists for {_span(period)} cut {_late(due_at, now)}: {listed}")
        return len(plan.chosen)

    def _recheck(
        self,
        unit_of_work: UnitOfWork,
        region: Region,
        scheduled: Sequence[StoredAttempt],
        due_at: datetime,
        period: Period,
    ) -> list[_Eligible]:
        """Keep those that may still be listed; those no longer agreed go back to where their answers leave them."""
        connection, now = unit_of_work.connection, unit_of_work.now
        by_release: dict[str, list[StoredAttempt]] = defaultdict(list)
        for stored in scheduled:
            by_release[stored.release_id].append(stored)
        kept = []
        # The night is judged as of the time the cut was due, not of the moments it came later.
        has_period = PeriodFinder({region.name: region}, due_at)
        for release_id, of_release in by_release.items():
            release = releases.by_id(connection, release_id)
            hub_ids = [stored.hub_id for stored in of_release]
            known = upgrades.load(connection, hub_ids, release, now, quiet_days=self.quiet_days)
            changes = Changes(release, self.lifecycle)
            compulsory = release.compulsory_window(now)
            for stored in of_release:
                upgrade = known.get(stored.hub_id)
                if upgrade is None:
                    continue
                before = len(changes.attempts)
                settle(changes, upgrade, now=now, has_period=has_period)
                unchanged = len(changes.attempts) == before
                if unchanged and obstacle(upgrade, release, region.name, period, now) is None:
                    end = stored.attempt.window.end
                    kept.append(_Eligible(stored, upgrade, end if compulsory is None else min(end, compulsory.end)))
            upgrades.write(connection, changes, now)
            self.alerts.post(unit_of_work, changes.events)
            audit.record(
                connection,
                audit.transitions(changes.attempts, at=now, actor="processor", release_id=release_id, message_key=None),
            )
        return kept

    def _issue(
        self,
        unit_of_work: UnitOfWork,
        region: Region,
        period: Period,
        draft: ListDraft,
        members: Sequence[_Eligible],
    ) -> None:
        """Queue one signed list, and tell every Supplier concerned that its hubs stand on it."""
        connection, now = unit_of_work.connection, unit_of_work.now
        release = releases.by_id(connection, draft.release_id)
        issuing = Issuing(self.signer, self.access_control_broker, self.draw_id)
        list_id, key = issuing(unit_of_work, region, release, ListEntry(period, draft.hub_ids))
        changes = Changes(release, self.lifecycle)
        for one in members:
            stored = one.stored
            listed = replace(
                stored.attempt, state=AttemptState.LISTED, list_id=list_id, period=period, state_at=now, reason=None
            )
            change = AttemptChange(stored.hub_id, region.name, AttemptEvent.LISTED, stored.attempt.state, listed)
            add_change(changes, one.upgrade, change, now)
        upgrades.write(connection, changes, now)
        self.alerts.post(unit_of_work, changes.events)
        transitions = audit.transitions(
            changes.attempts,
            at=now,
            actor="processor",
            release_id=draft.release_id,
            message_key=key,
        )
        audit.record(connection, transitions)

    def _say(self, unit_of_work: UnitOfWork, region: Region, detail: str) -> None:
        entry = audit.Entry(unit_of_work.now, "processor", CUT, f"{region.name}: {detail}")
        audit.record(unit_of_work.connection, [entry])


def _late(due_at: datetime, now: datetime) -> str:
    minutes = (now - due_at) // timedelta(minutes=1)
    return f"{minutes} min late" if minutes else "in time"


def _span(period: Period) -> str:
    return f"{period.start:%Y-%m-%dT%H:%MZ} to {period.end:%Y-%m-%dT%H:%MZ}"
