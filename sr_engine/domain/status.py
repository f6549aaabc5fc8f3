"""What is shown of a hub and release, derived by one fixed precedence (section 5)."""

from __future__ import annotations

from datetime import datetime

from sr_engine.domain.upgrades import HubUpgrade
from sr_engine.messages.model import Approval, UpgradeStatus


def upgrade_status(upgrade: HubUpgrade, organisation: str, now: datetime) -> UpgradeStatus:
    """Return the UpgradeStatus one responsible Supplier sees.

    An open attempt speaks for itself, except that a Supplier that has not approved one which still awaits approval sees
    its own answer; after that the answer; after that the last attempt's outcome.
    """
    attempt = upgrade.attempt
    own = upgrade.approval_of(organisation, now)
    if attempt is not None and attempt.is_open:
        if attempt.state == "AwaitingApproval" and own is Approval.DECLINED:
            return UpgradeStatus.DECLINED
        if attempt.state == "AwaitingApproval" and own is Approval.DEFERRED:
            return UpgradeStatus.DEFERRED
        return UpgradeStatus(attempt.state.value)
    if attempt is not None and attempt.state in {"Activated", "Failed", "Missed", "Voided"}:
        return UpgradeStatus(attempt.state.value)
    match own:
        case Approval.DECLINED:
            return UpgradeStatus.DECLINED
        case Approval.DEFERRED:
            return UpgradeStatus.DEFERRED
        case Approval.APPROVED:
            return UpgradeStatus.AWAITING_APPROVAL
        case _:
            return UpgradeStatus.NOT_SCHEDULED if attempt is None else UpgradeStatus(attempt.state.value)
