"""11.9 Update Communications Hub Firmware Exclusion: a Supplier keeps hubs out of upgrades, or lets them in again."""

from __future__ import annotations

from datetime import datetime

from sr_engine.domain.exclusions import ExcludableHub, ExclusionChanges
from sr_engine.messages.model import ExclusionAction, RefusalReason, UpdateCommsHubFirmwareExclusion
from sr_engine.requests.lists import WORDS, canonical, judge, none_accepted
from sr_engine.requests.outcome import Facts, Outcome, Rules, Sender

FAMILY = "1109"

_WORDING = WORDS | {
    RefusalReason.OTHER_REQUEST_IN_PROGRESS: "with the CSP already",
    RefusalReason.NOT_AVAILABLE: "not excluded by you",
}


def decide(request: UpdateCommsHubFirmwareExclusion, sender: Sender, facts: Facts, rules: Rules) -> Outcome:
    """Exclude each hub that is not with the CSP, or end this Supplier's own exclusion of it (section 5, Exclusion).

    Full success carries no body (I99). An exclusion is laid over whatever upgrades there are, and changes none.
    """
    wrong = _date_error(request, rules.now)
    if wrong is not None:
        return Outcome(f"E{FAMILY}05", wrong)
    including = request.action is ExclusionAction.INCLUDE

    def refusal(found: ExcludableHub | None) -> RefusalReason | None:
        if found is None:
            return RefusalReason.INVALID
        if not found.hub.is_responsible(sender.organisation, sender.roles):
            return RefusalReason.NOT_RESPONSIBLE
        if found.with_csp:
            return RefusalReason.OTHER_REQUEST_IN_PROGRESS
        if including and not found.is_excluded_by(sender.organisation):
            return RefusalReason.NOT_AVAILABLE
        return None

    listed = facts.excludable_hubs(canonical(request.device_ids))
    judgement = judge(request.device_ids, listed, refusal, wording=_WORDING)
    if not judgement.accepted:
        return none_accepted(judgement, FAMILY, rules.lifecycle.too_late, not_available="09")
    changes = _changes(
        [found for found, _ in judgement.accepted], sender.organisation, request.exclude_until, including=including
    )
    if judgement.refused:
        return Outcome(f"W{FAMILY}01", judgement.words(), judgement.result(), exclusions=changes)
    return Outcome("I99", judgement.words(), exclusions=changes)


def _date_error(request: UpdateCommsHubFirmwareExclusion, now: datetime) -> str | None:
    if request.exclude_until is None:
        return None
    if request.action is ExclusionAction.INCLUDE:
        return "ExcludeUntil stands only with Action Exclude, not with Include"
    return "ExcludeUntil lies in the past" if request.exclude_until <= now else None


def _changes(
    hubs: list[ExcludableHub], organisation: str, until: datetime | None, *, including: bool
) -> ExclusionChanges:
    hub_ids = tuple(found.hub.hub_id for found in hubs)
    if including:
        return ExclusionChanges(organisation, lifted=tuple((hub_id, organisation) for hub_id in hub_ids))
    superseded = tuple((found.hub.hub_id, left) for found in hubs for left in found.superseded_by(organisation))
    return ExclusionChanges(organisation, hub_ids, until, superseded)
