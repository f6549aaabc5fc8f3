"""Upgrade lists from the command line."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from sr_engine.bootstrap import list_cutter, outcomes_of
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import Period, Phase, ScheduleCommsHubFirmware, UpgradeListAcknowledgement
from sr_engine.regions.calendar import cut_time, open_periods
from sr_engine.store.lists import newest_lists
from sr_engine.store.tables import list_withdrawals, outbox
from tests.cli.conftest import Run
from tests.world import BROKER, FIRMWARE, A, TestHub, World


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


def test_lists_of_a_region_that_there_is_not_are_not_taken_for_none(run: Run, world: World) -> None:
    done = run("list", "show", "--region", "central", "--dir", world.directory)

    assert (done.exit_code, done.stdout) == (2, "")
    assert "'central' is not a region that is upgraded; there are North, Central, South" in done.stderr


def test_what_cannot_be_withdrawn_is_refused_in_words(run: Run, world: World) -> None:
    done = run("list", "withdraw", "nothing", "--reason", "a fault", "--dir", world.directory)

    assert (done.exit_code, done.stderr) == (2, "sr-engine: there is no upgrade list nothing\n")


def test_a_list_is_replaced_once_its_csp_has_withdrawn_it(run: Run, world: World) -> None:
    list_id = cut(world)
    place = ("--dir", world.directory)

    asked = run("list", "replace", list_id, "--reason", "another night", *place)

    assert asked.stdout == f"the CSP is asked to withdraw 2 hub(s) of list {list_id}, which is then replaced\n"
    region = world.instance.configuration.regions["Central"]
    with world.instance.reading_engine.connect() as connection:
        key = connection.scalars(select(list_withdrawals.c.message_key)).one()
    answer = UpgradeListAcknowledgement(
        RequestId.make(region.csp_eui, BROKER, 1),
        world.clock.now(),
        list_id,
        "Central",
        (TestHub(1).chf, TestHub(2).chf),
        withdrawal=RequestId.parse(key),
    )
    world.run(lambda uow: outcomes_of(world.instance).acknowledge(uow, answer))
    with world.instance.reading_engine.connect() as connection:
        newest = {one.list_id: one.replaces for one in newest_lists(connection, region=None, limit=9)}
    assert set(newest.values()) == {None, list_id}
    assert len(newest) == 2
    assert run("list", "show", *place).stdout.count(list_id) == 2


def test_a_list_that_there_is_not_cannot_be_replaced(run: Run, world: World) -> None:
    done = run("list", "replace", "nothing", "--reason", "a fault", "--dir", world.directory)
    assert (done.exit_code, done.stderr) == (2, "sr-engine: there is no upgrade list nothing\n")
