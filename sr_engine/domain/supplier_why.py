"""Why a hub has not been upgraded yet, in one sentence for its Supplier.

Said from what 11.7 shows of the hub, the release and the Supplier's own doings, and from nothing else: of the other
side its answer, of shared limits nothing at all (section 5, Privacy).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sr_engine.domain.eligibility import UPGRADABLE_STATUSES, firmware_applies
from sr_engine.domain.upgrades import Hub, HubUpgrade, Release
from sr_engine.messages.model import Approval, CommsHubUpgrade, Period, UpgradeStatus

UNDER_WAY = frozenset(
    {
        UpgradeStatus.AWAITING_APPROVAL,
        UpgradeStatus.SCHEDULED,
        UpgradeStatus.LISTED,
        UpgradeStatus.ACCEPTED,
        UpgradeStatus.DELIVERED,
        UpgradeStatus.HALTED,
    }
)
"""What a hub is shown as while something is under way there."""

_OTHER = {
    Approval.PENDING: "the other Supplier has not answered",
    Approval.DECLINED: "the other Supplier has declined",
    Approval.DEFERRED: "the other Supplier has deferred its answer",
}
_WITH_CSP = {
    UpgradeStatus.LISTED: "it is on the list that went to the CSP for",
    UpgradeStatus.ACCEPTED: "the CSP has accepted to upgrade it in",
    UpgradeStatus.DELIVERED: "the firmware was delivered, and is to become active, in",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A release for the hub's model: what its Supplier may know of the upgrade (`seen_by`), and what it is shown."""

    release: Release
    upgrade: HubUpgrade
    shown: CommsHubUpgrade


def chosen(hub: Hub, asked: Sequence[tuple[Release, CommsHubUpgrade]]) -> tuple[Release, CommsHubUpgrade] | None:
    """The release to speak of: the one under way, else the newest that the hub has or can be given, open ones first."""
    for release, shown in asked:
        if shown.attempt is not None and shown.status in UNDER_WAY:
            return release, shown
    offered = sorted(asked, key=lambda pair: pair[0].status != "Open")
    for release, shown in offered:
        if hub.version == release.firmware.version or firmware_applies(hub, release):
            return release, shown
    return offered[0] if offered else None


def supplier_why(hub: Hub, asked: Sequence[Asked]) -> str:
    """The first thing that stands in the way, or where the upgrade is; releases newest first."""
    found = chosen(hub, [(one.release, one.shown) for one in asked])
    if found is None:
        return f"Hub {hub.hub_id}: no firmware release is open for its model, {hub.manufacturer} {hub.model}."
    one = next(one for one in asked if one.release is found[0])
    return f"Hub {hub.hub_id}: {_said(hub, one)}."


def _said(hub: Hub, asked: Asked) -> str:
    release, shown = asked.release, asked.shown
    version, status = release.firmware.version, shown.status
    if status in _WITH_CSP:
        return f"{_WITH_CSP[status]} {_span(shown.period)}, firmware {version}"
    if hub.version == version or status is UpgradeStatus.ACTIVATED:
        return f"it has been upgraded, to firmware {version}"
    barred = _barred(hub, release)
    if barred is not None:
        return barred
    reason = f": {shown.status_reason}" if shown.status_reason else ""
    match status:
        case UpgradeStatus.EXCLUDED:
            return f"you keep it out of upgrades; include it again for firmware {version}"
        case UpgradeStatus.HALTED:
            return f"firmware {version} is halted in region {shown.csp_region}; nothing is sent until it is resumed"
        case UpgradeStatus.SCHEDULED:
            return f"it is scheduled for firmware {version} within {_span(shown.window)}"
        case UpgradeStatus.DECLINED:
            return f"you have declined firmware {version}"
        case UpgradeStatus.DEFERRED:
            until = "" if shown.defer_until is None else f" until {_moment(shown.defer_until)}"
            return f"you have deferred your answer to firmware {version}{until}"
        case UpgradeStatus.FAILED | UpgradeStatus.MISSED:
            ended = "failed" if status is UpgradeStatus.FAILED else "was missed"
            return f"attempt {shown.attempt} at firmware {version} {ended}{reason}; a new schedule opens the next"
        case _:
            return _waits(asked, version, reason)


def _barred(hub: Hub, release: Release) -> str | None:
    version = release.firmware.version
    if release.status == "Withdrawn":
        return f"firmware {version} has been withdrawn"
    if release.cpl_status != "Active":
        return f"firmware {version} is {release.cpl_status} on the Certified Products List"
    if hub.region not in release.regions:
        return f"firmware {version} is not released for region {hub.region or 'Unknown'}"
    if hub.version not in release.reachable_from:
        return f"it runs firmware {hub.version or 'of an unknown version'}, from which {version} cannot be reached"
    if hub.device_status not in UPGRADABLE_STATUSES:
        return f"it is not commissioned; its status is {hub.device_status or 'unknown'}"
    return None


def _waits(asked: Asked, version: str, reason: str) -> str:
    """Nothing has been agreed yet, or not any more."""
    shown = asked.shown
    other = _OTHER.get(shown.other_approval)
    breaks = asked.upgrade.hub.han_models & asked.release.han_models
    if asked.release.status == "Closed" and shown.attempt is None:
        return f"firmware {version} is closed to new answers"
    if shown.own_approval is Approval.PENDING:
        impact = "; HAN devices behind it may break, which an approval has to accept" if breaks else ""
        return f"you have not answered to firmware {version}{impact}" + (f", and {other}" if other else "")
    if other is not None:
        return f"you have approved firmware {version}, and {other}"
    if shown.status is UpgradeStatus.AWAITING_APPROVAL:
        return f"firmware {version} is approved, but no night is agreed for it{reason}"
    return f"firmware {version} is approved, but it is not scheduled{reason}"


def _moment(at: datetime) -> str:
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def _span(period: Period | None) -> str:
    return "a night that is agreed" if period is None else f"{_moment(period.start)} to {_moment(period.end)}"
