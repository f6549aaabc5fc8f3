"""The reference model: what the domain description says of hubs, answers and attempts, in dictionaries and loops.

It is written from the rules alone and shares no code with the product but the value types of the messages. What the
rules leave open (which hubs of those that may be listed get a night) is told to it, and checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from sr_engine.messages.model import Period
from tests.machine.facts import DAY, OPEN, REGIONS, WITH_CSP, Answer, Attempt, Home, Region, Release, Schedule, overlap

LEAD = 14 * DAY
"""How long before ComplyBy the remaining hubs are planned; the instance under test is configured so."""
NOTICE = 5 * DAY
QUIET_BEFORE = QUIET_AFTER = 3 * DAY
MAY_BE_UPGRADED = {"Commissioned", "Suspended", "Recovered"}


class Hubs:
    """What is known of hubs, answers and attempts, and what follows from them."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.homes: dict[str, Home] = {}
        self.releases: dict[str, Release] = {}
        self.schedules: dict[int, Schedule] = {}
        self.answers: dict[tuple[str, str, str], Answer] = {}
        self.attempts: dict[tuple[str, str], list[Attempt]] = {}
        self.off_lists: dict[tuple[str, str], tuple[str, Attempt]] = {}
        """By list and hub that is off it: release and attempt, which its CSP may have upgraded all the same."""
        self.replaced_by: dict[str, set[str]] = {}
        """By list, those on which its hubs stand since it was replaced."""
        self.exclusions: dict[tuple[str, str], datetime | None] = {}
        self.limits: dict[tuple[str, str], datetime] = {}
        """When the exclusion of a Supplier that has left ends at the latest."""
        self.settled: dict[tuple[str, str], tuple[datetime, str | None]] = {}
        """By hub and role, the registration up to which changes of Supplier have been carried out."""
        self.look_again: dict[str, datetime] = {}
        self.departed: set[tuple[str, str, str]] = set()
        self.arrivals: dict[tuple[str, str, str], int] = {}
        """By hub, release and Supplier, how many attempts were there before it came and are not its to see."""
        self.pilots_done: set[tuple[str, str, str]] = set()
        """Supplier, release and hub of pilots that have had their outcome: their places are used."""
        self.told: Counter[tuple[str, str, str]] = Counter()
        """How often each Supplier must have been told of each event of each hub: event, hub, Supplier."""
        self.last_cut: dict[str, datetime] = {}

    def sides(self, hub: str) -> list[str]:
        return self.homes[hub].sides(self.now)

    def approval(self, hub: str, release: str, organisation: str) -> str:
        answer = self.answers.get((hub, release, organisation))
        return "Pending" if answer is None else answer.at(self.now)

    def newest(self, hub: str, release: str) -> Attempt | None:
        known = self.attempts.get((hub, release))
        return known[-1] if known else None

    def applies(self, hub: str, release: str) -> bool:
        home, one = self.homes[hub], self.releases[release]
        return home.region in one.regions and home.version in one.reachable_from

    def may_break(self, hub: str, release: str) -> bool:
        return self.homes[hub].fragile and self.releases[release].breaks_han

    def with_csp(self, hub: str, release: str) -> bool:
        attempt = self.newest(hub, release)
        return attempt is not None and attempt.state in WITH_CSP

    def other_release_open(self, hub: str, release: str) -> bool:
        others = (self.newest(hub, other) for other in self.releases if other != release)
        return any(one is not None and one.state in OPEN | WITH_CSP for one in others)

    def in_force(self, schedule: Schedule, hub: str) -> bool:
        answer = self.answers.get((hub, schedule.release, schedule.organisation))
        return answer is not None and answer.schedule is schedule

    def excluded_by(self, hub: str, organisation: str) -> bool:
        if (hub, organisation) not in self.exclusions:
            return False
        until = self.excluded_until(hub, organisation)
        return until is None or until > self.now

    def excluded_until(self, hub: str, organisation: str) -> datetime | None:
        ends = (self.exclusions[hub, organisation], self.limits.get((hub, organisation)))
        return min((end for end in ends if end is not None), default=None)

    def blocked(self, hub: str) -> list[Period]:
        """When the hub must be left alone: somebody's exclusion, the quiet days of a change of Supplier."""
        for_ever = self.now + 10_000 * DAY
        excluded = [
            Period(self.now, self.excluded_until(hub, organisation) or for_ever)
            for of_hub, organisation in self.exclusions
            if of_hub == hub and self.excluded_by(hub, organisation)
        ]
        return [*excluded, *self.homes[hub].quiet(QUIET_BEFORE, QUIET_AFTER)]

    def free_nights(self, hub: str, window: Period, blocked: Iterable[Period] = ()) -> list[Period]:
        """The nights of a window whose lists can still be cut, and that touch nothing."""
        region = REGIONS[self.homes[hub].region]
        return [
            night
            for night in region.nights(max(window.start, self.now + region.lead), window.end)
            if not any(overlap(night, one) for one in blocked)
        ]

    def shown(self, hub: str, release: str, organisation: str) -> dict[str, object]:
        """What 11.7 must show a Supplier of a hub it is responsible for."""
        own = self.approval(hub, release, organisation)
        other = self.seen(hub, release, organisation, self.sides(hub))
        attempt, answer = self.newest(hub, release), self.answers.get((hub, release, organisation))
        hidden = self.arrivals.get((hub, release, organisation), 0)
        if attempt is not None and attempt.number <= hidden:
            attempt = None
        times: dict[str, object] = {}
        if attempt is not None and attempt.state == "AwaitingApproval":
            times["window"] = answer.schedule.window if answer is not None and answer.schedule is not None else None
        elif attempt is not None and attempt.state in {"Scheduled", *WITH_CSP}:
            times = {"window": attempt.window, "night": attempt.night if attempt.state in WITH_CSP else None}
        return {
            "status": self._status(hub, release, organisation, attempt, other=other),
            "own": own,
            "other": other,
            "attempt": None if attempt is None else attempt.number - hidden,
            "schedule": answer.schedule.number if answer is not None and answer.schedule is not None else None,
            "until": answer.until if answer is not None and own == "Deferred" else None,
            **times,
        }

    def seen(self, hub: str, release: str, organisation: str, sides: list[str]) -> str:
        """The other side's answer as a Supplier is shown it.

        To one that has itself answered, the answer of a Supplier that left stands until the change is carried out.
        """
        other = next((one for one in sides if one != organisation), None)
        if other is None:
            return "None"
        given = [one for of_hub, of_release, one in self.answers if (of_hub, of_release) == (hub, release)]
        gone = [one for one in given if one not in self.sides(hub)]
        if organisation in given and other not in given and gone:
            other = gone[0]
        return self.approval(hub, release, other)

    def _status(self, hub: str, release: str, organisation: str, attempt: Attempt | None, *, other: str) -> str:
        own = self.approval(hub, release, organisation)
        if attempt is not None and attempt.state not in OPEN | {"Cancelled", "Voided"}:
            return attempt.state
        if self.excluded_by(hub, organisation):
            return "Excluded"
        if attempt is not None and attempt.state in OPEN and self.homes[hub].region in self.releases[release].halted:
            return "Halted"
        if attempt is not None and attempt.state == "Scheduled":
            return "Scheduled"
        if own in {"Declined", "Deferred"}:
            return own
        if attempt is not None and attempt.state == "AwaitingApproval":
            return "AwaitingApproval"
        if own == "Approved" and other not in {"Approved", "None"}:
            return "AwaitingApproval"
        return "NotScheduled" if attempt is None else "Cancelled"

    # --- what follows from answers ---------------------------------------------------------------------------------

    def tell(self, event: str, hub: str, *, but: str | None = None) -> None:
        for organisation in self.sides(hub):
            if organisation != but:
                self.told[event, hub, organisation] += 1

    def answer(self, organisation: str, release: str, hub: str, answer: Answer | None) -> None:
        """One Supplier's answer changes: the other side is told if it can see that, and the attempt follows."""
        seen = self.approval(hub, release, organisation)
        before = self.answers.pop((hub, release, organisation), None)
        if answer is not None:
            self.answers[hub, release, organisation] = answer
        if self.approval(hub, release, organisation) != seen:
            self.tell("other_supplier_answer_changed", hub, but=organisation)
        schedule = None if answer is None else answer.schedule
        anew = schedule is not None and (before is None or before.schedule is not schedule)
        self.settle(hub, release, anew=anew, by=organisation)

    def compulsory_window(self, release: str) -> Period | None:
        """The time in which the processor plans by itself, while it runs."""
        one = self.releases[release]
        if one.status != "Open" or one.compulsory_from is None or one.comply_by is None:
            return None
        if one.compulsory_from <= self.now < one.comply_by:
            return Period(one.compulsory_from, one.comply_by)
        if not one.dcc_managed or self.now < one.compulsory_from:
            return None
        start = one.comply_by
        while start + 30 * DAY <= self.now:
            start += 30 * DAY
        return Period(start, start + 30 * DAY)

    def settle(
        self,
        hub: str,
        release: str,
        *,
        anew: bool = False,
        by: str | None = None,
        left: bool = False,
        arrived: Collection[str] = (),
    ) -> None:
        """Bring the attempt of a hub to what the answers of its Suppliers make of it.

        `by` is the Supplier whose request it is: alone responsible, it is not told what it was answered. Where a
        Supplier has `left` what ends is Voided; who has just `arrived` knows of no attempt that could end.
        """
        attempt = self.newest(hub, release)
        if attempt is not None and attempt.state in WITH_CSP:
            return
        if attempt is not None and attempt.state not in OPEN:
            attempt = None
        sides = self.sides(hub)
        answers = [self.answers.get((hub, release, one)) for one in sides]
        schedules = [one.schedule for one in answers if one is not None and one.schedule is not None]
        forced = self._forced(hub, release, attempt)
        if not schedules:
            if attempt is not None and forced is not None:
                self._compel(hub, attempt, forced)
            elif attempt is not None:
                self._end(hub, attempt, "Voided" if left else "Cancelled", "hub_cancelled")
                for one in arrived if left else ():
                    self.told["hub_cancelled", hub, one] -= 1
            return
        if attempt is None and self.other_release_open(hub, release):
            return
        window = Period(max(one.window.start for one in schedules), min(one.window.end for one in schedules))
        approved = all(one is not None and one.at(self.now) == "Approved" for one in answers)
        as_it_was = attempt is not None and attempt.state == "Scheduled" and attempt.window == window
        in_time = window if forced is None else Period(window.start, min(window.end, forced.end))
        agreed = approved and (as_it_was or bool(self.free_nights(hub, in_time)))
        if forced is not None:
            agreed = agreed and window.start < forced.end
            if not agreed and attempt is not None:
                self._compel(hub, attempt, forced)
                return
        if attempt is None:
            known = self.attempts.setdefault((hub, release), [])
            attempt = Attempt(len(known) + 1, "AwaitingApproval", window, pilot=False)
            known.append(attempt)
        attempt.pilot = any(one.pilot for one in schedules)
        if agreed and attempt.state != "Scheduled" and set(self.sides(hub)) != {by}:
            self.tell("hub_scheduled", hub)
        conflict = approved and not agreed
        if conflict and (anew or not attempt.conflict):
            self.tell("window_conflict", hub)
        attempt.state = "Scheduled" if agreed else "AwaitingApproval"
        attempt.conflict, attempt.compulsory = conflict, False
        attempt.window = window if window.start < window.end else schedules[0].window

    def _forced(self, hub: str, release: str, attempt: Attempt | None) -> Period | None:
        """The time in which the hub can be compelled, if it is or could be any more."""
        forced = self.compulsory_window(release)
        if forced is None or (attempt is not None and attempt.compulsory):
            return forced
        return forced if self.free_nights(hub, forced) else None

    def _compel(self, hub: str, attempt: Attempt, window: Period) -> None:
        """The processor plans the hub by itself."""
        if attempt.state != "Scheduled":
            self.tell("hub_scheduled", hub)
        attempt.state, attempt.window, attempt.pilot = "Scheduled", window, False
        attempt.conflict, attempt.compulsory = False, True

    def _end(self, hub: str, attempt: Attempt, state: str, event: str, at: datetime | None = None) -> None:
        attempt.state, attempt.at, attempt.conflict = state, at or self.now, False
        self.tell(event, hub)

    def _end_schedules(self, hub: str, release: str, *, used: bool) -> None:
        """Every schedule of the hub ends; the approvals stay. By an outcome its place in the pilot is used."""
        for (of_hub, of_release, organisation), answer in self.answers.items():
            if (of_hub, of_release) == (hub, release) and answer.schedule is not None:
                if used and answer.schedule.pilot:
                    self.pilots_done.add((organisation, release, hub))
                answer.schedule = None

    # --- what comes with time --------------------------------------------------------------------------------------

    def due(self, region: Region) -> list[Period]:
        """The nights whose lists have to be cut now, since the last look."""
        last = self.last_cut.setdefault(region.name, self.now)
        found = list(region.cuts(last, self.now))
        if found:
            self.last_cut[region.name] = found[-1].start
        return found

    def up_for(self, region: Region, night: Period) -> list[tuple[str, str]]:
        """Hub and release of what is scheduled for a window that holds this night; judged anew as of now."""
        found = [key for key in self.attempts if self._stands_for(key, region, night)]
        for hub, release in found:
            self.settle(hub, release)
        return [key for key in found if self._stands_for(key, region, night)]

    def _stands_for(self, key: tuple[str, str], region: Region, night: Period) -> bool:
        attempt = self.newest(*key)
        assert attempt is not None
        return (
            attempt.state == "Scheduled"
            and self.homes[key[0]].region == region.name
            and attempt.window.start <= night.start
            and night.end <= attempt.window.end
        )

    def why_not_listed(self, hub: str, release: str, night: Period) -> str | None:
        """The rule that keeps a hub off the list of a night now; None: it may be listed."""
        home, one, attempt = self.homes[hub], self.releases[release], self.newest(hub, release)
        sides, forced = self.sides(hub), self.compulsory_window(release) is not None
        assert attempt is not None
        rules = {
            "status": home.status in MAY_BE_UPGRADED,
            "firmware": self.applies(hub, release),
            "release": one.status != "Withdrawn",
            "CPL": one.cpl == "Active",
            "halt": home.region not in one.halted,
            "gate": attempt.pilot or home.region in one.gates or forced,
            "approvals": attempt.compulsory
            or (bool(sides) and all(self.approval(hub, release, side) == "Approved" for side in sides)),
            "overlays": not any(overlap(night, blocked) for blocked in self.blocked(hub)),
            "HAN": forced
            or not self.may_break(hub, release)
            or all(self.answers[hub, release, side].accepts_han for side in sides),
        }
        return next((rule for rule, holds in rules.items() if not holds), None)

    def rank(self, hub: str, release: str, night: Period) -> tuple[int, bool]:
        """Who comes first where places are short: fewest nights left, then pilots."""
        attempt = self.newest(hub, release)
        assert attempt is not None
        region, forced = REGIONS[self.homes[hub].region], self.compulsory_window(release)
        deadline = attempt.window.end if forced is None else min(attempt.window.end, forced.end)
        return len(list(region.nights(night.end, deadline))), not attempt.pilot

    def listed(self, hub: str, release: str, list_id: str, night: Period) -> None:
        attempt = self.newest(hub, release)
        assert attempt is not None
        attempt.state, attempt.list_id, attempt.night = "Listed", list_id, night
        self.tell("hub_listed", hub)

    def time_out(self, region: Region) -> None:
        for (hub, release), known in list(self.attempts.items()):
            attempt = known[-1]
            if self.homes[hub].region != region.name:
                continue
            waiting = timedelta(0) if attempt.state in OPEN else region.completion
            chosen = attempt.night if attempt.compulsory and attempt.state in WITH_CSP else None
            end = attempt.window.end if chosen is None else min(attempt.window.end, chosen.end)
            if attempt.state in OPEN | WITH_CSP and end + waiting <= self.now:
                self._end(hub, attempt, "Missed", "hub_missed")
                self._end_schedules(hub, release, used=attempt.list_id is not None)
