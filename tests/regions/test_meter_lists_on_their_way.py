"""Images and lists of meters that their CSP does not take: when they are sent again, and when no more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from time import process_time

import pytest

from sr_engine.bootstrap import chores
from sr_engine.operations.outbox import NotParked, resend
from sr_engine.regions.meter_lists import by_hub
from sr_engine.store import mailbox, outbox
from sr_engine.store.outbox import Attempted, Queued
from sr_engine.store.tables import devices
from tests.firmware import ENTRY, Meters, esme, listed
from tests.world import TestHub, edit, eui, make_world, reopen

HOUR = timedelta(hours=1)
HUBS = [TestHub(number, gas=None) for number in range(1, 4)]
FIRST, SECOND, THIRD = HUBS
CENTRAL = "csp:Central"
CENTRAL_CSP = '''[region.Central]
csp_name = "CSP Central and South"
csp_eui = "00-00-5E-EF-10-00-00-C2"'''


@pytest.fixture
def meters(tmp_path: Path) -> Iterator[Meters]:
    world = make_world(tmp_path / "instance")
    world.add_hubs(HUBS)
    listed(world, ENTRY)
    yield Meters(world)
    world.close()


def update(meters: Meters, *hubs: TestHub) -> str:
    """An 11.1 for the ESMEs of hubs; the id of its list."""
    assert meters.update([esme(hub) for hub in hubs]).code == "I99"
    return meters.lists()[-1].list_id


def due(meters: Meters) -> list[Queued]:
    """What may be sent to the CSP now."""
    with meters.world.instance.reading_engine.connect() as connection:
        return outbox.sendable(connection, CENTRAL, meters.world.clock.now(), 100)


def tried(meters: Meters, messages: list[Queued], state: str) -> None:
    """What came of sending messages."""
    now = meters.world.clock.now()
    delivered_at = now if state == outbox.DELIVERED else None
    results = [Attempted(one.outbox_id, one.message_id, state, 30, now, delivered_at, None) for one in messages]
    meters.world.run(lambda uow: outbox.settle(uow.connection, results))


def names(meters: Meters, messages: list[Queued]) -> list[str]:
    """What messages are: Image, or the id of a list."""
    lists = [one.list_id for one in meters.lists()]
    return [next((one for one in lists if one.encode() in message.body), "Image") for message in messages]


# --- what goes out ---------------------------------------------------------------------------------------------------


def test_devices_are_sorted_by_hub_in_no_time_even_where_an_inventory_puts_all_of_them_behind_one() -> None:
    members = [(FIRST.chf, eui(0xE0, number)) for number in range(50_000)]
    before = process_time()

    found = by_hub([*members, (SECOND.chf, esme(SECOND))])

    assert process_time() - before < 10, "seconds; half a minute where each device costs more than the one before"
    assert found == {FIRST.chf: tuple(device_id for _, device_id in members), SECOND.chf: (esme(SECOND),)}


# --- an image that the CSP did not take ------------------------------------------------------------------------------


def test_an_image_that_was_given_up_is_sent_again_with_the_next_list_that_names_it(meters: Meters) -> None:
    first = update(meters, FIRST)
    image = due(meters)
    tried(meters, image, outbox.PARKED)
    assert due(meters) == []

    second = update(meters, SECOND)

    again = due(meters)
    assert [one.message_id for one in again] == [one.message_id for one in image]
    tried(meters, again, outbox.DELIVERED)
    assert names(meters, due(meters)) == [first, second]
    assert len(meters.images()) == 1


def test_an_image_that_is_there_or_on_its_way_is_not_sent_again(meters: Meters) -> None:
    update(meters, FIRST)
    image = due(meters)
    tried(meters, image, outbox.PENDING)
    update(meters, SECOND)
    assert [one.tries for one in due(meters)] == [30]

    tried(meters, image, outbox.DELIVERED)
    update(meters, THIRD)

    assert "Image" not in names(meters, due(meters))


def test_a_csp_that_takes_over_a_region_gets_the_image_too(meters: Meters) -> None:
    update(meters, FIRST)
    edit(meters.world.directory / "config" / "regions.toml", CENTRAL_CSP, CENTRAL_CSP.replace("C2", "C9"))
    again = Meters(reopen(meters.world))

    update(again, SECOND)
    update(again, THIRD)

    assert len(again.images()) == 2
    assert {one.image_id for one in again.images()} == {one.image_id for one in again.lists()}
    assert [one.message_id.target for one in again.lists()][1:] == ["00-00-5E-EF-10-00-00-C9"] * 2
    again.world.close()


# --- a list of which the devices were given up -----------------------------------------------------------------------


def test_a_list_that_the_csp_has_not_taken_in_time_is_not_sent_any_more(meters: Meters) -> None:
    update(meters, FIRST, SECOND)
    image = due(meters)
    meters.wait(meters.region().distribution_sla - HOUR)
    assert names(meters, due(meters)) == ["Image"]

    meters.wait(HOUR)
    assert set(meters.states().values()) == {"Missed"}
    new = update(meters, FIRST)
    tried(meters, image, outbox.DELIVERED)

    assert names(meters, due(meters)) == [new], "no device stands on two lists that are under way"


def test_a_list_that_is_on_its_way_when_its_devices_are_given_up_is_not_tried_again(meters: Meters) -> None:
    update(meters, FIRST)
    tried(meters, due(meters), outbox.DELIVERED)
    in_hand = due(meters)

    meters.wait(meters.region().distribution_sla)
    tried(meters, in_hand, outbox.PENDING)

    assert due(meters) == []
    (message_id,) = [one.message_id for one in in_hand]
    with pytest.raises(NotParked, match="is Expired"):
        meters.world.run(lambda uow: resend(uow, message_id))
    with meters.world.instance.reading_engine.connect() as connection:
        assert message_id not in {one.message_id for one in mailbox.messages(connection, CENTRAL, after=None, limit=9)}
        with pytest.raises(mailbox.UnknownMessage):
            mailbox.message(connection, CENTRAL, message_id)

    tried(meters, in_hand, outbox.DELIVERED)
    with meters.world.instance.reading_engine.connect() as connection:
        taken = mailbox.message(connection, CENTRAL, message_id)
    assert taken == (in_hand[0].body, True), "it was taken at the last moment"


@pytest.mark.parametrize("chased", [False, True])
def test_a_list_that_was_taken_stays_taken_when_its_devices_are_given_up(meters: Meters, *, chased: bool) -> None:
    list_id = update(meters, FIRST)
    for _ in range(2):
        tried(meters, due(meters), outbox.DELIVERED)
    if chased:
        meters.wait(meters.region().acknowledgement_sla)
        assert names(meters, due(meters)) == [list_id]

    meters.wait(meters.region().distribution_sla)

    assert due(meters) == []
    with meters.world.instance.reading_engine.connect() as connection:
        found = mailbox.messages(connection, CENTRAL, after=None, limit=9)
    assert [one.delivered for one in found] == [True, True]


def test_devices_in_a_region_that_is_not_served_any_more_are_given_up_told_and_free(meters: Meters) -> None:
    """Nobody would report on them, nor say that nobody did."""
    update(meters, FIRST, SECOND)
    regions = meters.world.directory / "config" / "regions.toml"
    before, rest = regions.read_text().split("[region.Central]")
    regions.write_text(before + rest[rest.index("[region") :])
    edit(regions, '["Unknown", "SMETS1"]', '["Unknown", "SMETS1", "Central"]')
    again = Meters(reopen(meters.world))

    for chore in chores(again.world.instance):
        while again.world.run(chore):
            pass

    assert again.states() == {esme(FIRST): "Missed", esme(SECOND): "Missed"}
    assert [alert.alert_code for alert in again.alerts()] == ["N18"]
    assert names(again, due(again)) == ["Image"]
    moved = devices.update().where(devices.c.device_id == FIRST.chf).values(csp_region="4G Central")
    again.world.run(lambda uow: uow.connection.execute(moved))
    assert again.update([esme(FIRST)]).code == "I99"
    again.world.close()
