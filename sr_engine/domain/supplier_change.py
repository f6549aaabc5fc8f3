"""Change of Supplier: who has left a hub and who has come, and what follows for one release (section 5).

What the one that left had decided is void unless the hub is with its CSP. To the one that stays it all looks as if the
other side had taken back its answer; the one that has come begins with a history of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby

from sr_engine.configuration import AlertEvent
from sr_engine.domain.agreement import HasPeriod
from sr_engine.domain.changes import Changes, HubEvent, settle
from sr_engine.domain.states import AttemptEvent, AttemptState
from sr_engine.domain.upgrades import Attempt, HubUpgrade
from sr_engine.messages.model import Approval, Period

VOID = "a change of Supplier has made it void"
"""The reason that the Supplier which left reads."""


@dataclass(frozen=True, slots=True)
class Registration:
    """Who is registered from when on; no organisation: nobody."""

    effective_from: datetime
    organisation: str | None


@dataclass(frozen=True, slots=True)
class Line:
    """The registrations for one fuel of a hub, or for one meter point: up to which they were carried out, and all."""

    settled: Registration | None = None
    """None: nothing was ever carried out, and so nobody has left."""
    history: Sequence[Registration] = ()
    """Ascending; those to come may be among them."""

    def current(self, now: datetime) -> Registration | None:
        """The one in force."""
        effective = [one for one in self.history if one.effective_from <= now]
        return effective[-1] if effective else None

    def steps(self, now: datetime) -> list[Registration]:
        """The changes from one organisation to another that have become effective and were not carried out, in order.

        Where what was carried out has since been cancelled or corrected, the change takes effect now.
        """
        if self.settled is None:
            return []
        holder = self.settled.organisation
        later = [one for one in self.history if self.settled.effective_from < one.effective_from <= now]
        if not later:
            current = self.current(now)
            organisation = None if current is None else current.organisation
            return [] if organisation == holder else [Registration(now, organisation)]
        found = []
        for one in later:
            if one.organisation != holder:
                found.append(one)
                holder = one.organisation
        return found


@dataclass(frozen=True, slots=True)
class Turnover:
    """Who left a hub altogether and who came, each with the effective date; an organisation may have done both."""

    electricity: str | None
    """Who held it before."""
    gas: str | None
    left: Mapping[str, datetime] = field(default_factory=dict)
    arrived: Mapping[str, datetime] = field(default_factory=dict)
    """Those that are responsible now and were not all the time."""

    @property
    def is_empty(self) -> bool:
        """True if no responsibility for the hub has begun or ended."""
        return not self.left and not self.arrived


def turnover(electricity: Line, gas: Line, now: datetime) -> Turnover:
    """What the registrations that have become effective since the last time mean for a hub.

    Both fuels moving at the same moment is one change; one that keeps the other fuel has not left. The result is the
    same whether it is asked for once or after every change.
    """
    lines = (electricity, gas)
    before = [_held(line, now) for line in lines]
    holders = list(before)
    left: dict[str, datetime] = {}
    arrived: dict[str, datetime] = {}
    moves = [
        (step.effective_from, fuel, step.organisation) for fuel, line in enumerate(lines) for step in line.steps(now)
    ]
    for at, together in groupby(sorted(moves, key=lambda move: move[:2]), key=lambda move: move[0]):
        previous = {holder for holder in holders if holder is not None}
        for _, fuel, organisation in together:
            holders[fuel] = organisation
        present = {holder for holder in holders if holder is not None}
        for one in previous - present:
            left[one] = at
            arrived.pop(one, None)
        arrived.update(dict.fromkeys(present - previous, at))
    return Turnover(before[0], before[1], left, arrived)


def _held(line: Line, now: datetime) -> str | None:
    held = line.settled or line.current(now)
    return None if held is None else held.organisation


@dataclass(frozen=True, slots=True)
class Departure:
    """What a Supplier that left a hub still sees of it and one release."""

    hub_id: str
    organisation: str
    at: datetime
    """The effective date."""
    own_approval: Approval
    other_approval: Approval
    schedule_id: int | None
    attempt_shown: int | None
    """The number of the last attempt, as this Supplier counted."""
    window: Period | None
    """Its own."""
    attempt: Attempt | None
    """The attempt that was with the CSP, up to its outcome; None: what it saw is Voided."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where a Supplier's history of a hub and one release begins: it sees no attempt up to that number."""

    hub_id: str
    organisation: str
    at: datetime
    attempts_before: int


