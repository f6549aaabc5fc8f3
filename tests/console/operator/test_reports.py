"""Pages that report: the plan, service levels, CSPs, Users and certificates, and what needs attention."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from sr_engine.apart import Say, Work, WorkFailed
from sr_engine.clock import FixedClock
from sr_engine.console.operator.long_looks import LongLooks
from tests.console.desk import Somebody, console_world
from tests.console.operator.busy import Busy, make_busy
from tests.console.operator.office import OperatorFront, found_out
from tests.world import BROKER, FIRMWARE, NOW, A, B


@dataclass
class Looking:
    """An operator who looks at a busy world."""

    front: OperatorFront
    olga: Somebody
    busy: Busy


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looking]:
    front = OperatorFront(console_world(tmp_path_factory.mktemp("busy") / "instance"))
    busy = make_busy(front)
    yield Looking(front, front.olga(), busy)
    front.close()


def test_the_overview_names_what_needs_attention_and_leads_there(looking: Looking) -> None:
    looking.olga.open("/operator")
    assert looking.olga.path == "/console/operator/overview"
    tiles = {
        one.xpath(".//*[@class='tile-name']")[0].text_content(): one.xpath(".//*[@class='tile-value']")[
            0
        ].text_content()
        for one in looking.olga.tree.xpath("//li[contains(@class, 'tile')]")
    }

    assert tiles == {
        "Regions halted": "1",
        "Lists overdue": "0",
        "Hubs without a report": "0",
        "Messages parked": "1",
        "Long lists stuck": "0",
        "Receivers failing": "1",
        "In quarantine": "1",
        "Certificates to renew": "0",
        "Service level breaches": "2",
    }
    assert "5 things need attention" in looking.olga.main
    looking.olga.follow("Messages parked")
    assert "hub_failed" in looking.olga.main


def test_the_plan_is_played_once_and_again_when_asked(looking: Looking) -> None:
    olga = looking.olga
    found_out(olga, "/operator/plan?region=Central")
    assert f"{FIRMWARE.manufacturer} {FIRMWARE.model} {FIRMWARE.version}" in olga.main
    assert "As of 28 Nov 2026" in olga.main
    assert olga.tree.xpath("//main//*[local-name()='svg']")
    looking.front.world.clock.advance(timedelta(minutes=1))
    olga.open("/operator/plan?region=Central")
    assert "03:00" in olga.main

    olga.send("Play it anew")
    found_out(olga, "/operator/plan?region=Central")

    assert "As of 28 Nov 2026, 03:01" in olga.main
    assert olga.open("/operator/plan?region=Atlantis").status_code == 404


def test_a_list_shows_what_became_of_its_hubs(looking: Looking) -> None:
    looking.olga.open("/operator/csp")
    assert "CSP of" in looking.olga.main or "Central" in looking.olga.main
    looking.olga.open(f"/operator/csp/lists/{looking.busy.list_id}")

    assert "Activated" in looking.olga.main
    assert "no image" in looking.olga.main
    looking.olga.follow("request and its signature")
    assert "UpgradeList" in looking.olga.main
    assert looking.olga.open("/operator/csp/lists/nothing").status_code == 404
    assert looking.olga.open("/operator/csp?region=Atlantis").status_code == 404


def test_service_levels_of_a_month_are_charts_with_tables(looking: Looking) -> None:
    found_out(looking.olga, "/operator/levels?month=2026-11")

    assert "Lists acknowledged within the limit" in looking.olga.main
    assert len(looking.olga.tree.xpath("//main//*[local-name()='svg']")) == 3
    assert looking.olga.open("/operator/levels?month=2026-13").status_code == 404
    assert looking.olga.open("/operator/levels/sheet?month=2020-01").status_code == 404


def test_users_and_certificates_say_until_when_they_are_good(looking: Looking) -> None:
    looking.olga.open("/operator/users")
    assert A.eui in looking.olga.main
    assert B.name in looking.olga.main
    looking.olga.open("/operator/certificates")

    assert "The processor signs with a certificate that is valid" in looking.olga.main
    assert BROKER in looking.olga.main
    assert looking.olga.open("/operator/certificates?after=9999").status_code == 404


def test_the_stream_of_a_page_tells_that_something_has_changed(looking: Looking) -> None:
    looking.olga.open("/operator/overview")
    (address,) = looking.olga.tree.xpath("//@data-live-from")
    assert "stamp=" in address
    before = address
    looking.olga.open("/operator/overview")

    assert looking.olga.tree.xpath("//@data-live-from") == [before]


# --- what takes long ---


def looks_of(run: Callable[[Work[object], Say], object]) -> tuple[LongLooks, FixedClock]:
    clock = FixedClock(NOW)
    return LongLooks(run, clock, timedelta(minutes=15)), clock


def test_what_takes_long_is_found_out_once_and_kept_for_a_time() -> None:
    done: list[object] = []

    def run(work: Work[object], say: Say) -> object:
        say("half of it")
        done.append(work(say))
        return len(done)

    async def play() -> None:
        looks, clock = looks_of(run)
        first = looks.look("x", lambda now: lambda _say: now)
        assert (first.result, first.running_since) == (None, NOW)
        assert looks.look("x", lambda now: lambda _say: now).running_since == NOW
        await looks.come_to_rest()
        assert (looks.known("x").result, looks.known("x").at, looks.known("x").running_since) == (1, NOW, None)
        clock.advance(timedelta(minutes=15))
        assert looks.look("x", lambda now: lambda _say: now).running_since is None
        clock.advance(timedelta(seconds=1))
        again = looks.look("x", lambda now: lambda _say: now)
        assert (again.result, again.running_since) == (1, clock.now())
        await looks.come_to_rest()
        assert done == [NOW, clock.now()]

    asyncio.run(play())


def test_what_fails_is_said_and_not_tried_again_at_once() -> None:
    tried: list[int] = []

    def run(_work: Work[object], _say: Say) -> object:
        tried.append(1)
        raise WorkFailed("OperationalError: the disk is gone")

    async def play() -> None:
        looks, _ = looks_of(run)
        looks.look("x", lambda now: lambda _say: now)
        await looks.come_to_rest()
        found = looks.look("x", lambda now: lambda _say: now)
        assert (found.failed, found.running_since) == ("OperationalError: the disk is gone", None)
        assert looks.look("x", lambda now: lambda _say: now, anew=True).running_since == NOW
        await looks.come_to_rest()

    asyncio.run(play())
    assert tried == [1, 1]
