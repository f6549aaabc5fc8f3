"""Decisions from a spreadsheet: by key and on the instance's machine, once, with a report beside each row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy import select

from sr_engine.configuration import load_spreadsheets
from sr_engine.domain.holding import Breach, Thresholds
from sr_engine.messages.model import ReadCommsHubFirmwareSchedule, ScheduleRead
from sr_engine.operations.quarantine import set_thresholds
from sr_engine.resources import data_directory
from sr_engine.spreadsheets.export import ExportColumn, Kind, write_xlsx
from sr_engine.store.tables import exchanges
from tests.cli.conftest import Run, keep_to_yourself
from tests.gateway.conftest import Served, serving, still
from tests.world import A, B, TestHub, World, make_world

SPREADSHEETS = load_spreadsheets(data_directory("config"))
HUBS = [TestHub(number) for number in range(1, 5)]
SPLIT = TestHub(5, gas=B.name)
OF_OTHERS = TestHub(7, electricity=B.name, gas=B.name)
NAMED = "2B7E C1A20001 9002"
COLUMNS = (
    ExportColumn("Hub ID"),
    ExportColumn("Decision"),
    ExportColumn("Firmware"),
    ExportColumn("Window start", Kind.MOMENT),
    ExportColumn("Window end", Kind.MOMENT),
    ExportColumn("Until", Kind.MOMENT),
    ExportColumn("Customer"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a report."""

    hub: object
    result: str
    words: str


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[World]:
    """An instance with a release; its clock is the computer's, as commands open it."""

    def prepare(directory: Path) -> None:
        keep_to_yourself(directory)
        still(directory)

    world = make_world(tmp_path / "instance", datetime.now(UTC).replace(microsecond=0), prepare=prepare)
    world.add_hubs([*HUBS, SPLIT, OF_OTHERS])
    world.open_release()
    yield world
    world.close()


@pytest.fixture
def served(trial: World) -> Iterator[Served]:
    with serving(trial) as served:
        yield served


@pytest.fixture
def sheet(tmp_path: Path, trial: World) -> Path:
    """A sheet with a bit of everything, half of which can be done."""
    now = trial.clock.now()
    start, end = now + timedelta(days=5), now + timedelta(days=20)
    path = tmp_path / "decisions.xlsx"
    rows = [
        (HUBS[0].chf, "Schedule", NAMED, start, end, None, "Ann"),
        (HUBS[1].chf.lower(), "Schedule", NAMED, start, end, None, "Bob"),
        (OF_OTHERS.chf, "Schedule", NAMED, start, end, None, "Cy"),
        ("nonsense", "Schedule", NAMED, start, end, None, "=1+1"),
        (HUBS[2].chf, "Decline", NAMED, None, None, None, None),
        (HUBS[3].chf, "Exclude", None, None, None, now + timedelta(days=30), None),
        (SPLIT.chf, "Approve", "2B7E C1A20001 7777", None, None, None, None),
    ]
    write_xlsx(path, "Hubs", COLUMNS, rows, SPREADSHEETS)
    return path


def report_of(sheet: Path) -> list[Row]:
    rows = (
        openpyxl.load_workbook(sheet.with_name(f"{sheet.stem}-report.xlsx")).worksheets[0].iter_rows(values_only=True)
    )
    header, *others = rows
    assert header == (
        *("Hub ID", "Decision", "Firmware", "Window start (UK time)", "Window end (UK time)", "Until (UK time)"),
        *("Customer", "Result", "Reason / what to do"),
    )
    return [Row(row[0], str(row[7]), str(row[8])) for row in others]


def by_key(world: World, port: int, sheet: Path, *more: str) -> Sequence[object]:
    pki = world.directory / "pki"
    return (
        *("spreadsheet", "import", sheet, "--url", f"http://127.0.0.1:{port}", "--key", pki / A.name / "key.pem"),
        *("--certificate", pki / A.name / "certificate.pem", "--trust", pki / "trust"),
        *("--counters", world.directory / "client-counters", "--sent", world.directory / "sent", *more),
    )


