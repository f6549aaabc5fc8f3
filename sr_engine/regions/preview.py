"""The nights to come, played forward with the cutter's own plan: who will be listed when, who will not, and why.

Nothing is foreseen but what is known: agreed hubs stay agreed, what CSPs will report is left out, and nobody schedules
or is compelled anew. If nothing else happens the cutter does the same (`regions.lists`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from sr_engine.configuration import Region
from sr_engine.domain.agreement import reconcile
from sr_engine.domain.listing import Obstacle, obstacle
from sr_engine.domain.states import AttemptState
from sr_engine.domain.upgrades import Attempt, HubUpgrade, Release
from sr_engine.messages.model import Period
from sr_engine.regions.calendar import open_periods
from sr_engine.regions.periods import NightCounter, PeriodFinder
from sr_engine.regions.planner import Candidate, plan_period, rank

ALWAYS = datetime.min.replace(tzinfo=UTC)
"""As the time from which a gate is open: it is open."""


@dataclass(frozen=True, slots=True)
class ComingNight:
    """A nightly open period, and when its lists are cut."""

    period: Period
    cut_at: datetime
    places: int
    """For hubs beside those that are on its lists already."""


@dataclass(frozen=True, slots=True)
class Handover:
    """A known change of who is responsible for a hub."""

    at: datetime
    electricity: str | None
    gas: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Scheduled hubs of one release that are alike in all that decides when they are listed, but for their ids.

    `upgrade` stands for each of them. Only a hub by itself has handovers, which are ascending.
    """

    release_id: str
    upgrade: HubUpgrade
    attempt: Attempt
    hub_ids: Sequence[str]
    handovers: tuple[Handover, ...] = ()


class Fate(StrEnum):
    """What becomes of hubs in a night that their window holds."""

    LISTED = "listed"
    WAITS = "waits"
    """Not listed; there are further nights in its window."""
    MISSES = "misses"
    """Not listed, and this was the last chance."""


@dataclass(frozen=True, slots=True)
class Line:
    """Hubs of one release with the same fate, for the same reason."""

    release_id: str
    fate: Fate
    obstacle: Obstacle | None
    hubs: int


@dataclass(frozen=True, slots=True)
class NightPreview:
    """What one night will bring."""

    night: ComingNight
    lines: tuple[Line, ...]

    @property
    def listed(self) -> int:
        return sum(line.hubs for line in self.lines if line.fate is Fate.LISTED)


@dataclass(frozen=True, slots=True)
class RegionPreview:
    """What the coming nights will bring in a region.

    Each scheduled hub is listed once, misses its window once, is without a night, or waits for a night beyond.
    """

    region: str
    capacity: int
    nights: tuple[NightPreview, ...]
    without_night: Mapping[str, int]
    """By release id, hubs whose window holds no night that can still be listed."""
    beyond: Mapping[str, int]
    """By release id, hubs that wait for a night after the last one previewed."""


@dataclass(slots=True)
class _Waiting:
    """Hubs of a standing that have not been listed yet."""

    standing: Standing
    upgrade: HubUpgrade
    attempt: Attempt
    hub_ids: list[str]
    handed_over: int = 0
    """How many of its handovers have taken effect."""
    void: bool = False
    """A change of Supplier has ended what was agreed."""

    def may_change(self, after: datetime) -> bool:
        """True if a later change of Supplier may give it another window."""
        to_come = self.standing.handovers[self.handed_over :]
        return any(after < handover.at < self.attempt.window.end for handover in to_come)

    def hand_over(self, release: Release, region: Region, at: datetime) -> None:
        """Let changes of Supplier that are effective at a time take effect, as they will then."""
        for handover in self.standing.handovers[self.handed_over :]:
            # What is void stays so, and nothing is left to change once the window is over.
            if handover.at > at or self.void or self.attempt.window.end <= handover.at:
                return
            self.handed_over += 1
            hub = replace(self.upgrade.hub, electricity=handover.electricity, gas=handover.gas)
            self.upgrade = replace(self.upgrade, hub=hub)
            change = reconcile(
                self.upgrade,
                handover.at,
                PeriodFinder({region.name: region}, handover.at),
                supplier_left=True,
                compulsory=release.compulsory_window(handover.at),
            )
            if change is not None:
                self.void = change.attempt.state is not AttemptState.SCHEDULED
                if not self.void:
                    self.attempt = change.attempt
                    self.upgrade = replace(self.upgrade, attempt=change.attempt)


def preview(
    region: Region,
    nights: Sequence[ComingNight],
    standings: Iterable[Standing],
    releases: Mapping[str, Release],
    gates: Mapping[str, datetime | None],
    *,
    owed: Mapping[str, int],
) -> RegionPreview:
    """Play `nights`, which follow one another without a gap, and are those for which nothing has been cut yet.

    `gates` says for each release from when hubs of the General phase are listed, as things stand; None: not known.
    `owed` is what Suppliers are owed by the region's last plan.
    """
    without_night: Counter[str] = Counter()
    waiting: list[_Waiting] = []
    has_night = _NightFinder(region, nights[0].period.start if nights else None)
    for standing in standings:
        if has_night(standing.attempt.window) or standing.handovers:
            upgrade = standing.upgrade
            waiting.append(_Waiting(standing, upgrade, standing.attempt, list(standing.hub_ids)))
        else:
            without_night[standing.release_id] += len(standing.hub_ids)
    balance = dict(owed)
    played = tuple(_play(region, night, waiting, releases, gates, balance=balance) for night in nights)
    beyond: Counter[str] = Counter()
    has_later = _NightFinder(region, nights[-1].period.end if nights else None)
    for group in waiting:
        if group.hub_ids:
            counted = beyond if has_later(group.attempt.window) else without_night
            counted[group.standing.release_id] += len(group.hub_ids)
    return RegionPreview(region.name, region.hubs_per_night, played, without_night, beyond)


