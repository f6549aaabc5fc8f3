"""The triggers of the regions: each hub is listed once, however unevenly the clock is looked at."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_engine.application import application
from sr_engine.bootstrap import triggers as all_triggers
from sr_engine.domain.states import AttemptState
from sr_engine.messages.model import Period, ReportStatus
from sr_engine.regions.calendar import cut_time
from sr_engine.regions.triggers import Housekeeping, RegionTriggers
from sr_engine.store.tables import list_runs
from sr_engine.store.units_of_work import UnitOfWork
from tests.regions.conftest import HOUR, Nights, hubs
from tests.world import NOW, WINDOW, A, B, TestHub, World, edit, make_world, reopen

MINUTE = timedelta(minutes=1)


def triggers(nights: Nights) -> RegionTriggers:
    transactions = nights.world.instance.transactions
    return RegionTriggers(nights.region, transactions, nights.cutter, nights.outcomes, lambda: None)


NO_ROOM = "a list must have room for at least one hub, but the list size is 0"


def look(nights: Nights, *moments: datetime) -> None:
    """Let the region look for what is due at each of these moments."""

    async def run() -> None:
        for moment in moments:
            nights.world.clock.set(moment)
            await triggers(nights).tick()

    asyncio.run(run())


def damage(nights: Nights, night: Period) -> None:
    """Have a night begun by a run of which nothing can be read."""
    damaged = {"region": nights.region.name, "period_start": night.start, "planned_at": NOW, "plan": "{", "places": 1}
    nothing = {"chosen": 0, "left_out": 0, "lists": 0, "hubs": 0, "filling": False}
    nights.world.execute(list_runs.insert().values(**damaged, **nothing))


def times_listed(nights: Nights) -> Counter[str]:
    return Counter(hub_id for one in nights.lists() for entry in one.entries for hub_id in entry.device_ids)


def test_the_first_look_of_a_new_instance_cuts_nothing_for_a_night_that_has_begun(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub])

    look(central, central.period().start + MINUTE)

    assert all(entry.period.start > central.period().start for one in central.lists() for entry in one.entries)


def test_the_first_look_of_a_new_instance_cuts_what_fell_due_since_it_was_agreed(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub])

    look(central, central.due() + MINUTE)

    assert [entry.period for one in central.lists() for entry in one.entries] == [central.period()]


def test_a_list_is_cut_at_the_first_look_at_or_after_its_time(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub])

    look(central, NOW, central.due() - MINUTE)
    assert central.lists() == []
    look(central, central.due())
    assert [entry.period for one in central.lists() for entry in one.entries] == [central.period()]


def test_after_a_stop_of_days_nights_gone_by_are_named_and_hubs_are_listed_for_the_next(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub])
    look(central, NOW)

    restarted = Nights(reopen(central.world), central.region)
    look(restarted, central.period(2).start + HOUR)

    (message,) = restarted.lists()
    assert message.entries[0].period == central.period(3)
    said = restarted.said("cut")
    assert ["not cut" in one for one in said] == [True, True, True, False]
    assert "min late" in said[3]
    restarted.world.close()


@settings(max_examples=8, deadline=None)
@given(steps=st.lists(st.sampled_from([1, 7, 55, 60 * 5, 60 * 26, 60 * 24 * 4]), min_size=1, max_size=12))
def test_uneven_looks_and_long_stops_list_no_hub_twice_and_leave_none_behind(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int]
) -> None:
    world = make_world(tmp_path_factory.mktemp("uneven") / "instance")
    world.open_release()
    central = Nights(world, world.instance.configuration.regions["Central"])
    five = hubs(5)
    world.add_hubs(five)
    central.schedule(five)
    central.change(hubs_per_night=2)

    moments = [NOW]
    for minutes in steps:
        moments.append(moments[-1] + minutes * MINUTE)
    look(central, *moments)
    look(central, *(moments[-1] + timedelta(hours=n) for n in range(1, 24 * 22, 24)))

    counted = times_listed(central)
    assert set(counted.values()) <= {1}
    unlisted = [hub for hub in five if not counted[hub.chf]]
    # Only a night that nobody looked at in time may leave a hub behind, and then its Supplier is told.
    assert all(central.attempt(hub).state is AttemptState.MISSED for hub in unlisted)
    if max(steps) < 60 * 24:
        assert unlisted == []
    entries = [entry for one in central.lists() for entry in one.entries]
    per_night = Counter(entry.period for entry in entries for _ in entry.device_ids)
    assert max(per_night.values(), default=0) <= 2
    world.close()


def test_two_regions_are_cut_independently_of_each_other(central: Nights) -> None:
    world = central.world
    north = Nights(world, world.instance.configuration.regions["North"])
    here, there = TestHub(1), TestHub(2, region="North")
    world.add_hubs([here, there])
    central.schedule([here, there])
    look(central, NOW)
    look(north, NOW)

    look(central, central.due())
    assert (len(central.lists()), len(north.lists())) == (1, 0)
    look(north, central.due())
    assert (len(central.lists()), len(north.lists())) == (1, 1)
    assert (times_listed(central), times_listed(north)) == ({here.chf: 1}, {there.chf: 1})


def test_a_region_whose_cut_fails_leaves_it_due_and_the_other_regions_go_on(central: Nights) -> None:
    world = central.world
    south = Nights(world, world.instance.configuration.regions["South"])
    here, there = TestHub(1), TestHub(2, region="South")
    world.add_hubs([here, there])
    central.schedule([here, there])
    look(central, NOW)
    look(south, NOW)

    broken = Nights(world, central.region)
    broken.change(list_size=0)
    with pytest.raises(ExceptionGroup) as failed:
        look(broken, central.due())
    assert {str(one) for one in failed.value.exceptions} == {NO_ROOM}
    look(south, central.due())
    assert (central.states([here, there])) == ["Scheduled", "Listed"]

    look(central, central.due() + HOUR)
    assert times_listed(central) == {here.chf: 1}


def test_a_night_that_cannot_be_planned_keeps_no_other_from_being_cut_and_is_cut_once_it_can_be(
    central: Nights,
) -> None:
    two = hubs(2)
    central.world.add_hubs(two)
    central.schedule(two)
    central.change(hubs_per_night=1)
    look(central, NOW)
    first, second = central.period(0), central.period(1)
    damage(central, first)

    with pytest.raises(ValueError, match="Expecting property name"):
        look(central, cut_time(central.region, second))
    assert [entry.period for one in central.lists() for entry in one.entries] == [second]

    central.world.execute(list_runs.delete().where(list_runs.c.period_start == first.start))
    look(central, cut_time(central.region, second) + HOUR)
    assert [entry.period for one in central.lists() for entry in one.entries] == [second, first]
    assert times_listed(central) == {hub.chf: 1 for hub in two}


def test_a_night_that_could_never_be_planned_is_over_once_it_has_begun(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub])
    look(central, NOW)
    first = central.period(0)
    damage(central, first)
    with pytest.raises(ValueError, match="Expecting property name"):
        look(central, central.due())
    assert central.said("cut") == []

    look(central, first.start, first.start + HOUR, central.due(3))
    over = f"Central: lists for {first.start:%Y-%m-%dT%H:%MZ} to {first.end:%Y-%m-%dT%H:%MZ} cut"
    (said,) = [one for one in central.said("cut") if one.startswith(over)]
    assert said.endswith("0 hubs listed, no more, for the period has begun")
    assert times_listed(central) == {hub.chf: 1}


def test_a_look_times_out_windows_and_chases_lists(central: Nights) -> None:
    on_list, unlisted = TestHub(1), TestHub(2, gas=B.name)
    central.world.add_hubs([on_list, unlisted])
    central.schedule([on_list, unlisted])
    look(central, NOW, central.due())
    central.deliver_all()

    look(central, central.due() + central.region.acknowledgement_sla)
    assert len(central.said("chase")) == 1

    central.report(central.list_ids()[0], central.saw(on_list, ReportStatus.ACTIVATED))
    # Nobody looks until the windows are over.
    look(central, WINDOW.end + HOUR)
    assert central.states([on_list, unlisted]) == ["Activated", "Missed"]


def test_every_region_of_an_instance_has_its_triggers(world: World) -> None:
    made = all_triggers(world.instance, lambda: None)

    assert [one.name for one in made] == ["every region", *world.instance.configuration.regions]


def test_a_served_instance_looks_by_itself(tmp_path: Path) -> None:
    """The real ticker, at its real interval of a second, on a clock that stands at the time of the cut."""

    def fast(directory: Path) -> None:
        edit(directory / "config" / "policy.toml", "tick_seconds = 30", "tick_seconds = 1")

    world = make_world(tmp_path / "instance", prepare=fast)
    world.open_release()
    central = Nights(world, world.instance.configuration.regions["Central"])
    (hub,) = hubs(1)
    world.add_hubs([hub])
    central.schedule([hub], A)
    look(central, NOW)
    world.clock.set(central.due())

    async def serve() -> None:
        app = application(world.instance)
        async with app.router.lifespan_context(app), asyncio.timeout(90):
            while not central.lists():  # noqa: ASYNC110 - what is waited for is in the database
                await asyncio.sleep(0.02)

    asyncio.run(serve())

    assert times_listed(central) == {hub.chf: 1}
    world.close()


def test_what_fails_beside_the_lists_keeps_none_of_them_back_and_is_said(central: Nights) -> None:
    on_list, unlisted = TestHub(1), TestHub(2, gas=B.name)
    central.world.add_hubs([on_list, unlisted])
    central.schedule([on_list, unlisted])
    look(central, NOW)

    def fails(_uow: UnitOfWork) -> bool:
        raise RuntimeError("beside")

    central.world.clock.set(central.due())
    with pytest.raises(RuntimeError, match="beside"):
        asyncio.run(replace(triggers(central), beside=[fails]).tick())
    assert central.states([on_list, unlisted]) == ["Listed", "AwaitingApproval"]


def test_what_must_be_done_before_lists_keeps_them_back_if_it_fails_and_windows_end_all_the_same(
    central: Nights,
) -> None:
    ready, waiting = TestHub(1), TestHub(2, gas=B.name)
    central.world.add_hubs([ready, waiting])
    central.schedule([ready], window=replace(WINDOW, end=WINDOW.end + timedelta(days=9)))
    central.schedule([waiting])
    look(central, NOW)

    def fails(_uow: UnitOfWork) -> bool:
        raise RuntimeError("before")

    central.world.clock.set(WINDOW.end)
    with pytest.raises(RuntimeError, match="before"):
        asyncio.run(replace(triggers(central), chores=[fails]).tick())
    assert central.states([ready, waiting]) == ["Scheduled", "Missed"]


def test_a_chore_that_fails_keeps_none_of_the_others_back(world: World) -> None:
    done: list[str] = []

    def chore(name: str) -> Callable[[UnitOfWork], bool]:
        def run(_uow: UnitOfWork) -> bool:
            if name.startswith("bad"):
                raise RuntimeError(name)
            done.append(name)
            return False

        return run

    chores = [chore("bad 1"), chore("good 1"), chore("bad 2"), chore("good 2")]
    with pytest.raises(ExceptionGroup) as failed:
        asyncio.run(Housekeeping("every region", world.instance.transactions, chores, lambda: None).tick())

    assert done == ["good 1", "good 2"]
    assert [str(one) for one in failed.value.exceptions] == ["bad 1", "bad 2"]
