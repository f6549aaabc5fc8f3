"""Workbooks that are meant to do harm, or are too big: refused before anything of them is read."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_engine.configuration import Spreadsheets, load_spreadsheets
from sr_engine.resources import data_directory
from sr_engine.spreadsheets.reading import open_sheet
from sr_engine.spreadsheets.refusals import SheetRefused
from sr_engine.spreadsheets.rows import read_rows
from tests.spreadsheets.test_reading import HEADER, HUB, xlsx

SPREADSHEETS = load_spreadsheets(data_directory("config"))
SHEET = "xl/worksheets/sheet1.xml"
GOOD = xlsx(HEADER, (HUB, "Exclude"))
_RELATION = '<Relationship Id="rId9" Type="http://x/{kind}" Target="{target}" TargetMode="External"/></Relationships>'


def changed(parts: dict[str, bytes | Callable[[bytes], bytes]], data: bytes = GOOD) -> bytes:
    """The workbook with some parts changed or added."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            change = parts.get(name)
            content = old.read(name)
            new.writestr(name, content if change is None else change(content) if callable(change) else change)
        for name, added in parts.items():
            if name not in old.namelist():
                assert isinstance(added, bytes)
                new.writestr(name, added)
    return made.getvalue()


def refusal(data: bytes, name: str = "hubs.xlsx", spreadsheets: Spreadsheets = SPREADSHEETS) -> str:
    with pytest.raises(SheetRefused) as refused:
        open_sheet(name, data, spreadsheets)
    return str(refused.value)


def limited(**limits: int) -> Spreadsheets:
    return replace(SPREADSHEETS, limits=replace(SPREADSHEETS.limits, **limits))


def cells(*references: str, extra: str = "") -> Callable[[bytes], bytes]:
    """A sheet with further cells at some places."""
    made = "".join(f'<row><c r="{reference}"><v>1</v></c></row>' for reference in references) + extra
    return lambda content: content.replace(b"</sheetData>", made.encode() + b"</sheetData>")


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ("xl/vbaProject.bin", "it contains macros"),
        ("xl/macrosheets/sheet1.xml", "it contains macros"),
        ("xl/externalLinks/externalLink1.xml", "it has links to other workbooks or programs (DDE)"),
        ("xl/embeddings/oleObject1.bin", "other documents are embedded in it"),
        ("xl/activeX/activeX1.bin", "programs (ActiveX) are embedded in it"),
        ("xl/connections.xml", "it has connections to data elsewhere"),
        ("XL/VBAPROJECT.BIN", "it contains macros"),
    ],
)
def test_what_could_act_or_fetch_is_refused(part: str, why: str) -> None:
    assert why in refusal(changed({part: b"x"}))


def test_macros_are_refused_by_name_and_by_kind() -> None:
    assert ".xlsm is not read (it may contain macros): save it as .xlsx or CSV" in refusal(GOOD, "hubs.xlsm")
    kind = b"application/vnd.ms-excel.sheet.macroEnabled.main+xml"
    old = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
    assert "macros" in refusal(changed({"[Content_Types].xml": lambda content: content.replace(old, kind)}))


def test_a_link_out_is_refused_and_a_hyperlink_in_a_cell_is_a_text() -> None:
    def with_relation(kind: str) -> bytes:
        made = _RELATION.format(kind=kind, target="file:///c:/secret.xlsx").encode()
        return changed(
            {
                "xl/_rels/workbook.xml.rels": lambda content: content.replace(b"</Relationships>", made),
            }
        )

    assert "it has a link to 'file:///c:/secret.xlsx'" in refusal(with_relation("image"))
    assert open_sheet("hubs.xlsx", with_relation("hyperlink"), SPREADSHEETS).header_row == 1


def test_a_protected_file_and_an_old_one_are_named_as_what_they_are() -> None:
    compound = bytes.fromhex("D0CF11E0A1B11AE1") + bytes(600)
    assert "this is an old .xls workbook" in refusal(compound)
    assert "protected by a password" in refusal(compound + "EncryptedPackage".encode("utf-16-le"))
    assert ".ods is not read" in refusal(GOOD, "hubs.ods")


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = changed({"xl/media/image1.png": bytes(30_000_000)})
    assert len(bomb) < 100_000
    assert "times smaller than it is, more than 200, as files are that are meant to do harm" in refusal(bomb)
    assert "unpacked, the workbook has" in refusal(bomb, spreadsheets=limited(unpacked_bytes=20_000_000))
    assert "the file has more than 1,000 bytes" in refusal(GOOD, spreadsheets=limited(file_bytes=1_000))
    assert "consists of" in refusal(GOOD, spreadsheets=limited(parts=3))


def test_a_bomb_that_says_it_is_small_is_found_out() -> None:
    with zipfile.ZipFile(io.BytesIO(GOOD)) as archive:
        info = archive.getinfo(SHEET)
        real = archive.read(SHEET)
    forged = bytearray(GOOD)
    # The directory says that the sheet has a hundred bytes, and gives their checksum; others read on to the end.
    place = forged.rindex(SHEET.encode()) - 46
    assert forged[place : place + 4] == b"PK\x01\x02"
    struct.pack_into("<I", forged, place + 16, zlib.crc32(real[:100]))
    struct.pack_into("<I", forged, place + 24, 100)
    assert info.file_size > 100
    assert refusal(bytes(forged)) == f"the workbook is damaged or forged: {SHEET} holds more than it says"
    struct.pack_into("<I", forged, place + 24, info.file_size + 100)
    assert "is not as long as it says" in refusal(bytes(forged))


