"""How states and answers are called on pages, and in which tone they are shown."""

from __future__ import annotations

import re

from sr_engine.console.tables import Badge
from sr_engine.messages.model import Approval, UpgradeStatus

_TONES = {
    UpgradeStatus.AWAITING_APPROVAL: "warn",
    UpgradeStatus.DEFERRED: "warn",
    UpgradeStatus.HALTED: "bad",
    UpgradeStatus.SCHEDULED: "busy",
    UpgradeStatus.LISTED: "busy",
    UpgradeStatus.ACCEPTED: "busy",
    UpgradeStatus.DELIVERED: "busy",
    UpgradeStatus.ACTIVATED: "ok",
    UpgradeStatus.FAILED: "bad",
    UpgradeStatus.MISSED: "bad",
}
_APPROVALS = {Approval.PENDING: "warn", Approval.APPROVED: "ok", Approval.DECLINED: "bad", Approval.DEFERRED: "warn"}

TONE_NAMES = {
    "ok": "Upgraded",
    "busy": "Scheduled or under way",
    "warn": "Needs an answer or waits",
    "bad": "Failed, missed or halted",
    "plain": "Nothing arranged",
}


def words(name: str) -> str:
    """NotScheduled, hub_listed and no_answer become words with spaces."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").lower()
    return spaced[:1].upper() + spaced[1:]


def tone_of(status: UpgradeStatus) -> str:
    """In which tone a state is shown."""
    return _TONES.get(status, "plain")


def status_badge(status: UpgradeStatus | None) -> Badge | None:
    """A state as it stands in a table."""
    return None if status is None else Badge(words(status.value), tone_of(status))


def approval_badge(approval: Approval | None) -> Badge | None:
    """An answer as it stands in a table; nothing where there is nobody to answer."""
    if approval is None or approval is Approval.NONE:
        return None
    return Badge("No answer yet" if approval is Approval.PENDING else approval.value, _APPROVALS[approval])
