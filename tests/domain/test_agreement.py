"""From answers to the state of an attempt, for every combination of two Suppliers' answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sr_engine.domain.agreement import (
    NO_COMMON_NIGHT,
    NO_SCHEDULE,
    NOBODY,
    NOT_APPROVED,
    TOO_LATE,
    AttemptChange,
    compelled,
    reconcile,
)
from sr_engine.domain.states import AttemptEvent, AttemptState
from sr_engine.domain.upgrades import Answer, Attempt, Hub, HubUpgrade, Schedule
from sr_engine.messages.model import Approval, Period, Phase

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
EARLIER = NOW - timedelta(days=1)
HUB = Hub("00-00-5E-EF-C0-00-00-01", "Commissioned", "North", "2B7E", "C1A20001", "9001", "a", "b")


def days(first: float, last: float) -> Period:
    return Period(NOW + timedelta(days=first), NOW + timedelta(days=last))


def scheduled(organisation: str, window: Period, phase: Phase = Phase.GENERAL, number: int = 1) -> Answer:
    return Answer(Approval.APPROVED, "request", Schedule(number, organisation, window, phase, "request"))


def answered(approval: Approval, until_days: float | None = None) -> Answer:
    until = None if until_days is None else NOW + timedelta(days=until_days)
    return Answer(approval, "request", None, until)


def attempt(state: AttemptState, window: Period, **changes: object) -> Attempt:
    made = Attempt(1, state, window, False, "a", EARLIER, attempt_id=7)
    return replace(made, **changes)  # type: ignore[arg-type]  # names and values stand together in the tests


def settled(upgrade: HubUpgrade, *, night: bool = True, scheduled_anew: bool = False) -> AttemptChange | None:
    return reconcile(upgrade, NOW, lambda _region, _window: night, scheduled_anew=scheduled_anew)


WINDOW = days(5, 20)
ANSWERS: dict[str, Answer | None] = {
    "nothing": None,
    "schedule": scheduled("a", WINDOW),
    "approval": answered(Approval.APPROVED),
    "refusal": answered(Approval.DECLINED),
    "deferral": answered(Approval.DEFERRED, 3),
    "deferral that has run out": answered(Approval.DEFERRED, -1),
}


@pytest.mark.parametrize(("one", "other"), [*product(ANSWERS, ANSWERS)])
def test_a_hub_is_scheduled_when_all_approve_and_one_has_set_a_window(one: str, other: str) -> None:
    answers = {name: answer for name, answer in (("a", ANSWERS[one]), ("b", ANSWERS[other])) if answer is not None}

    change = settled(HubUpgrade(HUB, answers))

    if "schedule" not in {one, other}:
        assert change is None
    elif {one, other} <= {"schedule", "approval"}:
        assert change is not None
        assert (change.attempt.state, change.attempt.reason) == (AttemptState.SCHEDULED, None)
    else:
        assert change is not None
        assert (change.attempt.state, change.attempt.reason) == (AttemptState.AWAITING_APPROVAL, NOT_APPROVED)
    assert change is None or (change.before, change.attempt.number, change.attempt.window) == (None, 1, WINDOW)


@pytest.mark.parametrize(
    ("one", "other", "agreed"),
    [
        (days(5, 20), days(10, 30), days(10, 20)),
        (days(10, 30), days(5, 20), days(10, 20)),
        (days(5, 30), days(10, 20), days(10, 20)),
        (days(5, 10), days(5, 10), days(5, 10)),
        (days(5, 10), days(10, 20), None),
        (days(5, 10), days(12, 20), None),
    ],
)
def test_two_windows_become_what_they_share(one: Period, other: Period, agreed: Period | None) -> None:
    change = settled(HubUpgrade(HUB, {"a": scheduled("a", one), "b": scheduled("b", other, number=2)}))

    assert change is not None
    if agreed is None:
        assert (change.attempt.state, change.attempt.reason) == (AttemptState.AWAITING_APPROVAL, NO_COMMON_NIGHT)
        assert change.conflict
    else:
        assert (change.attempt.state, change.attempt.window) == (AttemptState.SCHEDULED, agreed)
        assert not change.conflict


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"a": scheduled("a", WINDOW), "b": scheduled("b", WINDOW, number=2)}, NO_COMMON_NIGHT),
        ({"a": scheduled("a", WINDOW), "b": answered(Approval.APPROVED)}, TOO_LATE),
    ],
)
def test_an_agreed_window_without_a_night_that_can_be_listed_is_a_conflict(
    answers: dict[str, Answer], reason: str
) -> None:
    change = settled(HubUpgrade(HUB, answers), night=False)

    assert change is not None
    assert (change.attempt.state, change.attempt.reason, change.conflict) == (
        AttemptState.AWAITING_APPROVAL,
        reason,
        True,
    )


def test_what_is_scheduled_for_a_window_stays_so_while_its_nights_go_by() -> None:
    upgrade = HubUpgrade(
        HUB,
        {"a": scheduled("a", WINDOW), "b": answered(Approval.APPROVED)},
        attempt(AttemptState.SCHEDULED, WINDOW),
    )

    assert settled(upgrade, night=False) is None


def test_the_reason_a_csp_gave_stays_until_something_changes() -> None:
    refused = attempt(AttemptState.SCHEDULED, WINDOW, reason="refused by the CSP: no signal")
    upgrade = HubUpgrade(HUB, {"a": scheduled("a", WINDOW), "b": answered(Approval.APPROVED)}, refused)

    assert settled(upgrade) is None


def test_a_known_conflict_is_news_again_only_when_somebody_has_just_scheduled() -> None:
    answers = {"a": scheduled("a", days(5, 10)), "b": scheduled("b", days(12, 20), number=2)}
    first = settled(HubUpgrade(HUB, answers))
    assert first is not None
    upgrade = HubUpgrade(HUB, answers, replace(first.attempt, attempt_id=7))

    assert settled(upgrade) is None
    again = settled(upgrade, scheduled_anew=True)
    assert again is not None
    assert again.conflict
    assert again.attempt == upgrade.attempt


@pytest.mark.parametrize("state", [AttemptState.AWAITING_APPROVAL, AttemptState.SCHEDULED])
def test_without_a_schedule_in_force_an_open_attempt_is_cancelled(state: AttemptState) -> None:
    change = settled(HubUpgrade(HUB, {"a": answered(Approval.DECLINED)}, attempt(state, WINDOW)))

    assert change is not None
    assert (change.before, change.attempt.state, change.attempt.reason) == (
        state,
        AttemptState.CANCELLED,
        NO_SCHEDULE,
    )
    assert change.attempt.attempt_id == 7


@pytest.mark.parametrize("state", [AttemptState.LISTED, AttemptState.ACCEPTED, AttemptState.DELIVERED])
def test_what_is_with_the_csp_is_left_alone_whatever_is_answered(state: AttemptState) -> None:
    for answer in ANSWERS.values():
        answers = {} if answer is None else {"a": answer}

        assert settled(HubUpgrade(HUB, answers, attempt(state, WINDOW))) is None


@pytest.mark.parametrize(
    "state",
    [
        AttemptState.ACTIVATED,
        AttemptState.FAILED,
        AttemptState.MISSED,
        AttemptState.CANCELLED,
        AttemptState.VOIDED,
    ],
)
def test_a_new_schedule_after_an_ended_attempt_opens_the_next_number(state: AttemptState) -> None:
    upgrade = HubUpgrade(
        HUB, {"a": scheduled("a", WINDOW)}, attempt(state, days(1, 2), number=4, list_id="list", period=days(1, 1.3))
    )

    change = settled(upgrade)

    assert change is not None
    assert (change.before, change.attempt.number, change.attempt.attempt_id) == (None, 5, None)
    assert (change.attempt.list_id, change.attempt.period) == (None, None)


@pytest.mark.parametrize(("one", "other"), [*product(Phase, Phase)])
def test_a_hub_is_pilot_if_a_scheduling_supplier_says_so(one: Phase, other: Phase) -> None:
    change = settled(HubUpgrade(HUB, {"a": scheduled("a", WINDOW, one), "b": scheduled("b", WINDOW, other, number=2)}))

    assert change is not None
    assert change.attempt.pilot is (Phase.PILOT in {one, other})


def test_the_schedule_of_a_supplier_that_is_no_longer_responsible_is_not_in_force() -> None:
    upgrade = HubUpgrade(
        HUB, {"z": scheduled("z", WINDOW), "a": answered(Approval.APPROVED), "b": answered(Approval.APPROVED)}
    )

    assert settled(upgrade) is None


def test_settling_twice_changes_nothing_more() -> None:
    for one, other in product(ANSWERS.values(), repeat=2):
        answers = {name: answer for name, answer in (("a", one), ("b", other)) if answer is not None}
        change = settled(HubUpgrade(HUB, answers))
        if change is not None:
            stored = replace(change.attempt, attempt_id=7)
            assert settled(HubUpgrade(HUB, answers, stored)) is None


def test_no_attempt_is_opened_while_the_upgrade_to_another_release_is_under_way() -> None:
    """A schedule that comes back into force with a registration: a hub has one open upgrade at a time."""
    upgrade = HubUpgrade(HUB, {"a": ANSWERS["schedule"], "b": ANSWERS["approval"]})  # type: ignore[dict-item]  # both are there

    assert settled(upgrade) is not None
    assert settled(replace(upgrade, other_release_open=True)) is None


# --- compulsory ------------------------------------------------------------------------------------------------------

COMPULSORY = days(-2, 26)
APPROVED = answered(Approval.APPROVED)


def under_compulsion(upgrade: HubUpgrade, *, night: bool = True) -> AttemptChange | None:
    return compelled(upgrade, COMPULSORY, NOW, lambda _region, _window: night)


def reconciled(upgrade: HubUpgrade, compulsory: Period | None = COMPULSORY) -> AttemptChange | None:
    return reconcile(upgrade, NOW, lambda _region, _window: True, compulsory=compulsory)


@pytest.mark.parametrize("answers", [{}, {"a": answered(Approval.DECLINED)}, {"a": APPROVED, "b": APPROVED}])
def test_a_hub_nobody_has_scheduled_is_compelled_whatever_was_answered(answers: dict[str, Answer]) -> None:
    change = under_compulsion(HubUpgrade(HUB, answers))

    assert change is not None
    assert (change.event, change.before) == (AttemptEvent.COMPELLED, None)
    assert (change.attempt.state, change.attempt.window, change.attempt.compulsory, change.attempt.number) == (
        AttemptState.SCHEDULED,
        COMPULSORY,
        True,
        1,
    )


def test_a_hub_without_any_supplier_is_compelled_on_nobodys_account() -> None:
    change = under_compulsion(HubUpgrade(replace(HUB, electricity=None, gas=None)))

    assert change is not None
    assert (change.attempt.organisation, change.attempt.compulsory) == (NOBODY, True)


def test_an_attempt_that_awaits_approval_is_compelled_and_keeps_its_number() -> None:
    waiting = attempt(AttemptState.AWAITING_APPROVAL, WINDOW, number=3, reason=NOT_APPROVED)

    change = under_compulsion(HubUpgrade(HUB, {"a": scheduled("a", WINDOW)}, waiting))

    assert change is not None
    assert (change.event, change.before) == (AttemptEvent.COMPELLED, AttemptState.AWAITING_APPROVAL)
    assert (change.attempt.attempt_id, change.attempt.number, change.attempt.window) == (7, 3, COMPULSORY)
    assert change.attempt.reason is None


@pytest.mark.parametrize("before", [None, AttemptState.SCHEDULED], ids=["before", "in the compulsory time"])
def test_what_suppliers_agree_wins_over_compulsion(before: AttemptState | None) -> None:
    compulsory = None if before is None else attempt(before, COMPULSORY, compulsory=True)
    upgrade = HubUpgrade(HUB, {"a": scheduled("a", WINDOW), "b": APPROVED}, compulsory)

    change = under_compulsion(upgrade)

    assert change is not None
    assert (change.attempt.window, change.attempt.compulsory) == (WINDOW, False)
    stands = replace(upgrade, attempt=replace(change.attempt, attempt_id=7))
    assert under_compulsion(stands) is None
    assert under_compulsion(stands, night=False) is None


@pytest.mark.parametrize("late", [days(26, 40), days(30, 40)])
def test_a_window_agreed_for_the_time_after_comply_by_is_too_late(late: Period) -> None:
    agreed = HubUpgrade(HUB, {"a": scheduled("a", late), "b": APPROVED}, attempt(AttemptState.SCHEDULED, late))

    change = reconciled(agreed)

    assert change is not None
    assert (change.event, change.attempt.window, change.attempt.compulsory) == (AttemptEvent.CHANGED, COMPULSORY, True)


def test_a_window_that_is_not_agreed_yet_counts_only_up_to_comply_by() -> None:
    asked: list[Period] = []

    def has_period(_region: str, window: Period) -> bool:
        asked.append(window)
        return window == COMPULSORY

    upgrade = HubUpgrade(HUB, {"a": scheduled("a", days(20, 40)), "b": APPROVED})
    change = compelled(upgrade, COMPULSORY, NOW, has_period)

    assert asked == [COMPULSORY, days(20, 26)]
    assert change is not None
    assert change.attempt.compulsory


def test_a_change_of_mind_under_compulsion_leaves_the_hub_planned() -> None:
    agreed = attempt(AttemptState.SCHEDULED, WINDOW)
    declined = HubUpgrade(HUB, {"a": scheduled("a", WINDOW), "b": answered(Approval.DECLINED)}, agreed)

    change = reconciled(declined)

    assert change is not None
    assert (change.event, change.attempt.state, change.attempt.window) == (
        AttemptEvent.CHANGED,
        AttemptState.SCHEDULED,
        COMPULSORY,
    )
    assert change.attempt.state_at == agreed.state_at


@pytest.mark.parametrize(
    ("answers", "event", "state"),
    [
        ({}, AttemptEvent.TAKEN_BACK, AttemptState.CANCELLED),
        ({"a": answered(Approval.DECLINED)}, AttemptEvent.TAKEN_BACK, AttemptState.CANCELLED),
        ({"a": scheduled("a", WINDOW)}, AttemptEvent.DISAGREED, AttemptState.AWAITING_APPROVAL),
        ({"a": scheduled("a", WINDOW), "b": APPROVED}, AttemptEvent.CHANGED, AttemptState.SCHEDULED),
    ],
)
def test_when_compulsion_is_lifted_the_answers_decide_again(
    answers: dict[str, Answer], event: AttemptEvent, state: AttemptState
) -> None:
    planned = HubUpgrade(HUB, answers, attempt(AttemptState.SCHEDULED, COMPULSORY, compulsory=True))

    change = reconciled(planned, None)

    assert change is not None
    assert (change.event, change.attempt.state) == (event, state)
    assert state is AttemptState.CANCELLED or not change.attempt.compulsory


@pytest.mark.parametrize("state", [AttemptState.LISTED, AttemptState.ACCEPTED, AttemptState.DELIVERED])
def test_compulsion_does_not_touch_what_is_with_the_csp(state: AttemptState) -> None:
    assert under_compulsion(HubUpgrade(HUB, {}, attempt(state, WINDOW))) is None


def test_nothing_is_compelled_while_the_upgrade_to_another_release_is_under_way() -> None:
    assert under_compulsion(HubUpgrade(HUB, other_release_open=True)) is None


def test_compulsion_keeps_the_reason_a_csp_gave_for_its_refusal() -> None:
    refused = attempt(AttemptState.SCHEDULED, COMPULSORY, compulsory=True, reason="refused by the CSP: no signal")

    assert under_compulsion(HubUpgrade(HUB, {}, refused)) is None


answers_given = st.dictionaries(
    st.sampled_from(["a", "b"]),
    st.sampled_from([one for one in ANSWERS.values() if one is not None] + [scheduled("b", days(18, 40), number=2)]),
)
earlier_attempts = st.none() | st.builds(
    attempt,
    st.sampled_from(list(AttemptState)),
    st.sampled_from([WINDOW, days(18, 40), days(30, 40)]),
    number=st.integers(1, 3),
)


@given(answers_given, earlier_attempts, st.booleans())
def test_under_compulsion_every_hub_not_with_the_csp_is_scheduled_and_then_stands(
    answers: dict[str, Answer], earlier: Attempt | None, other_open: bool
) -> None:
    upgrade = HubUpgrade(HUB, answers, earlier, other_release_open=other_open and not (earlier and earlier.is_open))

    change = under_compulsion(upgrade)

    after = earlier if change is None else replace(change.attempt, attempt_id=7)
    if upgrade.other_release_open:
        assert change is None
    else:
        assert after is not None
        assert after.state is AttemptState.SCHEDULED or after.with_csp
        assert after.window.start < COMPULSORY.end or after.with_csp
        assert under_compulsion(replace(upgrade, attempt=after)) is None


@given(answers_given, earlier_attempts)
def test_compulsion_that_comes_and_goes_leaves_the_state_that_the_answers_give(
    answers: dict[str, Answer], earlier: Attempt | None
) -> None:
    upgrade = HubUpgrade(HUB, answers, earlier)
    plain = settled(upgrade)
    without = earlier if plain is None else plain.attempt

    came = under_compulsion(upgrade)
    during = upgrade if came is None else replace(upgrade, attempt=replace(came.attempt, attempt_id=7))
    went = reconciled(during, None)
    afterwards = during.attempt if went is None else went.attempt

    if without is None or not without.is_open:
        assert afterwards is not None
        assert not afterwards.is_open
    else:
        assert afterwards is not None
        assert (afterwards.state, afterwards.window, afterwards.pilot, afterwards.compulsory) == (
            without.state,
            without.window,
            without.pilot,
            False,
        )
