"""One User at ten times its allocation, another at its normal rate: the second does not feel it (FACTS RQ28, CP8)."""

from __future__ import annotations

import pytest

from tests.bench.burst import ALLOCATION, measure

SECONDS = 6


@pytest.mark.slow
def test_a_burst_of_one_user_slows_no_other_down_and_costs_it_no_answer() -> None:
    burst = measure(SECONDS)

    assert set(burst.alone.statuses) == {200}
    assert set(burst.beside.statuses) == {200}
    assert set(burst.bursting.statuses) == {200, 503}
    assert burst.bursting.statuses[200] >= ALLOCATION * SECONDS
    # Half of the time after which a client gives up: this machine may be doing other things besides.
    assert burst.beside.p99 < 1.5
