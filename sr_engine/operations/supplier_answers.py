"""What a Supplier, as an organisation, looks up of what it has set itself: schedules and their hubs, and exclusions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from sr_engine.domain.eligibility import Applicant
from sr_engine.messages.model import CommsHubUpgrade
from sr_engine.requests.read_schedule import own_hubs
from sr_engine.store import inventory, releases, supplier_answers
from sr_engine.store.facts import StoredFacts
from sr_engine.store.overlays import QuietDays
from sr_engine.store.supplier_answers import OwnExclusion, OwnSchedule


@dataclass(frozen=True, slots=True)
class ShownExclusion:
    """A hub that a Supplier keeps out, and whether it is still its own."""

    exclusion: OwnExclusion
    responsible: bool


class UnknownSchedule(Exception):
    """There is no such schedule, or it is not this Supplier's: nobody can tell which."""


@dataclass(frozen=True, slots=True)
class SupplierAnswers:
    """Reads for Suppliers; `viewer` says for which."""

    quiet_days: QuietDays

    def schedules(
        self,
        connection: Connection,
        viewer: Applicant,
        *,
        before: tuple[datetime, int] | None = None,
        release_id: str | None = None,
        limit: int = 200,
    ) -> list[OwnSchedule]:
        """Its schedules, newest first, beginning after the one that was made then and has this id."""
        return supplier_answers.schedules_of(
            connection, viewer.organisation, before=before, limit=limit, release_id=release_id
        )

    def schedule(self, connection: Connection, viewer: Applicant, schedule_id: int) -> tuple[OwnSchedule, int]:
        """One of its schedules, and for how many hubs it is in force; raises UnknownSchedule."""
        found = supplier_answers.schedule_of(connection, viewer.organisation, schedule_id)
        if found is None:
            raise UnknownSchedule(schedule_id)
        return found, supplier_answers.hubs_in_force(connection, schedule_id)

    def hubs_of_schedule(
        self,
        connection: Connection,
        viewer: Applicant,
        schedule_id: int,
        now: datetime,
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> list[CommsHubUpgrade]:
        """The next hubs of one of its schedules, as 11.7 shows them; raises UnknownSchedule."""
        found, _ = self.schedule(connection, viewer, schedule_id)
        release = releases.by_id(connection, found.release_id)
        facts = StoredFacts(connection, now, self.quiet_days)
        return own_hubs(schedule_id, release, viewer.organisation, facts, now, after=after, wanted=limit)

    def exclusions(
        self, connection: Connection, viewer: Applicant, now: datetime, *, after: str = "", limit: int = 200
    ) -> list[ShownExclusion]:
        """The hubs that it keeps out, ascending, beginning after one."""
        found = supplier_answers.exclusions_of(connection, viewer.organisation, now, after=after, limit=limit)
        hubs = inventory.hubs(connection, [one.hub_id for one in found], now, with_han=False)
        mine = {hub_id for hub_id, hub in hubs.items() if hub.is_responsible(viewer.organisation, viewer.roles)}
        return [ShownExclusion(one, one.hub_id in mine) for one in found]
