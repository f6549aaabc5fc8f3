"""Which state may follow which."""

from __future__ import annotations

from itertools import product

import pytest

from sr_engine.domain.states import NEXT, OPEN, WITH_CSP, AttemptState, may_follow

ENDED = frozenset(AttemptState) - OPEN


def test_every_state_says_what_may_follow() -> None:
    assert set(NEXT) == set(AttemptState)


def test_what_has_ended_can_only_be_raised_to_activated() -> None:
    for before, after in product(ENDED, AttemptState):
        if may_follow(before, after):
            assert before in {AttemptState.FAILED, AttemptState.MISSED}
            assert after is AttemptState.ACTIVATED


def test_nothing_follows_itself_or_precedes_the_beginning() -> None:
    for state in AttemptState:
        assert not may_follow(state, state)
    assert {before for before in AttemptState if may_follow(before, AttemptState.AWAITING_APPROVAL)} == {
        AttemptState.SCHEDULED
    }


@pytest.mark.parametrize("state", sorted(OPEN))
def test_every_open_attempt_can_come_to_an_end(state: AttemptState) -> None:
    assert any(may_follow(state, after) for after in ENDED)
    assert may_follow(state, AttemptState.MISSED)


def test_only_listing_brings_an_attempt_to_the_csp_and_only_its_refusal_back() -> None:
    into = {(b, a) for b, a in product(OPEN - WITH_CSP, WITH_CSP) if may_follow(b, a)}
    out = {(b, a) for b, a in product(WITH_CSP, OPEN - WITH_CSP) if may_follow(b, a)}

    assert into == {(AttemptState.SCHEDULED, AttemptState.LISTED)}
    assert out == {(AttemptState.LISTED, AttemptState.SCHEDULED)}
