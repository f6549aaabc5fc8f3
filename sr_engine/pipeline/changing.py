"""Writing what a decision about hubs changes, and telling those concerned: at once, or later and portion by portion.

What a long list comes to is kept in one short transaction, with its answer. It is then in force: before anything else
is done with a hub in a transaction that writes, the portions that name the hub are carried out.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from sr_engine.delivery.alerts import Alerts
from sr_engine.domain.changes import Changes
from sr_engine.domain.portions import portions_of
from sr_engine.domain.states import Lifecycle
from sr_engine.store import audit, inventory, kept_changes, releases, upgrade_writing
from sr_engine.store.kept_changes import Kept
from sr_engine.store.reading import Connection
from sr_engine.store.transactions import UnitOfWork

MOST_KEPT = 60
"""Portions, before a further long list waits for all of them: those of two of 50,000 hubs, and some."""


@dataclass(frozen=True, slots=True)
class Changing:
    """Carries out what requests come to."""

    alerts: Alerts
    lifecycle: Lifecycle
    portion: int
    """Hubs of one portion, at most."""

    def write(self, unit_of_work: UnitOfWork, changes: Changes) -> None:
        """Write all of it; that it was is recorded by the caller (`entries_of`)."""
        upgrade_writing.write(unit_of_work.connection, changes, unit_of_work.now)
        self.alerts.post(unit_of_work, changes.events)

    def keep(self, unit_of_work: UnitOfWork, changes: Changes, *, actor: str, key: str) -> None:
        """Have it written later; the schedule alone is open from now on."""
        connection, now = unit_of_work.connection, unit_of_work.now
        if changes.new_schedule is not None:
            upgrade_writing.open_schedule(connection, changes.new_schedule, now)
        some = [
            Kept(portion, changes.release_id, changes.sender, actor, key, now)
            for portion in portions_of(changes, self.portion)
        ]
        kept_changes.keep(connection, some)
        unit_of_work.to_carry_out.set()

    # --- `store.transactions.Keeping` ---

    def are_left(self, connection: Connection) -> bool:
        """True if anything is still to be carried out."""
        return kept_changes.are_left(connection)

    def are_many(self, connection: Connection) -> bool:
        """True if it would take seconds to carry all of it out."""
        return kept_changes.how_many(connection) > MOST_KEPT

    def carry_out_of(self, unit_of_work: UnitOfWork, device_ids: Collection[str]) -> None:
        """Carry out all that may concern hubs, given by the canonical ids of CHF or GPF."""
        hub_ids = {*device_ids, *inventory.hubs_of_gpfs(unit_of_work.connection, device_ids)}
        for kept_id in kept_changes.of_hubs(unit_of_work.connection, hub_ids):
            self._carry_out(unit_of_work, kept_id)

    def carry_out_next(self, unit_of_work: UnitOfWork) -> bool:
        """Carry out what was kept first; False if there was nothing."""
        kept_id = kept_changes.first(unit_of_work.connection)
        if kept_id is None:
            return False
        self._carry_out(unit_of_work, kept_id)
        return True

    def _carry_out(self, unit_of_work: UnitOfWork, kept_id: int) -> None:
        connection = unit_of_work.connection
        kept = kept_changes.take(connection, kept_id)
        release = releases.by_id(connection, kept.release_id)
        changes = kept.portion.changes(release, self.lifecycle, kept.organisation)
        if kept.portion.schedule_id is not None:
            scheduled = kept.portion.hubs(kept.portion.scheduled)
            upgrade_writing.put_in_schedule(connection, kept.portion.schedule_id, scheduled)
        # It happened when the request was answered; the trail is in the order in which it was written.
        self.write(replace(unit_of_work, now=kept.at), changes)
        audit.record(connection, entries_of(changes, unit_of_work.now, actor=kept.actor, key=kept.message_key))


def entries_of(changes: Changes, at: datetime, *, actor: str, key: str) -> list[audit.Entry]:
    """What is recorded of hubs; `actor` and `key` are those of the request."""
    release_id = changes.release_id
    return [
        *audit.answers(changes.answers, at=at, actor=actor, release_id=release_id, message_key=key),
        *audit.transitions(changes.attempts, at=at, actor=actor, release_id=release_id, message_key=key),
    ]
