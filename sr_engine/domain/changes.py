"""What a decision changes, as values the store writes in one transaction, and whom it concerns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, TypeVar

from sr_engine.configuration import AlertEvent
from sr_engine.domain.agreement import AttemptChange, HasPeriod, reconcile
from sr_engine.domain.eligibility import suits
from sr_engine.domain.states import AttemptState, Lifecycle
from sr_engine.domain.upgrades import Alike, Answer, Hub, HubUpgrade, Release, Schedule


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """A schedule to be stored, and the hubs it is in force for."""

    schedule: Schedule
    release_id: str
    accept_han_impact: bool
    hub_ids: tuple[str, ...]


class AnswerChange(NamedTuple):
    """A tuple, for there is one for each hub of each list: it is made in a third of the time."""

    hub_id: str
    organisation: str
    answer: Answer


class HubEvent(NamedTuple):
    """Something one Supplier is told about one hub; `occurrence` makes it the same event only once."""

    event: AlertEvent
    hub_id: str
    organisation: str
    release_id: str
    occurrence: str
    device_id: str | None = None
    """The device behind the hub that it is about, if it is not the hub itself."""
    for_gas: bool = False
    """It is told to the Supplier as the one that had the gas only, for it is responsible no more."""
    request_id: str | None = None
    """The Supplier's own latest request for the hub and release when it happened, where the alert names one."""
    versions: tuple[str, str] | None = None
    """Where the hub does not run what the inventory said: what that was, and what it runs."""

    def of(self, hub_id: str) -> HubEvent:
        """The same of another hub."""
        return self if self.hub_id == hub_id else self._replace(hub_id=hub_id)


OfHub = TypeVar("OfHub", AnswerChange, AttemptChange, HubEvent)


@dataclass(slots=True)
class Changes:
    """All that one decision changes about one release; empty if it changes nothing."""

    release: Release
    lifecycle: Lifecycle
    sender: str | None = None
    """The organisation whose request it is."""
    new_schedule: NewSchedule | None = None
    answers: list[AnswerChange] = field(default_factory=list)
    ended_schedules: list[tuple[int, str]] = field(default_factory=list)
    """Schedule id and hub id where a schedule is in force no more."""
    forgotten: list[tuple[str, str]] = field(default_factory=list)
    """Hub id and organisation whose answer is void, since it is no longer responsible."""
    attempts: list[AttemptChange] = field(default_factory=list)
    events: list[HubEvent] = field(default_factory=list)
    unsuited: list[str] = field(default_factory=list)
    """Hubs that become Scheduled though their record does not suit the release (any more)."""
    alike: dict[str, Sequence[str]] = field(default_factory=dict)
    """By a hub that stands for others, those that it stands for, itself too: what changes for it does for each.

    None of them has answered before, so nothing of theirs ends or is forgotten.
    """

    @property
    def release_id(self) -> str:
        return self.release.release_id

    def concerned(self) -> set[str]:
        """The hubs of which anything is to be written, or told."""
        hub_ids: set[str] = set().union(*self.alike.values())
        hub_ids.update([change.hub_id for change in self.answers])
        hub_ids.update([change.hub_id for change in self.attempts])
        hub_ids.update([hub_id for _, hub_id in self.ended_schedules])
        hub_ids.update([hub_id for hub_id, _ in self.forgotten])
        hub_ids.update([event.hub_id for event in self.events])
        return hub_ids if self.new_schedule is None else hub_ids.union(self.new_schedule.hub_ids)

    def hubs(self, hub_id: str) -> Sequence[str]:
        """Those that a hub stands for."""
        return self.alike.get(hub_id) or (hub_id,)

    def each(self, some: Iterable[OfHub]) -> list[tuple[OfHub, Sequence[str]]]:
        """Some of the changes, each with the hubs that it is the same for."""
        return [(one, self.hubs(one.hub_id)) for one in some]

    def told(self) -> list[HubEvent]:
        """The events, one for each hub."""
        return [event.of(hub_id) for event, hub_ids in self.each(self.events) for hub_id in hub_ids]


