"""8.2: devices by id, MPxN, UPRN or address."""

from __future__ import annotations

import pytest

from sr_engine.messages.model import Inventory, PropertyFilter, ReadInventory
from tests.requests.conftest import SOLE, SPLIT, Suppliers
from tests.world import A, TestHub, World, eui

WHOLE_HOME = {SOLE.chf: "CHF", SOLE.gpf: "GPF", eui(0xE0, 2): "ESME", eui(0xF0, 2): "GSME"}


@pytest.mark.parametrize(
    "query",
    [
        ReadInventory(device_id=SOLE.chf),
        ReadInventory(device_id=SOLE.gpf.lower()),
        ReadInventory(device_id=eui(0xE0, 2)),
        ReadInventory(mpxn=SOLE.mpan),
        ReadInventory(mpxn=SOLE.mprn),
        ReadInventory(uprn=100_000_002),
        ReadInventory(property_filter=PropertyFilter("AB1 2CD", "2")),
    ],
    ids=["CHF", "GPF in lower case", "meter", "MPAN", "MPRN", "UPRN", "address"],
)
def test_a_home_is_found_whole_whatever_is_asked_for(suppliers: Suppliers, query: ReadInventory) -> None:
    answer = suppliers.world.send(A, query, "8.2")

    assert answer.code == "I0"
    assert isinstance(answer.result, Inventory)
    assert {device.device_id: device.device_type for device in answer.result.devices} == WHOLE_HOME


@pytest.mark.parametrize(
    "query",
    [
        ReadInventory(device_id=eui(0xC0, 99)),
        ReadInventory(mpxn="1"),
        ReadInventory(uprn=1),
        ReadInventory(property_filter=PropertyFilter("AB1 2CD", "99")),
        ReadInventory(property_filter=PropertyFilter("AB1 2CE", "2")),
    ],
)
def test_no_match_is_a_code_of_its_own(suppliers: Suppliers, query: ReadInventory) -> None:
    answer = suppliers.world.send(A, query, "8.2")

    assert (answer.code, answer.result) == ("E080201", None)


def test_no_answer_holds_more_than_17_devices_the_hub_first(world: World) -> None:
    homes = [TestHub(number) for number in range(1, 8)]
    rows = [row | {"uprn": 5} for home in homes for row in home.rows()]
    from sr_engine.store import inventory

    world.run(lambda uow: inventory.put_devices(uow.connection, rows))

    answer = world.send(A, ReadInventory(uprn=5), "8.2")

    assert isinstance(answer.result, Inventory)
    types = [device.device_type for device in answer.result.devices]
    assert types == ["CHF"] * 7 + ["GPF"] * 7 + ["ESME"] * 3


def test_another_suppliers_home_may_be_read_but_not_who_supplies_it(suppliers: Suppliers) -> None:
    answer = suppliers.world.post(suppliers.world.signed(A, ReadInventory(device_id=SPLIT.chf), "8.2"))

    assert answer.code == "I0"
    assert b"supplier" not in answer.body.lower()
