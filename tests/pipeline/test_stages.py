"""Work in stages: each comes to what it would alone, whoever else is there."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sr_engine.pipeline.stages import Failed, Stages, alone, together


@dataclass(frozen=True)
class Plan:
    """How many stages a work has, and whether it fails in the last."""

    stages: int
    fails: bool


PLANS = st.lists(st.builds(Plan, st.integers(1, 5), st.booleans()), max_size=6)


def work(number: int, plan: Plan, done: list[tuple[int, int]]) -> Stages[str]:
    """Notes stage and number of each stage that is done."""
    for stage in range(plan.stages):
        if stage:
            yield
        done.append((stage, number))
    if plan.fails:
        raise ValueError(f"{number} failed")
    return f"{number} is done"


def alone_or_failed(number: int, plan: Plan) -> str | Failed:
    try:
        return alone(work(number, plan, []))
    except ValueError as error:
        return Failed(error)


@given(plans=PLANS)
def test_each_comes_to_what_it_would_alone(plans: list[Plan]) -> None:
    results = together([work(number, plan, []) for number, plan in enumerate(plans)])

    expected = [alone_or_failed(number, plan) for number, plan in enumerate(plans)]
    assert list(map(repr, results)) == list(map(repr, expected))


@given(plans=PLANS)
def test_each_stage_is_done_for_all_in_their_order_before_the_next(plans: list[Plan]) -> None:
    done: list[tuple[int, int]] = []

    together([work(number, plan, done) for number, plan in enumerate(plans)])

    assert done == sorted((stage, number) for number, plan in enumerate(plans) for stage in range(plan.stages))


def test_what_ends_the_process_is_no_result() -> None:
    def ending() -> Stages[str]:
        yield
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        together([ending()])
