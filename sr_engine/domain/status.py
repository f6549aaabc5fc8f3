"""What is shown of a hub and release, derived by one fixed precedence (section 5)."""

from __future__ import annotations

from datetime import datetime

from sr_engine.domain.states import OPEN, WITH_CSP, AttemptState
from sr_engine.domain.upgrades import HubUpgrade, Release
from sr_engine.messages.model import Approval, UpgradeStatus

_LAID_OVER = (OPEN - WITH_CSP) | {AttemptState.CANCELLED, AttemptState.VOIDED}
_NOTHING_TO_WAIT_FOR = frozenset({Approval.NONE, Approval.APPROVED})


def upgrade_status(upgrade: HubUpgrade, release: Release, organisation: str, now: datetime) -> UpgradeStatus:
    """Return the UpgradeStatus one responsible Supplier sees.

    What is with the CSP or has ended with an outcome shows through every overlay. Over the rest lies first the
    Supplier's own exclusion (the other side's is nobody else's business), then a halt of the release. Below them an
    open attempt speaks for itself, except that a Supplier that has declined or deferred one which still awaits
    approval sees its own answer; then how the last attempt ended, if it was not cancelled; then the answer. What all
    have approved and nobody has scheduled awaits no approval: it is NotScheduled.
    """
    attempt = upgrade.attempt
    own = upgrade.approval_of(organisation, now)
    if attempt is None or attempt.state in _LAID_OVER:
        if any(one.organisation == organisation for one in upgrade.exclusions):
            return UpgradeStatus.EXCLUDED
        if attempt is not None and attempt.is_open and upgrade.hub.region in release.halted:
            return UpgradeStatus.HALTED
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
        case Approval.APPROVED if upgrade.approval_of_others(organisation, now) not in _NOTHING_TO_WAIT_FOR:
            return UpgradeStatus.AWAITING_APPROVAL
        case _:
            return UpgradeStatus.NOT_SCHEDULED if attempt is None else UpgradeStatus(attempt.state.value)