@dataclass(frozen=True, slots=True)
class Known:
    """What was noted of a hub and release at earlier changes of Supplier, and when Suppliers answered."""

    decided_at: Mapping[str, datetime] = field(default_factory=dict)
    arrivals: Mapping[str, Arrival] = field(default_factory=dict)
    departed: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Consequences:
    """What a change of Supplier means for a hub and release, beside what was added to the Changes."""

    departures: Sequence[Departure] = ()
    arrivals: Sequence[Arrival] = ()
    postponed: bool = False
    """The hub is with the CSP: the answers of those who left are void when that has ended, and not before."""


def carry_out(
    changes: Changes, upgrade: HubUpgrade, change: Turnover, known: Known, *, now: datetime, has_period: HasPeriod
) -> Consequences:
    """Add what follows from a change of Supplier for one hub and release to `changes`.

    `upgrade` is as the hub is registered now, with the answers that are still there. Whoever has answered and is not
    responsible has left, even if nothing is known of when. While the hub is with the CSP nothing changes to the one
    that stays: by an answer taken back then, which no request can do, it could tell that there was a change.
    """
    hub_id, responsible = upgrade.hub.hub_id, upgrade.hub.responsible
    with_csp = upgrade.attempt is not None and upgrade.attempt.with_csp
    before = replace(upgrade, hub=replace(upgrade.hub, electricity=change.electricity, gas=change.gas))
    gone = [one for one in upgrade.answers if one not in responsible]
    # Where no request could change an answer any more, none changes to the one that stays either.
    over = _is_over(upgrade, changes)
    returned = [
        one
        for one, at in change.arrived.items()
        if one in upgrade.answers and (one not in known.decided_at or known.decided_at[one] < at)
    ]
    departures = [
        _departure(before, one, change.left.get(one, now), known.arrivals.get(one), now)
        for one in gone
        if one in change.left or one not in known.departed
    ]
    new_gone = {one.organisation for one in departures}
    void = returned if with_csp or over else [*gone, *returned]
    after = replace(upgrade, answers={one: answer for one, answer in upgrade.answers.items() if one not in void})
    for organisation in void:
        answer = upgrade.answers[organisation]
        changes.forgotten.append((hub_id, organisation))
        if answer.schedule is not None:
            changes.ended_schedules.append((answer.schedule.schedule_id, hub_id))
        if organisation in {*new_gone, *returned} and not over and _is_of_use(upgrade, organisation, now):
            occurrence = f"{changes.release_id}@{now.timestamp():.6f}"
            for_gas = change.gas == organisation != change.electricity
            changes.events.append(
                HubEvent(AlertEvent.HUB_VOIDED, hub_id, organisation, changes.release_id, occurrence, for_gas=for_gas)
            )
    if not over and (upgrade.attempt is not None or any(_is_of_use(upgrade, one, now) for one in upgrade.answers)):
        _tell_stayers(changes, before, after, change, now)
    _settle(changes, after, change, supplier_left=bool(gone or change.left), now=now, has_period=has_period)
    return Consequences(departures, _arrivals(changes, after, change), postponed=with_csp and bool(gone))


def _is_over(upgrade: HubUpgrade, changes: Changes) -> bool:
    """There is nothing left to answer: the hub has the firmware, or the release is withdrawn."""
    attempt = upgrade.attempt
    return (
        changes.release.status == "Withdrawn"
        or upgrade.hub.version == changes.release.firmware.version
        or (attempt is not None and attempt.state is AttemptState.ACTIVATED)
    )