def statuses(world: World) -> list[str]:
    found = []
    for hub in [*HUBS, SPLIT]:
        result = world.send(A, ReadCommsHubFirmwareSchedule(device_id=hub.chf), "11.7").result
        assert isinstance(result, ScheduleRead)
        found.append(result.upgrades[0].status.value)
    return found


def counted(world: World, interface: str) -> int:
    with world.instance.reading_engine.connect() as connection:
        rows = connection.scalars(select(exchanges.c.interface)).all()
    return sum(row.startswith(interface) for row in rows)


def check_report(sheet: Path) -> None:
    rows = report_of(sheet)
    assert [row.result for row in rows] == [
        "Accepted",
        "Accepted",
        "Refused",
        "Refused",
        "Accepted",
        "Accepted",
        "Refused",
    ]
    assert rows[0].words.startswith("Schedule ")
    assert ": Schedule between " in rows[0].words
    assert "(General)" in rows[0].words
    assert rows[2].words.startswith("You are not its responsible Supplier today")
    assert rows[3].words == "Hub ID: 'nonsense' is not an EUI-64 such as 00-DB-12-34-56-78-90-A2"
    assert rows[4].words.startswith("Decline.")
    assert rows[5].words.startswith("Exclude until ")
    assert rows[6].words.startswith("E110601: no release of firmware 2B7E C1A20001 7777 is known here")


DONE = ["Scheduled", "Scheduled", "Declined", "Excluded", "AwaitingApproval"]


def test_rows_become_signed_requests_and_the_report_says_what_became_of_each(
    run: Run, served: Served, sheet: Path
) -> None:
    world = served.world

    done = run(*by_key(world, served.port, sheet))

    assert done.exit_code == 1, done.output
    assert "Accepted" in done.stdout
    check_report(sheet)
    assert statuses(world)[:4] == DONE[:4]


def test_the_same_file_imported_again_is_not_done_again(run: Run, served: Served, sheet: Path) -> None:
    world = served.world
    run(*by_key(world, served.port, sheet))
    before = world.snapshot()

    again = run(*by_key(world, served.port, sheet))

    assert again.exit_code == 1
    assert "as before: " in again.stdout
    check_report(sheet)
    assert "This file was imported before: nothing was done now" in report_of(sheet)[0].words
    assert world.snapshot() == before
    anew = run(*by_key(world, served.port, sheet, "--again"))
    assert "as before: " not in anew.stdout
    assert report_of(sheet)[0].words.startswith(
        "You have scheduled it already, or an upgrade to another version is open."
    )


def test_a_corrected_report_is_imported_for_what_is_left(run: Run, served: Served, sheet: Path) -> None:
    world = served.world
    run(*by_key(world, served.port, sheet))
    corrected = sheet.with_name("decisions-report.xlsx")
    book = openpyxl.load_workbook(corrected)
    book.worksheets[0]["C8"] = NAMED
    corrected = sheet.with_name("corrected.xlsx")
    book.save(corrected)

    done = run(*by_key(world, served.port, corrected))

    assert done.exit_code == 1
    results = [row.result for row in report_of(corrected)]
    assert results == ["Left out", "Left out", "Refused", "Refused", "Left out", "Left out", "Accepted"]
    assert statuses(world) == DONE


def test_a_dry_run_by_key_sends_nothing(run: Run, trial: World, sheet: Path) -> None:
    done = run(*by_key(trial, 9, sheet, "--dry-run"))

    assert done.exit_code == 1, "a row cannot be sent as it is"
    assert "dry run: nothing was changed, and nothing was sent" in done.stdout
    assert "Schedule 3 hubs for 2B7E C1A20001 9002 between " in done.stdout
    assert [row.result for row in report_of(sheet)].count("Would be sent") == 6


def test_nobody_at_the_address_is_said_and_the_next_try_sends_the_same(run: Run, served: Served, sheet: Path) -> None:
    failed = run(*by_key(served.world, 9, sheet, "--tries", "1"))

    assert failed.exit_code == 2
    words = [row.words for row in report_of(sheet) if row.result == "Not sent"]
    assert "was not answered" in words[0]
    assert words[-1].startswith("Not sent, for an earlier request failed")
    assert run(*by_key(served.world, served.port, sheet)).exit_code == 1
    assert [row.result for row in report_of(sheet)].count("Accepted") == 4


