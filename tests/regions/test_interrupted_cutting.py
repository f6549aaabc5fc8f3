"""A night whose cutting is interrupted: it gets as many hubs as it has places, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import time, timedelta
from pathlib import Path

from sqlalchemy import delete, event, insert, text

from sr_engine.messages.model import Decision
from sr_engine.regions.triggers import RegionTriggers
from sr_engine.store.tables import exclusions, trigger_runs
from tests.databases import url_of_instance
from tests.regions.conftest import HOUR, Nights, hubs
from tests.world import A, TestHub, make_world

DAY = timedelta(days=1)


def waiting(nights: Nights, number: int) -> list[TestHub]:
    some = hubs(number)
    nights.world.add_hubs(some)
    nights.schedule(some)
    return some


def begin(nights: Nights) -> None:
    """Plan the first night and cut its first list; then the process that does it stops."""
    nights.world.clock.set(nights.due())
    cutter = replace(nights.cutter, listed_at_once=1, few=1)
    assert nights.world.run(lambda uow: cutter.run(uow, nights.region, nights.due(), nights.period())).more


def test_a_hub_that_may_be_listed_again_takes_no_place_that_the_night_has_not(central: Nights) -> None:
    some = waiting(central, 9)
    central.change(list_size=2, hubs_per_night=6)
    row = {"hub_id": some[4].chf, "organisation": A.name, "set_at": central.due()}
    central.world.run(lambda uow: uow.connection.execute(insert(exclusions), row))
    begin(central)
    central.world.run(lambda uow: uow.connection.execute(delete(exclusions)))

    assert central.cut() == 4

    assert central.states(some).count("Listed") == 6


def test_a_hub_that_the_csp_refused_is_given_no_place_that_another_has_lost(central: Nights) -> None:
    some = waiting(central, 8)
    central.change(list_size=2, hubs_per_night=6)
    begin(central)
    central.acknowledge(central.list_ids()[0], refused={"no radio link": some[:1]})
    central.decide(some[3:4], A, Decision.DECLINE)

    assert central.cut() == 4

    assert central.states(some) == [
        *("Scheduled", "Listed", "Listed", "Cancelled"),
        *("Listed", "Listed", "Listed", "Scheduled"),
    ]


def test_a_server_that_goes_away_in_the_middle_of_a_list_leaves_no_hub_of_it_behind(tmp_path: Path) -> None:
    world = make_world(tmp_path / "instance", database_url=url_of_instance("postgresql"))
    world.open_release()
    central = Nights(world, world.instance.configuration.regions["Central"])
    some = waiting(central, 6)
    central.change(list_size=2)
    world.clock.set(central.due())
    earlier = {"region": "Central", "trigger": "cut", "period_start": central.due() - DAY, "done_at": central.due()}
    world.run(lambda uow: uow.connection.execute(insert(trigger_runs), earlier))
    done: list[str] = []

    @event.listens_for(world.instance.engine, "before_cursor_execute")
    def _cut_off(connection, _cursor, statement, *_rest) -> None:  # type: ignore[no-untyped-def]
        done.append(" ".join(statement.split()[:3]))
        if "INSERT INTO upgrade_lists" in done and done[-1] == "UPDATE attempts SET" and "cut off" not in done:
            done.append("cut off")
            backend = connection.connection.driver_connection.info.backend_pid
            with world.instance.reading_engine.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:backend)"), {"backend": backend})

    cutter = replace(central.cutter, listed_at_once=1, few=1)
    trigger = RegionTriggers(central.region, world.instance.transactions, cutter, central.outcomes, lambda: None)
    asyncio.run(trigger.tick())

    assert "cut off" in done
    assert central.states(some) == ["Listed"] * 6
    assert sorted(hub for one in central.lists() for entry in one.entries for hub in entry.device_ids) == [
        hub.chf for hub in some
    ]
    world.close()


def test_a_night_whose_hours_change_after_its_lists_were_cut_gets_no_second_helping(central: Nights) -> None:
    some = waiting(central, 9)
    central.change(hubs_per_night=4)
    assert central.cut() == 4
    later = (central.due() + HOUR, replace(central.period(), start=central.period().start + HOUR))
    central.change(open_from=time(23))
    assert central.period() == later[1]

    central.world.clock.set(later[0])
    assert central.cut_for(*later) == 0
    central.acknowledge(central.list_ids()[0], refused={"no radio link": some[:1]})
    next_due, next_period = central.due(1), central.period(1)
    central.world.clock.set(next_due)
    assert central.cut_for(next_due, next_period) == 4
