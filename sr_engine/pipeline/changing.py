"""Writing what a decision about hubs changes, and telling those concerned: at once, or later and portion by portion.

What a long list comes to is kept in one short transaction, with its answer. It is then in force: before anything else
is done with a hub in a transaction that writes, the portions that name the hub are carried out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sr_engine.delivery.alerts import Alerts
from sr_engine.domain.changes import Changes
from sr_engine.domain.portions import Portion, portions_of
from sr_engine.store import audit, inventory, kept_changes, upgrade_writing
from sr_engine.store.kept_changes import Kept
from sr_engine.store.mixed import Mixed
from sr_engine.store.reading import Connection
from sr_engine.store.units_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Changing:
    """Carries out what requests come to."""

    alerts: Alerts
    portion: int
    """Hubs of one portion, at most."""
    most: int
    """Portions that may be left before no more is to be added."""
    mixed: Mixed
    """If so, all is written at once."""

    def is_long(self, hubs: int, connection: Connection) -> bool:
        """True if what is decided about so many is to be kept, and written later."""
        return hubs > self.portion and not self.mixed(connection)

    def write(self, unit_of_work: UnitOfWork, changes: Changes) -> None:
        """Write all of it; that it was is recorded by the caller (`entries_of`)."""
        upgrade_writing.write(unit_of_work.connection, changes, unit_of_work.now)
        self.alerts.post(unit_of_work, changes.told())

    def portions(self, changes: Changes | None) -> Sequence[Portion]:
        """What `keep` keeps of them; to be asked for before the transaction, where that can be."""
        if changes is None:
            return ()
        kept_changes.get_ready()
        return portions_of(changes, self.portion)

    def keep(
        self, unit_of_work: UnitOfWork, changes: Changes, some: Sequence[Portion], *, actor: str, key: str
    ) -> None:
        """Have its portions written later; the schedule alone is open from now on."""
        connection, now = unit_of_work.connection, unit_of_work.now
        if changes.new_schedule is not None:
            upgrade_writing.open_schedule(connection, changes.new_schedule, now)
        kept_changes.keep(connection, [Kept(portion, changes.release_id, actor, key, now) for portion in some])
        unit_of_work.to_carry_out.set()

    # --- `store.units_of_work.Keeping` ---

    def are_left(self, connection: Connection) -> bool:
        """True if anything is still to be carried out."""
        return kept_changes.are_left(connection)

    def are_many(self, connection: Connection) -> bool:
        """True if so much is that no more should be added."""
        return kept_changes.how_many(connection) > self.most

    def carry_out_of(self, unit_of_work: UnitOfWork, device_ids: Collection[str], at_most: int) -> bool:
        """Carry out all that concerns hubs, given by the canonical ids of CHF or GPF.

        False, and nothing was done, if that is more than so many portions.
        """
        hub_ids = {*device_ids, *inventory.hubs_of_gpfs(unit_of_work.connection, device_ids)}
        kept_ids = kept_changes.of_hubs(unit_of_work.connection, hub_ids)
        if len(kept_ids) > at_most:
            return False
        for kept_id in kept_ids:
            self._carry_out(unit_of_work, kept_id)
        return True

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
        portion, release_id = kept.portion, kept.release_id
        # It happened when the request was answered; the trail is in the order in which it was written.
        upgrade_writing.write_portion(connection, portion, release_id, kept.at)
        self.alerts.post(replace(unit_of_work, now=kept.at), portion.told())
        answers, attempts = portion.each(portion.answers), portion.each(portion.attempts)
        at, actor, key = unit_of_work.now, kept.actor, kept.message_key
        entries = [
            *audit.answers((), many=answers, at=at, actor=actor, release_id=release_id, message_key=key),
            *audit.transitions((), many=attempts, at=at, actor=actor, release_id=release_id, message_key=key),
        ]
        audit.record(connection, entries)


def entries_of(changes: Changes, at: datetime, *, actor: str, key: str) -> list[audit.Entry]:
    """What is recorded of hubs; `actor` and `key` are those of the request."""
    release_id = changes.release_id
    answers, attempts = changes.each(changes.answers), changes.each(changes.attempts)
    return [
        *audit.answers((), many=answers, at=at, actor=actor, release_id=release_id, message_key=key),
        *audit.transitions((), many=attempts, at=at, actor=actor, release_id=release_id, message_key=key),
    ]