def _play(
    region: Region,
    night: ComingNight,
    waiting: Sequence[_Waiting],
    releases: Mapping[str, Release],
    gates: Mapping[str, datetime | None],
    *,
    balance: dict[str, int],
) -> NightPreview:
    """Decide about one night, and take those out that are listed in it or have had their last chance.

    Brings `balance`, by Supplier what it is owed, on.
    """
    lines: Counter[tuple[str, Fate, Obstacle | None]] = Counter()
    nights_left = NightCounter(region, night.period.end)
    admitted: list[tuple[_Waiting, int]] = []
    for group in waiting:
        release = releases[group.standing.release_id]
        if group.hub_ids and group.standing.handovers:
            group.hand_over(release, region, night.cut_at)
        if not group.hub_ids or not _holds(group.attempt.window, night.period):
            continue
        found = _obstacle(group, release, region, night, gates.get(release.release_id))
        if found is None:
            admitted.append((group, nights_left(_deadline(group.attempt, release, night))))
        else:
            _leave(group, found, night, nights_left, lines)
    candidates = _candidates(admitted, night.places)
    plan = plan_period(candidates, period=night.period, capacity=night.places, owed=balance)
    balance.update(plan.owed)
    full = len(plan.chosen) >= night.places
    chosen = {candidate.hub_id for candidate in plan.chosen}
    for group, _ in admitted:
        left = [hub_id for hub_id in group.hub_ids if hub_id not in chosen]
        if len(left) < len(group.hub_ids):
            lines[group.standing.release_id, Fate.LISTED, None] += len(group.hub_ids) - len(left)
        group.hub_ids = left
        if left:
            spread = group.attempt.compulsory and not full
            _leave(group, Obstacle.SPREAD if spread else Obstacle.CAPACITY, night, nights_left, lines)
    ordered = sorted(lines.items(), key=lambda item: (item[0][0], list(Fate).index(item[0][1]), item[0][2] or ""))
    return NightPreview(night, tuple(Line(*key, hubs) for key, hubs in ordered))


def _obstacle(
    group: _Waiting, release: Release, region: Region, night: ComingNight, gate: datetime | None
) -> Obstacle | None:
    at, attempt = night.cut_at, group.attempt
    if group.void:
        return Obstacle.SUPPLIER_CHANGE
    found = obstacle(group.upgrade, release, region.name, night.period, at)
    if found is not None or attempt.pilot or attempt.compulsory or (gate is not None and gate <= at):
        return found
    # What was agreed does not wait for the gate while the release is compulsory.
    begins, ends = release.compulsory_from, release.comply_by
    compulsory = begins is not None and ends is not None and begins <= at < ends
    return None if compulsory else Obstacle.GATE


def _deadline(attempt: Attempt, release: Release, night: ComingNight) -> datetime:
    compulsory = release.compulsory_window(night.cut_at)
    return attempt.window.end if compulsory is None else min(attempt.window.end, compulsory.end)


def _candidates(admitted: Sequence[tuple[_Waiting, int]], places: int) -> list[Candidate]:
    """Those who may get one of the places: whoever comes after as many others need not be asked."""
    by_rank: dict[tuple[bool, int, bool], list[_Waiting]] = defaultdict(list)
    for group, remaining in admitted:
        by_rank[rank(group.attempt.compulsory, remaining, group.attempt.pilot)].append(group)
    found: list[Candidate] = []
    for (compulsory, remaining, _), groups in sorted(by_rank.items()):
        # How many of the compulsory ones it takes depends on how they are spread: none is left away for another.
        if len(found) >= places and not (compulsory and any(one.compulsory for one in found)):
            break
        for group in groups:
            attempt, release_id = group.attempt, group.standing.release_id
            supplier, window, pilot = attempt.organisation, attempt.window, attempt.pilot
            found += [
                Candidate(hub_id, release_id, supplier, window, pilot, remaining, compulsory)
                for hub_id in group.hub_ids
            ]
    return found


def _leave(
    group: _Waiting,
    reason: Obstacle,
    night: ComingNight,
    nights_left: NightCounter,
    lines: Counter[tuple[str, Fate, Obstacle | None]],
) -> None:
    """Note that the hubs of a group are not listed this night; they are out if it was their last chance."""
    last = group.void or (nights_left(group.attempt.window.end) == 0 and not group.may_change(night.cut_at))
    lines[group.standing.release_id, Fate.MISSES if last else Fate.WAITS, reason] += len(group.hub_ids)
    if last:
        group.hub_ids = []


def _holds(window: Period, period: Period) -> bool:
    return window.start <= period.start and period.end <= window.end


class _NightFinder:
    """Says whether a window holds a night from a time on; many hubs share a window."""

    def __init__(self, region: Region, first: datetime | None) -> None:
        self._region = region
        self._first = first
        self._known: dict[Period, bool] = {}

    def __call__(self, window: Period) -> bool:
        found = self._known.get(window)
        if found is None:
            start = window.start if self._first is None else max(window.start, self._first)
            within = Period(start, window.end)
            found = start < window.end and next(open_periods(self._region, within), None) is not None
            self._known[window] = found
        return found
