"""Replacing an upgrade list that its CSP has withdrawn: what still may go stands on a new one, for the same period."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sr_engine.configuration import Region
from sr_engine.delivery.alerts import Alerts
from sr_engine.domain.agreement import UNKNOWN_REGION, AttemptChange
from sr_engine.domain.changes import Changes, add_change, settle
from sr_engine.domain.listing import obstacle
from sr_engine.domain.states import AttemptEvent, AttemptState, Lifecycle
from sr_engine.domain.upgrades import HubUpgrade, Release
from sr_engine.messages.model import ListEntry
from sr_engine.regions.calendar import cut_time, open_periods
from sr_engine.regions.issuing import Issuing
from sr_engine.regions.periods import NightCounter, PeriodFinder
from sr_engine.regions.planner import Candidate, cut, plan_period
from sr_engine.store import audit, lists, off_lists, releases, upgrade_writing, upgrades
from sr_engine.store.lists import CutList
from sr_engine.store.overlays import QuietDays
from sr_engine.store.units_of_work import UnitOfWork

_MAY_MOVE = (AttemptState.LISTED, AttemptState.ACCEPTED)


@dataclass(frozen=True, slots=True)
class Replacing:
    """Cuts anew what a CSP has taken off a list, as the region and the hubs are now."""

    issuing: Issuing
    alerts: Alerts
    lifecycle: Lifecycle
    quiet_days: QuietDays
    regions: Mapping[str, Region]

    def __call__(
        self,
        unit_of_work: UnitOfWork,
        old: CutList,
        hub_ids: Collection[str],
        reason: str,
        *,
        actor: str,
        key: str,
    ) -> tuple[int, int]:
        """Return how many hubs stand on a new list now, and how many are back in planning.

        A hub goes on a new list if all still agree, nothing keeps it off, and the night has a place for it, has not
        begun and is still one of the region's. The others are Scheduled as before. What has been delivered to, or has
        had its outcome, stays as it is.
        """
        connection, now = unit_of_work.connection, unit_of_work.now
        region, release = self.regions[old.region], releases.by_id(connection, old.release_id)
        known = {
            hub_id: upgrade
            for hub_id, upgrade in upgrades.load(connection, hub_ids, release, now, quiet_days=self.quiet_days).items()
            if upgrade.attempt is not None
            and upgrade.attempt.list_id == old.list_id
            and upgrade.attempt.state in _MAY_MOVE
        }
        may_go = now < old.period.start and old.period in open_periods(region, old.period)
        chosen = self._chosen(unit_of_work, region, release, old, known) if may_go else []
        for draft in cut(chosen, list_size=region.list_size):
            entry = ListEntry(old.period, draft.hub_ids)
            moved = {hub_id: known[hub_id] for hub_id in draft.hub_ids}
            windows_end = max(upgrade.attempt.window.end for upgrade in moved.values() if upgrade.attempt)
            list_id, _ = self.issuing(
                unit_of_work, region, release, entry, windows_end=windows_end, replaces=old.list_id
            )
            self._change(unit_of_work, release, moved, AttemptEvent.RELISTED, actor=actor, key=key, list_id=list_id)
        gone = {candidate.hub_id for candidate in chosen}
        back = {hub_id: upgrade for hub_id, upgrade in known.items() if hub_id not in gone}
        # A CSP may report on what stands on a new list under the id of the old one: that leads on by itself.
        attempt_ids = {hub_id: upgrade.attempt.attempt_id for hub_id, upgrade in back.items() if upgrade.attempt}
        off_lists.add(connection, old.list_id, attempt_ids)
        why = f"its upgrade list was replaced: {reason}"
        self._change(unit_of_work, release, back, AttemptEvent.LIST_REPLACED, actor=actor, key=key, reason=why)
        detail = (
            f"{region.name}: list {old.list_id}, {len(gone)} hubs listed anew, {len(back)} back in planning: {reason}"
        )
        audit.record(connection, [audit.Entry(now, actor, "list replaced", detail, key, old.release_id)])
        return len(gone), len(back)

    def _chosen(
        self, unit_of_work: UnitOfWork, region: Region, release: Release, old: CutList, known: Mapping[str, HubUpgrade]
    ) -> Sequence[Candidate]:
        """Those that still may go, as far as the night has places that no other list has."""
        connection, now = unit_of_work.connection, unit_of_work.now
        # As at the cut: the night is judged as of the time at which its lists were due.
        has_period = PeriodFinder({region.name: region}, cut_time(region, old.period))
        nights_left = NightCounter(region, old.period.end)
        gate_open = region.name in release.general_open or release.compulsory_window(now) is not None
        candidates = []
        for hub_id, upgrade in known.items():
            scheduled = _scheduled(upgrade)
            unsettled = Changes(release, self.lifecycle)
            settle(unsettled, scheduled, now=now, has_period=has_period)
            attempt = scheduled.attempt
            if attempt is None or unsettled.attempts:
                continue
            if obstacle(scheduled, release, region.name, old.period, now) is not None:
                continue
            if not (gate_open or attempt.pilot or attempt.compulsory):
                continue
            # It was a compulsory hub's turn when the list was cut: it is not spread over the nights again.
            remaining = 0 if attempt.compulsory else nights_left(attempt.window.end)
            candidates.append(
                Candidate(
                    hub_id,
                    release.release_id,
                    attempt.organisation,
                    attempt.window,
                    attempt.pilot,
                    remaining,
                    attempt.compulsory,
                )
            )
        elsewhere = lists.with_csp_in(connection, region.name, old.period) - len(known)
        return plan_period(candidates, period=old.period, capacity=region.hubs_per_night - elsewhere).chosen

    def _change(
        self,
        unit_of_work: UnitOfWork,
        release: Release,
        hubs: Mapping[str, HubUpgrade],
        event: AttemptEvent,
        *,
        actor: str,
        key: str,
        list_id: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Move hubs to a new list or, without one, back to planning; tell it and record it."""
        connection, now = unit_of_work.connection, unit_of_work.now
        changes = Changes(release, self.lifecycle)
        for hub_id, upgrade in hubs.items():
            before = upgrade.attempt
            after = None if before is None else self.lifecycle.after(event, before.state)
            if before is None or after is None:
                continue
            period = before.period if list_id is not None else None
            moved = replace(before, state=after, list_id=list_id, period=period, state_at=now, reason=reason)
            change = AttemptChange(hub_id, upgrade.hub.region or UNKNOWN_REGION, event, before.state, moved)
            add_change(changes, upgrade.hub, change, now)
        upgrade_writing.write(connection, changes, now)
        self.alerts.post(unit_of_work, changes.events)
        recorded = audit.transitions(
            changes.attempts, at=now, actor=actor, release_id=release.release_id, message_key=key
        )
        audit.record(connection, recorded)


def _scheduled(upgrade: HubUpgrade) -> HubUpgrade:
    """The same as if the hub had not been listed."""
    if upgrade.attempt is None:
        return upgrade
    attempt = replace(upgrade.attempt, state=AttemptState.SCHEDULED, list_id=None, period=None)
    return replace(upgrade, attempt=attempt)
