"""11.6 Approve Communications Hub Firmware: a Supplier approves, declines or defers a release for hubs of its own."""

from __future__ import annotations

from sr_engine.domain.changes import Changes, answer_all
from sr_engine.domain.eligibility import Applicant, refusal
from sr_engine.domain.upgrades import Answer, HubUpgrade, Release
from sr_engine.messages.model import Approval, ApproveCommsHubFirmware, Decision, RefusalReason
from sr_engine.requests.lists import Judgement, canonical, judge, none_accepted, release_refusal
from sr_engine.requests.outcome import Facts, Outcome, Rules, Sender

FAMILY = "1106"

_APPROVALS = {
    Decision.APPROVE: Approval.APPROVED,
    Decision.DECLINE: Approval.DECLINED,
    Decision.DEFER: Approval.DEFERRED,
}


def decide(request: ApproveCommsHubFirmware, sender: Sender, facts: Facts, rules: Rules) -> Outcome:
    """Take the decision for each hub that it can be taken for (section 4); full success carries no body (I99)."""
    release = facts.release(request.firmware)
    refused = release_refusal(release, request.firmware, FAMILY, taking_back=request.decision is not Decision.APPROVE)
    if refused is not None or release is None:
        return refused or Outcome(f"E{FAMILY}01", "unknown release")
    if request.decision is Decision.DEFER:
        wrong = _defer_error(request, rules)
        if wrong is not None:
            return Outcome(f"E{FAMILY}05", wrong)
    elif request.defer_until is not None:
        return Outcome(f"E{FAMILY}05", f"DeferUntil stands only with Decision Defer, not with {request.decision.value}")
    judgement = _judge(request, sender, facts, release)
    if not judgement.accepted:
        return none_accepted(judgement, FAMILY, rules.lifecycle.too_late)
    changes = Changes(release, rules.lifecycle, sender.organisation)
    approval = _APPROVALS[request.decision]
    for upgrade, hub_ids in judgement.accepted:
        previous = upgrade.answers.get(sender.organisation)
        # Approving again keeps the Supplier's own schedule; anything else takes it back.
        accepts = request.accept_han_impact or (previous is not None and previous.accepts_han_impact)
        kept = previous.schedule if approval is Approval.APPROVED and previous is not None else None
        answer_all(
            changes,
            [(upgrade, hub_ids)],
            organisation=sender.organisation,
            answer=Answer(approval, sender.request_id, kept, request.defer_until, accepts),
            cause=rules.cause,
            now=rules.now,
            has_period=rules.has_period,
        )
    if judgement.refused:
        return Outcome(f"W{FAMILY}01", judgement.words(), judgement.result(), changes)
    return Outcome("I99", judgement.words(), None, changes)


def _defer_error(request: ApproveCommsHubFirmware, rules: Rules) -> str | None:
    if request.defer_until is None:
        return "Decision Defer needs DeferUntil"
    if request.defer_until <= rules.now:
        return "DeferUntil lies in the past"
    if request.defer_until > rules.horizon_end:
        return f"DeferUntil lies beyond the planning horizon, {rules.horizon_end:%Y-%m-%dT%H:%M:%SZ}"
    return None


def _judge(request: ApproveCommsHubFirmware, sender: Sender, facts: Facts, release: Release) -> Judgement[HubUpgrade]:
    applicant = Applicant(sender.organisation, sender.roles)
    approving = request.decision is Decision.APPROVE

    def in_progress(upgrade: HubUpgrade) -> bool:
        return upgrade.with_csp or (approving and upgrade.other_release_open)

    def judge_hub(upgrade: HubUpgrade | None) -> RefusalReason | None:
        return refusal(
            upgrade,
            applicant=applicant,
            release=release,
            in_progress=in_progress,
            accept_han_impact=request.accept_han_impact or not approving,
        )

    listed = facts.hub_upgrades(canonical(request.device_ids), release, alike=True)
    return judge(request.device_ids, listed, judge_hub)