def on_the_instance(world: World, sheet: Path, *more: object) -> Sequence[object]:
    return ("spreadsheet", "import", sheet, "--dir", world.directory, "--supplier", A.name, *more)


def test_rows_are_carried_out_on_the_instance_in_the_name_of_a_supplier(run: Run, trial: World, sheet: Path) -> None:
    preview = run(*on_the_instance(trial, sheet, "--dry-run"))

    assert preview.exit_code == 1
    assert [row.result for row in report_of(sheet)].count("Would be accepted") == 4
    assert counted(trial, "SHEET") == 0

    done = run(*on_the_instance(trial, sheet, "--as", A.eui.lower()))

    assert done.exit_code == 1
    check_report(sheet)
    assert statuses(trial)[:4] == DONE[:4]
    assert counted(trial, "SHEET") == 4
    again = run(*on_the_instance(trial, sheet))
    assert "as before: " in again.stdout
    assert counted(trial, "SHEET") == 4


def test_what_is_held_is_told_as_waiting(run: Run, served: Served, tmp_path: Path) -> None:
    world, path = served.world, tmp_path / "hubs.csv"
    world.run(lambda uow: set_thresholds(uow, A.eui, Breach.DCC, Thresholds(None, 1)))
    path.write_text("Hub ID,Decision\n" + "".join(f"{hub.chf},Exclude\n" for hub in HUBS))

    done = run(*by_key(world, served.port, path))

    assert done.exit_code == 1
    rows = list(openpyxl.load_workbook(tmp_path / "hubs-report.xlsx").worksheets[0].iter_rows(2, values_only=True))
    assert [row[2] for row in rows] == ["Waits"] * 4
    assert "answers later" in str(rows[0][3])


def test_a_dry_run_on_the_instance_says_for_which_rows_a_threshold_would_be_crossed(
    run: Run, trial: World, sheet: Path
) -> None:
    trial.run(lambda uow: set_thresholds(uow, A.eui, Breach.DCC, Thresholds(2, None)))

    run(*on_the_instance(trial, sheet, "--dry-run"))
    foreseen = [(row.result, row.words) for row in report_of(sheet)]
    run(*on_the_instance(trial, sheet))
    done = [(row.result, row.words) for row in report_of(sheet)]

    assert any("threshold" in words for _, words in foreseen)
    assert [result.replace("Would be accepted", "Accepted") for result, _ in foreseen] == [one for one, _ in done]


def test_what_was_kept_of_an_earlier_import_is_not_guessed_at(run: Run, served: Served, tmp_path: Path) -> None:
    world, path = served.world, tmp_path / "hubs.csv"
    path.write_text(f"Hub ID,Decision\n{HUBS[0].chf},Exclude\n")
    assert run(*by_key(world, served.port, path)).exit_code == 0
    (kept,) = (world.directory / "sent").iterdir()
    kept.write_text("{")

    done = run(*by_key(world, served.port, path))

    assert done.exit_code == 10
    assert f"{kept} is damaged" in done.stderr


def test_a_sheet_that_is_all_done_ends_well(run: Run, trial: World, tmp_path: Path) -> None:
    path = tmp_path / "hubs.csv"
    path.write_text(f"Hub ID,Decision\n{HUBS[0].chf},Exclude\n")

    done = run(*on_the_instance(trial, path))

    assert done.exit_code == 0
    assert f"report: {tmp_path}/hubs-report.xlsx" in done.stdout


def test_a_report_that_cannot_be_written_is_said_before_anything_is_done(
    run: Run, trial: World, sheet: Path, tmp_path: Path
) -> None:
    done = run(*on_the_instance(trial, sheet, "--report", tmp_path / "nowhere" / "r.xlsx"))

    assert done.exit_code == 2
    assert "nowhere/r.xlsx: No such file or directory" in done.stderr
    assert counted(trial, "SHEET") == 0


