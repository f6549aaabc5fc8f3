"""The whole reference model: what the operator and the CSPs do, beside what Suppliers have answered."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import datetime

from sr_engine.messages.model import Period
from tests.machine.facts import DAY, OPEN, WITH_CSP, Attempt, Region, Release
from tests.machine.hubs import LEAD, MAY_BE_UPGRADED, Hubs

OUTCOMES = ("Delivered", "Failed", "Activated")
"""What a CSP reports, the higher one later."""


class Model(Hubs):
    """Everything one example's world should hold."""

    def open_release(self, name: str, release: Release) -> None:
        self.releases[name] = release
        for hub in self.homes:
            if self.applies(hub, name):
                self.tell("release_opened", hub)

    def waiting(self, release: str, region: str) -> list[tuple[str, Attempt]]:
        """Hubs of a region whose attempt is under way and not with the CSP."""
        newest = {hub: self.newest(hub, release) for hub, home in self.homes.items() if home.region == region}
        return [(hub, one) for hub, one in newest.items() if one is not None and one.state in OPEN]

    def halt(self, release: str, region: str) -> None:
        if region not in self.releases[release].halted:
            self.releases[release].halted.add(region)
            for hub, _ in self.waiting(release, region):
                self.tell("hub_halted", hub)

    def resume(self, release: str, region: str) -> None:
        if region in self.releases[release].halted:
            self.releases[release].halted.remove(region)
            self.releases[release].resumed[region] = self.now
            for hub, _ in self.waiting(release, region):
                self.tell("hub_resumed", hub)

    def withdraw(self, release: str) -> None:
        self.releases[release].status = "Withdrawn"
        for region in self.releases[release].regions:
            self.cancel_waiting(release, region)

    def cancel_waiting(self, release: str, region: str) -> None:
        for hub, attempt in self.waiting(release, region):
            self._end(hub, attempt, "Cancelled", "hub_cancelled")
            self._end_schedules(hub, release, used=False)

    def advance(self, region: str) -> None:
        """Phases: what a withdrawn release has left is cancelled, too many failures halt, a soak that is over opens."""
        for name, one in self.releases.items():
            if region not in one.regions:
                continue
            if one.status == "Withdrawn":
                self.cancel_waiting(name, region)
            elif region not in one.halted and (one.status == "Open" or self.waiting(name, region)):
                outcomes = self._outcomes(name, region)
                since = [each for each in outcomes if region not in one.resumed or each.ended_at > one.resumed[region]]
                failures = [each for each in since if each.state != "Activated"]
                if len(since) >= one.minimum_sample and len(failures) * 100 > one.failure_percent * len(since):
                    self.halt(name, region)
                elif one.automatic and region not in one.gates:
                    self._open_after_soak(name, region, [each.ended_at for each in outcomes if each.pilot])

    def announce(self, release: str, effective_at: datetime, *, dcc: bool, comply_by: datetime) -> None:
        self.releases[release].announced = effective_at, dcc, comply_by
        self._tell_of_terms(release)

    def _tell_of_terms(self, release: str) -> None:
        one = self.releases[release]
        for hub, home in self.homes.items():
            if home.region in one.regions and home.version != one.firmware.version:
                self.tell("release_changed", hub)

    def take_effect(self) -> None:
        """Terms that were announced come into force at their time."""
        for name, one in self.releases.items():
            if one.announced is not None and one.announced[0] <= self.now:
                if one.status == "Withdrawn":
                    one.announced = None
                    continue
                effective_at, one.dcc_managed, one.comply_by = one.announced
                lead = 0 * DAY if one.dcc_managed else LEAD
                one.compulsory_from = effective_at if one.dcc_managed else max(effective_at, one.comply_by - lead)
                one.announced = None
                self._tell_of_terms(name)

    def is_excluded(self, hub: str) -> bool:
        return any(self.excluded_by(hub, one) for of_hub, one in self.exclusions if of_hub == hub)

    def defer_no_longer(self) -> None:
        """Deferrals run out: the other side is told that the answer is open again."""
        for (hub, release, organisation), answer in list(self.answers.items()):
            if answer.approval == "Deferred" and answer.until is not None and answer.until <= self.now:
                del self.answers[hub, release, organisation]
                if self.releases[release].status != "Withdrawn" and organisation in self.sides(hub):
                    self.tell("other_supplier_answer_changed", hub, but=organisation)

    def enlist(self, region: Region) -> None:
        """Plan the remaining hubs of what has become compulsory."""
        for name, one in self.releases.items():
            window = self.compulsory_window(name)
            if window is None or one.cpl != "Active" or region.name in one.halted or region.name not in one.regions:
                continue
            if not any(region.nights(max(window.start, self.now + region.lead), window.end)):
                continue
            for hub, home in self.homes.items():
                if home.region == region.name and self._to_be_planned(hub, name, window):
                    for other in self._in_the_way(hub, name):
                        self._end(hub, self.attempts[hub, other][-1], "Cancelled", "hub_cancelled")
                        self._end_schedules(hub, other, used=False)
                    self.settle(hub, name)
                    attempt = self.newest(hub, name)
                    if attempt is None or attempt.state not in OPEN:
                        known = self.attempts.setdefault((hub, name), [])
                        known.append(Attempt(len(known) + 1, "", window, pilot=False))
                        self._compel(hub, known[-1], window)

    def _to_be_planned(self, hub: str, release: str, window: Period) -> bool:
        attempts = self.attempts.get((hub, release), [])
        newest = attempts[-1] if attempts else None
        planned = newest is not None and newest.state == "Scheduled"
        if newest is not None and planned:
            planned = newest.window == window if newest.compulsory else newest.window.start < window.end
        excluded = (self.excluded_until(hub, one) for of_hub, one in self.exclusions if of_hub == hub)
        return (
            self.homes[hub].status in MAY_BE_UPGRADED
            and self.applies(hub, release)
            and not self.with_csp(hub, release)
            and self._is_free_of_others(hub, release, window)
            and not planned
            and not any(one.night is not None and one.night.end > self.now for one in attempts)
            and not any(until is None or until >= window.end for until in excluded)
        )

    def _in_the_way(self, hub: str, release: str) -> list[str]:
        """The other releases an upgrade to which is under way."""
        others = {other: self.newest(hub, other) for other in self.releases if other != release}
        return [other for other, one in others.items() if one is not None and one.state in OPEN | WITH_CSP]

    def _is_free_of_others(self, hub: str, release: str, window: Period) -> bool:
        """No upgrade to another release is in the way, or those that are give way and the hub has a night.

        What gives way is not with the CSP, and not sure to be over when `window` is.
        """
        others = [self.attempts[hub, other][-1] for other in self._in_the_way(hub, release)]
        give_way = all(one.state == "AwaitingApproval" or one.window.end > window.end for one in others)
        if not others:
            return True
        going = any(one.state in WITH_CSP for one in others)
        return give_way and not going and bool(self.free_nights(hub, window, self.blocked(hub)))

    def _outcomes(self, release: str, region: str) -> list[Attempt]:
        """Of what was listed."""
        return [
            attempt
            for (hub, of), known in self.attempts.items()
            for attempt in known
            if of == release
            and self.homes[hub].region == region
            and attempt.list_id is not None
            and attempt.state in {"Activated", "Failed", "Missed"}
        ]

    def _open_after_soak(self, release: str, region: str, ends: list[datetime]) -> None:
        one = self.releases[release]
        piloting = any(
            attempt.pilot
            and (attempt.state in WITH_CSP or (attempt.state == "Scheduled" and not self.is_excluded(hub)))
            for (hub, of), known in self.attempts.items()
            for attempt in known
            if of == release and self.homes[hub].region == region
        )
        start = max(ends) if ends else one.pilot_closes
        if not piloting and start is not None and start + one.soak <= self.now:
            one.gates.add(region)

    def on_list(self, list_id: str, hub: str) -> tuple[str, Attempt] | None:
        """Release and attempt of a hub that stands on a list."""
        return next(
            (
                (release, attempt)
                for (of_hub, release), known in self.attempts.items()
                for attempt in known
                if of_hub == hub and attempt.list_id == list_id
            ),
            None,
        )

    def acknowledged(self, list_id: str, accepted: Collection[str], refused: Collection[str]) -> None:
        """Hub by hub; one that is both accepted and refused is refused."""
        for hub in {*accepted, *refused}:
            found = self.on_list(list_id, hub)
            if found is None or found[1].state != "Listed":
                continue
            _, attempt = found
            if hub in refused:
                self.off_lists[list_id, hub] = found
                attempt.state, attempt.list_id, attempt.night = "Scheduled", None, None
                self.tell("hub_returned", hub)
            else:
                attempt.state = "Accepted"

    def withdrawn(self, list_id: str, accepted: Collection[str], refused: Collection[str]) -> None:
        """The CSP has taken hubs off a list; what it could not stop, or has on the hub already, goes on."""
        for hub in set(accepted) - set(refused):
            found = self.on_list(list_id, hub)
            if found is not None and found[1].state in {"Listed", "Accepted"}:
                self._end(hub, found[1], "Cancelled", "hub_cancelled")
                self._end_schedules(hub, found[0], used=False)

    def may_stay(self, list_id: str, hub: str, night: Period) -> bool:
        """True if a hub that comes off a list that is replaced may stand on the new one, places aside."""
        found = self.on_list(list_id, hub)
        if found is None or found[1].state not in {"Listed", "Accepted"}:
            return False
        # Nothing is settled by looking.
        other = deepcopy(self)
        copied = other.on_list(list_id, hub)
        assert copied is not None
        release, attempt = copied
        attempt.state, attempt.list_id, attempt.night = "Scheduled", None, None
        before = replace(attempt)
        other.settle(hub, release)
        after = other.newest(hub, release)
        return after == before and other.why_not_listed(hub, release, night) is None

    def replaced(self, list_id: str, taken_off: Collection[str], anew: Mapping[str, str]) -> None:
        """The CSP has taken hubs off a list; some stand on a new one, by hub, the others are back in planning."""
        for hub in taken_off:
            found = self.on_list(list_id, hub)
            if found is None or found[1].state not in {"Listed", "Accepted"}:
                continue
            if hub in anew:
                found[1].state, found[1].list_id = "Listed", anew[hub]
                self.replaced_by.setdefault(list_id, set()).add(anew[hub])
            else:
                self.off_lists[list_id, hub] = found
                found[1].state, found[1].list_id, found[1].night = "Scheduled", None, None
                self.tell("hub_returned", hub)

    def _on_list_or_replacement(self, list_id: str, hub: str) -> tuple[str, Attempt] | None:
        found = self.on_list(list_id, hub)
        for newer in sorted(self.replaced_by.get(list_id, ())):
            found = found or self._on_list_or_replacement(newer, hub)
        return found

    def reported(self, list_id: str, entries: Iterable[tuple[str, str, datetime]]) -> None:
        """The highest of what is said of each hub counts, in whatever order it is said; nothing lowers an attempt."""
        highest: dict[str, tuple[int, datetime]] = {}
        for hub, outcome, at in entries:
            highest[hub] = max(highest.get(hub, (-1, at)), (OUTCOMES.index(outcome), at))
        for hub, (rank, at) in highest.items():
            found = self._on_list_or_replacement(list_id, hub)
            if found is None and OUTCOMES[rank] == "Activated":
                found = self.off_lists.get((list_id, hub))
            if found is not None:
                self._reported(hub, *found, OUTCOMES[rank], min(at, self.now))

    def _reported(self, hub: str, release: str, attempt: Attempt, outcome: str, at: datetime) -> None:
        may_become = {
            "Delivered": {"Listed", "Accepted"},
            "Failed": WITH_CSP,
            "Activated": OPEN | WITH_CSP | {"Failed", "Missed", "Cancelled", "Voided"},
        }
        if attempt.state not in may_become[outcome]:
            return
        was = attempt.state
        self._end(hub, attempt, outcome, f"hub_{outcome.lower()}", at)
        if outcome == "Delivered":
            return
        newest = self.newest(hub, release)
        assert newest is not None
        if newest is attempt and was in OPEN | WITH_CSP:
            self._end_schedules(hub, release, used=was in WITH_CSP)
        if outcome == "Activated":
            if newest.state in OPEN:
                self._end(hub, newest, "Cancelled", "hub_cancelled")
                self._end_schedules(hub, release, used=False)
            every = (one for (of_hub, _), known in self.attempts.items() if of_hub == hub for one in known)
            if all(one.state != "Activated" or one.at is None or one.at <= at for one in every):
                self.homes[hub].version = self.releases[release].firmware.version
