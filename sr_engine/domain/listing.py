"""What keeps a hub that all have agreed on off the list of a night (section 5, Region triggers).

The cutter asks this at the time of the cut, and the preview of the plan asks it beforehand.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sr_engine.domain.eligibility import UPGRADABLE_STATUSES, firmware_applies
from sr_engine.domain.upgrades import HubUpgrade, Release
from sr_engine.messages.model import Period
from sr_engine.regions.periods import overlaps


class Obstacle(StrEnum):
    """Why a hub is not listed for a night that its window holds."""

    WITHDRAWN = "withdrawn"
    CPL = "cpl"
    HALTED = "halted"
    REGION = "region"
    STATUS = "status"
    FIRMWARE = "firmware"
    GATE = "gate"
    SUPPLIER_CHANGE = "supplier_change"
    QUIET_DAYS = "quiet_days"
    EXCLUDED = "excluded"
    HAN_IMPACT = "han_impact"
    CAPACITY = "capacity"
    SPREAD = "spread"
    NO_NIGHT = "no_night"

    @property
    def words(self) -> str:
        """The same for people."""
        return _WORDS[self]


_WORDS = {
    Obstacle.WITHDRAWN: "the release is withdrawn",
    Obstacle.CPL: "the release is not active on the Certified Products List",
    Obstacle.HALTED: "the release is halted in the region",
    Obstacle.REGION: "the hub is in another region now",
    Obstacle.STATUS: "the hub is not commissioned",
    Obstacle.FIRMWARE: "the release does not apply to the hub",
    Obstacle.GATE: "the gate to the General phase is closed",
    Obstacle.SUPPLIER_CHANGE: "a change of Supplier makes the agreement void",
    Obstacle.QUIET_DAYS: "quiet days around a change of Supplier",
    Obstacle.EXCLUDED: "a Supplier excludes the hub",
    Obstacle.HAN_IMPACT: "HAN devices may break, which a Supplier has not accepted",
    Obstacle.CAPACITY: "the region upgrades no more hubs in a night",
    Obstacle.SPREAD: "compulsory upgrades are spread over the nights",
    Obstacle.NO_NIGHT: "the window holds no night that can still be listed",
}


def obstacle(upgrade: HubUpgrade, release: Release, region: str, period: Period, now: datetime) -> Obstacle | None:
    """Return what keeps an agreed hub off the list for `period` that is cut at `now`; None if nothing does.

    The gate of the General phase and the places of the night are not asked for here, nor whether all still agree.
    """
    # What was agreed is, while the release is compulsory, held back by no more than what was not.
    compulsory = release.compulsory_window(now) is not None
    if release.status == "Withdrawn":
        return Obstacle.WITHDRAWN
    if release.cpl_status != "Active":
        return Obstacle.CPL
    if upgrade.hub.region != region:
        return Obstacle.REGION
    if region in release.halted:
        return Obstacle.HALTED
    if upgrade.hub.device_status not in UPGRADABLE_STATUSES:
        return Obstacle.STATUS
    if not firmware_applies(upgrade.hub, release):
        return Obstacle.FIRMWARE
    if overlaps(period, upgrade.quiet):
        return Obstacle.QUIET_DAYS
    if overlaps(period, upgrade.blocked(now, compulsory=compulsory)):
        return Obstacle.EXCLUDED
    if not compulsory and not upgrade.han_accepted(release):
        return Obstacle.HAN_IMPACT
    return None