def test_a_file_that_is_refused_is_exit_code_10(run: Run, trial: World, tmp_path: Path) -> None:
    path = tmp_path / "hubs.csv"
    path.write_text("Hub,Decison\n")

    done = run(*on_the_instance(trial, path))

    assert done.exit_code == 10
    assert "column B, 'Decison', is doubtful: write 'Decision' if that is meant" in done.stderr
    assert not path.with_name("hubs-report.xlsx").exists()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ((), "say how it is to be done: either with --url, or with --supplier"),
        (("--url", "http://x", "--supplier", "a"), "say how it is to be done"),
        (("--url", "http://127.0.0.1:9"), "--url needs --key, --certificate and --trust"),
        (("--url", "http://x", "--as", A.eui), "--as does not go with --url"),
        (("--supplier", "a", "--key", "k.pem"), "--key does not go with --supplier"),
        (("--supplier", A.name, "--firmware", "9002"), "'9002' does not name a release"),
    ],
)
def test_options_that_do_not_go_together_are_a_mistake(
    run: Run, tmp_path: Path, options: Sequence[str], why: str
) -> None:
    done = run("spreadsheet", "import", tmp_path / "x.csv", *options)

    assert done.exit_code == 2
    assert why in " ".join(done.stderr.split())


def test_whose_name_it_is_must_be_known(run: Run, shared_instance: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("Hub,Decision\n")
    command = ("spreadsheet", "import", path, "--dir", shared_instance)

    assert "there is no organisation 'nobody' in users.toml: supplier-a" in run(*command, "--supplier", "nobody").stderr
    assert f"{B.eui} is no User of {A.name}" in run(*command, "--supplier", A.name, "--as", B.eui).stderr


@pytest.mark.parametrize("suffix", ["xlsx", "csv"])
def test_tables_of_a_suppliers_hubs_are_exported(
    run: Run, trial: World, sheet: Path, tmp_path: Path, suffix: str
) -> None:
    run(*on_the_instance(trial, sheet))
    found = {}
    for what in ("hubs", "approvals", "schedules"):
        out = tmp_path / f"{what}.{suffix}"
        done = run("spreadsheet", "export", what, "--supplier", A.name, "--out", out, "--dir", trial.directory)
        assert done.exit_code == 0, done.stderr
        if suffix == "xlsx":
            cells = [row[0] for row in openpyxl.load_workbook(out).worksheets[0].iter_rows(values_only=True)]
        else:
            cells = [line.partition(",")[0] for line in out.read_text("utf-8-sig").splitlines()]
        assert cells[0] == "Hub ID"
        found[what] = cells[1:]

    assert found["hubs"] == [hub.chf for hub in [*HUBS, SPLIT]]
    assert found["approvals"] == [hub.chf for hub in HUBS[:3]]
    assert found["schedules"] == [hub.chf for hub in HUBS[:2]]


def test_the_template_can_begin_with_the_hubs_that_wait(run: Run, trial: World, tmp_path: Path) -> None:
    out = tmp_path / "template.xlsx"
    release = _release_id(trial)

    done = run(
        *("spreadsheet", "template", out, "--supplier", A.name, "--release", release, "--dir", trial.directory),
    )

    assert done.exit_code == 0, done.stderr
    rows = list(openpyxl.load_workbook(out)["Hubs"].iter_rows(min_row=2, values_only=True))
    assert [row[0] for row in rows] == [hub.chf for hub in [*HUBS, SPLIT]]
    assert {row[4] for row in rows} == {NAMED}
    assert run("spreadsheet", "template", tmp_path / "empty.csv").exit_code == 0
    assert (tmp_path / "empty.csv").read_text("utf-8-sig").startswith("Hub ID,MPxN,Region,Decision,")
    assert "ends neither in .xlsx nor in .csv" in run("spreadsheet", "template", tmp_path / "x.txt").stderr


def _release_id(world: World) -> str:
    from sr_engine.store import releases

    with world.instance.reading_engine.connect() as connection:
        return releases.all_releases(connection)[0].release_id
