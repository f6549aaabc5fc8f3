"""What a Supplier is shown: one status, by a fixed precedence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sr_engine.domain.states import OPEN, AttemptState
from sr_engine.domain.status import upgrade_status
from sr_engine.domain.upgrades import Answer, Attempt, Hub, HubUpgrade, Release
from sr_engine.messages.model import Approval, Firmware, Period, UpgradeStatus

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
WINDOW = Period(NOW, NOW + timedelta(days=9))
SPLIT = Hub("00-00-5E-EF-C0-00-00-01", "Commissioned", "North", "2B7E", "C1A20001", "9001", "a", "b")

RELEASE = Release(
    release_id="r",
    firmware=Firmware("2B7E", "C1A20001", "9002"),
    image_hash="AB" * 32,
    status="Open",
    cpl_status="Active",
    management="SupplierManaged",
    regions=frozenset({"North"}),
    general_open=frozenset({"North"}),
    reachable_from=frozenset({"9001"}),
    han_models=frozenset(),
)


def shown(
    state: AttemptState | None, own: Approval | None, other: Approval | None = None, *, until: datetime | None = None
) -> UpgradeStatus:
    """What Supplier `a` sees."""
    answers = {
        name: Answer(approval, "request", None, until)
        for name, approval in (("a", own), ("b", other))
        if approval is not None
    }
    attempt = None if state is None else Attempt(1, state, WINDOW, False, "a", NOW)
    return upgrade_status(HubUpgrade(SPLIT, answers, attempt), RELEASE, "a", NOW)


@pytest.mark.parametrize("state", sorted(OPEN - {AttemptState.AWAITING_APPROVAL}))
@pytest.mark.parametrize("own", [None, *(approval for approval in Approval if approval is not Approval.NONE)])
def test_an_upgrade_under_way_speaks_for_itself(state: AttemptState, own: Approval | None) -> None:
    assert shown(state, own) == state.value


@pytest.mark.parametrize(
    ("own", "status"),
    [
        (None, UpgradeStatus.AWAITING_APPROVAL),
        (Approval.PENDING, UpgradeStatus.AWAITING_APPROVAL),
        (Approval.APPROVED, UpgradeStatus.AWAITING_APPROVAL),
        (Approval.DECLINED, UpgradeStatus.DECLINED),
        (Approval.DEFERRED, UpgradeStatus.DEFERRED),
    ],
)
def test_who_has_said_no_sees_its_own_answer_while_the_other_waits(own: Approval | None, status: UpgradeStatus) -> None:
    assert shown(AttemptState.AWAITING_APPROVAL, own) == status


@pytest.mark.parametrize(
    "state", [AttemptState.ACTIVATED, AttemptState.FAILED, AttemptState.MISSED, AttemptState.VOIDED]
)
@pytest.mark.parametrize("own", [None, Approval.APPROVED, Approval.DECLINED])
def test_how_an_attempt_ended_stands_above_the_answer(state: AttemptState, own: Approval | None) -> None:
    assert shown(state, own) == state.value


@pytest.mark.parametrize("state", [None, AttemptState.CANCELLED])
@pytest.mark.parametrize(
    ("own", "status"), [(Approval.DECLINED, UpgradeStatus.DECLINED), (Approval.DEFERRED, UpgradeStatus.DEFERRED)]
)
def test_after_a_cancelled_attempt_or_none_the_answer_is_shown(
    state: AttemptState | None, own: Approval, status: UpgradeStatus
) -> None:
    assert shown(state, own) == status


@pytest.mark.parametrize(
    ("own", "other", "status"),
    [
        (None, None, UpgradeStatus.NOT_SCHEDULED),
        (None, Approval.APPROVED, UpgradeStatus.NOT_SCHEDULED),
        (Approval.APPROVED, None, UpgradeStatus.AWAITING_APPROVAL),
        (Approval.APPROVED, Approval.DECLINED, UpgradeStatus.AWAITING_APPROVAL),
        (Approval.APPROVED, Approval.APPROVED, UpgradeStatus.NOT_SCHEDULED),
    ],
)
def test_approval_is_awaited_only_while_the_other_side_has_not_given_it(
    own: Approval | None, other: Approval | None, status: UpgradeStatus
) -> None:
    assert shown(None, own, other) == status


def test_a_deferral_ends_at_its_very_moment() -> None:
    assert shown(None, Approval.DEFERRED, until=NOW + timedelta(microseconds=1)) == UpgradeStatus.DEFERRED
    assert shown(None, Approval.DEFERRED, until=NOW) == UpgradeStatus.NOT_SCHEDULED
