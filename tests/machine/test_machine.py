"""The whole product against a plain model of its rules, for random histories."""

from __future__ import annotations

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.machine import Machine
from tests.machine.profiles import LONG, SHORT


def test_whatever_happens_the_product_agrees_with_the_model() -> None:
    run_state_machine_as_test(Machine, settings=SHORT)


@pytest.mark.slow
def test_whatever_happens_for_long_the_product_agrees_with_the_model() -> None:
    run_state_machine_as_test(Machine, settings=LONG)
