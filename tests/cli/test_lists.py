"""Upgrade lists from the command line."""

from __future__ import annotations

from datetime import timedelta

from sr_engine.bootstrap import list_cutter
from sr_engine.messages.model import Period, Phase, ScheduleCommsHubFirmware
from sr_engine.regions.calendar import cut_time, open_periods
from sr_engine.store.lists import newest_lists
from sr_engine.store.tables import outbox
from tests.cli.conftest import Run
from tests.world import FIRMWARE, A, TestHub, World


def cut(world: World) -> str:
    """Cut a list of two hubs for the first night that can be listed, and let it reach its CSP."""
    hubs, now = [TestHub(1), TestHub(2)], world.clock.now()
    window = Period(now + timedelta(days=5), now + timedelta(days=20))
    world.add_hubs(hubs)
    world.open_release()
    body = ScheduleCommsHubFirmware(FIRMWARE, window, Phase.GENERAL, tuple(hub.chf for hub in hubs))
    assert world.send(A, body, "11.5").code == "I0"
    region = world.instance.configuration.regions["Central"]
    night = next(open_periods(region, window))
    due = cut_time(region, night)
    world.run(lambda uow: list_cutter(world.instance).run(uow, region, due, night))
    delivered = outbox.update().values(state="Delivered", delivered_at=now)
    world.run(lambda uow: uow.connection.execute(delivered))
    with world.instance.reading_engine.connect() as connection:
        return newest_lists(connection, region=None, limit=1)[0].list_id


def test_a_list_is_shown_and_its_csp_asked_to_withdraw_it(run: Run, world: World) -> None:
    list_id = cut(world)
    place = ("--dir", world.directory)

    shown = run("list", "show", "--region", "Central", *place).stdout
    asked = run("list", "withdraw", list_id, "--reason", "a fault", "--hub", TestHub(2).chf, *place)

    assert list_id in shown
    assert asked.stdout == f"the CSP is asked to withdraw 1 hub(s) of list {list_id}\n"
    assert list_id not in run("list", "show", "--region", "North", *place).stdout


def test_what_cannot_be_withdrawn_is_refused_in_words(run: Run, world: World) -> None:
    done = run("list", "withdraw", "nothing", "--reason", "a fault", "--dir", world.directory)

    assert (done.exit_code, done.stderr) == (2, "sr-engine: there is no upgrade list nothing\n")
