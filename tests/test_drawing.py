"""Identifiers drawn by chance."""

from __future__ import annotations

import random
import uuid
from datetime import timedelta
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from sr_engine.clock import FixedClock
from sr_engine.drawing import identifiers
from tests.world import NOW


@given(st.integers(min_value=1, max_value=300), st.integers())
def test_those_drawn_at_once_are_different_uuids_that_say_when(how_many: int, seed: int) -> None:
    drawn = [uuid.UUID(one) for one in identifiers(FixedClock(NOW), random.Random(seed).randrange, how_many)]

    assert len(set(drawn)) == how_many
    assert {(one.version, one.variant) for one in drawn} == {(7, uuid.RFC_4122)}
    assert {one.int >> 80 for one in drawn} == {int(NOW.timestamp() * 1_000)}


def test_the_least_and_the_greatest_number_that_chance_may_give_are_drawn_in_full() -> None:
    for draw in (lambda _: 0, lambda limit: limit - 1):
        assert {len(one) for one in identifiers(FixedClock(NOW), draw, 3)} == {32}


def test_those_drawn_later_come_after_those_drawn_before() -> None:
    clock = FixedClock(NOW)
    draw = partial(identifiers, clock, random.Random(7).randrange, 50)

    before = draw()
    clock.advance(timedelta(milliseconds=1))

    assert max(before) < min(draw())
