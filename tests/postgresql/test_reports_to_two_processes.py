"""Reports of CSPs by HTTP to two processes of one instance at once, as the bench sends them."""

from __future__ import annotations

import pytest

from tests.bench import intake


@pytest.mark.slow
def test_reports_that_come_to_two_processes_at_once_are_all_taken_and_every_supplier_is_told_once() -> None:
    # It counts the alerts and the hubs that are Activated, and fails where a report is not taken.
    taken = intake.measure(reports=8, hubs_each=60)

    assert taken.hubs == 480
    assert taken.answered <= taken.queued
