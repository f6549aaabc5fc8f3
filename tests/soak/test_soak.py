"""The machinery of the soak in little: all of it works together, and what is lost is found."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from sr_engine.store.outbox import DELIVERED
from tests.crash.invariants import violations
from tests.soak.__main__ import run
from tests.soak.everything import (
    CHANGES,
    DATED,
    HOOKED_CHANGES,
    LISTS,
    OVER_TLS,
    PRUNED_AFTERWARDS,
    RENEWALS,
    REVOKED,
    TOLD,
)
from tests.soak.report import as_page, write
from tests.soak.stage import Soaked, clock_changes


@pytest.fixture(scope="module")
def soaked(tmp_path_factory: pytest.TempPathFactory) -> Soaked:
    """A quarter of a minute."""
    return run(0.25, seed=1, engine="sqlite", folder=tmp_path_factory.mktemp("soak"), quietly=True)


@pytest.mark.slow
def test_a_short_soak_is_content(soaked: Soaked) -> None:
    assert soaked.objections == []
    assert soaked.exchanges > 50
    assert soaked.kills >= 1
    assert soaked.refused["a wrong signature"]
    assert soaked.used["pages of the console"]
    assert {one.process for one in soaked.sampler.samples} >= {"gateway 1", "worker 1"}


@pytest.mark.slow
def test_everything_is_on_even_in_a_short_soak(soaked: Soaked) -> None:
    on = [CHANGES, TOLD, OVER_TLS, RENEWALS, REVOKED, HOOKED_CHANGES, DATED, PRUNED_AFTERWARDS, LISTS]

    assert [one for one in on if not soaked.parts[one]] == []
    assert all(one.pruned for one in soaked.evidence.stored)


@pytest.mark.slow
def test_what_was_lost_or_doubled_is_found(soaked: Soaked) -> None:
    evidence = soaked.evidence
    # What was queued at the very end may still be on its way.
    (*_, last) = (one for one in evidence.outbox if one.kind == "alert" and one.state == DELIVERED)
    lost = replace(evidence, arrivals=[one for one in evidence.arrivals if one.message_id != last.message_id])
    doubled = replace(evidence, stored=[*evidence.stored, evidence.stored[0]])

    assert any(last.message_id in one for one in violations(lost))
    assert replace(soaked, violations=violations(doubled)).objections


@pytest.mark.slow
def test_a_failure_is_told_on_the_page_and_by_the_verdict(soaked: Soaked, tmp_path: Path) -> None:
    failing = replace(soaked, wrong=["gateway 1 ended with 1 by itself"], statuses=Counter({**soaked.statuses, 500: 2}))

    page, data = write(failing, tmp_path)

    assert "gateway 1 ended with 1 by itself" in page.read_text(encoding="utf-8")
    assert "2 answers were 500" in page.read_text(encoding="utf-8")
    assert json.loads(data.read_text(encoding="utf-8"))["passed"] is False


@pytest.mark.slow
def test_the_page_has_curves_and_needs_nothing_else(soaked: Soaked) -> None:
    page = as_page(soaked)

    assert page.count("<svg") == 4
    for part in page.split("<svg")[1:]:
        ElementTree.fromstring("<svg" + part.partition("</svg>")[0] + "</svg>")
    assert "http://" not in page
    assert "https://" not in page


def test_nights_in_which_the_clocks_change_are_found() -> None:
    found = clock_changes(datetime(2026, 10, 1, tzinfo=UTC), datetime(2027, 4, 10, tzinfo=UTC))

    assert [one.date().isoformat() for one in found] == ["2026-10-25", "2027-03-28"]
    assert clock_changes(datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 3, 27, tzinfo=UTC)) == []
