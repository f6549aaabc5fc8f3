"""Lists that did not reach their CSP before their night was over: sent no more, and their hubs planned anew."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sr_engine.configuration import Region
from sr_engine.delivery.alerts import Alerts
from sr_engine.domain.agreement import AttemptChange
from sr_engine.domain.changes import Changes, add_change
from sr_engine.domain.states import AttemptEvent, Lifecycle
from sr_engine.store import audit, inventory, lists, off_lists, releases, undelivered, upgrade_writing
from sr_engine.store.undelivered import UndeliveredList
from sr_engine.store.units_of_work import UnitOfWork

AT_ONCE = 5_000
"""Hubs that one transaction takes back, at most."""

REASON = "the list did not reach the CSP before its night was over"


@dataclass(frozen=True, slots=True)
class UndeliveredLists:
    """The chore that takes them back in one region.

    One of which the CSP has said anything has reached it. Hubs on the others are Scheduled as before: another night of
    their window may come, and if none does they are Missed. What was only sent again, to ask for its acknowledgement,
    stays as it is, and is sent no more.
    """

    region: Region
    alerts: Alerts
    lifecycle: Lifecycle

    def __call__(self, unit_of_work: UnitOfWork) -> bool:
        """Take back a portion of the oldest such list; True if there may be more."""
        connection, now = unit_of_work.connection, unit_of_work.now
        undelivered.ask_no_more(connection, self.region.name, now)
        over = undelivered.lists_over(connection, self.region.name, now)
        if not over:
            return False
        one = over[0]
        hub_ids = undelivered.still_listed(connection, one.list_id, AT_ONCE)
        self._take_back(unit_of_work, one, hub_ids)
        if len(hub_ids) < AT_ONCE:
            undelivered.give_up(connection, one.message_id, REASON)
            detail = f"{self.region.name}: list {one.list_id} is not sent any more: {REASON}"
            entry = audit.Entry(now, "processor", "list too late", detail, one.message_id, one.release_id)
            audit.record(connection, [entry])
        return True

    def _take_back(self, unit_of_work: UnitOfWork, one: UndeliveredList, hub_ids: list[str]) -> None:
        connection, now = unit_of_work.connection, unit_of_work.now
        release = releases.by_id(connection, one.release_id)
        changes = Changes(release, self.lifecycle)
        known = inventory.hubs(connection, hub_ids, now, with_han=False)
        for hub_id, stored in lists.on_list(connection, one.list_id, hub_ids).items():
            after = self.lifecycle.after(AttemptEvent.UNDELIVERED, stored.attempt.state)
            if after is None:
                continue
            planned = replace(stored.attempt, state=after, state_at=now, list_id=None, period=None, reason=REASON)
            change = AttemptChange(hub_id, stored.region, AttemptEvent.UNDELIVERED, stored.attempt.state, planned)
            add_change(changes, known[hub_id], change, now)
        # Its CSP may have had the list after all, and the answer was lost: what it then reports is the truth.
        off = {one.hub_id: one.attempt.attempt_id for one in changes.attempts}
        off_lists.add(connection, one.list_id, off)
        upgrade_writing.write(connection, changes, now)
        self.alerts.post(unit_of_work, changes.events)
        audit.record(
            connection,
            audit.transitions(changes.attempts, at=now, actor="processor", release_id=one.release_id, message_key=None),
        )
