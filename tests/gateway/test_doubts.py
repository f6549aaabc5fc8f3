"""From where requests come in a User's name that it has not signed."""

from __future__ import annotations

from sr_engine.gateway.doubts import Doubts
from tests.gateway.test_fairness import Hand

HERE, THERE = "192.0.2.1", "192.0.2.2"
A, B = "00-00-5E-EF-10-00-00-A1", "00-00-5E-EF-10-00-00-A2"


def after(failures: int, hand: Hand) -> Doubts:
    doubts = Doubts(3, hand)
    for _ in range(failures):
        doubts.count(HERE, A)
    return doubts


def test_a_mistake_or_two_are_no_reason_to_doubt() -> None:
    assert not after(2, Hand()).of(HERE, A)


def test_many_put_one_address_in_doubt_in_one_name_and_nobody_else() -> None:
    doubts = after(3, Hand())

    assert doubts.of(HERE, A)
    assert not doubts.of(THERE, A)
    assert not doubts.of(HERE, B)


def test_whoever_goes_on_stays_in_doubt_and_whoever_stops_is_believed_again() -> None:
    hand = Hand()
    doubts = after(100, hand)
    hand.seconds += 8
    assert doubts.of(HERE, A), "what was sent goes beyond ten seconds of mistakes"
    hand.seconds += 2
    assert not doubts.of(HERE, A)


def test_what_is_over_is_forgotten() -> None:
    hand = Hand()
    doubts = Doubts(3, hand)
    for number in range(1_000):
        doubts.count(f"2001:db8::{number:x}", A)
    hand.seconds += 60
    doubts.count(HERE, A)

    assert len(doubts) == 1
