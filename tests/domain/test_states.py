"""Which state may follow which: the table of transitions the product ships."""

from __future__ import annotations

from itertools import product

import pytest

from sr_engine import configuration
from sr_engine.domain.states import OPEN, WITH_CSP, AttemptEvent, AttemptState, Lifecycle
from sr_engine.resources import data_directory

ENDED = frozenset(AttemptState) - OPEN


@pytest.fixture(scope="module")
def lifecycle() -> Lifecycle:
    return configuration.load(data_directory("config")).lifecycle


def follows(lifecycle: Lifecycle) -> set[tuple[AttemptState | None, AttemptState]]:
    """Every pair of states that some event leads through."""
    before: tuple[AttemptState | None, ...] = (None, *AttemptState)
    return {
        (one, after)
        for one, event in product(before, AttemptEvent)
        if (after := lifecycle.after(event, one)) is not None and after is not one
    }


def test_what_has_ended_can_only_be_raised_to_activated(lifecycle: Lifecycle) -> None:
    assert {(before, after) for before, after in follows(lifecycle) if before in ENDED} == {
        (AttemptState.FAILED, AttemptState.ACTIVATED),
        (AttemptState.MISSED, AttemptState.ACTIVATED),
        # Withdrawn by its CSP, and upgraded all the same.
        (AttemptState.CANCELLED, AttemptState.ACTIVATED),
        # Refused by its CSP, made void by a change of Supplier, and upgraded all the same.
        (AttemptState.VOIDED, AttemptState.ACTIVATED),
    }


def test_an_attempt_begins_with_a_suppliers_schedule_or_by_compulsion(lifecycle: Lifecycle) -> None:
    assert {after for before, after in follows(lifecycle) if before is None} == {
        AttemptState.AWAITING_APPROVAL,
        AttemptState.SCHEDULED,
    }


@pytest.mark.parametrize("state", sorted(OPEN))
def test_every_open_attempt_can_come_to_an_end(state: AttemptState, lifecycle: Lifecycle) -> None:
    assert {after for before, after in follows(lifecycle) if before is state} & ENDED >= {AttemptState.MISSED}


def test_only_listing_brings_an_attempt_to_the_csp_and_only_refusal_or_replacement_back(lifecycle: Lifecycle) -> None:
    pairs = follows(lifecycle)
    waiting = OPEN - WITH_CSP

    assert {(b, a) for b, a in pairs if b in waiting and a in WITH_CSP} == {
        (AttemptState.SCHEDULED, AttemptState.LISTED)
    }
    assert {(b, a) for b, a in pairs if b in WITH_CSP and a in waiting} == {
        (AttemptState.LISTED, AttemptState.SCHEDULED),
        (AttemptState.ACCEPTED, AttemptState.SCHEDULED),
    }


def test_no_request_changes_what_is_with_the_csp(lifecycle: Lifecycle) -> None:
    asked_for = {AttemptEvent.AGREED, AttemptEvent.DISAGREED, AttemptEvent.CHANGED, AttemptEvent.TAKEN_BACK}
    for event, state in product(asked_for, WITH_CSP):
        assert lifecycle.after(event, state) is None
