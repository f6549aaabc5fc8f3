"""Why a hub has not been upgraded yet, in one sentence for an operator (the operator may see who the Suppliers are)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sr_engine.domain.agreement import NO_COMMON_NIGHT, in_force
from sr_engine.domain.eligibility import UPGRADABLE_STATUSES, firmware_applies
from sr_engine.domain.states import AttemptState
from sr_engine.domain.upgrades import Attempt, Hub, HubUpgrade, Release
from sr_engine.messages.model import Approval, Period


@dataclass(frozen=True, slots=True)
class Night:
    """A nightly open period, and when the lists for it are cut."""

    period: Period
    cut_at: datetime


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What is known of the device asked about."""

    device_id: str
    device_type: str | None
    """None: not in the inventory."""
    hub: Hub | None
    """The hub the device is the CHF or GPF of."""
    upgrades: Sequence[tuple[Release, HubUpgrade]]
    """Every release for the hub's model, newest first."""
    now: datetime
    next_night: Night | None = None
    """The first night in the window of the open attempt, if there is one, for which the hub can still be listed."""
    halts: Mapping[str, str] = field(default_factory=dict)
    """By release id, why it is halted in the hub's region."""


def why(inquiry: Inquiry) -> str:
    """Return the answer: the first thing that stands in the way, or where the upgrade is."""
    hub = inquiry.hub
    if inquiry.device_type is None:
        return f"{inquiry.device_id} is not in the inventory."
    if inquiry.device_type not in {"CHF", "GPF"}:
        return f"{inquiry.device_id} is not a Communications Hub but a device behind one ({inquiry.device_type})."
    if hub is None:
        return f"{inquiry.device_id} is a {inquiry.device_type} whose hub (CHF) is not in the inventory."
    name = hub.hub_id if inquiry.device_id == hub.hub_id else f"{hub.hub_id} (the hub of GPF {inquiry.device_id})"
    chosen = _chosen(hub, inquiry.upgrades)
    if chosen is None:
        return f"Hub {name}: no firmware release is open for its model, {hub.manufacturer} {hub.model}."
    release, upgrade = chosen
    return f"Hub {name} {_about(release, upgrade, inquiry)}."


def _chosen(hub: Hub, upgrades: Sequence[tuple[Release, HubUpgrade]]) -> tuple[Release, HubUpgrade] | None:
    """The release to speak of: the one under way, else the newest that the hub has or can be given, open ones first."""
    for release, upgrade in upgrades:
        if upgrade.attempt is not None and upgrade.attempt.is_open:
            return release, upgrade
    # Sorting keeps the newest first among those that are open, and among those that are not.
    offered = sorted(upgrades, key=lambda pair: pair[0].status != "Open")
    for release, upgrade in offered:
        if hub.version == release.firmware.version or firmware_applies(hub, release):
            return release, upgrade
    return offered[0] if offered else None


def _about(release: Release, upgrade: HubUpgrade, inquiry: Inquiry) -> str:
    hub, attempt = upgrade.hub, upgrade.attempt
    version = release.firmware.version
    if attempt is not None and attempt.with_csp:
        return _with_csp(attempt, version, inquiry.now)
    if hub.version == version:
        upgraded = f"has been upgraded: it runs firmware {version}"
        if attempt is not None and attempt.state is AttemptState.ACTIVATED:
            upgraded += f", activated on {_moment(attempt.state_at)}"
        return upgraded
    blocked = _blocked(release, hub, attempt)
    if blocked is not None:
        return blocked
    if attempt is not None and attempt.is_open:
        return _under_way(release, upgrade, attempt, inquiry)
    waiting = _answers(upgrade, inquiry.now)
    if attempt is not None and attempt.state in {AttemptState.FAILED, AttemptState.MISSED}:
        ended = "failed" if attempt.state is AttemptState.FAILED else "was missed"
        reason = f": {attempt.reason}" if attempt.reason else ""
        return (
            f"has no new schedule for firmware {version} since attempt {attempt.number} {ended} on "
            f"{_moment(attempt.state_at)}{reason}"
            + "".join(f"; {one}" for one in (waiting, *_overlaid(upgrade)) if one)
        )
    also = "".join(f"; {one}" for one in _overlaid(upgrade))
    if waiting:
        return f"is not scheduled for firmware {version}: {waiting}{_han_impact(release, upgrade)}{also}"
    who = _list(upgrade.hub.responsible)
    return f"is approved for firmware {version} by {who}, but nobody has scheduled it{also}"


