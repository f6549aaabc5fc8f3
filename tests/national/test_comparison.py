"""The models, on numbers that can be followed by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from sr_engine.national.comparison import Carried, Case, Group, Regime, model, share_out
from sr_engine.national.parameters import Channel, Parameters
from sr_engine.national.results import Costs, Result, costs_of, quantile

IDEAL = Channel(
    name="ideal",
    hubs_per_item=100,
    items_per_day=1_000,
    days_to_plan=0,
    days_to_match=0,
    unmatched=0,
    wrong=0,
    days_to_hear=0,
    messages_per_item=2,
    messages_per_hub=3,
    messages_per_split_hub=5,
    summary_every_days=0,
    supplier_minutes=6,
    dcc_minutes=0,
    exception_minutes=0,
    message_cost=0.5,
    set_up_cost=1_000,
)
"""Does everything at once and without a mistake."""


def case(*groups: Group, capacity: int = 10, reluctant: int = 0, excluded: int = 0, answers: int = 0) -> Case:
    """One region that is open every night."""
    return Case(
        nights={"Central": list(range(60))},
        capacity={"Central": capacity},
        list_size={"Central": 100},
        agreed=list(groups),
        reluctant={"Central": reluctant},
        excluded={"Central": excluded},
        answers={"small": answers},
        notice_days=30,
        lead_days=10,
        comply_by_day=50,
    )


@pytest.fixture
def faultless(parameters: Parameters) -> Parameters:
    """CSPs that do all they should; the first General wave begins on day 15 and has 7 days."""
    csp = replace(parameters.csp, refuse=0, fail=0, lose=0, report_size=100)
    return replace(parameters, csp=csp)


def group(supplier: str, hubs: int, *, wave: int = 1, split: bool = False) -> Group:
    return Group("Central", supplier, wave, split, hubs)


def play(parameters: Parameters, what: Case, regime: Regime = Regime.VOLUNTARY, channel: Channel = IDEAL) -> Result:
    return model("a model", what, parameters, regime, channel)


def test_a_wave_that_fits_is_done_night_by_night_within_capacity(faultless: Parameters) -> None:
    result = play(faultless, case(group("small", 25)))
    assert result.by_day == {15: 10, 16: 10, 17: 5}
    assert (result.upgraded, result.days, result.misses, result.failures) == (25, 17, 0, 0)
    # From the start of the wave on day 15 to the mornings after: 18 hours, and one and two days more.
    assert result.waits["small"] == {18: 10, 42: 10, 66: 5}
    assert result.wait_days(50) == 42 / 24
    # One request and its answer; each night a list, its acknowledgement and two reports; three alerts a hub.
    assert result.messages == 2 + 3 * 4 + 25 * 3
    assert result.items == 1
    # Setting up costs 1,000 for a hundred thousand hubs, of which these are a small part.
    assert result.costs.total == pytest.approx(
        1_000 * 25 / 100_000 + result.messages * 0.5 + 6 / 60 * faultless.costs.hour
    )
    assert result.cost_per_hub == pytest.approx(result.costs.total / 25)


def test_both_suppliers_of_a_split_home_are_told_and_of_one_another(faultless: Parameters) -> None:
    alone, split = play(faultless, case(group("small", 10))), play(faultless, case(group("small", 10, split=True)))
    assert split.by_day == alone.by_day
    assert split.messages == alone.messages + 10 * 3 + 10 * 5


def test_suppliers_share_a_night_in_proportion_to_what_they_have_waiting(faultless: Parameters) -> None:
    result = play(faultless, case(group("large", 48), group("small", 12)))
    assert result.waits["large"][18] == 8
    assert result.waits["small"][18] == 2
    assert result.by_day == dict.fromkeys(range(15, 21), 10)


def test_what_does_not_fit_its_window_is_missed_and_sent_again(faultless: Parameters) -> None:
    # Seven nights of ten places; the rest is heard of on day 22, sent on day 23, and waits from day 15 all the same.
    result = play(faultless, case(group("small", 75)))
    assert result.misses == 5
    assert result.by_day[23] == 5
    assert result.waits["small"][8 * 24 + 18] == 5
    assert result.items == 2


def test_after_the_last_attempt_hubs_are_given_up_unless_the_upgrade_is_compulsory(faultless: Parameters) -> None:
    what = case(group("small", 30), capacity=2)
    voluntary = play(faultless, what)
    assert voluntary.upgraded == 28
    assert voluntary.misses == 16 + 2
    mandatory = play(faultless, what, Regime.MANDATORY)
    assert mandatory.upgraded == 30
    assert mandatory.days >= 40


def test_compulsion_spreads_the_remaining_hubs_over_the_nights_before_comply_by(faultless: Parameters) -> None:
    result = play(faultless, case(group("small", 10), reluctant=20, excluded=5), Regime.MANDATORY)
    assert result.hubs == 35
    assert result.by_day == {15: 10} | dict.fromkeys(range(40, 50), 2)


def test_nothing_upgrades_hubs_that_are_kept_out(faultless: Parameters) -> None:
    for regime in Regime:
        assert play(faultless, case(group("small", 10), excluded=5), regime).upgraded == 10


def test_the_dcc_begins_after_its_notice_and_asks_nobody(faultless: Parameters) -> None:
    result = play(faultless, case(group("small", 30), reluctant=10, answers=4), Regime.DCC_MANAGED)
    assert min(result.by_day) == 30
    assert result.by_day == dict.fromkeys(range(30, 50), 2)
    assert result.items == 1, "only its exclusions"


def test_failures_are_a_share_of_all_and_are_sent_again_once(faultless: Parameters) -> None:
    failing = replace(faultless, csp=replace(faultless.csp, fail=10))
    result = play(failing, case(group("small", 20)))
    # One hub a night fails, is heard of on the next day and sent on the one after.
    assert result.by_day == {15: 9, 16: 9, 17: 1, 18: 1}
    assert (result.failures, result.upgraded) == (2, 20)


def test_a_slow_channel_costs_days_mistakes_and_split_homes(faultless: Parameters) -> None:
    slow = replace(
        IDEAL, items_per_day=1, hubs_per_item=10, days_to_plan=20, days_to_match=5, unmatched=50, wrong=10,
        messages_per_hub=0, messages_per_split_hub=0, summary_every_days=7,
    )  # fmt: skip
    result = play(faultless, case(group("small", 10), group("small", 4, split=True)), channel=slow)
    # Two items, one a day from day 5 on, so that all can be planned on day 26; half of the split homes are matched by
    # day 31. The hub of a mistake on day 26 is sent again on day 28.
    assert result.by_day == {26: 9, 31: 2, 48: 1}
    assert result.misses == 1
    assert result.upgraded == 12
    # Two items and one again, answered; lists and reports of three nights; a summary a week to each of three Suppliers.
    assert result.messages == 3 * 2 + 3 * 4 + 3 * -(-result.days // 7)


def test_the_pilot_goes_first_and_the_rest_waits_for_the_gate(faultless: Parameters) -> None:
    result = play(faultless, case(group("small", 3, wave=0), group("small", 5)))
    # The pilot begins on day 6; its window ends on day 11, three days of reports and one of soak follow.
    assert result.by_day == {6: 3, 15: 5}


def test_percentages_of_small_numbers_add_up() -> None:
    carried = Carried(2.5)
    assert sum(carried.of(7) for _ in range(40)) == 7
    assert Carried(100).of(3) == 3
    assert Carried(0).of(3) == 0


def test_places_are_shared_by_largest_remainder() -> None:
    assert share_out(10, {"a": 5, "b": 4}) == {"a": 5, "b": 4}
    assert share_out(10, {"a": 50, "b": 25, "c": 25}) == {"a": 5, "b": 3, "c": 2}
    assert share_out(0, {"a": 5}) == {"a": 0}


def test_quantiles_are_values_that_were_counted() -> None:
    assert quantile(Counter({1: 50, 2: 40, 9: 10}), 50) == 1
    assert quantile(Counter({1: 50, 2: 40, 9: 10}), 90) == 2
    assert quantile(Counter({1: 50, 2: 40, 9: 10}), 91) == 9
    assert quantile(Counter(), 50) == 0


def test_costs_are_set_up_messages_and_work(faultless: Parameters) -> None:
    channel = replace(IDEAL, supplier_minutes=10, dcc_minutes=20, exception_minutes=3)
    priced = replace(faultless, costs=replace(faultless.costs, hour=60))
    result = Result("", False, 50_000, messages=100, items=4, misses=3, failures=2)
    assert costs_of(channel, priced, result) == Costs(set_up=500, messages=50, work=4 * 30 + 5 * 3)
    assert costs_of(channel, priced, replace(result, hubs=10**7)).total == pytest.approx(1_000 + 50 + 4 * 30 + 5 * 3)
