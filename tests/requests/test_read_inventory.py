"""8.2: devices by id, MPxN, UPRN or address."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from sr_engine.configuration import UserRole
from sr_engine.instance import SupplierSeed
from sr_engine.messages.model import Device, Inventory, PropertyFilter, ReadInventory
from tests.requests.conftest import SOLE, SPLIT, Suppliers
from tests.world import A, TestHub, World, eui, make_world

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

    posted = world.post(world.signed(A, ReadInventory(uprn=5), "8.2"))

    answer = world.decoded(posted)
    assert posted.detail == "17 device(s) read; more than 17 match, ask for the others by their hub or their own id"
    assert isinstance(answer.result, Inventory)
    types = [device.device_type for device in answer.result.devices]
    assert types == ["CHF"] * 7 + ["GPF"] * 7 + ["ESME"] * 3


@pytest.mark.parametrize("by_mpxn", [False, True])
def test_the_device_that_was_asked_for_is_in_the_answer_however_many_its_hub_has(world: World, by_mpxn: bool) -> None:
    from sr_engine.store import inventory

    home = TestHub(1)
    rows = home.rows()
    gone = [rows[2] | {"device_id": eui(0xE2, number), "import_mpxn": f"{number:013}"} for number in range(30)]
    world.run(lambda uow: inventory.put_devices(uow.connection, [*rows, *gone]))
    (last, mpxn) = (eui(0xE2, 29), f"{29:013}")

    answer = world.send(A, ReadInventory(mpxn=mpxn) if by_mpxn else ReadInventory(device_id=last), "8.2")

    assert isinstance(answer.result, Inventory)
    assert len(answer.result.devices) == 17
    assert [device.device_id for device in answer.result.devices][:3] == [home.chf, home.gpf, last]


def test_what_hangs_on_the_hub_is_found_by_an_address_that_only_the_hub_has(world: World) -> None:
    from sr_engine.store import inventory

    home = TestHub(1, han=("1A2B", "PPM1"))
    nowhere = {"uprn": None, "postcode": None, "address_identifier": None}
    rows = [row if row["device_type"] == "CHF" else row | nowhere for row in home.rows()]
    world.run(lambda uow: inventory.put_devices(uow.connection, rows))

    for query in (ReadInventory(uprn=100_000_001), ReadInventory(property_filter=PropertyFilter("AB1 2CD", "1"))):
        answer = world.send(A, query, "8.2")
        assert isinstance(answer.result, Inventory)
        assert [device.device_type for device in answer.result.devices] == ["CHF", "GPF", "PPMID", "ESME", "GSME"]


def test_an_address_without_identifier_is_found_by_the_empty_one_it_is_shown_with(world: World) -> None:
    from sr_engine.store import inventory

    rows = [row | {"address_identifier": None} for row in TestHub(1).rows()]
    world.run(lambda uow: inventory.put_devices(uow.connection, rows))

    answer = world.send(A, ReadInventory(property_filter=PropertyFilter("AB1 2CD", "")), "8.2")

    assert isinstance(answer.result, Inventory)
    assert {device.property_filter for device in answer.result.devices} == {PropertyFilter("AB1 2CD", "")}


def test_a_device_without_hub_is_found_alone(world: World) -> None:
    from sr_engine.store import inventory

    first, second = (row | {"hub_id": None} for row in TestHub(1).rows()[2:])
    world.run(lambda uow: inventory.put_devices(uow.connection, [first, second]))

    answer = world.send(A, ReadInventory(device_id=str(first["device_id"])), "8.2")

    assert isinstance(answer.result, Inventory)
    assert [device.device_id for device in answer.result.devices] == [first["device_id"]]


FULL = {
    "device_status": "Suspended",
    "smets_chts_version": "SMETS2 V5.1",
    "firmware_version": "0002012F",
    "firmware_version_status": "Withdrawn",
    "cpl_status": "Expired",
    "date_commissioned": date(2025, 12, 28),
    "import_mpxn": "1000000000001",
    "secondary_import_mpan": "1000000000002",
    "export_mpan": "1000000000003",
    "esme_variant": "ADE",
    "uprn": 123_456_789_012,
    "postcode": "AB10 2CD",
    "address_identifier": "Flat 3 & <4>",
    "csp_region": "4G Central",
    "gbcs_version": "4.2",
    "han_variant": "Dual Band",
    "s1sp": "S1SP of a test",
    "connectivity": "Cellular",
}


@pytest.mark.parametrize("device_type", ["CHF", "GPF", "ESME", "GSME", "PPMID", "IHD", "HCALCS", "CAD"])
def test_every_field_of_every_type_of_device_is_read_back(world: World, device_type: str) -> None:
    from sr_engine.store import inventory

    (row, *_) = TestHub(1).rows()
    row |= FULL | {"device_type": device_type}
    world.run(lambda uow: inventory.put_devices(uow.connection, [row]))

    answer = world.send(A, ReadInventory(device_id=TestHub(1).chf), "8.2")

    address = {"postcode", "address_identifier"}
    expected = Device(
        device_id=TestHub(1).chf,
        device_type=device_type,
        manufacturer="2B7E",
        model="C1A20001",
        property_filter=PropertyFilter("AB10 2CD", "Flat 3 & <4>"),
        **{name: value for name, value in FULL.items() if name not in address},  # type: ignore[arg-type]  # mixed values
    )
    assert answer.result == Inventory((expected,))


@pytest.mark.parametrize(
    ("version", "region"), [("5.0", None), ("5.1", None), ("5.3", "4G Central"), ("5.4", "4G Central")]
)
def test_a_region_that_the_version_of_the_request_does_not_know_is_left_out(
    world: World, version: str, region: str | None
) -> None:
    world.add_hubs([TestHub(1, region="4G Central"), TestHub(2, region="South")])

    def regions(hub: TestHub) -> set[str | None]:
        data = world.signed(A, ReadInventory(device_id=hub.chf), "8.2", schema_version=version)
        result = world.decoded(world.post(data)).result
        assert isinstance(result, Inventory)
        return {device.csp_region for device in result.devices}

    assert regions(TestHub(1)) == {region}
    assert regions(TestHub(2)) == {"South"}


def test_each_of_the_seven_roles_may_ask(tmp_path: Path) -> None:
    suppliers = [
        SupplierSeed(f"user-{role.lower()}", eui(0x10, number), "http://127.0.0.1:9/", (role,))
        for number, role in enumerate(UserRole)
    ]
    world = make_world(tmp_path / "instance", suppliers=suppliers)
    world.add_hubs([TestHub(1, electricity=None, gas=None)])

    codes = [world.send(supplier, ReadInventory(device_id=TestHub(1).chf), "8.2").code for supplier in suppliers]

    assert codes == ["I0"] * 7
    world.close()


@pytest.mark.parametrize(
    "filters",
    ["", "<sr:UPRN>1</sr:UPRN><sr:MPxN>1</sr:MPxN>", f"<sr:DeviceID>{eui(0xC0, 1)}</sr:DeviceID><sr:UPRN>1</sr:UPRN>"],
    ids=["none", "UPRN and MPxN", "device and UPRN"],
)
def test_it_asks_by_exactly_one_filter(world: World, filters: str) -> None:
    signed = world.signed(A, ReadInventory(uprn=1), "8.2")

    answer = world.post(signed.replace(b"<sr:UPRN>1</sr:UPRN>", filters.encode()))

    assert answer.status == 400
    assert "ReadInventory" in answer.detail


def test_another_suppliers_home_may_be_read_but_not_who_supplies_it(suppliers: Suppliers) -> None:
    answer = suppliers.world.post(suppliers.world.signed(A, ReadInventory(device_id=SPLIT.chf), "8.2"))

    assert answer.code == "I0"
    assert b"supplier" not in answer.body.lower()