def _blocked(release: Release, hub: Hub, attempt: Attempt | None) -> str | None:
    """What makes the hub one that cannot be upgraded to this release, whatever its Suppliers say."""
    version = release.firmware.version
    under_way = attempt is not None and attempt.is_open
    # What was agreed before a release was closed goes on.
    if release.status != "Open" and not (release.status == "Closed" and under_way):
        return f"cannot be upgraded to firmware {version}: the release is {release.status.lower()}"
    if release.cpl_status != "Active":
        return f"cannot be upgraded to firmware {version}: it is {release.cpl_status} on the Certified Products List"
    if hub.region not in release.regions:
        where = f"in region {hub.region}" if hub.region else "in no region that is known"
        return f"is {where}, and firmware {version} is released for {_list(sorted(release.regions))} only"
    if hub.version not in release.reachable_from:
        runs = f"runs firmware {hub.version}" if hub.version else "runs firmware of an unknown version"
        return f"{runs}, and {version} can be installed on {_list(sorted(release.reachable_from), 'or')} only"
    if hub.device_status not in UPGRADABLE_STATUSES:
        return f"is not commissioned: its status is {hub.device_status or 'unknown'}"
    if not hub.responsible and not (under_way and attempt is not None and attempt.compulsory):
        return "has no responsible Supplier: nobody is registered for a meter behind it"
    return None


def _under_way(release: Release, upgrade: HubUpgrade, attempt: Attempt, inquiry: Inquiry) -> str:
    version, now = release.firmware.version, inquiry.now
    if not attempt.compulsory:
        not_agreed = _not_agreed(release, upgrade, attempt, now)
        if not_agreed is not None:
            return not_agreed
    held_back = _held_back(release, upgrade, attempt, inquiry)
    if held_back is not None:
        return f"is scheduled for firmware {version}{' and approved' * (not attempt.compulsory)}, but {held_back}"
    refused = f"; {attempt.reason}" if attempt.reason else ""
    excluded = _excluded(upgrade, attempt)
    first = f"is kept off lists, for {_list(excluded)}; it " if excluded else ""
    also = "".join(f"; {one}" for one in _quiet(upgrade, attempt))
    if inquiry.next_night is None:
        night_left = "other night" if excluded else "night left"
        return (
            f"{first}is scheduled for firmware {version}, but its window ({_span(attempt.window)}) has no {night_left} "
            f"that can still be listed{refused}{also}"
        )
    night = inquiry.next_night
    return (
        f"{first}is scheduled for firmware {version} and waits for {_night(night.period)}, the first it can have; "
        f"lists for it go to the CSP on {_moment(night.cut_at)}{refused}{also}"
    )


def _not_agreed(release: Release, upgrade: HubUpgrade, attempt: Attempt, now: datetime) -> str | None:
    """What the responsible Suppliers have not agreed; None if they have."""
    version = release.firmware.version
    waiting = _answers(upgrade, now)
    if waiting and release.status == "Closed":
        return f"waits for approval of firmware {version}, which nobody can give since the release is closed: {waiting}"
    if waiting:
        return f"waits for approval of firmware {version}: {waiting}"
    if attempt.state is AttemptState.AWAITING_APPROVAL:
        return _conflict(upgrade, attempt, version, now)
    return None


def _held_back(release: Release, upgrade: HubUpgrade, attempt: Attempt, inquiry: Inquiry) -> str | None:
    """What keeps an agreed or compulsory upgrade off every list, whichever night it is; None if nothing does."""
    region = upgrade.hub.region
    if region in release.halted:
        reason = inquiry.halts.get(release.release_id)
        return f"the release is halted in region {region}" + (f": {reason}" if reason else "")
    if attempt.compulsory:
        return None
    if not attempt.pilot and region not in release.general_open:
        return f"the gate of region {region} is closed: only pilot hubs are listed until it is opened"
    if not upgrade.han_accepted(release):
        missing = [
            organisation
            for organisation in upgrade.hub.responsible
            if organisation not in upgrade.answers or not upgrade.answers[organisation].accepts_han_impact
        ]
        have = "has" if len(missing) == 1 else "have"
        return f"HAN devices may break ({_affected(release, upgrade)}), which {_list(missing)} {have} not accepted"
    return None


def _overlaid(upgrade: HubUpgrade) -> list[str]:
    """The times in which nothing is done to the hub: exclusions and quiet days."""
    return _excluded(upgrade) + _quiet(upgrade)


