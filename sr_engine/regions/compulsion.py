"""Compulsory upgrades: terms that take effect, and hubs the processor plans by itself (section 5)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sr_engine.configuration import AlertEvent, Region
from sr_engine.delivery.alerts import Alerts
from sr_engine.domain.agreement import compelled
from sr_engine.domain.changes import Changes, HubEvent, add_change, settle
from sr_engine.domain.states import AttemptEvent, Lifecycle
from sr_engine.domain.upgrades import Release
from sr_engine.messages.model import Period
from sr_engine.regions.cancelling import Cancelling
from sr_engine.regions.periods import PeriodFinder
from sr_engine.store import audit, compulsion, inventory, releases, terms, upgrade_writing, upgrades
from sr_engine.store.overlays import QuietDays
from sr_engine.store.units_of_work import UnitOfWork

PLANNED_AT_ONCE = 2_000
"""Hubs that one transaction plans, at most."""

TOLD_AT_ONCE = 20_000
"""Hubs whose Suppliers one transaction tells that terms have changed, at most."""

LOOK_EVERY = timedelta(hours=1)
"""How long after one look through all hubs of a region the next begins: each hub is seen well before every cut."""


def tell_of_terms(
    unit_of_work: UnitOfWork, alerts: Alerts, release: Release, occurrence: str, *, after: str = ""
) -> str | None:
    """Tell the responsible Suppliers of the next hubs not yet on the version that its terms change.

    Returns the last of these hubs, after which to go on; None if there was none left. Nobody is told twice of the same
    occurrence.
    """
    connection, now = unit_of_work.connection, unit_of_work.now
    hub_ids = terms.hubs_not_on_version(connection, release, after=after, limit=TOLD_AT_ONCE)
    if not hub_ids:
        return None
    hubs = inventory.hubs(connection, hub_ids, now, with_han=False)
    events = [
        HubEvent(AlertEvent.RELEASE_CHANGED, hub_id, organisation, release.release_id, occurrence)
        for hub_id in hub_ids
        for organisation in hubs[hub_id].responsible
    ]
    alerts.post(unit_of_work, events)
    return hub_ids[-1]


@dataclass(frozen=True, slots=True)
class TermsTakingEffect:
    """The chore that puts announced changes of terms in force at their time, each once."""

    alerts: Alerts
    lead: timedelta
    """How long before ComplyBy the remaining hubs are planned."""

    def __call__(self, unit_of_work: UnitOfWork) -> bool:
        """Tell the next Suppliers of the change due first or, when all have been told, put it in force."""
        connection, now = unit_of_work.connection, unit_of_work.now
        due = terms.due(connection, now)
        if due is None:
            return False
        release = releases.by_id(connection, due.release_id)
        if release.status == "Withdrawn":
            terms.cancel(connection, due.terms_id, now)
            detail = f"{due.terms.in_words()}: the release is withdrawn"
            audit.record(
                connection, [audit.Entry(now, "processor", "terms cancelled", detail, None, release.release_id)]
            )
            return True
        occurrence = f"terms {due.terms_id} in force"
        told = tell_of_terms(unit_of_work, self.alerts, release, occurrence, after=due.told_up_to)
        if told is not None:
            terms.told(connection, due.terms_id, told)
            return True
        terms.apply(connection, due, due.terms.compulsory_from(due.effective_at, self.lead), now)
        detail = f"{due.terms.in_words()}; was {terms.terms_of(release).in_words()}"
        entry = audit.Entry(now, "processor", "terms in force", detail, None, release.release_id)
        audit.record(connection, [entry])
        return True


@dataclass(frozen=True, slots=True)
class _Look:
    """How far a look through the hubs of a region has come."""

    lifting: tuple[str, ...] = ()
    """Releases of which hubs are still to be lifted."""
    planning: tuple[str, ...] = ()
    """Those whose hubs are still to be planned."""
    after: str = ""
    """The hub of the first of them after which to go on."""


@dataclass(slots=True)
class Enlisting:
    """The chore that plans the hubs of one region that nobody has agreed to upgrade, once that is compulsory.

    It looks through all hubs of the compulsory releases, a portion in each transaction, and again an hour later. What
    it remembers is only how far it has come: a new start begins anew, and finds planned what is planned.
    """

    region: Region
    alerts: Alerts
    lifecycle: Lifecycle
    quiet_days: QuietDays
    _look: _Look = _Look()
    _next_look: datetime | None = None

    def __call__(self, unit_of_work: UnitOfWork) -> bool:
        """Plan the next hubs; true while there may be more to plan at once."""
        now, look = unit_of_work.now, self._look
        if not look.lifting and not look.planning:
            # If it was to be later than that, the clock has gone back.
            if self._next_look is not None and now < self._next_look <= now + LOOK_EVERY:
                return False
            look = self._begun(unit_of_work)
        if look.lifting:
            look = self._lift_next(unit_of_work, look)
        elif look.planning:
            look = self._plan_next(unit_of_work, look)
        more = bool(look.lifting or look.planning)
        unit_of_work.once_committed.append(lambda: self._looked(look, None if more else now + LOOK_EVERY))
        return more

    def _looked(self, look: _Look, next_look: datetime | None) -> None:
        self._look, self._next_look = look, next_look

    def _begun(self, unit_of_work: UnitOfWork) -> _Look:
        known, now = releases.all_releases(unit_of_work.connection), unit_of_work.now
        lifting = tuple(release.release_id for release in known if release.status != "Withdrawn")
        # A hub has one upgrade under way at a time: what has to be done first comes first.
        compulsory = sorted(
            (window.end, release.release_id)
            for release in known
            if self._plans(release, now) and (window := release.compulsory_window(now)) is not None
        )
        return _Look(lifting, tuple(release_id for _, release_id in compulsory))

    def _plans(self, release: Release, now: datetime) -> bool:
        return (
            release.status == "Open"
            and release.cpl_status == "Active"
            and self.region.name in release.regions
            and self.region.name not in release.halted
            and release.compulsory_window(now) is not None
        )

    def _plan_next(self, unit_of_work: UnitOfWork, look: _Look) -> _Look:
        connection, now = unit_of_work.connection, unit_of_work.now
        release = releases.by_id(connection, look.planning[0])
        window = release.compulsory_window(now)
        has_period = PeriodFinder({self.region.name: self.region}, now)
        after: str | None = None
        if window is not None and self._plans(release, now) and has_period(self.region.name, window):
            found = compulsion.to_be_planned(
                connection, release, self.region.name, window, now, after=look.after, limit=PLANNED_AT_ONCE
            )
            after = found.next_after
            self._overrule(unit_of_work, release, found.hub_ids, window, has_period)
            changes = Changes(release, self.lifecycle)
            for upgrade in upgrades.load(connection, found.hub_ids, release, now).values():
                change = compelled(upgrade, window, now, has_period)
                if change is not None:
                    add_change(changes, upgrade.hub, change, now)
            self._write(unit_of_work, changes)
        return replace(look, planning=look.planning[1:], after="") if after is None else replace(look, after=after)

    def _overrule(
        self,
        unit_of_work: UnitOfWork,
        release: Release,
        hub_ids: Collection[str],
        window: Period,
        has_period: PeriodFinder,
    ) -> None:
        """Cancel what waits at other releases in the way of one that is compulsory and has a night for the hub."""
        connection, now = unit_of_work.connection, unit_of_work.now
        cancelling = Cancelling(self.alerts, self.lifecycle)
        reason = f"the upgrade to firmware {release.firmware.version} is compulsory and comes first"
        for other, waiting in compulsion.overruled(connection, hub_ids, release.release_id).items():
            known = upgrades.load(connection, waiting, release, now, quiet_days=self.quiet_days)
            overruled = [
                hub_id
                for hub_id, upgrade in known.items()
                if has_period.free(self.region.name, window, upgrade.blocked(now, compulsory=True))
            ]
            in_the_way = releases.by_id(connection, other)
            cancelling(unit_of_work, in_the_way, overruled, AttemptEvent.OVERRULED, reason, actor="processor")

    def _lift_next(self, unit_of_work: UnitOfWork, look: _Look) -> _Look:
        """Let the answers decide again about the next hubs that the terms in force do not compel."""
        connection, now = unit_of_work.connection, unit_of_work.now
        release = releases.by_id(connection, look.lifting[0])
        has_period = PeriodFinder({self.region.name: self.region}, now)
        window = release.compulsory_window(now)
        hub_ids = compulsion.lifted(
            connection, release.release_id, self.region.name, window, now, after=look.after, limit=PLANNED_AT_ONCE
        )
        changes = Changes(release, self.lifecycle)
        for upgrade in upgrades.load(connection, hub_ids, release, now).values():
            settle(changes, upgrade, now=now, has_period=has_period)
        self._write(unit_of_work, changes)
        if len(hub_ids) == PLANNED_AT_ONCE:
            return replace(look, after=hub_ids[-1])
        return replace(look, lifting=look.lifting[1:], after="")

    def _write(self, unit_of_work: UnitOfWork, changes: Changes) -> None:
        connection, now = unit_of_work.connection, unit_of_work.now
        upgrade_writing.write(connection, changes, now)
        self.alerts.post(unit_of_work, changes.events)
        audit.record(
            connection,
            audit.transitions(
                changes.attempts, at=now, actor="processor", release_id=changes.release_id, message_key=None
            ),
        )
