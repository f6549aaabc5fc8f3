"""11.5 Schedule Communications Hub Firmware: a Supplier says when its hubs may be upgraded; that is its approval."""

from __future__ import annotations

from sr_engine.domain.changes import Changes, NewSchedule, answer_all
from sr_engine.domain.eligibility import Applicant, refusal, window_error
from sr_engine.domain.upgrades import Answer, HubUpgrade, Schedule
from sr_engine.messages.model import Approval, Phase, RefusalReason, ScheduleCommsHubFirmware
from sr_engine.requests.lists import canonical, judge, none_accepted, release_refusal
from sr_engine.requests.outcome import Facts, Outcome, Rules, Sender

FAMILY = "1105"


def decide(request: ScheduleCommsHubFirmware, sender: Sender, facts: Facts, rules: Rules) -> Outcome:
    """Accept the hubs that can be scheduled and say of each other one why not (section 4)."""
    release = facts.release(request.firmware)
    refused = release_refusal(release, request.firmware, FAMILY)
    if refused is not None or release is None:
        return refused or Outcome(f"E{FAMILY}01", "unknown release")
    wrong = window_error(request.window, rules.now, rules.horizon_end)
    if wrong is not None:
        return Outcome(f"E{FAMILY}02", wrong)
    replaced: list[HubUpgrade] = []
    if request.replaces_schedule_id is not None:
        found = facts.schedule(request.replaces_schedule_id)
        if found is None or found[1].organisation != sender.organisation or found[0].release_id != release.release_id:
            return Outcome(
                f"E{FAMILY}07",
                f"ReplacesScheduleID {request.replaces_schedule_id} is not a schedule of yours for this firmware",
            )
        replaced = list(facts.hubs_in_force(request.replaces_schedule_id, release))

    applicant = Applicant(sender.organisation, sender.roles)

    def in_progress(upgrade: HubUpgrade) -> bool:
        own = upgrade.answers.get(sender.organisation)
        own_other = (
            own is not None
            and own.schedule is not None
            and own.schedule.schedule_id != request.replaces_schedule_id
            and upgrade.attempt is not None
            and upgrade.attempt.is_open
        )
        return upgrade.other_release_open or upgrade.with_csp or own_other

    leaving = _no_longer_named(request, replaced, applicant)
    places, in_pilot = {}, frozenset[str]()
    if request.phase is Phase.PILOT:
        # A hub of the old schedule that is named again keeps the place it has, accepted or not.
        pilot = facts.pilot_places(release, sender.organisation, leaving={upgrade.hub.hub_id for upgrade in leaving})
        places, in_pilot = dict(pilot.free), pilot.held

    def available(upgrade: HubUpgrade) -> bool:
        region = upgrade.hub.region or ""
        blocked = upgrade.blocked(rules.now)
        if blocked and not rules.has_free_period(region, request.window, blocked):
            return False
        if region not in places or upgrade.hub.hub_id in in_pilot:
            return True
        places[region] -= 1
        return places[region] >= 0

    def judge_hub(upgrade: HubUpgrade | None) -> RefusalReason | None:
        return refusal(
            upgrade,
            applicant=applicant,
            release=release,
            in_progress=in_progress,
            accept_han_impact=request.accept_han_impact,
            window_available=lambda region: rules.has_period(region, request.window),
            available=available,
        )

    # A pilot has places, and what is left of them is not the same for each.
    alike = request.phase is not Phase.PILOT
    listed = facts.hub_upgrades(canonical(request.device_ids), release, with_overlays=True, alike=alike)
    judgement = judge(request.device_ids, listed, judge_hub)
    if not judgement.accepted:
        return none_accepted(judgement, FAMILY, rules.lifecycle.too_late)

    schedule = Schedule(rules.draw_schedule_id(), sender.organisation, request.window, request.phase, sender.request_id)
    changes = Changes(release, rules.lifecycle, sender.organisation)
    changes.new_schedule = NewSchedule(
        schedule, release.release_id, request.accept_han_impact, tuple(judgement.accepted_ids)
    )
    answer_all(
        changes,
        judgement.accepted,
        organisation=sender.organisation,
        answer=Answer(Approval.APPROVED, sender.request_id, schedule, accepts_han_impact=request.accept_han_impact),
        cause=rules.cause,
        now=rules.now,
        has_period=rules.has_period,
    )
    answer_all(
        changes,
        [(upgrade, (upgrade.hub.hub_id,)) for upgrade in leaving],
        organisation=sender.organisation,
        answer=Answer(Approval.PENDING, sender.request_id),
        cause=rules.cause,
        now=rules.now,
        has_period=rules.has_period,
    )
    code = f"W{FAMILY}01" if judgement.refused else "I0"
    return Outcome(code, judgement.words(), judgement.result(schedule.schedule_id), changes)


def _no_longer_named(
    request: ScheduleCommsHubFirmware, replaced: list[HubUpgrade], applicant: Applicant
) -> list[HubUpgrade]:
    """Hubs of the replaced schedule that the new list leaves out; refused ones it names keep the old (section 4)."""
    named = {device_id.upper() for device_id in request.device_ids}
    return [
        upgrade
        for upgrade in replaced
        if not named & {upgrade.hub.hub_id, upgrade.hub.gpf_id}
        and not upgrade.with_csp
        and upgrade.hub.is_responsible(applicant.organisation, applicant.roles)
    ]
