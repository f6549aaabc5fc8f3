"""11.8 Delete Communications Hub Firmware Schedule: a Supplier takes back a schedule of its own, or part of it."""

from __future__ import annotations

from sr_engine.domain.changes import Changes, answer_all
from sr_engine.domain.upgrades import Answer, HubUpgrade, Listed, Release
from sr_engine.messages.model import (
    Approval,
    CommsHubFirmwareResult,
    DeleteCommsHubFirmwareSchedule,
    RefusalReason,
)
from sr_engine.requests.lists import WORDS, Judgement, canonical, judge, none_accepted
from sr_engine.requests.outcome import Facts, Outcome, Rules, Sender

FAMILY = "1108"

_WORDING = WORDS | {
    RefusalReason.INVALID: "not a hub of this schedule",
    RefusalReason.OTHER_REQUEST_IN_PROGRESS: "with the CSP already",
    RefusalReason.NOT_AVAILABLE: "the schedule is not in force for it any more",
}


def decide(request: DeleteCommsHubFirmwareSchedule, sender: Sender, facts: Facts, rules: Rules) -> Outcome:
    """Take the schedule back for each hub not yet with the CSP (section 4); full success carries no body (I99).

    The Supplier's answer for these hubs is Pending again. It may do so whatever has become of the release.
    """
    found = facts.schedule(request.schedule_id)
    if found is None or found[1].organisation != sender.organisation:
        return Outcome(f"E{FAMILY}07", f"{request.schedule_id} is not a schedule of yours")
    release = found[0]
    judgement = _judge(request, sender, facts, release)
    if not judgement.accepted and not judgement.refused:
        return Outcome(f"E{FAMILY}09", "the schedule is in force for no hub any more", CommsHubFirmwareResult(0))
    if not judgement.accepted:
        return none_accepted(judgement, FAMILY, rules.lifecycle.too_late, not_available="09")
    changes = Changes(release, rules.lifecycle, sender.organisation)
    answer_all(
        changes,
        judgement.accepted,
        organisation=sender.organisation,
        answer=Answer(Approval.PENDING, sender.request_id),
        cause=rules.cause,
        now=rules.now,
        has_period=rules.has_period,
    )
    if judgement.refused:
        return Outcome(f"W{FAMILY}01", judgement.words(), judgement.result(), changes)
    return Outcome("I99", judgement.words(), None, changes)


def _judge(
    request: DeleteCommsHubFirmwareSchedule, sender: Sender, facts: Facts, release: Release
) -> Judgement[HubUpgrade]:
    """Judge the hubs named, or all that the schedule is in force for."""
    if request.device_ids:
        device_ids = request.device_ids
        listed = facts.hub_upgrades(canonical(device_ids), release)
        of_schedule = facts.in_schedule(request.schedule_id, listed.known.keys())
    else:
        known = {upgrade.hub.hub_id: upgrade for upgrade in facts.hubs_in_force(request.schedule_id, release)}
        listed = Listed({hub_id: hub_id for hub_id in known}, known)
        device_ids = tuple(known)
        of_schedule = known.keys()

    def refusal(upgrade: HubUpgrade | None) -> RefusalReason | None:
        if upgrade is None or upgrade.hub.hub_id not in of_schedule:
            return RefusalReason.INVALID
        if not upgrade.hub.is_responsible(sender.organisation, sender.roles):
            return RefusalReason.NOT_RESPONSIBLE
        answer = upgrade.answers.get(sender.organisation)
        if answer is None or answer.schedule is None or answer.schedule.schedule_id != request.schedule_id:
            return RefusalReason.NOT_AVAILABLE
        return RefusalReason.OTHER_REQUEST_IN_PROGRESS if upgrade.with_csp else None

    return judge(device_ids, listed, refusal, wording=_WORDING)
