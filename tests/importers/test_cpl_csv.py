"""Entries of the Certified Products List from spreadsheets."""

from __future__ import annotations

import pytest

from sr_engine.domain.deliveries import CplEntry
from sr_engine.importers.cpl_csv import COLUMNS, read_entries
from sr_engine.importers.csv_table import CsvRefused
from sr_engine.store.tables import cpl_entries
from tests.importers.conftest import Write, problems

HEADER = "manufacturer,model,device_type,version,image_hash,status,gbcs_version,from_versions"
HASH = "ab" * 32


def refused(write: Write, *rows: str) -> list[str]:
    with pytest.raises(CsvRefused) as caught:
        read_entries(write("\n".join([HEADER, *rows]) + "\n"))
    return problems(caught.value)


def test_the_columns_are_those_of_the_table() -> None:
    assert {column.name for column in COLUMNS} == {column.name for column in cpl_entries.columns}


def test_an_entry_is_read_with_its_hash_in_capitals_and_versions_as_the_names_they_are(write: Write) -> None:
    entries = read_entries(
        write(
            f"{HEADER}\n2B7E,METER,ESME,0002012F,{HASH},Active,4.1,00020001; 00020002\n"
            f"2B7E,PPM1,PPMID,9,{HASH},Withdrawn,,\n"
        )
    )

    assert entries == [
        CplEntry(
            "2B7E", "METER", "ESME", "0002012F", HASH.upper(), "Active", "4.1", frozenset({"00020001", "00020002"})
        ),
        CplEntry("2B7E", "PPM1", "PPMID", "9", HASH.upper(), "Withdrawn"),
    ]


def test_every_problem_of_a_file_is_told_with_its_place(write: Write) -> None:
    found = refused(
        write,
        f"2B7E,METER,CHF,0002012F,{HASH},Active,,",
        f"2B7E,METER,ESME,000200012F,{HASH},Active,,",
        "2B7E,METER,ESME,1,abc,Active,,",
        f"2B7E,METER,ESME,2,{HASH},Good,,",
        f"2B7E,METER,ESME,3,{HASH},Active,,1;;2",
        f"2B7E,METER,ESME,4;5,{HASH},Active,,",
        f"2B7E,METER,ESME,6,{HASH},Active,,",
        f"2B7E,METER,ESME,6,{HASH},Expired,,",
    )

    assert [problem.split(":")[0] for problem in found] == [
        "line 2, device_type",
        "line 3, version",
        "line 4, image_hash",
        "line 5, status",
        "line 6, from_versions",
        "line 7, version",
        "line 9, manufacturer",
    ]
    assert "ESME, GSME, PPMID" in found[0]
