"""11.7 Read Communications Hub Firmware Schedule: one schedule, page by page, or one hub."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sr_engine.domain.states import AttemptState
from sr_engine.domain.status import upgrade_status
from sr_engine.domain.supplier_change import VOID, Departure, seen_by
from sr_engine.domain.upgrades import Answer, Attempt, Hub, HubUpgrade, Release
from sr_engine.messages.model import (
    Approval,
    CommsHubUpgrade,
    Period,
    ReadCommsHubFirmwareSchedule,
    ScheduleRead,
    UpgradeStatus,
)
from sr_engine.requests.outcome import Facts, Outcome, Rules, Sender

FAMILY = "1107"


def decide(request: ReadCommsHubFirmwareSchedule, sender: Sender, facts: Facts, rules: Rules) -> Outcome:
    """Answer with what this Supplier may see; of the other side only its answer and the agreed window."""
    if request.schedule_id is not None:
        return _read_schedule(request, request.schedule_id, sender, facts, rules)
    return _read_device(request, sender, facts, rules)


def _read_schedule(
    request: ReadCommsHubFirmwareSchedule, schedule_id: int, sender: Sender, facts: Facts, rules: Rules
) -> Outcome:
    found = facts.schedule(schedule_id)
    if found is None or found[1].organisation != sender.organisation:
        return Outcome(f"E{FAMILY}07", f"{schedule_id} is not a schedule of yours")
    release, _schedule, details = found
    after = None if request.start_after_device_id is None else request.start_after_device_id.upper()
    wanted = rules.page_devices + 1
    own = own_hubs(schedule_id, release, sender.organisation, facts, rules.now, after=after, wanted=wanted)
    shown = tuple(own[: rules.page_devices])
    return Outcome("I0", f"{len(shown)} hub(s) read", ScheduleRead(shown, len(own) > len(shown), details))


def own_hubs(
    schedule_id: int,
    release: Release,
    organisation: str,
    facts: Facts,
    now: datetime,
    *,
    after: str | None,
    wanted: int,
) -> list[CommsHubUpgrade]:
    """The next hubs of the schedule that this Supplier is responsible for or has left, as it sees them.

    Reads on where others stand between: a page without a last hub could not be continued.
    """
    own: list[CommsHubUpgrade] = []
    while len(own) < wanted:
        read = facts.scheduled_upgrades(schedule_id, release, after=after, limit=wanted)
        own += _views(read, release, organisation, facts, now)
        if len(read) < wanted:
            break
        after = read[-1].hub.hub_id
    return own[:wanted]


def _views(
    read: Sequence[HubUpgrade], release: Release, organisation: str, facts: Facts, now: datetime
) -> list[CommsHubUpgrade]:
    own = {upgrade.hub.hub_id for upgrade in read if organisation in upgrade.hub.responsible}
    left = {upgrade.hub.hub_id for upgrade in read} - own
    arrivals = facts.arrivals(own, release, organisation)
    departures = facts.departures(left, release, organisation) if left else {}
    views = []
    for upgrade in read:
        hub_id = upgrade.hub.hub_id
        if hub_id in own:
            seen = seen_by(upgrade, organisation, arrivals.get(hub_id))
            views.append(view(release, seen, organisation, now))
        elif hub_id in departures:
            views.append(frozen_view(release, upgrade.hub, departures[hub_id]))
    return views


def _read_device(request: ReadCommsHubFirmwareSchedule, sender: Sender, facts: Facts, rules: Rules) -> Outcome:
    device_id = (request.device_id or "").upper()
    device_type = facts.device_type(device_id)
    if device_type is None:
        return Outcome("E19", f"device {request.device_id} is not in the inventory")
    if device_type not in {"CHF", "GPF"}:
        return Outcome("E11", f"device {request.device_id} is a {device_type}, not a Communications Hub")
    hub = facts.hub(device_id)
    if hub is None or not hub.is_responsible(sender.organisation, sender.roles):
        return Outcome("E4", f"you are not the responsible Supplier of hub {request.device_id} in a role of this User")
    organisation = sender.organisation
    known = [
        (release, seen_by(upgrade, organisation, facts.arrivals([hub.hub_id], release, organisation).get(hub.hub_id)))
        for release, upgrade in facts.upgrades_of_hub(hub)
    ]
    # Not by the other side's answers: they may be gone without this Supplier's having seen anything change.
    shown = tuple(
        view(release, seen, organisation, rules.now)
        for release, seen in known
        if organisation in seen.answers or seen.attempt is not None or release.status == "Open"
    )
    page = shown[: rules.page_devices]
    return Outcome("I0", f"{len(page)} release(s) read", ScheduleRead(page, len(shown) > len(page)))


def view(release: Release, upgrade: HubUpgrade, organisation: str, now: datetime) -> CommsHubUpgrade:
    """One hub and release as one responsible Supplier sees it; `upgrade` is what it may see (`seen_by`)."""
    answer = upgrade.answers.get(organisation)
    attempt = upgrade.attempt
    own_approval = upgrade.approval_of(organisation, now)
    return CommsHubUpgrade(
        device_id=upgrade.hub.hub_id,
        csp_region=upgrade.hub.region or "Unknown",
        firmware=release.firmware,
        status=upgrade_status(upgrade, release, organisation, now),
        own_approval=own_approval,
        other_approval=upgrade.approval_of_others(organisation, now),
        schedule_id=answer.schedule.schedule_id if answer and answer.schedule else None,
        attempt=attempt.number if attempt else None,
        defer_until=answer.defer_until if answer and own_approval is Approval.DEFERRED else None,
        window=_window(answer, attempt),
        period=attempt.period if attempt else None,
        status_at=attempt.state_at if attempt else None,
        status_reason=attempt.reason if attempt else None,
    )


def frozen_view(release: Release, hub: Hub, departure: Departure) -> CommsHubUpgrade:
    """One hub and release as a Supplier that has left the hub saw it last, or up to the outcome of what was listed."""
    attempt = departure.attempt
    return CommsHubUpgrade(
        device_id=hub.hub_id,
        csp_region=hub.region or "Unknown",
        firmware=release.firmware,
        status=UpgradeStatus.VOIDED if attempt is None else UpgradeStatus(attempt.state.value),
        own_approval=departure.own_approval,
        other_approval=departure.other_approval,
        schedule_id=departure.schedule_id,
        attempt=departure.attempt_shown,
        window=departure.window if attempt is None else attempt.window,
        period=None if attempt is None else attempt.period,
        status_at=departure.at if attempt is None else attempt.state_at,
        status_reason=VOID if attempt is None else attempt.reason,
    )


def _window(answer: Answer | None, attempt: Attempt | None) -> Period | None:
    """The agreed window once there is one; before that only the Supplier's own (section 5, Privacy)."""
    if attempt is not None and (attempt.state is AttemptState.SCHEDULED or attempt.period is not None):
        return attempt.window
    return answer.schedule.window if answer is not None and answer.schedule is not None else None
