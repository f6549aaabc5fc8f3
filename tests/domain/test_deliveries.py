"""What may become of the firmware for a device, whatever the order in which a CSP says so."""

from __future__ import annotations

from itertools import permutations

import pytest

from sr_engine.domain.deliveries import OPEN_DELIVERIES, DeliveryState, may_become

_RANK = {
    DeliveryState.LISTED: 0,
    DeliveryState.ACCEPTED: 1,
    DeliveryState.MISSED: 2,
    DeliveryState.REFUSED: 3,
    DeliveryState.FAILED: 3,
    DeliveryState.DELIVERED: 4,
}


@pytest.mark.parametrize("before", DeliveryState)
@pytest.mark.parametrize("after", [state for state in DeliveryState if state is not DeliveryState.LISTED])
def test_nothing_lowers_what_was_reached_and_nothing_happens_twice(before: DeliveryState, after: DeliveryState) -> None:
    if may_become(before, after):
        assert _RANK[before] < _RANK[after]


def test_once_delivered_is_the_end_whatever_else_is_said_in_whatever_order() -> None:
    news = [DeliveryState.ACCEPTED, DeliveryState.FAILED, DeliveryState.DELIVERED, DeliveryState.MISSED]
    for order in permutations(news):
        state = DeliveryState.LISTED
        for one in order:
            state = one if may_become(state, one) else state
        assert state is DeliveryState.DELIVERED


def test_only_what_waits_for_the_csp_can_be_missed_or_refused() -> None:
    for state in DeliveryState:
        assert may_become(state, DeliveryState.MISSED) == (state in OPEN_DELIVERIES)
        assert may_become(state, DeliveryState.REFUSED) == (state in OPEN_DELIVERIES)
