"""11.7 Read Communications Hub Firmware Schedule: one schedule, page by page, or one hub."""

from __future__ import annotations

from sr_engine.domain.states import AttemptState
from sr_engine.domain.status import upgrade_status
from sr_engine.domain.upgrades import Answer, Attempt, HubUpgrade, Release
from sr_engine.messages.model import Approval, CommsHubUpgrade, Period, ReadCommsHubFirmwareSchedule, ScheduleRead
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
    own = _own_hubs(details.schedule_id, release, sender, facts, after=after, wanted=rules.page_devices + 1)
    shown = tuple(view(release, upgrade, sender.organisation, rules) for upgrade in own[: rules.page_devices])
    return Outcome("I0", f"{len(shown)} hub(s) read", ScheduleRead(shown, len(own) > len(shown), details))


def _own_hubs(
    schedule_id: int, release: Release, sender: Sender, facts: Facts, *, after: str | None, wanted: int
) -> list[HubUpgrade]:
    """The next hubs of the schedule that this Supplier is still responsible for, up to `wanted` of them.

    Reads on where others stand between: a page without a last hub could not be continued.
    """
    own: list[HubUpgrade] = []
    while len(own) < wanted:
        read = facts.scheduled_upgrades(schedule_id, release, after=after, limit=wanted)
        own += [upgrade for upgrade in read if sender.organisation in upgrade.hub.responsible]
        if len(read) < wanted:
            break
        after = read[-1].hub.hub_id
    return own[:wanted]


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
    shown = tuple(
        view(release, upgrade, sender.organisation, rules)
        for release, upgrade in facts.upgrades_of_hub(hub)
        if upgrade.answers or upgrade.attempt is not None or release.status == "Open"
    )
    page = shown[: rules.page_devices]
    return Outcome("I0", f"{len(page)} release(s) read", ScheduleRead(page, len(shown) > len(page)))


def view(release: Release, upgrade: HubUpgrade, organisation: str, rules: Rules) -> CommsHubUpgrade:
    """One hub and release as one responsible Supplier sees it."""
    answer = upgrade.answers.get(organisation)
    attempt = upgrade.attempt
    own_approval = upgrade.approval_of(organisation, rules.now)
    return CommsHubUpgrade(
        device_id=upgrade.hub.hub_id,
        csp_region=upgrade.hub.region or "Unknown",
        firmware=release.firmware,
        status=upgrade_status(upgrade, organisation, rules.now),
        own_approval=own_approval,
        other_approval=upgrade.approval_of_others(organisation, rules.now),
        schedule_id=answer.schedule.schedule_id if answer and answer.schedule else None,
        attempt=attempt.number if attempt else None,
        defer_until=answer.defer_until if answer and own_approval is Approval.DEFERRED else None,
        window=_window(answer, attempt),
        period=attempt.period if attempt else None,
        status_at=attempt.state_at if attempt else None,
        status_reason=attempt.reason if attempt else None,
    )


def _window(answer: Answer | None, attempt: Attempt | None) -> Period | None:
    """The agreed window once there is one; before that only the Supplier's own (section 5, Privacy)."""
    if attempt is not None and (attempt.state is AttemptState.SCHEDULED or attempt.period is not None):
        return attempt.window
    return answer.schedule.window if answer is not None and answer.schedule is not None else None
