"""Cutting upgrade lists: from what is agreed to a signed list of hubs and a period for each (section 5).

A night is planned once, without holding up anybody; its lists are cut one after another, in a transaction of their own
each, in which all that may have changed since is looked at again. How far that has come is durable with each list.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from threading import Lock

from signing import Signer
from sr_engine.configuration import Region
from sr_engine.delivery.alerts import Alerts
from sr_engine.domain.changes import Changes, settle
from sr_engine.domain.states import AttemptEvent, AttemptState, Lifecycle
from sr_engine.domain.upgrades import Hub, HubUpgrade, Release
from sr_engine.messages.model import ListEntry, Period
from sr_engine.regions.issuing import Issuing
from sr_engine.regions.night_plan import Judge, NightPlan, how_many_wait, plan_night
from sr_engine.store import (
    audit,
    changed_hubs,
    inventory,
    list_runs,
    lists,
    releases,
    upgrade_writing,
    upgrades,
    waiting,
)
from sr_engine.store.list_runs import Run
from sr_engine.store.overlays import QuietDays
from sr_engine.store.owed import replace_owed
from sr_engine.store.reading import Reading
from sr_engine.store.units_of_work import UnitOfWork
from sr_engine.store.waiting import Alike, Member

CUT = "cut"

LISTED_AT_ONCE = 5_000
"""Hubs from which on a transaction begins no further list: a list of more is cut in a transaction of its own."""

FEW = 10
"""Below so many on a list, hubs that are alike are judged one by one: a statement for each group would take longer."""

SETTLED_AT_ONCE = 2_000
"""Hubs not agreed any more that one transaction settles, at most."""


@dataclass(frozen=True, slots=True)
class Portion:
    """What one transaction has done of a night."""

    listed: int
    """Hubs."""
    plan: NightPlan | None = None
    """With what the next goes on; None: it makes a plan of its own."""
    more: bool = False
    """Something is left to be done for the night."""


_NOTHING = Portion(0)
_group = itemgetter(1)


@dataclass(frozen=True, slots=True)
class ListCutter:
    """Cuts the lists of one region for one nightly period, each once."""

    signer: Signer
    alerts: Alerts
    access_control_broker: str
    draw_id: Callable[[], str]
    lifecycle: Lifecycle
    quiet_days: QuietDays
    reading: Reading
    listed_at_once: int = LISTED_AT_ONCE
    few: int = FEW
    planning: Lock = field(default_factory=Lock, repr=False)
    """Nights are planned one at a time: a plan takes memory, and its connection more."""

    def look(self, region: Region, due_at: datetime, period: Period, now: datetime) -> NightPlan | None:
        """Plan what is to be listed for a period, beside whatever is written meanwhile; None if that is over.

        What keeps a hub off because of a change of Supplier in future, or of a HAN device, is as of this moment.
        """
        if now >= period.start:
            return None
        judge = Judge.of(region, period, now, due_at)

        def plan(look: UnitOfWork) -> NightPlan | None:
            if lists.has_run(look.connection, region.name, CUT, period.start, now):
                return None
            return plan_night(look, judge, self.quiet_days, list_runs.find(look.connection, region.name, period))

        with self.planning:
            return self.reading(lambda connection: plan(UnitOfWork(connection, now)))

    def run(
        self,
        unit_of_work: UnitOfWork,
        region: Region,
        due_at: datetime,
        period: Period,
        plan: NightPlan | None = None,
    ) -> Portion:
        """Cut, sign and queue the next lists due at `due_at` for `period`, one at least and few hubs beyond that.

        Goes by `plan`, if that is still where the run is, or plans in this transaction. Once the last list is cut a
        further run for the same period does nothing. A period that has begun is too late to list for: nothing more is
        cut and the audit says so.
        """
        connection, now = unit_of_work.connection, unit_of_work.now
        if region.list_size < 1:
            raise ValueError(f"a list must have room for at least one hub, but the list size is {region.list_size}")
        if lists.has_run(connection, region.name, CUT, period.start, now):
            return _NOTHING
        judge = Judge.of(region, period, now, due_at)
        ending = _Ending(unit_of_work, judge)
        if now >= period.start:
            # Its plan is not looked at any more: a night that cannot be planned is over all the same.
            return ending.too_late()
        run = list_runs.find(connection, region.name, period, to_move=True)
        if plan is None or not plan.goes_on(run):
            plan = plan_night(unit_of_work, judge, self.quiet_days, run)
        if run is None and not plan.scheduled:
            return ending.done()
        cutting = _Cutting(self, unit_of_work, judge, plan, ending)
        cutting.note_plan(run)
        if not cutting.settle_changing():
            return Portion(0, plan, more=True)
        listed = 0
        while plan.queue and listed < self.listed_at_once:
            listed += cutting.cut_list()
        return cutting.end_or_go_on(listed)


@dataclass(frozen=True, slots=True)
class _Ending:
    """The end of the cutting of a night, and what the audit says of it."""

    unit_of_work: UnitOfWork
    judge: Judge

    def too_late(self) -> Portion:
        """The night has begun: it gets no further list."""
        listed = list_runs.hubs_listed(self.unit_of_work.connection, self.judge.region.name, self.judge.period)
        if listed is not None:
            self.say(f"cut {self.late}: {listed} hubs listed, no more, for the period has begun")
        elif how_many_wait(self.unit_of_work, self.judge):
            self.say(f"not cut: {self.late}, the period had begun")
        return self.done()

    def done(self) -> Portion:
        """Nothing more is to be done for the night."""
        connection, now = self.unit_of_work.connection, self.unit_of_work.now
        lists.record_run(connection, self.judge.region.name, CUT, self.judge.period.start, now)
        changed_hubs.forget_ended(connection)
        return _NOTHING

    @property
    def late(self) -> str:
        minutes = (self.unit_of_work.now - self.judge.due_at) // timedelta(minutes=1)
        return f"{minutes} min late" if minutes else "in time"

    def say(self, what: str) -> None:
        period = self.judge.period
        span = f"{period.start:%Y-%m-%dT%H:%MZ} to {period.end:%Y-%m-%dT%H:%MZ}"
        detail = f"{self.judge.region.name}: lists for {span} {what}"
        entry = audit.Entry(self.unit_of_work.now, "processor", CUT, detail)
        audit.record(self.unit_of_work.connection, [entry])


@dataclass(slots=True)
class _Cutting:
    """One transaction of the cutting of a night."""

    cutter: ListCutter
    unit_of_work: UnitOfWork
    judge: Judge
    plan: NightPlan
    ending: _Ending

    @property
    def region(self) -> Region:
        return self.judge.region

    def note_plan(self, run: Run | None) -> None:
        connection, plan = self.unit_of_work.connection, self.plan
        if run is None:
            list_runs.begin(connection, plan.run)
        elif run.planned_at is None:
            list_runs.plan_again(connection, run, plan.run)
        if plan.owed is not None:
            replace_owed(connection, self.region.name, plan.owed)
            plan.owed = None
        plan.seen = plan.run

    def settle_changing(self) -> bool:
        """Let the answers decide about the next hubs that are not agreed as they were; true if that were all."""
        left = SETTLED_AT_ONCE
        while self.plan.changing and left > 0:
            release_id, hub_ids = self.plan.changing[-1]
            some = hub_ids[-left:]
            del hub_ids[-left:]
            left -= len(some)
            self._look_at(releases.by_id(self.unit_of_work.connection, release_id), some)
            if not hub_ids:
                self.plan.changing.pop()
        return not self.plan.changing

    def cut_list(self) -> int:
        """Queue the next list, signed, and tell every Supplier concerned; return how many hubs are on it.

        Hubs that cannot be listed any more make room for the next.
        """
        plan, connection, now = self.plan, self.unit_of_work.connection, self.unit_of_work.now
        release = releases.by_id(connection, plan.queue[-1][0])
        listing = _Listing(release, self.cutter.draw_id(), self.judge.period)
        due = waiting.due_hubs(connection, now)
        after = plan.run.after
        # After a stop the queue may hold hubs that were kept off when the night was planned: they add none.
        room = min(self.region.list_size, plan.run.chosen - plan.run.hubs)
        while plan.queue and plan.queue[-1][0] == release.release_id and len(listing.hub_ids) < room:
            some = plan.take(room - len(listing.hub_ids))
            after = (release.release_id, some[-1][0])
            self._put(listing, some, due)
            if not plan.queue[-1][1]:
                plan.queue.pop()
        listed = len(listing.hub_ids)
        if listed:
            self._issue(listing)
        run = plan.run
        moved = replace(
            run, places=run.places - listed, lists=run.lists + bool(listed), hubs=run.hubs + listed, after=after
        )
        list_runs.move(connection, run, moved)
        plan.seen = plan.run = moved
        if moved.hubs == moved.chosen:
            plan.queue.clear()
        return listed

    def _put(self, listing: _Listing, some: Sequence[Member], due: set[str] | None) -> None:
        """Make Listed those of some hubs that may be: alike ones together, others one by one."""
        release = listing.release
        single = self.plan.single | changed_hubs.all_of_them(self.unit_of_work.connection) | (due or set())
        alone: list[Member] = []
        together: list[tuple[Alike, list[Member]]] = []
        for group, those in groupby(sorted(some, key=_group), key=_group):
            alike, members = self.plan.groups[group], list(those)
            if due is None or len(members) < self.cutter.few or not self._stands(alike, release):
                alone += members
                continue
            if single:
                alone += [one for one in members if one[0] in single]
                members = [one for one in members if one[0] not in single]
            together.append((alike, members))
        if together:
            self._list_together(listing, together)
        if alone:
            kept = self._look_at(release, [one[0] for one in alone])
            of_group: dict[int, list[Member]] = defaultdict(list)
            for one in alone:
                upgrade = kept.get(one[0])
                if upgrade is None or upgrade.attempt is None:
                    continue
                # Another attempt than the one that was chosen was not.
                if upgrade.attempt.number == self.plan.groups[one[1]].number:
                    of_group[one[1]].append(one)
            for group, members in of_group.items():
                hub_ids = self._list(listing, members, self.plan.groups[group], looked_at=True)
                listing.tell(kept[hub_id].hub for hub_id in hub_ids)
                # A window may have been changed since the night was planned.
                ends = (attempt.window.end for hub_id in hub_ids if (attempt := kept[hub_id].attempt))
                listing.windows_end = max([listing.windows_end, *ends])

    def _list_together(self, listing: _Listing, together: Sequence[tuple[Alike, Sequence[Member]]]) -> None:
        """Make Listed hubs about which nothing is peculiar; who has agreed to them is read beside that."""
        with self.cutter.reading.beside(lambda connection: list_runs.others_agreed(connection, together)) as others:
            listed = [(alike, self._list(listing, some, alike)) for alike, some in together]
        for (alike, hub_ids), agreed in zip(listed, others(), strict=True):
            self._tell_of_alike(listing, alike, hub_ids, agreed)

    def _stands(self, alike: Alike, release: Release) -> bool:
        return self.judge.settled(alike, release) and self.judge.admits(alike, release)

    def _list(self, listing: _Listing, some: Sequence[Member], alike: Alike, *, looked_at: bool = False) -> list[str]:
        """Make Listed those of a group that still may be, unless each was looked at; return them."""
        connection, hub_ids = self.unit_of_work.connection, [one[0] for one in some]
        listed = list_runs.put_on_list(
            connection,
            some,
            list_id=listing.list_id,
            region=self.region.name,
            period=self.judge.period,
            now=self.unit_of_work.now,
            group=alike,
            looked_at=looked_at,
        )
        if listed is not None:
            # Whatever keeps the others off is found out when the next night is planned.
            changed_hubs.note(connection, [hub_id for hub_id in hub_ids if hub_id not in listed])
            hub_ids = [hub_id for hub_id in hub_ids if hub_id in listed]
        listing.hub_ids += hub_ids
        if hub_ids:
            listing.windows_end = max(listing.windows_end, alike.window.end)
        # An attempt keeps its number.
        listing.by_number[alike.number] += hub_ids
        return hub_ids

    def _tell_of_alike(
        self, listing: _Listing, alike: Alike, hub_ids: Sequence[str], agreed: Sequence[tuple[str, str]]
    ) -> None:
        """Note whom the listing of hubs concerns about which nothing is peculiar.

        Of an agreed hub that is the Supplier by which it counts, and whoever else has `agreed` to it.
        """
        if alike.compulsory:
            hubs = inventory.hubs(self.unit_of_work.connection, hub_ids, self.unit_of_work.now, with_han=False)
            listing.tell(hubs.values())
        elif hub_ids:
            listing.told[alike.organisation] += hub_ids
            those = set(hub_ids)
            for hub_id, organisation in agreed:
                if hub_id in those:
                    listing.told[organisation].append(hub_id)

    def _look_at(self, release: Release, hub_ids: Sequence[str]) -> dict[str, HubUpgrade]:
        """Those of some hubs that may still be listed; those no longer agreed go to where their answers leave them.

        What a change of Supplier means for one is left until that is carried out.
        """
        connection, now = self.unit_of_work.connection, self.unit_of_work.now
        changes = Changes(release, self.cutter.lifecycle)
        kept = {}
        loaded = upgrades.load(connection, hub_ids, release, now, quiet_days=self.cutter.quiet_days)
        for hub_id, upgrade in loaded.items():
            if self._is_for_change_of_supplier(upgrade, release):
                continue
            before = len(changes.attempts)
            settle(changes, upgrade, now=now, has_period=self.judge.has_period)
            if len(changes.attempts) == before and self.judge.may_be_listed(upgrade, release):
                kept[hub_id] = upgrade
        upgrade_writing.write(connection, changes, now)
        self.cutter.alerts.post(self.unit_of_work, changes.events)
        audit.record(
            connection,
            audit.transitions(
                changes.attempts, at=now, actor="processor", release_id=release.release_id, message_key=None
            ),
        )
        return kept

    def _is_for_change_of_supplier(self, upgrade: HubUpgrade, release: Release) -> bool:
        """Whether somebody has left who has answered, and the attempt does not stay what it is without that.

        Only whoever carries the change out knows who has come, to whom an attempt from before its time is not told.
        """
        if all(one in upgrade.hub.responsible for one in upgrade.answers):
            return False
        found = Changes(release, self.cutter.lifecycle)
        settle(found, upgrade, now=self.unit_of_work.now, has_period=self.judge.has_period)
        return bool(found.attempts)

    def _issue(self, listing: _Listing) -> None:
        connection, now, cutter = self.unit_of_work.connection, self.unit_of_work.now, self.cutter
        release = listing.release
        issuing = Issuing(cutter.signer, cutter.access_control_broker, cutter.draw_id)
        entry = ListEntry(self.judge.period, tuple(sorted(listing.hub_ids)))
        _, key = issuing(
            self.unit_of_work, self.region, release, entry, windows_end=listing.windows_end, list_id=listing.list_id
        )
        if cutter.lifecycle.after(AttemptEvent.LISTED, AttemptState.SCHEDULED) is not AttemptState.LISTED:
            raise ValueError("the table of transitions lets no hub that is Scheduled be Listed")
        alert = cutter.lifecycle.event[AttemptEvent.LISTED].alert
        if alert is not None:
            # In the order of the hubs: by whom else they count is not to be read from it.
            told = {organisation: sorted(hub_ids) for organisation, hub_ids in listing.told.items()}
            cutter.alerts.post_alike(self.unit_of_work, alert, release.release_id, listing.list_id, told)
        audit.record(
            connection, audit.listed(listing.by_number, at=now, release_id=release.release_id, message_key=key)
        )

    def end_or_go_on(self, listed: int) -> Portion:
        """Give what others have lost to those for whom there was no place, once; then the night is done."""
        plan, run = self.plan, self.plan.run
        if plan.queue:
            return Portion(listed, plan, more=True)
        if run.hubs < run.chosen and run.left_out and not run.filling:
            list_runs.plan_again(
                self.unit_of_work.connection, run, replace(run, planned_at=None, limits={}, filling=True)
            )
            return Portion(listed, more=True)
        self.ending.say(f"cut {self.ending.late}: {run.hubs} hubs listed, {run.left_out} left for later")
        self.ending.done()
        return Portion(listed)


class _Listing:
    """A list while it is being filled."""

    def __init__(self, release: Release, list_id: str, period: Period) -> None:
        self.release = release
        self.list_id = list_id
        self.hub_ids: list[str] = []
        self.windows_end = period.end
        """When the last of the windows of its hubs ends."""
        self.by_number: dict[int, list[str]] = defaultdict(list)
        """By the number of their attempt."""
        self.told: dict[str, list[str]] = defaultdict(list)
        """By the organisation that is told."""

    def tell(self, hubs: Iterable[Hub]) -> None:
        """Tell all who are responsible for some hubs."""
        for hub in hubs:
            for organisation in hub.responsible:
                self.told[organisation].append(hub.hub_id)
