"""When the responsible Suppliers agree: from their answers to the state of the attempt (section 5).

Whatever changes an answer, a schedule or a registration ends here: `reconcile` compares what should be with what is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sr_engine.domain.states import AttemptState
from sr_engine.domain.upgrades import Attempt, HubUpgrade, Schedule
from sr_engine.messages.model import Approval, Period, Phase
from sr_engine.regions.calendar import intersection

HasPeriod = Callable[[str, Period], bool]
"""Does this window hold a nightly open period of that region that can still be listed?"""

UNKNOWN_REGION = "Unknown"
NO_COMMON_NIGHT = "the windows of the two Suppliers have no night in common"
TOO_LATE = "the agreed window holds no nightly open period that can still be listed"
NO_SCHEDULE = "no schedule of a responsible Supplier is in force any more"
NOT_APPROVED = "not all responsible Suppliers have approved"
_CONFLICTS = frozenset({NO_COMMON_NIGHT, TOO_LATE})


@dataclass(frozen=True, slots=True)
class AttemptChange:
    """The attempt as it shall be, and the state it had before (`None` for a new attempt)."""

    hub_id: str
    region: str
    before: AttemptState | None
    attempt: Attempt
    conflict: bool = False
    """All have approved and yet no night is left: both Suppliers are alerted."""


def reconcile(
    upgrade: HubUpgrade, now: datetime, has_period: HasPeriod, *, scheduled_anew: bool = False
) -> AttemptChange | None:
    """Return how the newest attempt has to change, or None if it stands as it should.

    An attempt that is with the CSP is left alone. `scheduled_anew` says that a Supplier has just set a window: if that
    leaves no night either, it is a conflict again, though the attempt stays as it was.
    """
    current = upgrade.attempt if upgrade.attempt is not None and upgrade.attempt.is_open else None
    if current is not None and current.with_csp:
        return None
    wanted = _wanted(upgrade, current, now, has_period)
    if wanted is None:
        return None
    known = current is not None and current.reason == wanted.reason and not scheduled_anew
    conflict = wanted.reason in _CONFLICTS and not known
    if wanted == current and not conflict:
        return None
    region = upgrade.hub.region or UNKNOWN_REGION
    return AttemptChange(upgrade.hub.hub_id, region, None if current is None else current.state, wanted, conflict)


def _wanted(upgrade: HubUpgrade, current: Attempt | None, now: datetime, has_period: HasPeriod) -> Attempt | None:
    schedules = in_force(upgrade, now)
    if not schedules:
        return None if current is None else _in_state(current, AttemptState.CANCELLED, NO_SCHEDULE, now)
    if current is None and upgrade.other_release_open:
        # A hub has one upgrade under way at a time, and that of the other release came first.
        return None
    common = _common(schedules)
    waiting = any(upgrade.approval_of(one, now) is not Approval.APPROVED for one in upgrade.hub.responsible)
    region = upgrade.hub.region
    if waiting:
        state, reason = AttemptState.AWAITING_APPROVAL, NOT_APPROVED
    elif common is None:
        state, reason = AttemptState.AWAITING_APPROVAL, NO_COMMON_NIGHT
    elif not _stands(current, common) and (region is None or not has_period(region, common)):
        reason = NO_COMMON_NIGHT if len(schedules) > 1 else TOO_LATE
        state = AttemptState.AWAITING_APPROVAL
    else:
        state, reason = AttemptState.SCHEDULED, None
    window = schedules[0].window if common is None else common
    pilot = any(schedule.phase is Phase.PILOT for schedule in schedules)
    last = upgrade.attempt
    wanted = Attempt(
        number=current.number if current else (1 if last is None else last.number + 1),
        state=state,
        window=window,
        pilot=pilot,
        organisation=schedules[0].organisation,
        # Since when it is in this state: that the other side has set another window is not to be read from it.
        state_at=current.state_at if current is not None and current.state is state else now,
        attempt_id=current.attempt_id if current else None,
        reason=reason,
    )
    if current is not None and _same(current, wanted):
        return current
    return wanted


def _stands(current: Attempt | None, window: Period) -> bool:
    """Already Scheduled for this very window: it stays so until it is listed or the window has passed."""
    return current is not None and current.state is AttemptState.SCHEDULED and current.window == window


def in_force(upgrade: HubUpgrade, now: datetime) -> list[Schedule]:
    """The schedules by which responsible Suppliers have approved, electricity first."""
    found = []
    for organisation in upgrade.hub.responsible:
        answer = upgrade.answers.get(organisation)
        if answer is not None and answer.schedule is not None and answer.at(now) is Approval.APPROVED:
            found.append(answer.schedule)
    return found


def _common(schedules: list[Schedule]) -> Period | None:
    common: Period | None = schedules[0].window
    for schedule in schedules[1:]:
        common = None if common is None else intersection(common, schedule.window)
    return common


def _same(one: Attempt, other: Attempt) -> bool:
    # A hub that a CSP refused is Scheduled with the CSP's reason: that reason stays until something really changes.
    keeps_reason = one.state is AttemptState.SCHEDULED
    return (
        one.state is other.state
        and one.window == other.window
        and one.pilot == other.pilot
        and one.organisation == other.organisation
        and (keeps_reason or one.reason == other.reason)
    )


def _in_state(attempt: Attempt, state: AttemptState, reason: str, now: datetime) -> Attempt:
    return Attempt(
        number=attempt.number,
        state=state,
        window=attempt.window,
        pilot=attempt.pilot,
        organisation=attempt.organisation,
        state_at=now,
        attempt_id=attempt.attempt_id,
        reason=reason,
    )