def test_a_single_cell_far_out_costs_nothing() -> None:
    assert "more than 250,000 rows are not read" in refusal(changed({SHEET: cells("A1048576")}))
    assert "there are 16,384 columns; more than 100 are not read" in refusal(changed({SHEET: cells("XFD3")}))
    assert "249,999 rows of 90 columns are 22,499,910 cells" in refusal(changed({SHEET: cells("A249999", "CL3")}))


@pytest.mark.parametrize(
    "far",
    [
        "<row r='1000000'><c><v>1</v></c></row>",
        "<x:row xmlns:x='urn:x' r='1000000'><x:c><x:v>1</x:v></x:c></x:row>",
        "<row r='3'><c r='a1000000'><v>1</v></c></row>",
        "<row r='3'><c r='&#65;1000000'><v>1</v></c></row>",
        "<row r='3'><c t='inlineStr' r='A1000000'><is><t>1</t></is></c></row>",
        "<row r='3'><c r='A1000000'><f>1</f></c></row>",
    ],
)
def test_however_it_is_written(far: str) -> None:
    assert "more than 250,000 rows are not read" in refusal(changed({SHEET: cells(extra=far)}))


def test_formats_far_out_without_content_do_no_harm() -> None:
    formatted = changed({SHEET: cells(extra='<row r="1048576"><c r="XFD1048576" s="1"/></row>')})

    assert open_sheet("hubs.xlsx", formatted, SPREADSHEETS).last_row == 2


def test_elements_that_hold_nothing_are_not_gone_through_for_ever() -> None:
    few = limited(cells=100)
    assert "full of cells that hold nothing" in refusal(changed({SHEET: cells(extra="<c/>" * 600)}), spreadsheets=few)
    texts = b"<sst>" + b"<si/>" * 600 + b"</sst>"
    assert "full of cells that hold nothing" in refusal(changed({"xl/sharedStrings.xml": texts}), spreadsheets=few)
    relations = b"<Relationships>" + b" " * 6_000_000 + b"</Relationships>"
    assert "larger than any that Excel writes" in refusal(changed({"xl/_rels/workbook.xml.rels": relations}))


def test_a_text_that_a_million_cells_share_is_counted_for_each() -> None:
    cells_sharing = "".join(f'<row><c r="A{number}" t="s"><v>0</v></c></row>' for number in range(3, 4_003))
    long = b"<sst><si><t>" + b"x" * 20_000 + b"</t></si>" + b"<si><t/></si>" * 20 + b"</sst>"
    data = changed({SHEET: cells(extra=cells_sharing), "xl/sharedStrings.xml": long})

    assert "the cells of a sheet hold 80," in refusal(data, spreadsheets=limited(unpacked_bytes=50_000_000))
    assert "a cell holds 20,000 characters, more than 10,000" in refusal(
        data, spreadsheets=limited(cell_characters=10_000)
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'<!DOCTYPE x [<!ENTITY a "aaaa">]><worksheet/>', "has a DOCTYPE"),
        ('<?xml version="1.0" encoding="UTF-16"?><worksheet/>'.encode("utf-16"), "is written in UTF-16, not UTF-8"),
        (b'<?xml version="1.0" encoding="ISO-8859-1"?><worksheet/>', "is written in ISO-8859-1, not UTF-8"),
        (b"<worksheet><a></worksheet>", "the workbook is damaged"),
        (b'<worksheet><row><c r="A0"/></row></worksheet>', "a sheet names a row '0'"),
        (b'<worksheet><row><c r="AAAA1"/></row></worksheet>', "a sheet names a column 'AAAA'"),
        (b'<worksheet><row r="99999999"/></worksheet>', "a sheet names a row '99999999'"),
    ],
)
def test_xml_that_excel_does_not_write_is_refused(content: bytes, why: str) -> None:
    assert why in refusal(changed({SHEET: content}))


def test_the_same_part_twice_is_refused() -> None:
    made = io.BytesIO(GOOD)
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr("XL/Worksheets/Sheet1.xml", b"<worksheet/>")

    assert "holds the same part twice" in refusal(made.getvalue())


def test_too_many_rows_of_csv_are_refused() -> None:
    data = b"Hub ID,Decision\r\n" + b"a,b\r\n" * 10

    assert "more than 10 rows are not read" in refusal(data, "h.csv", limited(rows=10))
    assert "row 2 has 3 cells; more than 2 are not read" in refusal(
        b"Hub ID,Decision\r\na,b,c", "h.csv", limited(columns=2)
    )
    assert "there are more than 10 cells" in refusal(data, "h.csv", limited(cells=10))


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_whatever_is_changed_in_a_workbook_it_is_read_or_refused(data: st.DataObject) -> None:
    forged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(forged) - 1))
        forged[place] = data.draw(st.integers(0, 255))
    try:
        reading = read_rows(open_sheet("hubs.xlsx", bytes(forged), SPREADSHEETS), SPREADSHEETS)
    except SheetRefused as refused:
        words = str(refused)
    else:
        words = f"{reading.count} rows"
    assert words


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=300))
def test_whatever_bytes_come_they_are_read_or_refused(content: bytes) -> None:
    for data in (content, b"Hub ID,Decision\n" + content):
        try:
            count = read_rows(open_sheet("hubs", data, SPREADSHEETS), SPREADSHEETS).count
        except SheetRefused:
            count = 0
        assert count >= 0
