"""Tables as workbooks and CSV: nothing becomes a formula, and everything reads back."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from pathlib import Path

import openpyxl
import pytest
import python_calamine
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_engine.configuration import Spreadsheets, load_spreadsheets
from sr_engine.resources import data_directory
from sr_engine.spreadsheets import export, workbooks
from sr_engine.spreadsheets.export import Cell, ExportColumn, Kind
from sr_engine.spreadsheets.moments import Moments

SPREADSHEETS = load_spreadsheets(data_directory("config"))
MOMENTS = Moments(SPREADSHEETS.time_zone)
COLUMNS = (
    ExportColumn("Hub"),
    ExportColumn("Tries", Kind.NUMBER),
    ExportColumn("Day", Kind.DAY),
    ExportColumn("From", Kind.MOMENT),
    ExportColumn("Pilot", Kind.YES_NO),
)
DANGEROUS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0", "'=1", "''=1", "\uff1d1"]

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40).filter(
    lambda text: not {"\ufffe", "\uffff"} & set(text)
)
odd_texts = st.builds(str.__add__, st.sampled_from(["", "=", "+", "-", "@", "\t", "\r", "\n", "'", "'="]), texts)
moments = st.datetimes(datetime(2000, 1, 2), datetime(2199, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001


def xlsx(columns: tuple[ExportColumn, ...], rows: list[tuple[Cell, ...]]) -> bytes:
    data = io.BytesIO()
    assert export.write_xlsx(data, "Hubs", columns, rows, SPREADSHEETS) == len(rows)
    return data.getvalue()


def csv_data(columns: tuple[ExportColumn, ...], rows: list[tuple[Cell, ...]]) -> bytes:
    return b"".join(export.csv_chunks(columns, rows, SPREADSHEETS))


def cells_of(data: bytes) -> list[list[object]]:
    sheet = python_calamine.load_workbook(io.BytesIO(data)).get_sheet_by_index(0)
    return [list(row) for row in sheet.iter_rows()]


def csv_cells(data: bytes) -> list[list[str]]:
    found = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
    return [[export.without_apostrophe(cell) for cell in row] for row in found]


def test_a_table_is_a_workbook_with_headers_that_name_the_zone() -> None:
    at = datetime(2026, 7, 26, 21, 0, tzinfo=UTC)

    data = xlsx(COLUMNS, [("00-DB", 3, date(2026, 11, 26), at, True), (None, None, None, None, False)])

    sheet = openpyxl.load_workbook(io.BytesIO(data)).active
    assert sheet is not None
    assert sheet.title == "Hubs"
    assert [[cell.value for cell in row] for row in sheet.iter_rows()] == [
        ["Hub", "Tries", "Day", "From (UK time)", "Pilot"],
        ["00-DB", 3, datetime(2026, 11, 26), datetime(2026, 7, 26, 22, 0), "Yes"],  # noqa: DTZ001 - as cells have it
        [None, None, None, None, "No"],
    ]
    assert (sheet.freeze_panes, sheet["D2"].number_format) == ("A2", "dd/mm/yyyy hh:mm:ss")


def test_the_hour_that_comes_twice_is_told_with_its_offset() -> None:
    twice = [datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1)]
    columns = (ExportColumn("From", Kind.MOMENT),)

    for cells in (
        cells_of(xlsx(columns, [(at,) for at in twice])),
        csv_cells(csv_data(columns, [(at,) for at in twice])),
    ):
        assert [row[0] for row in cells] == ["From (UK time)", "2026-10-25T01:30:00+01:00", "2026-10-25T01:30:00+00:00"]
        assert [MOMENTS.read(row[0]) for row in cells[1:]] == twice


def test_csv_opens_in_excel_as_it_is() -> None:
    data = csv_data(
        COLUMNS, [('Jürgen, "Hub"', 3, date(2026, 11, 6), datetime(2026, 7, 6, 21, 0, 7, tzinfo=UTC), True)]
    )

    assert data.decode() == (
        '\ufeffHub,Tries,Day,From (UK time),Pilot\r\n"Jürgen, ""Hub""",3,06/11/2026,06/07/2026 22:00:07,Yes\r\n'
    )


