"""The fuzzer would notice: what it judges by knows a good message from a stranger."""

from __future__ import annotations

import random

import pytest

from fixtures.attacking.craft import EVIL, REQUEST, sign
from tests.fuzz.judge import Finding, Judge, seeds
from tests.fuzz.mutations import mutate


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge.of_fixtures()


def test_an_authentic_message_that_is_not_known_is_a_finding(judge: Judge) -> None:
    with pytest.raises(Finding, match="not known"):
        judge.judge(sign(EVIL).encode())


def test_a_known_message_that_would_be_read_otherwise_is_a_finding(judge: Judge) -> None:
    deceived = Judge(judge.verifier, judge.duis, judge.csp, dict.fromkeys(judge.known, "something else"))

    with pytest.raises(Finding, match="says something else"):
        deceived.judge(sign(REQUEST).encode())


def test_a_known_message_is_authentic_and_every_seed_has_an_outcome(judge: Judge) -> None:
    assert judge.judge(sign(REQUEST).encode()) == "authentic"
    assert {judge.judge(path.read_bytes()) for path in seeds()} == {
        "authentic",
        "authentic, not valid",
        "DocumentRefused",
        "ProfileRefused",
        "NotAuthenticated",
    }


def test_mutations_change_a_message_and_some_of_them_leave_it_authentic(judge: Judge) -> None:
    signed = sign(REQUEST).encode()
    outcomes = [judge.judge(mutate(signed, random.Random(seed).randrange)) for seed in range(1500)]

    assert {"authentic", "DocumentRefused", "ProfileRefused", "NotAuthenticated"} <= set(outcomes)
    assert outcomes.count("authentic") < 150
