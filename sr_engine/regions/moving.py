"""What follows when attempts that were listed, or waited to be, come to another state (section 5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sr_engine.delivery.alerts import Alerts
from sr_engine.domain.changes import occurrence_in
from sr_engine.domain.states import OPEN, AttemptEvent, AttemptState, Lifecycle
from sr_engine.domain.upgrades import Release
from sr_engine.regions.cancelling import Cancelling
from sr_engine.regions.running import Running, read_later
from sr_engine.store import audit, inventory, moves, suppliers, upgrade_writing, upgrades
from sr_engine.store.audit import Alike
from sr_engine.store.moves import Move
from sr_engine.store.suppliers import Responsibility
from sr_engine.store.units_of_work import UnitOfWork

DONE_BEFORE = "an earlier attempt activated this firmware after all"


@dataclass(frozen=True, slots=True)
class Moving:
    """Writes moves of attempts, tells the Suppliers that are responsible now, and records them.

    Of attempts that end, schedules are done with and the inventory follows.
    """

    alerts: Alerts
    lifecycle: Lifecycle

    def __call__(
        self,
        unit_of_work: UnitOfWork,
        moved: Sequence[Move],
        release: Release,
        *,
        actor: str,
        key: str | None = None,
        reported_at: datetime | None = None,
        foreseen: Responsibility | None = None,
    ) -> None:
        """Moves of one release, one of a hub at most; `key` is that of the message that says so, if one does.

        `foreseen` says who is responsible for all hubs that may be among them, if that was looked up before.
        """
        if not moved:
            return
        connection, now = unit_of_work.connection, unit_of_work.now
        activated = {move.standing.hub_id: move.at for move in moved if move.state is AttemptState.ACTIVATED}
        # A report that comes late may be of firmware that has been followed by another since.
        later = read_later(unit_of_work, activated) if activated else {}
        replaced = upgrades.activated_later(connection, activated) if activated else set()
        moves.write(connection, moved, reported_at=reported_at)
        alike: dict[Alike, list[str]] = defaultdict(list)
        for standing, event, state, _, reason in moved:
            alike[Alike(event, standing.state, state, standing.number, reason)].append(standing.hub_id)
        self._tell(unit_of_work, alike, release, foreseen)
        entries = audit.of_alike(alike, at=now, actor=actor, release_id=release.release_id, message_key=key)
        audit.record(connection, entries)
        self._end_schedules(unit_of_work, moved, release)
        if activated:
            followed = replaced | later.keys()
            inventory.set_firmware(connection, activated.keys() - followed, release.firmware.version)
            still = {hub_id: one for hub_id, one in later.items() if hub_id not in replaced}
            Running(self.alerts).activated_before(unit_of_work, release, still, actor=actor, key=key)
        # The next attempt at a hub whose last one came to a good end after all, unless it is with the CSP.
        late = [move.standing.hub_id for move in moved if move.standing.state not in OPEN]
        if late:
            cancelling = Cancelling(self.alerts, self.lifecycle)
            cancelling(unit_of_work, release, late, AttemptEvent.SUPERSEDED, DONE_BEFORE, actor=actor, key=key)

    def _tell(
        self, unit_of_work: UnitOfWork, alike: dict[Alike, list[str]], release: Release, foreseen: Responsibility | None
    ) -> None:
        now = unit_of_work.now
        told = {one: alert for one in alike if (alert := self.lifecycle.event[one.event].alert) is not None}
        if not told:
            return
        concerned = [hub_id for one in told for hub_id in alike[one]]
        by_supplier = suppliers.as_foreseen(unit_of_work.connection, foreseen, concerned, now)
        for one, alert in told.items():
            of_one = by_supplier
            if len(told) > 1:
                some = set(alike[one])
                of_one = {name: [hub_id for hub_id in ids if hub_id in some] for name, ids in by_supplier.items()}
            occurrence = occurrence_in(release.release_id, one.after, one.number, now)
            self.alerts.post_alike(unit_of_work, alert, release.release_id, occurrence, of_one)

    def _end_schedules(self, unit_of_work: UnitOfWork, moved: Sequence[Move], release: Release) -> None:
        # An attempt that a late report raises had its schedules ended before; those there are now are another's.
        ended = [move.standing for move in moved if move.standing.state in OPEN and move.state not in OPEN]
        # A schedule whose hub was never listed has not been used: its place in the pilot is free again.
        for used in (True, False):
            hub_ids = [standing.hub_id for standing in ended if (standing.list_id is not None) is used]
            if hub_ids:
                upgrade_writing.end_all_schedules(unit_of_work.connection, hub_ids, release.release_id, outcome=used)
