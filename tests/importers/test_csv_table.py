"""Files as people have them: read to the end, refused with every reason."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_engine.importers import csv_table
from sr_engine.importers.csv_table import Column, CsvRefused, described, digits, eui, read_csv, up_to
from sr_engine.messages.identifiers import canonical_eui
from tests.importers.conftest import Write, problems

NAME = Column("name", "text of at most 8 characters", up_to(8), required=True)
NUMBER = Column("number", "3 digits", digits(3, 3))
COLUMNS = (NAME, NUMBER)


def read(path: Path, **more: Any) -> list[dict[str, object]]:
    return read_csv(path, COLUMNS, key=("name",), **more)


def refused(path: Path) -> list[str]:
    with pytest.raises(CsvRefused) as caught:
        read(path)
    return problems(caught.value)


def rows_or_problems(path: Path) -> Sequence[dict[str, object] | str]:
    try:
        return read(path)
    except CsvRefused as caught:
        return problems(caught) or [{}]


def test_columns_may_stand_in_any_order_in_any_case_and_be_left_out(write: Write) -> None:
    both = read(write("Number , NAME\n001,a\n,b\n"))
    one = read(write("name\na\n"))

    assert both == [{"name": "a", "number": "001"}, {"name": "b", "number": None}]
    assert one == [{"name": "a", "number": None}]


def test_what_a_spreadsheet_adds_does_no_harm(write: Write) -> None:
    marked = b"\xef\xbb\xbfname,number\r\n a ,001\r\n\r\n,\r\n"

    assert read(write(marked)) == [{"name": "a", "number": "001"}]


def test_a_cell_that_looks_like_a_formula_is_text(write: Write) -> None:
    rows = read(write('name\n=1+1\n"+A1,B"\n-2\n@sum\n'))

    assert [row["name"] for row in rows] == ["=1+1", "+A1,B", "-2", "@sum"]


def test_every_bad_row_is_named_by_line_column_and_reason(write: Write) -> None:
    path = write("name,number\nfar too long,12\n,x\nc,001,more\nd\ngood,001\n")

    assert refused(path) == [
        "line 2, name: must be text of at most 8 characters, not 'far too long'",
        "line 2, number: must be 3 digits, not '12'",
        "line 3, name: is empty; it must be text of at most 8 characters",
        "line 3, number: must be 3 digits, not 'x'",
        "line 4: the row has 3 cells, the header has 2",
        "line 5: the row has 1 cells, the header has 2",
    ]


def test_the_report_names_the_file_and_ends_with_what_became_of_it(write: Write) -> None:
    with pytest.raises(CsvRefused, match="nothing was imported: 1 problem") as caught:
        read(write("name,number\na,1\n"))

    assert str(caught.value).splitlines()[0] == "file.csv: line 2, number: must be 3 digits, not '1'"


def test_rows_are_counted_by_the_line_on_which_they_begin(write: Write) -> None:
    path = write('name,number\n"a\nb",001\nc,x\n')

    assert refused(path) == [
        "line 2, name: must be text of at most 8 characters, not 'a\\nb'",
        "line 4, number: must be 3 digits, not 'x'",
    ]


def test_a_row_that_stands_twice_is_refused(write: Write) -> None:
    assert refused(write("name,number\na,001\nb,001\na,002\n")) == [
        "line 4, name: the same name stands in line 2 already"
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", ["line 1: the first line must name the columns"]),
        ("\nname\n", ["line 1: the first line must name the columns"]),
        ("name,size\na,1\n", ["line 1: unknown column 'size'; known columns: name, number"]),
        ("name,\na,1\n", ["line 1: column 2 has no name; known columns: name, number"]),
        ("name,name\na,b\n", ["line 1, name: the column stands twice"]),
        ("number\n001\n", ["line 1, name: the column is missing; it holds text of at most 8 characters"]),
        ('name\n"a\n', ["line 2: not CSV: unexpected end of data"]),
        (b"name\n\xff\n", ["line 1: the file is not UTF-8 text: save it as CSV UTF-8"]),
    ],
)
def test_a_file_without_usable_columns_is_refused(write: Write, content: str | bytes, says: list[str]) -> None:
    assert refused(write(content)) == says


def test_a_file_with_other_separators_is_told_to_use_commas(write: Write) -> None:
    assert refused(write("name;number\na;001\n"))[0] == (
        "line 1: unknown column 'name;number'; separate columns by commas; known columns: name, number"
    )


def test_long_cells_are_not_repeated_whole(write: Write) -> None:
    (problem,) = refused(write(f"name\n{'x' * 5000}\n"))

    assert len(problem) < 120


def test_large_files_report_their_progress(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_table, "PROGRESS_EVERY", 2)
    seen: list[int] = []

    rows = read(write("name\n" + "".join(f"n{number}\n" for number in range(5))), progress=seen.append)

    assert (len(rows), seen) == (5, [2, 4])


def test_a_row_may_be_checked_as_a_whole(write: Write) -> None:
    def check(row: dict[str, object]) -> tuple[str, str] | None:
        return ("number", "is not the name") if row["number"] != row["name"] else None

    with pytest.raises(CsvRefused) as caught:
        read(write("name,number\n001,001\n002,001\n"), check=check)

    assert problems(caught.value) == ["line 3, number: is not the name"]


def test_the_help_says_what_each_column_holds() -> None:
    assert described(COLUMNS).splitlines() == [
        "  name                    text of at most 8 characters",
        "  number                  3 digits, or empty",
    ]


@settings(deadline=None)
@given(octets=st.binary(min_size=8, max_size=8), separator=st.sampled_from(["", "-", ":", " "]), upper=st.booleans())
def test_an_eui_is_read_however_it_is_written(octets: bytes, separator: str, upper: bool) -> None:
    written = octets.hex(separator) if separator else octets.hex()

    assert eui(written.upper() if upper else written) == canonical_eui(octets.hex("-"))


@pytest.mark.parametrize("text", ["", "00", "00005EEFC00000", "00005EEFC0000001F", "00_00_5E_EF_C0_00_00_01", "GG" * 8])
def test_what_is_no_eui_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        eui(text)


@settings(deadline=None)
@given(names=st.lists(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8), unique=True))
def test_text_comes_back_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([["name"], *([name] for name in names)])
    path = tmp_path_factory.getbasetemp() / "names.csv"
    path.write_text(file.getvalue(), encoding="utf-8", newline="")

    assert [row["name"] for row in read(path)] == names


@settings(deadline=None)
@given(content=st.binary(max_size=300) | st.text(alphabet='name,number\n"012;\r\0', max_size=80).map(str.encode))
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)

    assert all(isinstance(one, str) or one.keys() == {"name", "number"} for one in rows_or_problems(path))
