"""How far things have come: lists at the CSPs, requests in quarantine, releases in their regions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from sr_engine.domain.holding import Breach, Thresholds
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision, ReportStatus
from sr_engine.operations.quarantine import decide, set_thresholds
from sr_engine.store import csp_exchange, quarantined, under_way
from sr_engine.store.paging import UpTo
from tests.regions.conftest import HOUR, Nights
from tests.world import FIRMWARE, NOW, A, TestHub, World, make_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path / "instance")
    yield world
    world.close()


@pytest.fixture
def looking(world: World) -> Iterator[Connection]:
    """A connection that sees what is there when it is used first."""
    with world.instance.reading_engine.connect() as connection:
        yield connection


def central(world: World) -> Nights:
    return Nights(world, world.instance.configuration.regions["Central"])


# --- CSPs ---


def test_lists_are_shown_newest_first_with_how_far_they_have_come(world: World, looking: Connection) -> None:
    hubs = [TestHub(number) for number in range(1, 4)]
    world.add_hubs(hubs)
    world.open_release()
    night = central(world)
    night.schedule(hubs)
    night.change(list_size=1)
    assert night.cut() == 3
    first, second, third = night.list_ids()
    night.deliver_all()
    delivered_at = world.clock.now()
    night.acknowledge(first, [hubs[0]])
    night.acknowledge(second, refused={"no such hub": [hubs[1]]})

    page = csp_exchange.newest_lists(looking, region="Central", limit=2)
    rest = csp_exchange.newest_lists(looking, region="Central", after=page.after, limit=2)

    assert {line.list_id for line in (*page.rows, *rest.rows)} == {first, second, third}
    assert (len(page.rows), len(rest.rows), rest.after) == (2, 1, None)
    assert csp_exchange.newest_lists(looking, region="North", limit=2).rows == ()
    (waiting,) = csp_exchange.newest_lists(looking, unacknowledged=True, limit=5).rows
    assert waiting.list_id == third
    limit = night.region.acknowledgement_sla
    assert not waiting.is_overdue(limit, delivered_at + limit)
    assert waiting.is_overdue(limit, delivered_at + limit + timedelta(seconds=1))
    assert csp_exchange.overdue_lists(looking, "Central", delivered_at, 5) == UpTo(0)
    assert csp_exchange.overdue_lists(looking, "Central", delivered_at + HOUR, 5) == UpTo(1)
    assert csp_exchange.find(looking, third) == waiting
    assert csp_exchange.standing(looking, first).states == {"Accepted": 1}
    assert csp_exchange.standing(looking, second).states == {}


def test_a_list_whose_hubs_were_given_up_is_not_overdue_any_more(world: World, looking: Connection) -> None:
    world.add_hubs([TestHub(1)])
    world.open_release()
    night = central(world)
    night.schedule([TestHub(1)])
    night.cut()
    night.deliver_all()
    late = world.clock.now() + timedelta(days=60)
    assert night.time_out(late) == 1

    assert csp_exchange.overdue_lists(looking, "Central", late, 5) == UpTo(0)
    (list_id,) = night.list_ids()
    standing = csp_exchange.standing(looking, list_id)
    assert standing.states == {"Missed": 1}
    assert [(state, number) for state, _, number in standing.reasons] == [("Missed", 1)]


def test_hubs_without_a_report_after_their_window_are_counted(world: World, looking: Connection) -> None:
    hubs = [TestHub(1), TestHub(2), TestHub(3)]
    world.add_hubs(hubs)
    world.open_release()
    night = central(world)
    night.schedule(hubs)
    night.cut()
    (list_id,) = night.list_ids()
    night.report(list_id, night.saw(hubs[0], ReportStatus.ACTIVATED))
    ended = night.attempt(hubs[1]).window.end

    assert csp_exchange.overdue_reports(looking, "Central", ended - HOUR, 5) == UpTo(0)
    assert csp_exchange.overdue_reports(looking, "Central", ended, 1) == UpTo(1, more=True)
    assert csp_exchange.overdue_reports(looking, "North", ended, 5) == UpTo(0)


# --- quarantine ---


def test_what_is_in_quarantine_comes_with_the_least_time_left_first(world: World, looking: Connection) -> None:
    hubs = [TestHub(number) for number in range(1, 4)]
    world.add_hubs(hubs)
    world.open_release()
    world.run(lambda uow: set_thresholds(uow, A.eui, Breach.USER, Thresholds(0, None)))
    for hub in hubs:
        assert world.send(A, ApproveCommsHubFirmware(FIRMWARE, Decision.DECLINE, (hub.chf,)), "11.6").code == "I99"
        world.clock.advance(HOUR)

    page = quarantined.lines(looking, limit=2)
    rest = quarantined.lines(looking, after=page.after, limit=2)

    lines = (*page.rows, *rest.rows)
    assert [line.held_at for line in lines] == [NOW, NOW + HOUR, NOW + 2 * HOUR]
    assert {(line.sender_eui, line.breach, line.decided) for line in lines} == {(A.eui, "User", None)}
    assert rest.after is None
    assert quarantined.find(looking, lines[0].event_ref) == lines[0]
    assert quarantined.undecided(looking, 2) == UpTo(2, more=True)
    assert quarantined.waiting(looking, 9) == UpTo(3)
    looking.rollback()
    world.run(lambda uow: decide(uow, lines[0].event_ref, release=True))
    assert quarantined.undecided(looking, 9) == UpTo(2)
    decided = quarantined.find(looking, lines[0].event_ref)
    assert decided is not None
    assert decided.decided == "released"


# --- what is under way ---


def test_attempts_at_a_release_are_counted_by_what_they_have_come_to(world: World, looking: Connection) -> None:
    hubs = [TestHub(number) for number in range(1, 6)]
    world.add_hubs(hubs)
    release_id = world.open_release()
    night = central(world)
    night.schedule(hubs[:4])
    night.cut()
    (list_id,) = night.list_ids()
    night.report(list_id, night.saw(hubs[0], ReportStatus.ACTIVATED), night.saw(hubs[1], ReportStatus.FAILED, "x"))
    night.schedule(hubs[4:])

    found = under_way.attempts_at(looking, release_id, "Central", 2)

    assert (found.scheduled, found.with_csp_or_waiting) == (UpTo(1), UpTo(2, more=True))
    assert found.outcomes == {"Activated": UpTo(1), "Failed": UpTo(1), "Missed": UpTo(0)}
    assert under_way.attempts_at(looking, release_id, "North", 2).scheduled == UpTo(0)
    assert under_way.cutting(looking) == []


def test_a_night_whose_lists_are_being_cut_is_under_way_until_the_last_one(world: World, looking: Connection) -> None:
    world.add_hubs([TestHub(1), TestHub(2)])
    world.open_release()
    night = central(world)
    night.schedule([TestHub(1), TestHub(2)])
    night.change(list_size=1)
    world.clock.set(night.due())
    cutter = replace(night.cutter, listed_at_once=1)
    portion = world.run(lambda uow: cutter.run(uow, night.region, night.due(), night.period()))
    assert (portion.listed, portion.more) == (1, True)

    (found,) = under_way.cutting(looking)

    assert (found.region, found.chosen, found.listed, found.lists) == ("Central", 2, 1, 1)
    looking.rollback()
    assert world.run(lambda uow: cutter.run(uow, night.region, night.due(), night.period())).listed == 1
    assert under_way.cutting(looking) == []
