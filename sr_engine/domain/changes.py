"""What a decision changes, as values the store writes in one transaction, and whom it concerns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sr_engine.configuration import AlertEvent
from sr_engine.domain.agreement import AttemptChange, HasPeriod, reconcile
from sr_engine.domain.states import AttemptState
from sr_engine.domain.upgrades import Answer, HubUpgrade, Release, Schedule


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """A schedule to be stored, and the hubs it is in force for."""

    schedule: Schedule
    release_id: str
    accept_han_impact: bool
    hub_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnswerChange:
    hub_id: str
    organisation: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class HubEvent:
    """Something one Supplier is told about one hub; `occurrence` makes it the same event only once."""

    event: AlertEvent
    hub_id: str
    organisation: str
    release_id: str
    occurrence: str


@dataclass(slots=True)
class Changes:
    """All that one decision changes about one release; empty if it changes nothing."""

    release: Release
    new_schedule: NewSchedule | None = None
    answers: list[AnswerChange] = field(default_factory=list)
    ended_schedules: list[tuple[int, str]] = field(default_factory=list)
    """Schedule id and hub id where a schedule is in force no more."""
    attempts: list[AttemptChange] = field(default_factory=list)
    events: list[HubEvent] = field(default_factory=list)

    @property
    def release_id(self) -> str:
        return self.release.release_id


def answer_all(
    changes: Changes,
    upgrades: Iterable[HubUpgrade],
    *,
    organisation: str,
    answer: Answer,
    cause: str,
    now: datetime,
    has_period: HasPeriod,
) -> None:
    """Give one Supplier's answer for each of `upgrades`, and add all that follows from it to `changes`.

    `cause` names the request, so that the same news is told once per request.
    """
    for before in upgrades:
        hub_id = before.hub.hub_id
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
    changes: Changes, upgrade: HubUpgrade, *, now: datetime, has_period: HasPeriod, scheduled_by: str | None = None
) -> None:
    """Bring the attempt in line with the answers (`agreement.reconcile`) and tell those concerned.

    `scheduled_by` names the request that has just scheduled the hub, if one has.
    """
    change = reconcile(upgrade, now, has_period, scheduled_anew=scheduled_by is not None)
    if change is None:
        return
    changes.attempts.append(change)
    event = None
    if change.conflict:
        event = AlertEvent.WINDOW_CONFLICT
    elif change.attempt.state is AttemptState.CANCELLED:
        event = AlertEvent.HUB_CANCELLED
    if event is not None:
        occurrence = f"{changes.release_id}/{change.attempt.number}"
        if change.conflict:
            # Two windows may be found to exclude each other more than once in the same attempt.
            occurrence = scheduled_by or f"{occurrence}@{now.timestamp():.0f}"
        for organisation in upgrade.hub.responsible:
            changes.events.append(HubEvent(event, change.hub_id, organisation, changes.release_id, occurrence))


def attempt_event(event: AlertEvent, hub_id: str, organisation: str, release_id: str, number: int) -> HubEvent:
    """An event that happens at most once in an attempt."""
    return HubEvent(event, hub_id, organisation, release_id, f"{release_id}/{number}")
