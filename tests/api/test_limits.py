"""How much one token may ask for."""

from __future__ import annotations

import pytest

from sr_engine.api.limits import Rates, Reads, Waiting
from sr_engine.api.problems import Problem


class Time:
    """A clock that stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_let_through_and_then_as_much_as_the_rate_allows() -> None:
    time = Time()
    rates = Rates(60, 3, time)

    burst = [rates.count("token").allowed for _ in range(5)]
    refused = rates.count("token")
    time.now += 1.5
    later = [rates.count("token").allowed for _ in range(2)]

    assert burst == [True, True, True, False, False]
    assert (refused.allowed, refused.remaining, refused.retry_after) == (False, 0, 1)
    assert later == [True, False]


def test_one_token_uses_up_nothing_of_anothers() -> None:
    rates = Rates(60, 1, Time())

    assert [rates.count(name).allowed for name in ("a", "a", "b")] == [True, False, True]


def test_one_caller_leaves_a_place_to_the_others() -> None:
    reads = Reads(3)
    with reads.place("a"), reads.place("a"):
        with pytest.raises(Problem, match="too much is being read"), reads.place("a"):
            pass
        with reads.place("b"), pytest.raises(Problem), reads.place("c"):
            pass
    with reads.place("a"):
        pass


def test_so_many_wait_for_changes_and_no_more() -> None:
    waiting = Waiting(3, 2)
    with waiting.place("a"), waiting.place("a"):
        with pytest.raises(Problem, match="no more than 2"), waiting.place("a"):
            pass
        with waiting.place("b"), pytest.raises(Problem), waiting.place("c"):
            pass
