"""Planted bugs: one-line changes of the rules, each of which the machine has to notice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """In `file`, below the root of the repository, `old` stands once and becomes `new`."""

    name: str
    file: str
    old: str
    new: str


MUTATIONS = (
    Mutation(
        "one approval is enough",
        "sr_engine/domain/agreement.py",
        "if any(upgrade.approval_of(one, now) is not Approval.APPROVED for one in upgrade.hub.responsible):",
        "if all(upgrade.approval_of(one, now) is not Approval.APPROVED for one in upgrade.hub.responsible):",
    ),
    Mutation(
        "two windows are united, not intersected",
        "sr_engine/regions/calendar.py",
        "start, end = max(a.start, b.start), min(a.end, b.end)",
        "start, end = min(a.start, b.start), max(a.end, b.end)",
    ),
    Mutation(
        "a halt is not looked at",
        "sr_engine/domain/listing.py",
        "    if region in release.halted:\n        return Obstacle.HALTED\n",
        "",
    ),
    Mutation(
        "the CPL is not looked at when a list is cut",
        "sr_engine/domain/listing.py",
        '    if release.cpl_status != "Active":\n        return Obstacle.CPL\n',
        "",
    ),
    Mutation(
        "the other Supplier's exclusion is ignored",
        "sr_engine/domain/upgrades.py",
        "Period(now, one.until or FOR_EVER) for one in self.exclusions if not (compulsory and one.overridden)",
        "Period(now, one.until or FOR_EVER) for one in self.exclusions if one.organisation == self.hub.electricity",
    ),
    Mutation(
        "quiet days are ignored",
        "sr_engine/store/overlays.py",
        "if after.organisation != before.organisation and at + quiet_days.after > now:",
        "if after.organisation != before.organisation and at + quiet_days.after < now:",
    ),
    Mutation(
        "quiet days are not looked at when a list is cut",
        "sr_engine/domain/listing.py",
        "    if overlaps(period, upgrade.quiet):\n        return Obstacle.QUIET_DAYS\n    if overlaps(period,",
        "    if upgrade.exclusions and overlaps(period,",
    ),
    Mutation(
        "a hub may be scheduled for quiet days",
        "sr_engine/domain/upgrades.py",
        "return (*excluded, *self.quiet)",
        "return tuple(excluded)",
    ),
    Mutation(
        "a night takes one hub too many",
        "sr_engine/regions/night_plan.py",
        "run, seen = Run(region.name, period.start, judge.now, {}, places), None",
        "run, seen = Run(region.name, period.start, judge.now, {}, places + 1), None",
    ),
    Mutation(
        "a list is cut one hour too late",
        "sr_engine/regions/calendar.py",
        "    return period.start - hours.lead_time\n",
        "    return period.start - hours.lead_time + timedelta(hours=1)\n",
    ),
    Mutation(
        "a late report lowers an outcome",
        "sr_engine/regions/outcomes.py",
        "after = self.lifecycle.after(event, before)",
        "after = self.lifecycle.after(event, AttemptState.ACCEPTED)",
    ),
    Mutation(
        "only the first Supplier is told",
        "sr_engine/domain/changes.py",
        "for organisation in changes.lifecycle.told(change.event, hub.responsible, changes.sender)\n",
        "for organisation in changes.lifecycle.told(change.event, hub.responsible[:1], changes.sender)\n",
    ),
    Mutation(
        "the approval of a Supplier that left is kept",
        "sr_engine/domain/supplier_change.py",
        "void = returned if with_csp or over else [*gone, *returned]",
        "void = returned",
    ),
    Mutation(
        "a deferral ends too early",
        "sr_engine/store/upgrades.py",
        'decisions.c.defer_until <= bindparam("now"),',
        'decisions.c.defer_until > bindparam("now"),',
    ),
    Mutation(
        "the gate to the General phase is always open",
        "sr_engine/regions/night_plan.py",
        "return compulsory or self.region.name in release.general_open",
        "return compulsory or self.region.name in release.regions",
    ),
    Mutation(
        "an outcome leaves the schedules in force",
        "sr_engine/regions/moving.py",
        "        self._end_schedules(unit_of_work, moved, release)\n",
        "",
    ),
    Mutation(
        "a HAN device that appears later is not noticed",
        "sr_engine/domain/listing.py",
        "    if not compulsory and not upgrade.han_accepted(release):\n        return Obstacle.HAN_IMPACT\n",
        "",
    ),
    Mutation(
        "only the CHF has the new version",
        "sr_engine/store/inventory.py",
        '.where(is_one_of_many(devices.c.hub_id, "hub_ids"), _IS_CHF_OR_GPF)\n    .values(firmware_version',
        '.where(is_one_of_many(devices.c.hub_id, "hub_ids"), devices.c.device_type == "CHF")'
        "\n    .values(firmware_version",
    ),
    Mutation(
        "the completion SLA is not waited for",
        "sr_engine/regions/outcomes.py",
        "listed_before=now - region.completion_sla",
        "listed_before=now",
    ),
    Mutation(
        "a failure does not count against the release",
        "sr_engine/domain/phases.py",
        "return self.failed + self.missed",
        "return self.failed",
    ),
)