def answer_all(
    changes: Changes,
    upgrades: Iterable[Alike],
    *,
    organisation: str,
    answer: Answer,
    cause: str,
    now: datetime,
    has_period: HasPeriod,
) -> None:
    """Give one Supplier's answer for each of `upgrades`, and add all that follows from it to `changes`.

    What follows for one follows for all that are alike. `cause` names the request, so that the same news is told once
    per request.
    """
    for known, hub_ids in upgrades:
        hub_id = hub_ids[0]
        before = known.of(hub_id)
        if len(hub_ids) > 1:
            changes.alike[hub_id] = hub_ids
        previous = before.answers.get(organisation)
        if previous is not None and previous.schedule is not None and previous.schedule != answer.schedule:
            changes.ended_schedules.append((previous.schedule.schedule_id, hub_id))
        changes.answers.append(AnswerChange(hub_id, organisation, answer))
        after = before.answered(organisation, answer)
        tell_other_side(changes, before, after, organisation=organisation, cause=cause, now=now)
        scheduled_anew = answer.schedule is not None and (previous is None or previous.schedule != answer.schedule)
        settle(changes, after, now=now, has_period=has_period, scheduled_by=cause if scheduled_anew else None)


def tell_other_side(
    changes: Changes, before: HubUpgrade, after: HubUpgrade, *, organisation: str, cause: str, now: datetime
) -> None:
    """Tell the other responsible Supplier if what it may see of this side's answer has changed."""
    for other in after.hub.responsible:
        if other != organisation and before.approval_of_others(other, now) != after.approval_of_others(other, now):
            changes.events.append(
                HubEvent(AlertEvent.OTHER_SUPPLIER_ANSWER_CHANGED, after.hub.hub_id, other, changes.release_id, cause)
            )


def settle(
    changes: Changes,
    upgrade: HubUpgrade,
    *,
    now: datetime,
    has_period: HasPeriod,
    scheduled_by: str | None = None,
    supplier_left: bool = False,
) -> None:
    """Bring the attempt in line with the answers (`agreement.reconcile`) and tell those concerned.

    `scheduled_by` names the request that has just scheduled the hub, if one has; `supplier_left` says that a change of
    Supplier is why.
    """
    change = reconcile(
        upgrade,
        now,
        has_period,
        scheduled_anew=scheduled_by is not None,
        supplier_left=supplier_left,
        compulsory=changes.release.compulsory_window(now),
    )
    if change is None:
        return
    add_change(changes, upgrade.hub, change, now)
    if change.conflict:
        # Two windows may be found to exclude each other more than once in the same attempt.
        occurrence = scheduled_by or _at(changes.release_id, change.attempt.number, now)
        for organisation in upgrade.hub.responsible:
            event = HubEvent(AlertEvent.WINDOW_CONFLICT, change.hub_id, organisation, changes.release_id, occurrence)
            changes.events.append(event)


def add_change(changes: Changes, hub: Hub, change: AttemptChange, now: datetime) -> None:
    """Add a change of an attempt, and what the table of transitions says that its Suppliers are told.

    Raises ValueError for one that the table does not allow.
    """
    if changes.lifecycle.after(change.event, change.before) is not change.attempt.state:
        raise ValueError(f"{change.event} leads from {change.before} to no {change.attempt.state}")
    changes.attempts.append(change)
    if change.attempt.state is AttemptState.SCHEDULED and not suits(hub, changes.release):
        changes.unsuited.append(change.hub_id)
    alert = changes.lifecycle.event[change.event].alert
    if alert is not None:
        occurrence = occurrence_of(changes, change, now)
        changes.events += [
            HubEvent(alert, change.hub_id, organisation, changes.release_id, occurrence)
            for organisation in changes.lifecycle.told(change.event, hub.responsible, changes.sender)
        ]


def occurrence_of(changes: Changes, change: AttemptChange, now: datetime) -> str:
    """What makes the event of a change the same event: the attempt, and the time where it can happen in it again."""
    if change.attempt.state is AttemptState.LISTED and change.attempt.list_id is not None:
        return change.attempt.list_id
    return occurrence_in(changes.release_id, change.attempt.state, change.attempt.number, now)


def occurrence_in(release_id: str, state: AttemptState, number: int, now: datetime) -> str:
    """The same for an attempt that came to a state, if that is not that it was listed."""
    if state is AttemptState.SCHEDULED:
        return _at(release_id, number, now)
    return f"{release_id}/{number}"


def _at(release_id: str, number: int, now: datetime) -> str:
    return f"{release_id}/{number}@{now.timestamp():.6f}"
