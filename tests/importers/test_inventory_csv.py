"""Devices from spreadsheets."""

from __future__ import annotations

from datetime import date

import pytest
from lxml import etree

from sr_engine.configuration.duis import CSP_REGIONS
from sr_engine.importers.csv_table import CsvRefused
from sr_engine.importers.inventory_csv import COLUMNS, DEVICE_STATUSES, DEVICE_TYPES, read_devices
from sr_engine.resources import data_directory
from sr_engine.store import inventory
from sr_engine.store.tables import devices
from tests.importers.conftest import Write, problems
from tests.world import World, make_world

CHF, GPF = "00-00-5E-EF-C0-00-00-01", "00-00-5E-EF-D0-00-00-01"
HEADER = "device_id,device_type,hub_id,manufacturer,model"


def refused(write: Write, *rows: str, header: str = HEADER) -> list[str]:
    with pytest.raises(CsvRefused) as caught:
        read_devices(write("\n".join([header, *rows]) + "\n"))
    return problems(caught.value)


def test_the_columns_are_the_fields_of_the_devices_table() -> None:
    assert [column.name for column in COLUMNS] == [column.name for column in devices.columns]
    assert {column.name for column in COLUMNS if column.required} == {
        column.name for column in devices.columns if not column.nullable
    }


@pytest.mark.parametrize(
    ("name", "xsd_type", "schema"),
    [
        ("device_type", "DeviceType", "duis.xsd"),
        ("device_status", "DeviceStatus", "duis.xsd"),
        ("cpl_status", "CertificationStatus", "duis.xsd"),
        ("firmware_version_status", "CertificationStatus", "duis.xsd"),
        ("esme_variant", "ESMEVariant", "duis.xsd"),
        ("csp_region", "CSPRegion", "types.xsd"),
    ],
)
def test_closed_lists_hold_what_the_schema_holds(name: str, xsd_type: str, schema: str) -> None:
    values = etree.parse(data_directory("xsd") / schema).xpath(
        f"//*[@name='{xsd_type}']//*[local-name()='enumeration']/@value"
    )
    (column,) = (column for column in COLUMNS if column.name == name)

    assert column.wants == f"one of {', '.join(values)}"


def test_ids_are_stored_canonical_and_a_chf_stands_behind_itself(write: Write) -> None:
    rows = read_devices(
        write(f"{HEADER}\n00005eefc0000001,CHF,,2B7E,M\n00:00:5e:ef:d0:00:00:01,GPF,00005EEFC0000001,2B7E,M\n")
    )

    assert [(row["device_id"], row["hub_id"]) for row in rows] == [(CHF, CHF), (GPF, CHF)]


def test_every_field_is_read_as_what_it_is(write: Write) -> None:
    header = ",".join(column.name for column in COLUMNS)
    cells = (
        f"{GPF},ESME,{CHF},Commissioned,2B7E,=M+1,SMETS2 V4.2,9001,Active,Expired,2025-12-28,1234567890123,"
        "2234567890123,3234567890123,ADE,000123,AB1 2CD,7 Side Street,4G North,4.1,Dual,S,Cellular"
    )

    (row,) = read_devices(write(f"{header}\n{cells}\n"))

    assert list(row.values()) == [
        *(GPF, "ESME", CHF, "Commissioned", "2B7E", "=M+1", "SMETS2 V4.2", "9001", "Active", "Expired"),
        *(date(2025, 12, 28), "1234567890123", "2234567890123", "3234567890123", "ADE", 123, "AB1 2CD"),
        *("7 Side Street", "4G North", "4.1", "Dual", "S", "Cellular"),
    ]


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("csp_region", "north", f"must be one of {', '.join(CSP_REGIONS)}, not 'north'"),
        ("device_status", "OK", f"must be one of {', '.join(DEVICE_STATUSES)}, not 'OK'"),
        ("firmware_version", "123456789", "must be text of at most 8 characters, not '123456789'"),
        ("date_commissioned", "28/12/2025", "must be a date such as 2026-11-22, not '28/12/2025'"),
        ("date_commissioned", "2025-02-30", "must be a date such as 2026-11-22, not '2025-02-30'"),
        ("date_commissioned", "20251228", "must be a date such as 2026-11-22, not '20251228'"),
        ("import_mpxn", "1.23457E+12", "must be an MPAN or MPRN of at most 13 digits, not '1.23457E+12'"),
        ("export_mpan", "123456", "must be an MPAN of 13 digits, not '123456'"),
        ("uprn", "0", "must be a number above 0 of at most 12 digits, not '0'"),
        ("uprn", "12a", "must be a number above 0 of at most 12 digits, not '12a'"),
        ("postcode", "AB1", "must be a postcode of 6 to 8 characters, not 'AB1'"),
        ("han_variant", "a\x07b", "must be text of at most 40 characters, not 'a\\x07b'"),
    ],
)
def test_a_value_that_cannot_be_is_named(write: Write, column: str, value: str, says: str) -> None:
    assert refused(write, f"{CHF},CHF,,2B7E,M,{value}", header=f"{HEADER},{column}") == [f"line 2, {column}: {says}"]


def test_a_hub_is_its_own_and_a_gpf_names_it(write: Write) -> None:
    assert refused(write, f"{CHF},CHF,{GPF},2B7E,M", f"{GPF},GPF,,2B7E,M", "X,HUB,,2B7E,M") == [
        "line 2, hub_id: of a CHF must be its own device_id, or empty",
        "line 3, hub_id: is empty; a GPF must name the CHF it shares its hub with",
        "line 4, device_id: must be an EUI-64, not 'X'",
        f"line 4, device_type: must be one of {', '.join(DEVICE_TYPES)}, not 'HUB'",
    ]


def test_the_same_device_written_in_two_ways_is_still_the_same(write: Write) -> None:
    assert refused(write, f"{CHF},CHF,,2B7E,M", f"{CHF.replace('-', '').lower()},CHF,,2B7E,M") == [
        "line 3, device_id: the same device_id stands in line 2 already"
    ]


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world") / "instance")


def test_rows_are_what_the_inventory_takes(write: Write, world: World) -> None:
    rows = read_devices(write(f"{HEADER}\n{CHF},CHF,,2B7E,M\n"))

    world.run(lambda uow: inventory.put_devices(uow.connection, rows))

    with world.instance.reading_engine.connect() as connection:
        assert inventory.hub_ids_of(connection, [CHF]) == {CHF: CHF}
    world.close()
