"""An 11.1 that waits is judged by what is so when it is carried out, not by what was when it came."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from sr_engine.messages.decode import DecodedResponse
from sr_engine.messages.model import ReadInventory, UpdateFirmware
from sr_engine.store import inventory
from sr_engine.store.tables import devices
from tests.firmware import ENTRY, IMAGE, VERSION, Meters, esme, listed, refused
from tests.world import NOW, A, B, TestHub, make_world

OWN, NORTHERN = TestHub(1), TestHub(2, region="North")
MOMENT = timedelta(seconds=3)

Change = Callable[[Meters], object]


@pytest.fixture
def meters(tmp_path: Path) -> Iterator[Meters]:
    world = make_world(tmp_path / "instance")
    world.add_hubs([OWN, NORTHERN])
    listed(world, ENTRY)
    yield Meters(world)
    world.close()


def carried_out_after(meters: Meters, change: Change) -> DecodedResponse:
    """The Response to an 11.1 that waited for another request while something changed."""
    world, first = meters.world, meters.world.request_id(A)
    data = world.signed(A, UpdateFirmware(IMAGE, VERSION, (esme(OWN),)), "11.1", preceding=first)
    assert world.post(data).code == "I99"
    assert meters.states() == {}, "nothing is listed as long as it waits"
    change(meters)
    world.post(world.signed(A, ReadInventory(device_id=OWN.chf), "8.2", request_id=first))
    world.resume(world.clock.now() + MOMENT)
    (response,) = world.sent(A, "response")
    return response


def gone_to_another_supplier(meters: Meters) -> None:
    row = {"mpxn": OWN.mpan, "role": "IS", "effective_from": NOW, "organisation": B.name}
    meters.world.run(lambda uow: inventory.put_registrations(uow.connection, [row]))


def taken_out_of_use(meters: Meters) -> None:
    gone = devices.update().where(devices.c.device_id == esme(OWN)).values(device_status="Decommissioned")
    meters.world.run(lambda uow: uow.connection.execute(gone))


def moved_to_another_hub(meters: Meters) -> None:
    moved = devices.update().where(devices.c.device_id == esme(OWN)).values(hub_id=NORTHERN.chf)
    meters.world.run(lambda uow: uow.connection.execute(moved))


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        (gone_to_another_supplier, "E110103", "InvalidDeviceIDList"),
        (taken_out_of_use, "E110103", "NotCommissionedDeviceIDList"),
        (lambda meters: meters.update([esme(OWN)]), "E110103", "OtherRequestInProgressList"),
        (lambda meters: listed(meters.world, replace(ENTRY, status="Withdrawn")), "E110101", None),
    ],
    ids=["Supplier", "status", "other request", "CPL"],
)
def test_what_has_changed_meanwhile_counts(meters: Meters, change: Change, code: str, reason: str | None) -> None:
    answer = carried_out_after(meters, change)

    assert answer.code == code
    assert (None if answer.result is None else refused(answer)) == (reason and {reason: (esme(OWN),)})


def test_the_list_goes_to_the_region_in_which_the_device_is_by_then(meters: Meters) -> None:
    assert carried_out_after(meters, moved_to_another_hub).code == "I99"

    assert meters.sent("Central") == []
    assert [one.hubs for one in meters.lists("North")] == [{NORTHERN.chf: (esme(OWN),)}]
