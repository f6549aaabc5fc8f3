"""Gates, halts and withdrawals: what the processor does of itself before lists are cut, and what operators ask for.

Section 5 of the domain description, Phases. The decisions are those of `domain.phases`; here they are carried out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sr_engine.configuration import AlertEvent
from sr_engine.delivery.alerts import Alerts
from sr_engine.domain.changes import HubEvent
from sr_engine.domain.phases import OutcomeCounts, PhasePlan, RegionPhase, gate_opens_at, too_many_failures
from sr_engine.domain.states import AttemptEvent, Lifecycle
from sr_engine.regions.cancelling import Cancelling
from sr_engine.store import audit, inventory, phases, releases
from sr_engine.store.lists import StoredAttempt
from sr_engine.store.units_of_work import UnitOfWork

AT_ONCE = 5_000
"""Hubs that one transaction cancels, or of which it tells, at most."""

PROCESSOR = "processor"
WITHDRAWN = "the operator has withdrawn the release"


@dataclass(frozen=True, slots=True)
class Phases:
    """Carries out what is decided about the phases of releases."""

    alerts: Alerts
    lifecycle: Lifecycle

    def advance(self, unit_of_work: UnitOfWork, region: str) -> bool:
        """Halt where too much has failed, open the gates that are due, and carry on with what was begun.

        True if there is more to do at once: hubs still to be cancelled, or Suppliers still to be told of.
        """
        more = False
        for phase in phases.in_region(unit_of_work.connection, region):
            more |= self._advance(unit_of_work, phase)
        return more

    def _advance(self, unit_of_work: UnitOfWork, phase: RegionPhase) -> bool:
        connection = unit_of_work.connection
        if phase.status == "Withdrawn":
            # What a CSP refuses after the withdrawal comes back to planning, and is cancelled here.
            return self.cancel(unit_of_work, phase, actor=PROCESSOR) == AT_ONCE
        if phase.told_up_to is not None:
            return self.tell(unit_of_work, phase)
        if phase.halted_at is not None:
            return False
        if phase.status == "Closed" and not phases.anything_waiting(connection, phase):
            # Nothing is left that could be listed, and nothing new is accepted.
            return False
        if too_many_failures(phase.plan, phases.outcomes_to_judge(connection, phase)):
            reason = _rate(phase.plan, phases.outcome_counts(connection, phase))
            return self.halt(unit_of_work, phase, reason, actor=PROCESSOR)
        if phase.plan.automatic_gate and not phase.general_open:
            opens_at = gate_opens_at(phase.plan, phases.pilot_counts(connection, phase, unit_of_work.now))
            if opens_at is not None and opens_at <= unit_of_work.now:
                open_gate(unit_of_work, phase, actor=PROCESSOR)
        return False

    def halt(self, unit_of_work: UnitOfWork, phase: RegionPhase, reason: str, *, actor: str, how: str = "") -> bool:
        """Halt a release that is not halted, and begin to tell the Suppliers; True if some are still to be told.

        `how` says in the audit trail by which face, and by whom, it was asked for.
        """
        now = unit_of_work.now
        phases.halt(unit_of_work.connection, phase.release_id, phase.region, at=now, reason=reason)
        _say(unit_of_work, phase, "halted", reason, actor=actor, how=how)
        return self.tell(unit_of_work, replace(phase, halted_at=now, told_up_to=0))

    def resume(self, unit_of_work: UnitOfWork, phase: RegionPhase, *, actor: str, how: str = "") -> bool:
        """Resume a release that is halted, and begin to tell the Suppliers; the rest as for `halt`."""
        now = unit_of_work.now
        phases.resume(unit_of_work.connection, phase.release_id, phase.region, at=now)
        _say(unit_of_work, phase, "resumed", f"it was halted: {phase.halt_reason}", actor=actor, how=how)
        return self.tell(unit_of_work, replace(phase, halted_at=None, resumed_at=now, told_up_to=0))

    def tell(self, unit_of_work: UnitOfWork, phase: RegionPhase) -> bool:
        """Go on telling the Suppliers of hubs that wait of the last halt or resumption; True if some are left."""
        if phase.told_up_to is None:
            return False
        connection = unit_of_work.connection
        waiting = phases.waiting(connection, phase, after=phase.told_up_to, limit=AT_ONCE)
        self.alerts.post(unit_of_work, _news(unit_of_work, phase, waiting))
        left = len(waiting) == AT_ONCE
        up_to = waiting[-1].attempt.attempt_id if left else None
        phases.told(connection, phase.release_id, phase.region, up_to=up_to)
        return left

    def cancel(self, unit_of_work: UnitOfWork, phase: RegionPhase, *, actor: str) -> int:
        """Cancel what waits of a release that is withdrawn, at most AT_ONCE hubs; return how many."""
        waiting = phases.waiting(unit_of_work.connection, phase, after=0, limit=AT_ONCE)
        if waiting:
            release = releases.by_id(unit_of_work.connection, phase.release_id)
            hub_ids = [stored.hub_id for stored in waiting]
            cancelling = Cancelling(self.alerts, self.lifecycle)
            cancelling(unit_of_work, release, hub_ids, AttemptEvent.WITHDRAWN, WITHDRAWN, actor=actor)
        return len(waiting)


def open_gate(unit_of_work: UnitOfWork, phase: RegionPhase, *, actor: str, how: str = "") -> bool:
    """Let hubs of the General phase be listed in a region; False if the gate was open."""
    opened = phases.open_gate(unit_of_work.connection, phase.release_id, phase.region)
    if opened:
        by_itself = ", the soak is over" if actor == PROCESSOR else ""
        _say(unit_of_work, phase, "gate opened", f"General phase{by_itself}", actor=actor, how=how)
    return opened


def _say(unit_of_work: UnitOfWork, phase: RegionPhase, action: str, detail: str, *, actor: str, how: str) -> None:
    said = audit.said(f"{phase.region}: {detail}", how)
    entry = audit.Entry(unit_of_work.now, actor, action, said, release_id=phase.release_id)
    audit.record(unit_of_work.connection, [entry])


def _news(unit_of_work: UnitOfWork, phase: RegionPhase, waiting: Sequence[StoredAttempt]) -> list[HubEvent]:
    """That hubs are halted or resumed, for all their Suppliers; each halt and each resumption is news of its own."""
    event, since = AlertEvent.HUB_HALTED, phase.halted_at
    if since is None:
        event, since = AlertEvent.HUB_RESUMED, phase.resumed_at
    occurrence = phase.release_id if since is None else f"{phase.release_id}@{since.timestamp():.6f}"
    hub_ids = [stored.hub_id for stored in waiting]
    hubs = inventory.hubs(unit_of_work.connection, hub_ids, unit_of_work.now, with_han=False)
    return [
        HubEvent(event, hub_id, organisation, phase.release_id, occurrence)
        for hub_id, hub in hubs.items()
        for organisation in hub.responsible
    ]


def _rate(plan: PhasePlan, counts: OutcomeCounts) -> str:
    share = counts.failures * 100 / counts.sample
    return (
        f"{share:.1f} % of upgrades failed ({counts.failures:,} of {counts.sample:,}: {counts.failed:,} Failed, "
        f"{counts.missed:,} Missed), more than {plan.failure_percent} %"
    )
