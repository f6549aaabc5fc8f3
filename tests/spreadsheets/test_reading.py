"""Files as people bring them: understood, or refused with words that help."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import openpyxl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_engine.configuration import SheetColumn, SheetDecision, Spreadsheets, load_spreadsheets
from sr_engine.messages.model import Firmware, Period, Phase
from sr_engine.resources import data_directory
from sr_engine.spreadsheets.reading import open_sheet
from sr_engine.spreadsheets.refusals import SheetRefused
from sr_engine.spreadsheets.rows import Reading, Wish, read_rows
from sr_engine.spreadsheets.template import COLUMNS, template_csv, write_template

SPREADSHEETS = load_spreadsheets(data_directory("config"))
HUB = "00-DB-12-34-56-78-90-A2"
OTHER = "00-DB-12-34-56-78-90-A3"
FIRMWARE = Firmware("2B7E", "C1A20001", "9002")
NAMED = "2B7E C1A20001 9002"
WINDOW = Period(datetime(2026, 12, 1, 22, 0, tzinfo=UTC), datetime(2026, 12, 9, 6, 0, tzinfo=UTC))
HEADER = ("Hub ID", "Decision", "Firmware", "Window start", "Window end", "Until", "Phase")


def csv(*rows: Sequence[object], delimiter: str = ",") -> bytes:
    return "\r\n".join(delimiter.join(str(cell) for cell in row) for row in rows).encode()


def xlsx(
    *rows: Sequence[object],
    title: str = "Hubs",
    change: Callable[[xlsxwriter.Workbook], None] | None = None,
    **options: object,
) -> bytes:
    data = io.BytesIO()
    workbook = xlsxwriter.Workbook(data, {"in_memory": True, **options})
    sheet = workbook.add_worksheet(title)
    moment = workbook.add_format({"num_format": "dd/mm/yyyy hh:mm"})
    for number, row in enumerate(rows):
        for place, cell in enumerate(row):
            if isinstance(cell, datetime):
                sheet.write_datetime(number, place, cell, moment)
            else:
                sheet.write(number, place, cell)
    if change is not None:
        change(workbook)
    workbook.close()
    return data.getvalue()


def read(data: bytes, name: str = "hubs.csv", **options: object) -> Reading:
    sheet = open_sheet(name, data, SPREADSHEETS)
    return read_rows(sheet, SPREADSHEETS, **options)  # type: ignore[arg-type]


def refusal(data: bytes, name: str = "hubs.csv") -> str:
    with pytest.raises(SheetRefused) as refused:
        read(data, name)
    return str(refused.value)


def reason(*row: object, header: Sequence[object] = HEADER) -> str:
    """Why the only row is refused."""
    (why,) = read(csv(header, row)).refused.values()
    return why


def wish(*row: object) -> Wish:
    reading = read(csv(HEADER, row))
    assert reading.refused == {}
    ((hub_id, found),) = reading.accepted.values()
    assert hub_id == HUB
    return found


def test_each_decision_is_read() -> None:
    assert wish(HUB, "Approve", NAMED) == Wish(SheetDecision.APPROVE, FIRMWARE)
    assert wish(HUB, "declined", "2B7E/C1A20001/9002") == Wish(SheetDecision.DECLINE, FIRMWARE)
    assert wish(HUB, "DEFER", NAMED, "", "", "01/02/2027") == Wish(
        SheetDecision.DEFER, FIRMWARE, until=datetime(2027, 2, 1, tzinfo=UTC)
    )
    assert wish(HUB, "schedule", NAMED, "01/12/2026 22:00", "9-Dec-26 06:00", "", "pilot") == Wish(
        SheetDecision.SCHEDULE, FIRMWARE, WINDOW, phase=Phase.PILOT
    )
    assert wish(HUB, "Exclude") == Wish(SheetDecision.EXCLUDE)
    assert wish(HUB, "let in") == Wish(SheetDecision.INCLUDE)


@pytest.mark.parametrize(
    "written",
    [
        "00-db-12-34-56-78-90-a2",
        "00DB1234567890A2",
        "00:db:12:34:56:78:90:a2",
        "00 DB 12 34 56 78 90 A2",
        f" {HUB} ",
        f"'{HUB}",
    ],
)
def test_an_id_is_read_with_or_without_separators_in_any_case(written: str) -> None:
    assert wish(written, "Exclude") == Wish(SheetDecision.EXCLUDE)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("5.00512E+11", "Hub ID: '5.00512E+11' is not an id any more: the spreadsheet has made a number of it; format"),
        ("5E+12", "has made a number of it"),
        ("512345678901", "has 12 of the 16 hexadecimal digits of an id (leading zeros were lost?): enter all of them"),
        ("00-DB-12-34-56-78-90", "has 14 of the 16 hexadecimal digits of an id: enter all of them, as Text"),
        ("Total", "'Total' is not an EUI-64 such as 00-DB-12-34-56-78-90-A2"),
        ("=A1", "it is a formula, which is not read: put the value itself there"),
        ("", "Hub ID: is empty"),
    ],
)
def test_an_id_that_a_spreadsheet_has_changed_is_refused_with_advice(written: str, why: str) -> None:
    assert why in reason(written, "Exclude")


def test_an_id_that_is_a_number_in_a_workbook_is_refused_with_advice() -> None:
    reading = read(xlsx(HEADER, (512345678901, "Exclude"), (1.5e15, "Exclude"), (True, "Exclude")), "h.xlsx")

    assert [why.partition(":")[0] for why in reading.refused.values()] == ["Hub ID"] * 3
    assert all(
        "the spreadsheet has taken it for a number or a date and changed it" in why for why in reading.refused.values()
    )


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (
            (HUB, "Aprove", NAMED),
            "Decision: 'Aprove' is not understood; is Approve meant? Write one of Approve, Decline,",
        ),
        ((HUB, "banana", NAMED), "Decision: 'banana' is not understood: Write one of Approve"),
        ((HUB, "", NAMED), "Decision: is empty: write one of Approve, Decline, Defer, Schedule, Exclude, Include"),
        ((HUB, "Approve"), "Firmware: is empty: Approve needs manufacturer, model and version"),
        ((HUB, "Approve", "9002"), "Firmware: '9002' does not name a release"),
        ((HUB, "Approve", NAMED, "01/12/2026"), "Window start: stands only with Schedule: empty it, or write Schedule"),
        ((HUB, "Schedule", NAMED, "01/12/2026"), "Window end: is empty: Schedule needs both ends of the window"),
        (
            (HUB, "Schedule", NAMED, "01/12/2026 22:00", "01/12/2026"),
            "Window end: is 01/12/2026 00:00 GMT, which is not after the start, 01/12/2026 22:00 GMT; a date without a",
        ),
        ((HUB, "Schedule", NAMED, "soon", "later"), "Window start: 'soon' is no date"),
        ((HUB, "Defer", NAMED), "Until: is empty: Defer needs the day on which you will decide"),
        ((HUB, "Approve", NAMED, "", "", "1/2/27"), "Until: stands only with Defer or Exclude, not with Approve"),
        ((HUB, "Approve", NAMED, "", "", "", "Pilot"), "Phase: stands only with Schedule, not with Approve"),
        ((HUB, "Schedule", NAMED, "25/10/2026 01:30", "9/12/2026"), "Window start: 01:30 comes twice on 25/10/2026"),
    ],
)
def test_a_row_that_contradicts_itself_or_lacks_something_is_refused(row: Sequence[object], why: str) -> None:
    assert why in reason(*row)


@pytest.mark.parametrize(
    ("mpxn", "why"),
    [
        (
            "1.2E+12",
            "MPxN: '1.2E+12' has lost digits, the spreadsheet has made a number of it: format the column as Text",
        ),
        ("12345", "MPxN: '12345' has 5 digits, and an MPAN has 13, an MPRN 6 to 10; if leading zeros were lost"),
        ("meter", "MPxN: 'meter' is neither an MPAN of 13 digits nor an MPRN of 6 to 10"),
    ],
)
def test_a_meter_point_that_cannot_be_one_is_refused(mpxn: str, why: str) -> None:
    assert why in reason(HUB, mpxn, "Exclude", header=("Hub", "MPAN", "Decision"))
    assert read(csv(("Hub", "MPAN", "Decision"), (HUB, "1012345678901", "Exclude"))).refused == {}


def test_all_that_is_wrong_with_a_row_is_said() -> None:
    why = reason("x", "Schedule", "", "soon", "", header=("Hub", "Decision", "Firmware", "From", "To"))

    places = [why.index(f"{title}: ") for title in ("Hub ID", "Window start", "Firmware", "Window end")]
    assert places == sorted(places)


def test_rows_of_one_hub_are_refused_both_with_the_others_number() -> None:
    rows = [
        (HUB, "Exclude"),
        (OTHER, "Exclude"),
        (HUB.lower(), "Include"),
        (OTHER.replace("-", ""), "Exclude"),
        (HUB, "?"),
    ]

    reading = read(csv(HEADER, *rows))

    assert reading.accepted == {}
    assert reading.refused[2] == f"{HUB} also stands in rows 4, 6, which say something else: keep one row for a hub"
    assert reading.refused[3] == f"{OTHER} also stands in row 5, which says the same: keep one row for a hub"
    assert reading.refused[5] == f"{OTHER} also stands in row 3, which says the same: keep one row for a hub"
    assert reading.refused[6].startswith(
        f"{HUB} also stands in rows 2, 4, which say something else: keep one row for a hub; D"
    )


@pytest.mark.parametrize(
    "header",
    [
        ("HUB_ID", "decision"),
        ("chf id", "Supplier Decision"),
        ("Device-ID", "ACTION"),
        ("Comms Hub GUID", "Decision (required)"),
        ("  Hub  EUI ", "Response"),
    ],
)
def test_headers_are_matched_by_tolerant_names(header: Sequence[str]) -> None:
    assert len(read(csv(header, (HUB, "Exclude"))).accepted) == 1


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (("Hub ID", "Firmware"), "there is no column 'Decision' (also understood: Action, Supplier Decision"),
        (("Name", "Decision"), "there is no column 'Hub ID' (also understood: Hub, Hub EUI"),
        (("Hub ID", "Decison"), "column B, 'Decison', is doubtful: write 'Decision' if that is meant, or another name"),
        (("Hub ID", "Decision", "Device ID"), "columns A, 'Hub ID', and C, 'Device ID', both name the Hub ID: rename"),
        (
            ("Hub ID", "Decision", "Window start (UTC)"),
            "column C, 'Window start (UTC)', is doubtful, since (UTC) may change what it says: leave that out if the",
        ),
        (("a", "b"), "there is no column 'Hub ID'"),
    ],
)
def test_a_header_that_is_missing_or_doubtful_is_refused(header: Sequence[str], why: str) -> None:
    assert why in refusal(csv(header, (HUB, "Exclude")))


def test_the_header_may_stand_further_down_and_columns_of_ones_own_anywhere() -> None:
    rows = [("Campaign of December",), (), ("Customer", "Hub ID", "Notes", "Decision"), ("Ann", HUB, "=1+1", "Exclude")]

    reading = read(csv(*rows))

    assert (list(reading.accepted), reading.refused) == ([4], {})


def test_a_header_that_is_a_formula_names_nothing() -> None:
    def change(workbook: xlsxwriter.Workbook) -> None:
        workbook.get_worksheet_by_name("Hubs").write_formula(0, 1, '="Decision"', None, "Decision")

    assert "there is no column 'Decision'" in refusal(xlsx(("Hub ID", "", "Phase"), (HUB, "Exclude"), change=change))


def test_rows_without_anything_that_is_read_are_no_rows() -> None:
    reading = read(csv(("Hub ID", "Decision", "Notes"), (), ("", "-", "a note"), (HUB, "Exclude"), (" ", "")))

    assert (list(reading.accepted), reading.count) == ([4], 1)


def test_rows_that_a_report_says_are_done_are_left_out() -> None:
    reading = read(csv(("Hub ID", "Decision", "Result"), (HUB, "Exclude", "Accepted"), (OTHER, "Exclude", "Refused")))

    assert (list(reading.left_out), list(reading.accepted)) == ([2], [3])


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_csv_of_every_usual_kind_is_read(delimiter: str, encoding: str) -> None:
    data = csv(HEADER, (HUB, "Exclude", "Jürgen “é”"), delimiter=delimiter).decode().encode(encoding)

    sheet = open_sheet("hubs.csv", data, SPREADSHEETS)

    assert list(sheet.rows()) == [(2, [HUB, "Exclude", "Jürgen “é”"])]
    assert list(read_rows(sheet, SPREADSHEETS).accepted) == [2]


def test_csv_may_name_its_separator() -> None:
    assert list(read(b"sep=;\r\n" + csv(HEADER, (HUB, "Exclude"), delimiter=";")).accepted) == [3]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "the file is empty"),
        (b"\r\n\r\n", "there is nothing in it"),
        ("Hub ID,Decision".encode("utf-16"), "saved as Unicode text (UTF-16): save it as CSV UTF-8"),
        (b"Hub ID,Decision\0", "neither a workbook nor a CSV file"),
        (b"Hub ID,Decision\r\n\x81", "neither UTF-8 nor Windows-1252"),
        (b'Hub ID,Decision\r\n"a', "is not CSV"),
        (b'Hub ID,Decision\r\n"a"b,c', "is not CSV"),
    ],
)
def test_what_is_no_csv_is_refused(data: bytes, why: str) -> None:
    assert why in refusal(data)


def test_formulas_are_refused_row_by_row_whatever_they_show() -> None:
    def change(workbook: xlsxwriter.Workbook) -> None:
        sheet = workbook.get_worksheet_by_name("Hubs")
        sheet.write_formula(1, 0, '=CONCATENATE("00-DB","-12")', None, HUB)
        sheet.write_formula(2, 3, "=1+1", None, "of one's own")

    reading = read(
        xlsx(("Hub ID", "Decision", "Phase", "Notes"), ("", "Exclude"), (OTHER, "Exclude"), change=change), "h.xlsx"
    )

    assert reading.refused == {
        2: "Hub ID: it is a formula, which is not read: put the value itself there (Paste Special, Values)"
    }
    assert list(reading.accepted) == [3]


@pytest.mark.parametrize("date_1904", [False, True])
def test_dates_of_a_workbook_are_local_time_wherever_it_counts_from(date_1904: bool) -> None:
    start, end = datetime(2026, 12, 1, 22, 0), datetime(2026, 12, 9, 6, 0)  # noqa: DTZ001 - as cells have it
    serial = (start - (datetime(1904, 1, 1) if date_1904 else datetime(1899, 12, 30))).total_seconds() / 86_400  # noqa: DTZ001
    rows = [(HUB, "Schedule", NAMED, start, end), (OTHER, "Schedule", NAMED, serial, end)]

    reading = read(xlsx(HEADER, *rows, default_date_format=None, date_1904=date_1904), "h.xlsx")

    assert [found.window for _, found in reading.accepted.values()] == [WINDOW, WINDOW]


def test_the_sheet_is_taken_that_has_hubs_in_it() -> None:
    book = openpyxl.Workbook()
    pages: dict[str, list[tuple[str, ...]]] = {
        "Notes": [("hello",)],
        "Data": [HEADER, (HUB, "Exclude")],
        "Old": [HEADER, (OTHER, "Exclude")],
    }
    for title, rows in pages.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book["Old"].sheet_state = "hidden"
    data = io.BytesIO()
    book.save(data)

    assert open_sheet("h.xlsx", data.getvalue(), SPREADSHEETS).title == "Data"
    assert open_sheet("h.xlsx", data.getvalue(), SPREADSHEETS, sheet="Old").title == "Old"
    with pytest.raises(SheetRefused, match="there is no sheet 'New'; there are 'Sheet', 'Notes', 'Data', 'Old'"):
        open_sheet("h.xlsx", data.getvalue(), SPREADSHEETS, sheet="New")
    book["Old"].sheet_state = "visible"
    data = io.BytesIO()
    book.save(data)
    assert "several sheets have hubs in them: 'Data', 'Old'" in refusal(data.getvalue(), "h.xlsx")


def test_a_table_may_begin_anywhere_in_its_sheet() -> None:
    rows = [(), ("", "", *HEADER), ("", "", HUB, "Exclude")]

    assert list(read(xlsx(*rows), "h.xlsx").accepted) == [3]


def test_the_version_alone_names_the_release_that_was_given() -> None:
    rows = [(HUB, "Approve", "9002"), (OTHER, "Approve", "")]

    reading = read(csv(HEADER, *rows), firmware=FIRMWARE)

    assert [found.firmware for _, found in reading.accepted.values()] == [FIRMWARE, FIRMWARE]


euis = st.integers(0, 2**64 - 1).map(lambda number: "-".join(f"{number:016X}"[at : at + 2] for at in range(0, 16, 2)))
times = st.datetimes(datetime(2000, 1, 2), datetime(2199, 12, 29), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda at: at.replace(microsecond=0)
)
names = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._", min_size=1, max_size=30)
wishes = st.one_of(
    st.builds(
        lambda firmware, pair, phase, accepts: Wish(
            SheetDecision.SCHEDULE, firmware, Period(min(pair), max(pair)), None, phase, accepts
        ),
        st.builds(Firmware, names, names, names),
        st.tuples(times, times).filter(lambda pair: pair[0] != pair[1]),
        st.sampled_from(Phase),
        st.booleans(),
    ),
    st.builds(
        lambda firmware, until: Wish(SheetDecision.DEFER, firmware, until=until),
        st.builds(Firmware, names, names, names),
        times,
    ),
    st.builds(lambda until: Wish(SheetDecision.EXCLUDE, until=until), st.none() | times),
    st.builds(lambda firmware: Wish(SheetDecision.APPROVE, firmware), st.builds(Firmware, names, names, names)),
)


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(euis, wishes, max_size=5))
def test_what_the_template_holds_reads_back_the_same(wanted: dict[str, Wish]) -> None:
    rows = [
        {
            SheetColumn.HUB_ID: hub_id,
            SheetColumn.DECISION: str(found.decision),
            SheetColumn.FIRMWARE: None
            if found.firmware is None
            else " ".join((found.firmware.manufacturer, found.firmware.model, found.firmware.version)),
            SheetColumn.WINDOW_START: None if found.window is None else found.window.start,
            SheetColumn.WINDOW_END: None if found.window is None else found.window.end,
            SheetColumn.UNTIL: found.until,
            SheetColumn.PHASE: str(found.phase) if found.window else None,
            SheetColumn.ACCEPT_HAN_IMPACT: found.accept_han_impact,
        }
        for hub_id, found in wanted.items()
    ]
    data = io.BytesIO()
    write_template(data, SPREADSHEETS, rows)

    for name, content in (("t.xlsx", data.getvalue()), ("t.csv", template_csv(SPREADSHEETS, rows))):
        reading = read(content, name)
        assert reading.refused == {}
        assert dict(reading.accepted.values()) == wanted


def test_the_template_has_lists_to_choose_from_and_a_guide(spreadsheets: Spreadsheets) -> None:
    data = io.BytesIO()
    write_template(data, spreadsheets)

    book = openpyxl.load_workbook(io.BytesIO(data.getvalue()))
    assert book.sheetnames == ["Hubs", "Guide"]
    assert [cell.value for cell in book["Hubs"][1]][:6] == [
        "Hub ID",
        "MPxN",
        "Region",
        "Decision",
        "Firmware",
        "Window start (UK time)",
    ]
    assert [rule.formula1 for rule in book["Hubs"].data_validations.dataValidation][
        1
    ] == '"Approve,Decline,Defer,Schedule,Exclude,Include"'
    guide = {str(row[0].value): str(row[1].value) for row in book["Guide"].iter_rows(min_row=2)}
    assert guide["Window start (UK time)"].startswith("With Schedule: not before.")
    assert len(COLUMNS) <= len(guide)
    assert read(data.getvalue(), "t.xlsx").count == 0
