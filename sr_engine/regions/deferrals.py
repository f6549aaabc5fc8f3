"""Answers put off until a time that has come: they are Pending again, and the other side is told (section 5)."""

from __future__ import annotations

from dataclasses import dataclass

from sr_engine.configuration import AlertEvent
from sr_engine.delivery.alerts import Alerts
from sr_engine.domain.changes import AnswerChange, Changes, HubEvent
from sr_engine.domain.states import Lifecycle
from sr_engine.domain.upgrades import Answer, Release
from sr_engine.messages.model import Approval
from sr_engine.store import audit, releases, upgrade_writing, upgrades
from sr_engine.store.units_of_work import UnitOfWork

AT_ONCE = 2_000
"""Answers that one transaction looks at, at most."""


@dataclass(frozen=True, slots=True)
class DeferralsRunOut:
    """The chore that makes answers Pending whose DeferUntil has come, each once."""

    alerts: Alerts
    lifecycle: Lifecycle

    def __call__(self, unit_of_work: UnitOfWork) -> bool:
        """Take those that ran out first; true while there may be more."""
        found = upgrades.deferrals_run_out(unit_of_work.connection, unit_of_work.now, limit=AT_ONCE)
        by_release: dict[str, list[tuple[str, str]]] = {}
        for release_id, hub_id, organisation in found:
            by_release.setdefault(release_id, []).append((hub_id, organisation))
        for release_id, answers in by_release.items():
            self._run_out(unit_of_work, releases.by_id(unit_of_work.connection, release_id), answers)
        return len(found) == AT_ONCE

    def _run_out(self, unit_of_work: UnitOfWork, release: Release, answers: list[tuple[str, str]]) -> None:
        connection, now = unit_of_work.connection, unit_of_work.now
        known = upgrades.load(connection, {hub_id for hub_id, _ in answers}, release, now)
        changes = Changes(release, self.lifecycle)
        for hub_id, organisation in answers:
            upgrade = known[hub_id]
            answer = upgrade.answers[organisation]
            occurrence = f"{release.release_id}@{(answer.defer_until or now).timestamp():.6f}"
            pending = Answer(Approval.PENDING, answer.request_id)
            changes.answers.append(AnswerChange(hub_id, organisation, pending))
            if release.status == "Withdrawn" or organisation not in upgrade.hub.responsible:
                continue
            changes.events += [
                HubEvent(AlertEvent.OTHER_SUPPLIER_ANSWER_CHANGED, hub_id, other, release.release_id, occurrence)
                for other in upgrade.hub.responsible
                if other != organisation
            ]
        upgrade_writing.write(connection, changes, now)
        self.alerts.post(unit_of_work, changes.events)
        entries = audit.answers(
            changes.answers, at=now, actor="processor", release_id=release.release_id, message_key=None
        )
        audit.record(connection, entries)
