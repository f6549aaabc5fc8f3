"""Cancelling what waits at hubs, for a reason that is not their Suppliers': told, recorded, and its schedules ended."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from sr_engine.delivery.alerts import Alerts
from sr_engine.domain.agreement import UNKNOWN_REGION, AttemptChange
from sr_engine.domain.changes import Changes, add_change
from sr_engine.domain.states import AttemptEvent, Lifecycle
from sr_engine.domain.upgrades import Release
from sr_engine.store import audit, upgrade_writing, upgrades
from sr_engine.store.units_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Cancelling:
    """Ends the newest attempt at hubs by an event of the table of transitions, where that allows it."""

    alerts: Alerts
    lifecycle: Lifecycle

    def __call__(
        self,
        unit_of_work: UnitOfWork,
        release: Release,
        hub_ids: Collection[str],
        event: AttemptEvent,
        reason: str,
        *,
        actor: str,
        key: str | None = None,
    ) -> int:
        """Return how many were ended; nothing is changed of a hub whose newest attempt the event cannot happen to.

        `key` is that of the message that brought it about, if one did.
        """
        connection, now = unit_of_work.connection, unit_of_work.now
        changes = Changes(release, self.lifecycle)
        for upgrade in upgrades.load(connection, hub_ids, release, now).values():
            attempt, hub = upgrade.attempt, upgrade.hub
            state = None if attempt is None else self.lifecycle.after(event, attempt.state)
            if attempt is None or state is None:
                continue
            after = replace(attempt, state=state, state_at=now, reason=reason)
            region = hub.region or UNKNOWN_REGION
            add_change(changes, hub, AttemptChange(hub.hub_id, region, event, attempt.state, after), now)
        upgrade_writing.write(connection, changes, now)
        cancelled = [change.hub_id for change in changes.attempts]
        upgrade_writing.end_all_schedules(connection, cancelled, release.release_id, outcome=False)
        self.alerts.post(unit_of_work, changes.events)
        audit.record(
            connection,
            audit.transitions(changes.attempts, at=now, actor=actor, release_id=release.release_id, message_key=key),
        )
        return len(cancelled)
