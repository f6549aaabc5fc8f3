"""When the responsible Suppliers agree: from their answers to the state of the attempt (section 5).

Whatever changes an answer, a schedule or a registration ends here: `reconcile` compares what should be with what is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from sr_engine.domain.states import AttemptEvent, AttemptState
from sr_engine.domain.upgrades import Attempt, HubUpgrade, Schedule
from sr_engine.messages.model import Approval, Period, Phase
from sr_engine.regions.calendar import intersection

HasPeriod = Callable[[str, Period], bool]
"""Does this window hold a nightly open period of that region that can still be listed?"""

UNKNOWN_REGION = "Unknown"
NOBODY = ""
"""Instead of an organisation, where a hub has no responsible Supplier."""
NO_COMMON_NIGHT = "the windows of the two Suppliers have no night in common"
TOO_LATE = "the agreed window holds no nightly open period that can still be listed"
NO_SCHEDULE = "no schedule of a responsible Supplier is in force any more"
NOT_APPROVED = "not all responsible Suppliers have approved"
_CONFLICTS = frozenset({NO_COMMON_NIGHT, TOO_LATE})


class AttemptChange(NamedTuple):
    """The attempt as it shall be, and the state it had before (`None` for a new attempt); as AnswerChange a tuple."""

    hub_id: str
    region: str
    event: AttemptEvent
    before: AttemptState | None
    attempt: Attempt
    conflict: bool = False
    """All have approved and yet no night is left: both Suppliers are alerted."""


def reconcile(
    upgrade: HubUpgrade,
    now: datetime,
    has_period: HasPeriod,
    *,
    scheduled_anew: bool = False,
    supplier_left: bool = False,
    compulsory: Period | None = None,
) -> AttemptChange | None:
    """Return how the newest attempt has to change, or None if it stands as it should.

    An attempt that is with the CSP is left alone. `scheduled_anew` says that a Supplier has just set a window: if that
    leaves no night either, it is a conflict again, though the attempt stays as it was. `supplier_left` says that a
    change of Supplier is why; `compulsory` is the time in which the processor plans by itself.
    """
    current = upgrade.attempt if upgrade.attempt is not None and upgrade.attempt.is_open else None
    if current is not None and current.with_csp:
        return None
    if compulsory is not None and (current is None or not current.compulsory):
        # Where no night is left that compulsion could use, what Suppliers agree is the best there is.
        region = upgrade.hub.region
        compulsory = compulsory if region is not None and has_period(region, compulsory) else None
    wanted = _wanted(upgrade, current, now, has_period, compulsory)
    if wanted is None:
        return None
    if wanted.state is AttemptState.CANCELLED and supplier_left:
        wanted = replace(wanted, state=AttemptState.VOIDED)
    known = current is not None and current.reason == wanted.reason and not scheduled_anew
    conflict = wanted.reason in _CONFLICTS and not known
    if wanted == current and not conflict:
        return None
    before = None if current is None else current.state
    region = upgrade.hub.region or UNKNOWN_REGION
    return AttemptChange(upgrade.hub.hub_id, region, _event(before, wanted), before, wanted, conflict)


def _event(before: AttemptState | None, wanted: Attempt) -> AttemptEvent:
    match wanted.state:
        case state if state is before:
            return AttemptEvent.CHANGED
        case AttemptState.VOIDED:
            return AttemptEvent.SUPPLIER_CHANGED
        case AttemptState.CANCELLED:
            return AttemptEvent.TAKEN_BACK
        case AttemptState.SCHEDULED:
            return AttemptEvent.COMPELLED if wanted.compulsory else AttemptEvent.AGREED
        case _:
            return AttemptEvent.REQUESTED if before is None else AttemptEvent.DISAGREED


def _wanted(
    upgrade: HubUpgrade, current: Attempt | None, now: datetime, has_period: HasPeriod, compulsory: Period | None
) -> Attempt | None:
    schedules = in_force(upgrade, now)
    if current is None and upgrade.other_release_open:
        # A hub has one upgrade under way at a time, and that of the other release came first.
        return None
    state, reason, common = AttemptState.AWAITING_APPROVAL, None, _common(schedules)
    region = upgrade.hub.region
    if any(upgrade.approval_of(one, now) is not Approval.APPROVED for one in upgrade.hub.responsible):
        reason = NOT_APPROVED
    elif common is None:
        reason = NO_COMMON_NIGHT
    elif not _in_time(current, common, compulsory, region, has_period):
        reason = NO_COMMON_NIGHT if len(schedules) > 1 else TOO_LATE
    else:
        state = AttemptState.SCHEDULED
    if compulsory is not None and current is not None and (not schedules or state is not AttemptState.SCHEDULED):
        return _compelled(upgrade, current, compulsory, now)
    if not schedules:
        return None if current is None else _in_state(current, AttemptState.CANCELLED, NO_SCHEDULE, now)
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


def compelled(upgrade: HubUpgrade, window: Period, now: datetime, has_period: HasPeriod) -> AttemptChange | None:
    """How a hub comes to be planned in `window`, the time in which the processor plans by itself; None if it is.

    Opens the first or the next attempt, unless one is open: that is reconciled. What Suppliers have agreed stands.
    """
    current = upgrade.attempt
    change = reconcile(upgrade, now, has_period, compulsory=window)
    if upgrade.other_release_open or (current is not None and current.is_open):
        return change
    if change is not None and change.attempt.state is AttemptState.SCHEDULED:
        return change
    wanted = _compelled(upgrade, None, window, now)
    region = upgrade.hub.region or UNKNOWN_REGION
    return AttemptChange(upgrade.hub.hub_id, region, AttemptEvent.COMPELLED, None, wanted)


def _compelled(upgrade: HubUpgrade, current: Attempt | None, window: Period, now: datetime) -> Attempt:
    last = upgrade.attempt
    responsible = upgrade.hub.responsible
    wanted = Attempt(
        number=current.number if current else (1 if last is None else last.number + 1),
        state=AttemptState.SCHEDULED,
        window=window,
        pilot=False,
        organisation=responsible[0] if responsible else NOBODY,
        state_at=current.state_at if current is not None and current.state is AttemptState.SCHEDULED else now,
        attempt_id=current.attempt_id if current else None,
        compulsory=True,
    )
    return current if current is not None and _same(current, wanted) else wanted


def _stands(current: Attempt | None, window: Period) -> bool:
    """Already Scheduled for this very window: it stays so until it is listed or the window has passed."""
    return current is not None and current.state is AttemptState.SCHEDULED and current.window == window


def _in_time(
    current: Attempt | None, window: Period, compulsory: Period | None, region: str | None, has_period: HasPeriod
) -> bool:
    """True if an agreed window holds a night that can be listed: before ComplyBy, once the upgrade is compulsory."""
    counts = window if compulsory is None else _until(window, compulsory.end)
    if counts is None:
        return False
    return _stands(current, window) or (region is not None and has_period(region, counts))


def _until(window: Period, end: datetime) -> Period | None:
    return Period(window.start, min(window.end, end)) if window.start < end else None


def in_force(upgrade: HubUpgrade, now: datetime) -> list[Schedule]:
    """The schedules by which responsible Suppliers have approved, electricity first."""
    found = []
    for organisation in upgrade.hub.responsible:
        answer = upgrade.answers.get(organisation)
        if answer is not None and answer.schedule is not None and answer.at(now) is Approval.APPROVED:
            found.append(answer.schedule)
    return found


def _common(schedules: list[Schedule]) -> Period | None:
    common = schedules[0].window if schedules else None
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
        and one.compulsory == other.compulsory
        and (keeps_reason or one.reason == other.reason)
    )


def _in_state(attempt: Attempt, state: AttemptState, reason: str, now: datetime) -> Attempt:
    return replace(attempt, state=state, state_at=now, list_id=None, period=None, reason=reason)