def _is_of_use(upgrade: HubUpgrade, organisation: str, now: datetime) -> bool:
    """Something is lost with the answer."""
    answer = upgrade.answers[organisation]
    return answer.at(now) is not Approval.PENDING or answer.schedule is not None


def _tell_stayers(changes: Changes, before: HubUpgrade, after: HubUpgrade, change: Turnover, now: datetime) -> None:
    """Tell those who stay of what they see of the other side, as if it had changed its answer itself."""
    for one in after.hub.responsible:
        if one in change.arrived or one not in before.hub.responsible:
            continue
        seen = seen_by(before, one, None).approval_of_others(one, now)
        if seen != seen_by(after, one, None).approval_of_others(one, now):
            occurrence = f"{changes.release_id}@{now.timestamp():.6f}"
            changes.events.append(
                HubEvent(
                    AlertEvent.OTHER_SUPPLIER_ANSWER_CHANGED, after.hub.hub_id, one, changes.release_id, occurrence
                )
            )


def _settle(
    changes: Changes,
    after: HubUpgrade,
    change: Turnover,
    *,
    supplier_left: bool,
    now: datetime,
    has_period: HasPeriod,
) -> None:
    first_event, first_change = len(changes.events), len(changes.attempts)
    settle(changes, after, now=now, has_period=has_period, supplier_left=supplier_left)
    if any(one.event is AttemptEvent.SUPPLIER_CHANGED for one in changes.attempts[first_change:]):
        # Whoever has just come knows of no attempt that could have ended.
        changes.events[first_event:] = [
            event for event in changes.events[first_event:] if event.organisation not in change.arrived
        ]


def _departure(
    before: HubUpgrade, organisation: str, at: datetime, arrival: Arrival | None, now: datetime
) -> Departure:
    seen = seen_by(before, organisation, arrival)
    answer, attempt = seen.answers[organisation], seen.attempt
    goes_on = attempt is not None and attempt.list_id is not None
    return Departure(
        hub_id=before.hub.hub_id,
        organisation=organisation,
        at=at,
        own_approval=answer.at(now),
        other_approval=seen.approval_of_others(organisation, now),
        schedule_id=None if answer.schedule is None else answer.schedule.schedule_id,
        attempt_shown=None if attempt is None else attempt.number,
        window=None if answer.schedule is None else answer.schedule.window,
        attempt=attempt if goes_on else None,
    )


def _arrivals(changes: Changes, after: HubUpgrade, change: Turnover) -> list[Arrival]:
    """Where the histories of those who have come begin: with an attempt that is still under way, if there is one."""
    newest = after.attempt
    if newest is None:
        return []
    for one in reversed(changes.attempts):
        if one.hub_id == after.hub.hub_id:
            newest = one.attempt
            break
    hidden = newest.number - 1 if newest.is_open else newest.number
    return [Arrival(after.hub.hub_id, organisation, at, hidden) for organisation, at in change.arrived.items()]


def seen_by(upgrade: HubUpgrade, organisation: str, arrival: Arrival | None) -> HubUpgrade:
    """The upgrade as one Supplier may see it, with regard to changes of Supplier.

    Attempts from before its `arrival` are left out and the others counted from there. What a change of Supplier has
    made void is Cancelled to the one that stays. Until a change has been carried out, the answer of the one that left
    stands for the other side to a Supplier that has itself answered.
    """
    attempt = upgrade.attempt
    if attempt is not None and arrival is not None:
        number = attempt.number - arrival.attempts_before
        attempt = None if number < 1 else replace(attempt, number=number, state_at=max(attempt.state_at, arrival.at))
    if attempt is not None and attempt.state is AttemptState.VOIDED:
        attempt = replace(attempt, state=AttemptState.CANCELLED)
    answers = upgrade.answers
    responsible = upgrade.hub.responsible
    if organisation in answers and organisation in responsible:
        others = [one for one in responsible if one != organisation and one not in answers]
        gone = [answer for one, answer in answers.items() if one not in responsible]
        if others and gone:
            answers = {**answers, others[0]: gone[0]}
    return replace(upgrade, attempt=attempt, answers=answers)
