"""The states an attempt at upgrading a hub can be in, and which may follow which (section 5, Decisions)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class AttemptState(StrEnum):
    """One state per attempt; `AwaitingApproval` is an attempt somebody scheduled that has not all it needs yet."""

    AWAITING_APPROVAL = "AwaitingApproval"
    SCHEDULED = "Scheduled"
    LISTED = "Listed"
    ACCEPTED = "Accepted"
    DELIVERED = "Delivered"
    ACTIVATED = "Activated"
    FAILED = "Failed"
    MISSED = "Missed"
    CANCELLED = "Cancelled"
    VOIDED = "Voided"


_S = AttemptState

NEXT: Mapping[AttemptState, frozenset[AttemptState]] = {
    _S.AWAITING_APPROVAL: frozenset({_S.SCHEDULED, _S.MISSED, _S.CANCELLED, _S.VOIDED}),
    _S.SCHEDULED: frozenset({_S.AWAITING_APPROVAL, _S.LISTED, _S.MISSED, _S.CANCELLED, _S.VOIDED}),
    # A CSP that refuses a hub sends it back to planning.
    _S.LISTED: frozenset({_S.ACCEPTED, _S.SCHEDULED, _S.DELIVERED, _S.ACTIVATED, _S.FAILED, _S.MISSED, _S.CANCELLED}),
    _S.ACCEPTED: frozenset({_S.DELIVERED, _S.ACTIVATED, _S.FAILED, _S.MISSED, _S.CANCELLED}),
    _S.DELIVERED: frozenset({_S.ACTIVATED, _S.FAILED, _S.MISSED}),
    # A late report may raise an outcome to Activated; nothing ever lowers one.
    _S.FAILED: frozenset({_S.ACTIVATED}),
    _S.MISSED: frozenset({_S.ACTIVATED}),
    _S.ACTIVATED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.VOIDED: frozenset(),
}
"""The transitions allowed; whatever is not here does not happen."""

OPEN = frozenset({_S.AWAITING_APPROVAL, _S.SCHEDULED, _S.LISTED, _S.ACCEPTED, _S.DELIVERED})
"""An upgrade in one of these states is under way; a hub has at most one."""

WITH_CSP = frozenset({_S.LISTED, _S.ACCEPTED, _S.DELIVERED})
"""From the commit that cuts the list a Supplier can change nothing any more."""


def may_follow(before: AttemptState, after: AttemptState) -> bool:
    """True if an attempt in state `before` may go to `after`."""
    return after in NEXT[before]
