"""Which hubs of a list a Supplier may schedule or approve, and why not the others (section 4, Result body)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sr_engine.domain.upgrades import Hub, HubUpgrade, Release
from sr_engine.messages.model import Period, RefusalReason
from sr_engine.value_objects import value_object

UPGRADABLE_STATUSES = frozenset({"Commissioned", "Suspended", "Recovered"})
"""Judged on the CHF (section 4)."""


@value_object
class Applicant:
    """Who asks: an organisation, in the roles of the User that sent the request."""

    organisation: str
    roles: frozenset[str]


def firmware_applies(hub: Hub, release: Release) -> bool:
    """True if `release` may be installed on `hub`: right model, a path from its version, a region it is for."""
    return (
        hub.manufacturer == release.firmware.manufacturer
        and hub.model == release.firmware.model
        and hub.region in release.regions
        and hub.version in release.reachable_from
    )


def suits(hub: Hub, release: Release) -> bool:
    """Whether the record of a hub itself is in the way of nothing."""
    return hub.device_status in UPGRADABLE_STATUSES and firmware_applies(hub, release)


def refusal(
    upgrade: HubUpgrade | None,
    *,
    applicant: Applicant,
    release: Release,
    in_progress: Callable[[HubUpgrade], bool],
    accept_han_impact: bool,
    window_available: Callable[[str], bool] | None = None,
    available: Callable[[HubUpgrade], bool] | None = None,
) -> RefusalReason | None:
    """Return the first reason that applies to one listed hub, or None if it is accepted.

    `upgrade` is None for an id that is no hub. `in_progress` says whether something under way is in the request's way;
    `window_available`, given the hub's region, whether the window suits it (None: the request has no window);
    `available`, asked last and once, whether the other side and shared limits leave room for it.
    """
    if upgrade is None:
        return RefusalReason.INVALID
    hub = upgrade.hub
    if not hub.is_responsible(applicant.organisation, applicant.roles):
        return RefusalReason.NOT_RESPONSIBLE
    if hub.device_status not in UPGRADABLE_STATUSES:
        return RefusalReason.NOT_COMMISSIONED
    if not firmware_applies(hub, release):
        return RefusalReason.NOT_APPLICABLE_FIRMWARE
    if in_progress(upgrade):
        return RefusalReason.OTHER_REQUEST_IN_PROGRESS
    if not accept_han_impact and hub.han_models & release.han_models:
        return RefusalReason.HAN_INCOMPATIBLE
    if window_available is not None and hub.region is not None and not window_available(hub.region):
        return RefusalReason.WINDOW_NOT_AVAILABLE
    if available is not None and not available(upgrade):
        return RefusalReason.NOT_AVAILABLE
    return None


def window_error(window: Period, now: datetime, horizon_end: datetime) -> str | None:
    """Say what is wrong with a window in itself (code nn02), or return None."""
    if window.end <= window.start:
        return "the upgrade window ends before it starts: EndDateTime must be later than StartDateTime"
    if window.end <= now:
        return "the upgrade window lies in the past"
    if window.end > horizon_end:
        return f"the upgrade window ends beyond the planning horizon, {horizon_end:%Y-%m-%dT%H:%M:%SZ}"
    return None
