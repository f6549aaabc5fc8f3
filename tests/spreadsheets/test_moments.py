"""Dates and times as people write them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sr_engine.spreadsheets.moments import Moments
from sr_engine.spreadsheets.refusals import CellRefused

LONDON = Moments(ZoneInfo("Europe/London"))
WINTER = datetime(2026, 11, 26, 22, 0, tzinfo=UTC)
SUMMER = datetime(2026, 7, 26, 21, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "26/11/2026 22:00",
        "26/11/26 22:00",
        "26-11-2026 22:00:00",
        "26.11.2026 10:00 pm",
        "26-Nov-26 22:00",
        "26-Nov-2026 10pm".replace("10pm", "10:00pm"),
        "26 November 2026 22:00",
        "26th Nov 2026, 22:00",
        "Thu 26 Nov 2026 22:00",
        "2026-11-26 22:00",
        "2026-11-26T22:00:00",
        "2026-11-26T22:00:00Z",
        "2026-11-26T22:00:00.000Z",
        "2026-11-26T23:00+01:00",
        "26/11/2026 22:00 GMT",
        "26/11/2026 22:00 utc",
        "  26/11/2026   22:00 ",
        "46352.916666666664",
    ],
)
def test_what_people_in_the_united_kingdom_write_is_read(text: str) -> None:
    assert LONDON.read(text) == WINTER


@pytest.mark.parametrize("text", ["26/7/2026 22:00", "26 Jul 26 22:00", "26/07/2026 22:00 BST", "2026-07-26 21:00Z"])
def test_a_time_without_a_zone_is_local(text: str) -> None:
    assert LONDON.read(text) == SUMMER


def test_a_date_alone_is_its_beginning() -> None:
    assert LONDON.read("26/07/2026") == LONDON.read(date(2026, 7, 26)) == SUMMER - timedelta(hours=22)


def test_a_number_is_counted_from_where_its_workbook_counts() -> None:
    serial = 46352 + 22 / 24

    assert LONDON.read(serial) == WINTER
    assert LONDON.read(serial - 1462, epoch_1904=True) == WINTER
    assert LONDON.read(datetime(2026, 11, 26, 21, 59, 59, 999_600)) == WINTER  # noqa: DTZ001 - as a cell has it


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("11/26/2026", "there is no month 26; the day comes first, as in 26/11/2026"),
        ("31/06/2026", "there is no such day"),
        ("26/11/2026 24:00", "write 00:00 of the next day instead of 24:00"),
        ("26/11/2026 22:61", "there is no such time of day"),
        ("26/11/2026 13:00 pm", "there is no 13 o'clock pm"),
        ("26 Novembre 2026", "'novembre' is no month"),
        ("tomorrow", "'tomorrow' is no date: write it as 26/11/2026 22:00"),
        ("26/11/1926", "the year 1926 cannot be meant"),
        (9002, "the number 9002 is no date"),
        (time(22, 0), "it holds a time of day without a date"),
        (timedelta(hours=30), "it holds a time of day without a date"),
        (True, "it holds TRUE, not a date"),
        ("26/07/2026 22:00 GMT", "GMT is not in force on 26/07/2026 at 22:00, BST is: write BST or nothing"),
        ("26/11/2026 22:00 BST", "BST is not in force on 26/11/2026 at 22:00, GMT is: write GMT or nothing"),
        ("26/11/2026 22:00 +19:00", "+19:00 is no offset from UTC"),
        (float("nan"), "the number nan is no date"),
        (1e300, "is no date"),
        ("\u0662\u0666/11/2026", "is no date"),
    ],
)
def test_what_is_no_moment_is_refused_with_words_that_help(cell: object, why: str) -> None:
    with pytest.raises(CellRefused) as refused:
        LONDON.read(cell)

    assert why in str(refused.value)


@pytest.mark.parametrize("cell", ["25/10/2026 01:30", datetime(2026, 10, 25, 1, 30), 46320.0625])  # noqa: DTZ001
def test_a_time_that_comes_twice_is_refused_with_both_readings(cell: object) -> None:
    with pytest.raises(CellRefused) as refused:
        LONDON.read(cell)

    assert str(refused.value) == (
        "01:30 comes twice on 25/10/2026, when the clocks go back: it is either 25/10/2026 01:30 BST (00:30 UTC) or "
        "25/10/2026 01:30 GMT (01:30 UTC); write the one that is meant, as a text"
    )
    assert LONDON.read("25/10/2026 01:30 BST") == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert LONDON.read("25/10/2026 01:30 GMT") == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_a_time_that_does_not_exist_is_refused_with_both_readings() -> None:
    with pytest.raises(CellRefused) as refused:
        LONDON.read("28/03/2027 01:30")

    assert str(refused.value) == (
        "01:30 does not exist on 28/03/2027, when the clocks go forward: it is either 28/03/2027 00:30 GMT (00:30 UTC) "
        "or 28/03/2027 02:30 BST (01:30 UTC); write the one that is meant"
    )
    assert LONDON.read("28/03/2027 01:00 GMT") == LONDON.read("28/03/2027 02:00")


@given(st.datetimes(datetime(2000, 1, 2), datetime(2199, 12, 30)))  # noqa: DTZ001 - made UTC below
def test_what_is_shown_in_a_cell_reads_back_to_the_second(at: datetime) -> None:
    moment = at.replace(tzinfo=UTC)

    assert LONDON.read(LONDON.local(moment)) == moment.replace(microsecond=0)


@given(st.text(max_size=30) | st.integers() | st.floats() | st.booleans())
def test_anything_is_read_or_refused(cell: object) -> None:
    found = None
    with suppress(CellRefused):
        found = LONDON.read(cell)

    assert found is None or found.tzinfo is UTC
