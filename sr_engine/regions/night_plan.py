"""The plan of one night in one region, made from sets: which hubs are put on its lists, in what order.

It chooses as `planner.plan_period` does. Hubs that are alike but for their ids are judged once, by the rules of the
domain; those about which something is peculiar are judged one by one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import itemgetter

from sr_engine.configuration import Region
from sr_engine.domain.agreement import reconcile
from sr_engine.domain.eligibility import UPGRADABLE_STATUSES
from sr_engine.domain.listing import obstacle
from sr_engine.domain.states import AttemptState
from sr_engine.domain.upgrades import Answer, Attempt, Hub, HubUpgrade, Release, Schedule
from sr_engine.messages.model import Approval, Period, Phase
from sr_engine.regions.periods import NightCounter, PeriodFinder
from sr_engine.regions.planner import First, Group, plan_groups
from sr_engine.store import lists, releases, upgrades, waiting
from sr_engine.store.list_runs import Run
from sr_engine.store.overlays import QuietDays
from sr_engine.store.owed import owed as owed_in
from sr_engine.store.units_of_work import UnitOfWork
from sr_engine.store.waiting import Alike, Member

LOOKED_AT_ONCE = 5_000
"""Hubs that are loaded to be judged one by one, at most."""

_by_hub = itemgetter(0)
_group_and_hub = itemgetter(1, 0)


@dataclass(slots=True)
class NightPlan:
    """What is still to be listed for a night."""

    seen: Run | None
    """The run as it was when this was planned, or is by now; None: not begun."""
    run: Run
    """The run as it goes on with this plan."""
    scheduled: int
    """Hubs that wait for this night, whether they may be listed or not."""
    changing: list[tuple[str, list[str]]]
    """By release, hubs that are not agreed any more as they were: they are settled, and not listed."""
    single: set[str]
    """Hubs that are judged one by one."""
    groups: Sequence[Alike]
    queue: list[tuple[str, list[Member]]]
    """By release, what is still to be listed, the next last."""
    owed: Mapping[str, int] | None = None
    """What Suppliers are owed by this plan; None: what they are owed already."""

    def goes_on(self, run: Run | None) -> bool:
        """Whether a run is where this plan takes it from."""
        if run is None or self.seen is None:
            return run is self.seen
        return run.key == self.seen.key

    def take(self, at_most: int) -> list[Member]:
        """The next hubs of the release that is listed now, ascending."""
        _, left = self.queue[-1]
        some = left[-at_most:]
        del left[-at_most:]
        some.reverse()
        return some


@dataclass(frozen=True, slots=True)
class Judge:
    """Says what may be listed for a night, as of a moment."""

    region: Region
    period: Period
    now: datetime
    due_at: datetime
    has_period: PeriodFinder

    @classmethod
    def of(cls, region: Region, period: Period, now: datetime, due_at: datetime) -> Judge:
        """The night is judged as of the time the cut was due, not of the moments it came later."""
        return cls(region, period, now, due_at, PeriodFinder({region.name: region}, due_at))

    def gate_open(self, release: Release) -> bool:
        """Whether hubs of the General phase are listed; all are, while the release is compulsory."""
        begins, ends = release.compulsory_from, release.comply_by
        compulsory = begins is not None and ends is not None and begins <= self.now < ends
        return compulsory or self.region.name in release.general_open

    def admits(self, alike: Alike, release: Release) -> bool:
        """Whether nothing that is common to the hubs of a group keeps them off the list."""
        return self.may_be_listed(_typical(alike, release, self), release)

    def settled(self, alike: Alike, release: Release) -> bool:
        """Whether what was agreed for a group stands, if nothing has changed about its hubs themselves."""
        typical = _typical(alike, release, self)
        return reconcile(typical, self.now, self.has_period, compulsory=release.compulsory_window(self.now)) is None

    def stands(self, upgrade: HubUpgrade, release: Release) -> bool:
        """The same for one hub."""
        return reconcile(upgrade, self.now, self.has_period, compulsory=release.compulsory_window(self.now)) is None

    def may_be_listed(self, upgrade: HubUpgrade, release: Release) -> bool:
        """Whether nothing keeps one hub, of which what was agreed stands, off the list."""
        attempt = upgrade.attempt
        return (
            attempt is not None
            and attempt.state is AttemptState.SCHEDULED
            and attempt.window.start <= self.period.start
            and self.period.end <= attempt.window.end
            and (attempt.pilot or attempt.compulsory or self.gate_open(release))
            and obstacle(upgrade, release, self.region.name, self.period, self.now) is None
        )


def _typical(alike: Alike, release: Release, judge: Judge) -> HubUpgrade:
    """A hub of a group about which nothing is peculiar."""
    organisation = alike.organisation or None
    hub = Hub(
        hub_id="",
        device_status=min(UPGRADABLE_STATUSES),
        region=judge.region.name,
        manufacturer=release.firmware.manufacturer,
        model=release.firmware.model,
        version=min(release.reachable_from, default=None),
        electricity=organisation,
        gas=None,
    )
    phase = Phase.PILOT if alike.pilot else Phase.GENERAL
    agreed = Answer(Approval.APPROVED, "", Schedule(0, alike.organisation, alike.window, phase, ""))
    attempt = Attempt(
        number=alike.number,
        state=AttemptState.SCHEDULED,
        window=alike.window,
        pilot=alike.pilot,
        organisation=alike.organisation,
        state_at=judge.now,
        compulsory=alike.compulsory,
    )
    return HubUpgrade(hub, {} if alike.compulsory else {alike.organisation: agreed}, attempt)


@dataclass(slots=True)
class _Night:
    """What is found out about a night while it is planned."""

    look: UnitOfWork
    judge: Judge
    quiet_days: QuietDays
    releases: dict[str, Release]
    counts: Counter[Alike] = field(default_factory=Counter)
    """Hubs that may be listed, as far as is known."""
    scheduled: int = 0
    out: dict[str, Alike] = field(default_factory=dict)
    """Hubs of these groups that may not be listed, by CHF id."""
    single: set[str] = field(default_factory=set)
    changing: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    groups: list[Alike] = field(default_factory=list)
    """Those of which hubs are chosen."""

    @property
    def region(self) -> str:
        return self.judge.region.name

    def find(self, *, only_agreed: bool) -> None:
        """Count what may be listed."""
        unsettled: list[Alike] = []
        for release, alike, hubs in _groups(self.look, self.judge, self.releases):
            self.scheduled += hubs
            if not self.judge.settled(alike, release):
                unsettled.append(alike)
            elif self.judge.admits(alike, release) and not (only_agreed and alike.compulsory):
                self.counts[alike] = hubs
        self.look_at_peculiar(unsettled)
        if only_agreed:
            self.leave_out_returned()

    def look_at_peculiar(self, unsettled: Iterable[Alike] = ()) -> None:
        """Judge one by one the hubs about which something is peculiar, and all of some groups."""
        peculiar = waiting.peculiar(
            self.look.connection, self.region, self.releases.values(), self.judge.now, self.quiet_days
        )
        whole = {*unsettled, *self.counts} if peculiar is None else set(unsettled)
        known: dict[str, Alike] = {}
        for hub_id, alike in (peculiar or {}).items():
            if alike in self.counts and alike not in whole:
                known[hub_id] = alike
                self.counts[alike] -= 1
        for alike in whole:
            self.counts[alike] = 0
            of_group = waiting.of_group(self.look.connection, self.region, alike)
            known |= dict.fromkeys((hub_id for hub_id, _, _ in of_group), alike)
        self.single |= known.keys()
        by_release: dict[str, list[str]] = defaultdict(list)
        for hub_id, alike in known.items():
            by_release[alike.release_id].append(hub_id)
        eligible = {hub_id for release_id, some in by_release.items() for hub_id in self._eligible(release_id, some)}
        for hub_id, alike in known.items():
            if hub_id in eligible:
                self.counts[alike] += 1
            else:
                self.out[hub_id] = alike

    def leave_out_returned(self) -> None:
        """Leave out the hubs that stood on a list of this night and are off it: it is not asked for again."""
        for hub_id, alike in waiting.returned(self.look.connection, self.region, self.judge.period).items():
            if alike in self.counts and hub_id not in self.out:
                self.counts[alike] -= 1
                self.out[hub_id] = alike

    def _eligible(self, release_id: str, hub_ids: Sequence[str]) -> Iterable[str]:
        release = self.releases[release_id]
        for start in range(0, len(hub_ids), LOOKED_AT_ONCE):
            some = hub_ids[start : start + LOOKED_AT_ONCE]
            loaded = upgrades.load(self.look.connection, some, release, self.judge.now, quiet_days=self.quiet_days)
            for hub_id, upgrade in loaded.items():
                if not self.judge.stands(upgrade, release):
                    self.changing[release_id].append(hub_id)
                elif self.judge.may_be_listed(upgrade, release):
                    yield hub_id

    def choose(self, places: int, owed: Mapping[str, int]) -> tuple[list[Member], int, Mapping[str, int]]:
        """The hubs that are chosen, ascending, how many others might have been, and what Suppliers are owed then."""
        self.groups = [alike for alike, hubs in self.counts.items() if hubs > 0]
        nights_left = NightCounter(self.judge.region, self.judge.period.end)
        groups = [
            Group(
                alike.release_id,
                alike.organisation,
                alike.pilot,
                nights_left(self._deadline(alike)),
                alike.compulsory,
                self.counts[alike],
            )
            for alike in self.groups
        ]
        skipped = Counter(self.out.values())
        chosen: list[Member] = []
        quotas, balance = plan_groups(groups, capacity=places, owed=owed)
        for quota in quotas:
            of_quota: list[Member] = []
            for part in quota.parts:
                of_quota += self._first(part, skipped)
            if len(quota.parts) > 1:
                of_quota.sort(key=_by_hub)
            chosen += of_quota if quota.hubs == sum(part.hubs for part in quota.parts) else of_quota[: quota.hubs]
        chosen.sort(key=_by_hub)
        return chosen, max(0, sum(group.hubs for group in groups) - len(chosen)), balance

    def _first(self, part: First, skipped: Mapping[Alike, int]) -> list[Member]:
        everybody = part.hubs == sum(self.counts[self.groups[place]] for place in part.groups)
        found: list[Member] = []
        for place in part.groups:
            alike = self.groups[place]
            limit = None if everybody else part.hubs + skipped[alike]
            found += self.without_out(
                waiting.of_group(self.look.connection, self.region, alike, place=place, limit=limit)
            )
        if everybody:
            return found
        found.sort(key=_by_hub)
        return found[: part.hubs]

    def without_out(self, found: list[Member]) -> list[Member]:
        """Hubs but for those that may not be listed."""
        return [one for one in found if one[0] not in self.out] if self.out else found

    def _deadline(self, alike: Alike) -> datetime:
        compulsory = self.releases[alike.release_id].compulsory_window(self.judge.now)
        return alike.window.end if compulsory is None else min(alike.window.end, compulsory.end)

    def plan(self, seen: Run | None, run: Run, chosen: Sequence[Member]) -> NightPlan:
        """The plan of a run as it was seen, with those who were chosen, ascending."""
        of_release: dict[str, list[Member]] = defaultdict(list)
        release_ids = [alike.release_id for alike in self.groups]
        if len(set(release_ids)) == 1:
            of_release[release_ids[0]] = list(reversed(chosen))
        else:
            for one in reversed(chosen):
                of_release[release_ids[one[1]]].append(one)
        return NightPlan(
            seen,
            run,
            self.scheduled,
            list(self.changing.items()),
            self.single,
            self.groups,
            sorted(of_release.items(), reverse=True),
        )


def how_many_wait(look: UnitOfWork, judge: Judge) -> int:
    """Hubs that are Scheduled, and for which a night may be one of theirs."""
    return sum(hubs for _, _, hubs in _groups(look, judge, _releases_in(look, judge)))


def _releases_in(look: UnitOfWork, judge: Judge) -> dict[str, Release]:
    found = releases.all_releases(look.connection)
    return {one.release_id: one for one in found if judge.region.name in one.regions}


def _groups(look: UnitOfWork, judge: Judge, known: Mapping[str, Release]) -> Iterator[tuple[Release, Alike, int]]:
    """What waits for a night, as groups of hubs that are alike, with how many each has."""
    for release in known.values():
        gate_open = judge.gate_open(release)
        for alike, hubs in waiting.groups(look.connection, release.release_id, judge.region.name, judge.period):
            if alike.pilot or alike.compulsory or gate_open:
                yield release, alike, hubs


def plan_night(look: UnitOfWork, judge: Judge, quiet_days: QuietDays, run: Run | None) -> NightPlan:
    """Plan the night of a run, or what is left of it; None: it has not begun.

    A run that was planned goes on with what was chosen then, and what has been kept off then and may be listed by now:
    whoever cuts the lists sees to it that there are no more hubs than were chosen. Nothing is written.
    """
    region, period = judge.region, judge.period
    night = _Night(look, judge, quiet_days, _releases_in(look, judge))
    if run is not None and run.planned_at is not None:
        return _resumed(night, run, run.planned_at)
    if run is None:
        places = max(0, region.hubs_per_night - lists.with_csp_beside(look.connection, region.name, period))
        run, seen = Run(region.name, period.start, judge.now, {}, places), None
    else:
        seen = run
    # Only what others have lost is given away once more.
    places = min(run.places, run.chosen - run.hubs) if run.filling else run.places
    night.find(only_agreed=run.filling)
    owed = owed_in(look.connection, region.name)
    chosen, left_out, balance = night.choose(places, owed)
    # Of each group the last one stays.
    limits = {night.groups[group]: hub_id for group, hub_id in dict(map(_group_and_hub, chosen)).items()}
    if run.filling:
        # Of those left out before, some have a place now.
        left_out = max(0, run.left_out - len(chosen))
    total = run.hubs + len(chosen)
    run = replace(run, planned_at=judge.now, limits=limits, chosen=total, left_out=left_out, after=("", ""))
    plan = night.plan(seen, run, chosen)
    plan.owed = None if balance == owed else balance
    return plan


def _resumed(night: _Night, run: Run, planned_at: datetime) -> NightPlan:
    after_release, after_hub = run.after
    chosen: list[Member] = []
    night.groups = [alike for alike in run.limits if alike.release_id >= after_release]
    for group, alike in enumerate(night.groups):
        after = after_hub if alike.release_id == after_release else ""
        members = waiting.chosen_of_group(
            night.look.connection,
            night.region,
            alike,
            place=group,
            after=after,
            upto=run.limits[alike],
            scheduled_by=planned_at,
        )
        night.counts[alike] = len(members)
        chosen += night.without_out(members)
    night.look_at_peculiar()
    if run.filling:
        night.leave_out_returned()
    return night.plan(run, run, sorted(one for one in chosen if one[0] not in night.out))
