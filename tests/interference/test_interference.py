"""What a Supplier sees does not depend on who the other side is, what else it does, or why it stands in the way."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import pytest
from _pytest.mark.structures import ParameterSet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.interference import histories
from tests.interference.conftest import ALL, BASE, CAUSES, ENDINGS, FUTURES, PASTS, SINGLE
from tests.interference.histories import HISTORIES
from tests.interference.play import History, Observed
from tests.interference.random_steps import Step, history_of, steps
from tests.interference.variations import Cause, Future, Past, Variation
from tests.interference.worlds import Worlds

NEAR = 10**4
"""Identifiers are drawn from 10**12 and more: no two in a test are ever as near to each other as this."""

AT_ONCE = {name: one for name, one in CAUSES.items() if one.cause is not Cause.CAPACITY}
AT_LIST_TIME = {name: one for name, one in CAUSES.items() if one.cause is not Cause.PILOT}


def leak(one: Observed, other: Observed) -> str:
    """What of two worlds tells one from the other, as the lines that differ; empty if nothing does."""
    found = list(difflib.unified_diff(_lines(one.seen), _lines(other.seen), n=2, lineterm=""))
    for numbers in ((*one.schedule_ids, *other.schedule_ids), (*one.message_ids, *other.message_ids)):
        found += [f"given out: {low} and {high}" for low, high in pairwise(sorted(numbers)) if high - low < NEAR]
    return "\n".join(found)


def _lines(seen: Iterable[str]) -> list[str]:
    return [line for one in seen for line in one.replace("><", ">\n<").splitlines()]


def compare(worlds: Worlds, history: History, variations: Mapping[str, Variation]) -> None:
    """Every world is as the first."""
    first = worlds.first(history, BASE)
    for name, variation in variations.items():
        assert leak(first, worlds.play(history, variation)) == "", name


def _few(variations: Mapping[str, Variation], *short: str) -> list[ParameterSet]:
    """All as parameters, those not named for the long run only."""
    return [
        pytest.param(one, id=name, marks=() if name in short else pytest.mark.slow) for name, one in variations.items()
    ]


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_who_the_others_are_and_what_else_they_do_is_not_seen(worlds: Worlds, history: History) -> None:
    compare(worlds, history, ALL)


@pytest.mark.slow
@pytest.mark.parametrize("variation", SINGLE.values(), ids=SINGLE)
@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_no_single_thing_about_the_others_is_seen(worlds: Worlds, history: History, variation: Variation) -> None:
    compare(worlds, history, {"": variation})


def test_why_a_hub_is_not_available_is_not_seen(worlds: Worlds) -> None:
    compare(worlds, histories.in_the_way, AT_ONCE)


def test_why_a_hub_was_not_listed_in_time_is_not_seen(worlds: Worlds) -> None:
    compare(worlds, histories.kept_off_the_list, AT_LIST_TIME)


@pytest.mark.parametrize("history", [histories.gone_back, histories.closed_after_going_back])
def test_how_an_answer_came_to_be_pending_again_is_not_seen(worlds: Worlds, history: History) -> None:
    compare(worlds, history, ENDINGS)


@pytest.mark.parametrize("past", _few(PASTS, Past.DECLINED, Past.SCHEDULED, Past.FAILED))
def test_a_supplier_that_gains_a_home_does_not_see_what_was_before(worlds: Worlds, past: Variation) -> None:
    compare(worlds, histories.gained, {"": past})


@pytest.mark.parametrize("future", _few(FUTURES, Future.DECLINED, Future.UPGRADED))
def test_a_supplier_that_loses_a_home_does_not_see_what_is_after(worlds: Worlds, future: Variation) -> None:
    compare(worlds, histories.lost, {"": future})


def test_others_have_a_say_in_which_night_it_is_and_in_nothing_else(worlds: Worlds) -> None:
    alone = worlds.play(histories.crowded, BASE)
    crowded = worlds.play(histories.crowded, CAUSES[Cause.CAPACITY])

    assert "hub_activated" in "".join(alone.seen)
    assert alone.seen != crowded.seen
    assert alone.but_for_the_night() == crowded.but_for_the_night()


@settings(derandomize=True, max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(chosen=steps, variation=st.sampled_from([*ALL.values()]))
def test_nothing_is_seen_in_random_histories(worlds: Worlds, chosen: Sequence[Step], variation: Variation) -> None:
    history = history_of(chosen)
    assert leak(worlds.play(history, BASE), worlds.play(history, variation)) == ""


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(chosen=steps, variation=st.sampled_from([*ALL.values(), *SINGLE.values()]))
def test_nothing_is_seen_in_many_random_histories(worlds: Worlds, chosen: Sequence[Step], variation: Variation) -> None:
    history = history_of(chosen)
    assert leak(worlds.play(history, BASE), worlds.play(history, variation)) == ""


def test_the_histories_cross_every_answer_and_alert_that_may_tell_of_others(worlds: Worlds) -> None:
    told = [
        *(histories.in_the_way, histories.kept_off_the_list, histories.gone_back, histories.gained, histories.lost),
        *HISTORIES.values(),
    ]
    seen = "\n".join(text for history in told for text in worlds.first(history, BASE).seen)

    shown = {
        kind: set(re.findall(pattern, seen))
        for kind, pattern in {
            "code": r"answer \d+ (\w+)",
            "alert": r"alert (\w+)",
            "refusal": r"<sr:(\w+)DeviceIDList>",
            "status": r"<sr:UpgradeStatus>(\w+)",
            "other": r"<sr:OtherSupplierApproval>(\w+)",
        }.items()
    }
    missing = {kind: set(expected.split()) - shown[kind] for kind, expected in EXPECTED.items()}
    assert not any(missing.values()), missing


EXPECTED = {
    "code": "I0 I99 W110501 E110503 E110507 E110508 E110603 E110707 E110807 E110903 E4 E11 E12 E19 E100 E080201",
    "alert": "release_opened release_changed hub_scheduled hub_listed hub_returned hub_delivered hub_activated "
    "hub_failed hub_missed hub_cancelled hub_voided hub_halted hub_resumed window_conflict change_of_supplier "
    "other_supplier_answer_changed",
    "refusal": "NotResponsible NotApplicableFirmware OtherRequestInProgress NotAvailable",
    "status": "NotScheduled AwaitingApproval Scheduled Listed Accepted Delivered Activated Failed Missed Declined "
    "Deferred Cancelled Voided Excluded Halted",
    "other": "None Pending Approved Declined Deferred",
}
