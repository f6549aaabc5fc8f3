"""Registrations from spreadsheets."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_engine.importers.csv_table import CsvRefused
from sr_engine.importers.registration_csv import columns, read_registrations
from sr_engine.operations.registrations import effective_from
from sr_engine.store.tables import registrations
from tests.importers.conftest import Write, problems

HEADER = "mpxn,role,organisation,effective_from"
KNOWN = ["supplier-a", "supplier-b"]


def refused(write: Write, *rows: str) -> list[str]:
    with pytest.raises(CsvRefused) as caught:
        read_registrations(write("\n".join([HEADER, *rows]) + "\n"), KNOWN)
    return problems(caught.value)


def test_the_columns_are_the_fields_of_the_registrations_table_and_whether_it_is_taken_back() -> None:
    fields = {column.name for column in registrations.columns}

    assert {column.name for column in columns(KNOWN)} == fields | {"cancelled"}


def test_a_bare_date_is_midnight_in_utc_and_nobody_may_be_registered(write: Write) -> None:
    rows = read_registrations(
        write(
            f"{HEADER}\n1000000000001,IS,supplier-a,2026-07-01\n"
            "2000000001,GS,,2026-07-01T00:00:00+01:00\n2000000001,GS,supplier-b,2026-11-22T10:15:00Z\n"
        ),
        KNOWN,
    )

    assert rows == [
        {
            "mpxn": "1000000000001",
            "role": "IS",
            "organisation": "supplier-a",
            "effective_from": datetime(2026, 7, 1, tzinfo=UTC),
            "cancelled": None,
        },
        {
            "mpxn": "2000000001",
            "role": "GS",
            "organisation": None,
            "effective_from": datetime(2026, 6, 30, 23, tzinfo=UTC),
            "cancelled": None,
        },
        {
            "mpxn": "2000000001",
            "role": "GS",
            "organisation": "supplier-b",
            "effective_from": datetime(2026, 11, 22, 10, 15, tzinfo=UTC),
            "cancelled": None,
        },
    ]


def test_a_registration_is_taken_back_by_naming_it_as_cancelled(write: Write) -> None:
    rows = read_registrations(
        write(f"{HEADER},cancelled\n1,IS,supplier-a,2026-07-01,Yes\n2,IS,,2026-07-01,no\n3,IS,,2026-07-01,\n"), KNOWN
    )

    assert [row["cancelled"] for row in rows] == [True, False, None]
    with pytest.raises(CsvRefused) as caught:
        read_registrations(write(f"{HEADER},cancelled\n1,IS,,2026-07-01,x\n"), KNOWN)
    assert problems(caught.value) == [
        "line 2, cancelled: must be yes, if this registration is taken back, or no, not 'x'"
    ]


def test_every_bad_row_is_named(write: Write) -> None:
    when = (
        "must be a date such as 2026-11-22 (00:00 UTC), or a date and time with its zone such as "
        "2026-11-22T00:00:00Z, not "
    )
    assert refused(
        write,
        "1,XS,supplier-c,2026-07-01T00:00:00",
        ",IS,,soon",
        "1,IS,,2026-07-01",
        "1,IS,supplier-a,2026-07-01T01:00:00+01:00",
        "1,IS,,0001-01-01T00:00:00+14:00",
    ) == [
        "line 2, role: must be one of IS, GS, ES, RSA, ED, GT, OU, not 'XS'",
        "line 2, organisation: must be an id in users.toml: supplier-a, supplier-b (empty: nobody), not 'supplier-c'",
        f"line 2, effective_from: {when}'2026-07-01T00:00:00'",
        "line 3, mpxn: is empty; it must be an MPAN or MPRN of at most 13 digits",
        f"line 3, effective_from: {when}'soon'",
        "line 5, mpxn: the same mpxn and role and effective_from stands in line 4 already",
        f"line 6, effective_from: {when}'0001-01-01T00:00:00+14:00'",
    ]


FIRST, LAST = datetime(1990, 1, 1), datetime(2100, 1, 1)  # noqa: DTZ001 - the strategy wants its bounds without a zone
ZONES = st.sampled_from([UTC, ZoneInfo("Europe/London"), ZoneInfo("Asia/Kathmandu"), ZoneInfo("America/St_Johns")])


@settings(deadline=None)
@given(moment=st.datetimes(FIRST, LAST, timezones=ZONES))
def test_a_time_with_its_zone_is_the_same_moment_in_utc(moment: datetime) -> None:
    found = effective_from(moment.isoformat())

    assert (found, found.tzinfo) == (moment.astimezone(UTC), UTC)