def _excluded(upgrade: HubUpgrade, attempt: Attempt | None = None) -> list[str]:
    """The exclusions that the attempt has to heed."""
    compulsory = attempt is not None and attempt.compulsory
    return [
        f"{one.organisation} excludes the hub "
        + (f"until {_moment(one.until)}" if one.until else "until further notice")
        for one in upgrade.exclusions
        if not (compulsory and one.overridden)
    ]


def _quiet(upgrade: HubUpgrade, attempt: Attempt | None = None) -> list[str]:
    """The quiet days that concern the attempt."""
    quiet = [
        _span(period)
        for period in upgrade.quiet
        if attempt is None or (period.start < attempt.window.end and attempt.window.start < period.end)
    ]
    return [f"no upgrade takes place in the quiet days around a change of Supplier ({_list(quiet)})"] if quiet else []


def _conflict(upgrade: HubUpgrade, attempt: Attempt, version: str, now: datetime) -> str:
    """Everybody has approved, and yet there is no night."""
    schedules = in_force(upgrade, now)
    if not schedules:
        return f"is approved for firmware {version}, but no schedule of a responsible Supplier is in force"
    windows = _list([f"{one.organisation} ({_span(one.window)})" for one in schedules])
    if attempt.reason == NO_COMMON_NIGHT and len(schedules) > 1:
        return f"is approved for firmware {version}, but the windows of {windows} have no night in common"
    reason = f": {attempt.reason}" if attempt.reason else ""
    return f"is approved for firmware {version}, but not planned for the window of {windows}{reason}"


def _with_csp(attempt: Attempt, version: str, now: datetime) -> str:
    night = "an agreed night" if attempt.period is None else _night(attempt.period)
    over = attempt.period is not None and attempt.period.end <= now
    match attempt.state:
        case AttemptState.DELIVERED:
            return f"has firmware {version} since {_moment(attempt.state_at)}, but the CSP has not reported it active"
        case AttemptState.ACCEPTED if over:
            return f"was to be given firmware {version} in {night}, and the CSP has not reported what became of it"
        case AttemptState.ACCEPTED:
            return f"will be given firmware {version} in {night}: the CSP accepted it on {_moment(attempt.state_at)}"
        case _:
            return (
                f"was listed on {_moment(attempt.state_at)} to be given firmware {version} in {night}, and the CSP has "
                "not acknowledged the list"
            )


def _answers(upgrade: HubUpgrade, now: datetime) -> str | None:
    """Who has not approved, and who has; None if all have."""
    approved, missing = [], []
    for organisation in upgrade.hub.responsible:
        approval = upgrade.approval_of(organisation, now)
        answer = upgrade.answers.get(organisation)
        if approval is Approval.APPROVED:
            approved.append(f"{organisation} has approved")
        elif approval is Approval.DECLINED:
            missing.append(f"{organisation} has declined")
        elif approval is Approval.DEFERRED and answer is not None and answer.defer_until is not None:
            missing.append(f"{organisation} has deferred its answer until {_moment(answer.defer_until)}")
        elif approval is Approval.DEFERRED:
            missing.append(f"{organisation} has deferred its answer")
        else:
            missing.append(f"{organisation} has not answered")
    if not missing:
        return None
    return " and ".join(missing) + (f", while {' and '.join(approved)}" if approved else "")


def _han_impact(release: Release, upgrade: HubUpgrade) -> str:
    affected = _affected(release, upgrade)
    return f"; whoever approves has to accept that HAN devices may break ({affected})" if affected else ""


def _affected(release: Release, upgrade: HubUpgrade) -> str:
    affected = sorted(upgrade.hub.han_models & release.han_models)
    return _list([f"{manufacturer} {model}" for manufacturer, model in affected]) if affected else ""


def _list(words: Sequence[str], last: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def _moment(at: datetime) -> str:
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def _span(period: Period) -> str:
    return f"{_moment(period.start)} to {_moment(period.end)}"


def _night(period: Period) -> str:
    start, end = period.start, period.end
    hours = f"{start:%H:%M} to {end:%H:%M} UTC"
    if start.date() == end.date():
        return f"the night of {start.day} {start:%B %Y} ({hours})"
    if (start.year, start.month) == (end.year, end.month):
        return f"the night of {start.day} to {end.day} {end:%B %Y} ({hours})"
    return f"the night of {start.day} {start:%B} to {end.day} {end:%B %Y} ({hours})"