@pytest.mark.parametrize("text", DANGEROUS)
def test_no_text_becomes_a_formula(text: str, tmp_path: Path) -> None:
    path = tmp_path / "out.xlsx"
    export.write_xlsx(path, text, (ExportColumn(text),), [(text,)], SPREADSHEETS)

    book = openpyxl.load_workbook(path)
    assert all(cell.data_type != "f" for row in book.worksheets[0].iter_rows() for cell in row)
    written = csv_data((ExportColumn(text),), [(text,)]).decode("utf-8-sig")
    assert all(not export.is_formula(cell) for row in csv.reader(io.StringIO(written, newline="")) for cell in row)
    assert csv_cells(written.encode()) == [[text], [text]]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(odd_texts, odd_texts), max_size=4))
def test_any_text_reads_back_and_is_no_formula(rows: list[tuple[str, str]]) -> None:
    columns = (ExportColumn("One"), ExportColumn("Two"))

    data = xlsx(columns, [*rows, ("end", "end")])

    assert cells_of(data)[1:-1] == [list(row) for row in rows]
    assert all(
        cell.data_type != "f"
        for row in openpyxl.load_workbook(io.BytesIO(data)).worksheets[0].iter_rows()
        for cell in row
    )
    assert csv_cells(csv_data(columns, list(rows)))[1:] == [list(row) for row in rows]


@settings(deadline=None, max_examples=40)
@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False), moments, st.dates(date(1900, 3, 1)))
def test_numbers_days_and_moments_read_back(number: float, at: datetime, day: date) -> None:
    row = (number, at, day)
    columns = (ExportColumn("N", Kind.NUMBER), ExportColumn("At", Kind.MOMENT), ExportColumn("On", Kind.DAY))

    (found,) = cells_of(xlsx(columns, [row]))[1:]
    (in_csv,) = csv_cells(csv_data(columns, [row]))[1:]

    large = abs(number) >= 10**15
    assert found[0] == (str(number) if large else pytest.approx(number, rel=1e-14))
    assert MOMENTS.read(found[1]) == MOMENTS.read(in_csv[1]) == at.replace(microsecond=0)
    assert (found[2], in_csv[0], in_csv[2]) == (day, str(number), f"{day:%d/%m/%Y}")


@settings(deadline=None, max_examples=40)
@given(st.text(max_size=20))
def test_what_no_cell_can_hold_is_replaced_and_nothing_fails(text: str) -> None:
    columns = (ExportColumn(text),)

    data = xlsx(columns, [(text,), ("end",)])

    assert cells_of(data)[-1] == ["end"]
    assert csv_data(columns, [(text,)]).startswith(b"\xef\xbb\xbf")


def test_a_text_that_is_too_long_is_cut_and_says_so() -> None:
    (found,) = cells_of(xlsx((ExportColumn("A"),), [("😀" * 20_000,)]))[1:]

    assert found == ["😀" * 16_383 + "…"]


def test_more_rows_than_a_sheet_has_go_on_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "MOST_ROWS", 3)

    data = xlsx((ExportColumn("A"),), [(str(number),) for number in range(5)])

    book = openpyxl.load_workbook(io.BytesIO(data))
    assert {sheet.title: [row[0].value for row in sheet.iter_rows()] for sheet in book.worksheets} == {
        "Hubs": ["A", "0", "1"],
        "Hubs 2": ["A", "2", "3"],
        "Hubs 3": ["A", "4"],
    }


def test_a_moment_needs_a_zone(spreadsheets: Spreadsheets) -> None:
    at = datetime(2026, 11, 26)  # noqa: DTZ001 - what this is about

    with pytest.raises(ValueError, match="needs a time zone"):
        export.write_xlsx(io.BytesIO(), "A", (ExportColumn("A", Kind.MOMENT),), [(at,)], spreadsheets)
