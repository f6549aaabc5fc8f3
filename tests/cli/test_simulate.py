"""A national simulation on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.national.conftest import small_file


def test_a_small_country_is_played_and_its_report_written(run: Run, tmp_path: Path) -> None:
    file = small_file(tmp_path, longest_days="20", comply_by_days="19")
    result = run("simulate", "--hubs", 30, "--seed", 2, "--parameters", file, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert "Service Requests, Voluntary: " in result.stdout
    assert f"report: {tmp_path / 'out' / 'report.html'}" in result.stdout
    assert "homes imported" in result.stderr
    figures = json.loads((tmp_path / "out" / "figures.json").read_text(encoding="utf-8"))
    assert (figures["hubs"], figures["seed"]) == (30, 2)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "comparison.csv",
        "comparison.svg",
        "figures.json",
        "nights-voluntary.csv",
        "nights-voluntary.svg",
        "parameters.toml",
        "report.html",
        "suppliers-voluntary.csv",
    ]


def everything_in(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_a_report_is_replaced_only_if_that_is_asked_for_and_nothing_of_it_stays(run: Run, tmp_path: Path) -> None:
    file, out = small_file(tmp_path), tmp_path / "out"
    command = ("simulate", "--hubs", 30, "--parameters", file, "--out", out)
    first = run(*command, "--regime", "Mandatory")
    assert first.exit_code == 0, first.stderr
    # Not the report's own, however much it is named like it.
    (out / "nights-mine.csv").write_text("mine", encoding="utf-8")
    before = everything_in(out)

    refused = run(*command, "--seed", 2)
    assert refused.exit_code == 2
    assert f"{out} holds a report already (comparison.csv, comparison.svg, figures.json, " in refused.stderr
    assert "or --force to replace it" in refused.stderr
    assert everything_in(out) == before

    assert run(*command, "--seed", 2, "--force").exit_code == 0
    after = everything_in(out)
    assert {name for name in after if name.startswith(("nights", "suppliers"))} == {
        "nights-mine.csv",
        "nights-voluntary.csv",
        "nights-voluntary.svg",
        "suppliers-voluntary.csv",
    }
    assert (after["nights-mine.csv"], json.loads(after["figures.json"])["seed"]) == ("mine", 2)


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_what_is_no_report_is_never_overwritten(run: Run, tmp_path: Path, force: tuple[str, ...]) -> None:
    (tmp_path / "figures.json").write_text('{"hubs": 4}', encoding="utf-8")

    result = run("simulate", "--hubs", 30, "--out", tmp_path, *force)

    assert result.exit_code == 2
    assert f"{tmp_path} holds figures.json, which a report would overwrite" in result.stderr
    assert everything_in(tmp_path) == {"figures.json": '{"hubs": 4}'}


def test_parameters_may_be_read_from_where_the_report_goes(run: Run, tmp_path: Path) -> None:
    file = small_file(tmp_path, longest_days="20", comply_by_days="19").rename(tmp_path / "parameters.toml")
    text = file.read_text(encoding="utf-8")

    assert run("simulate", "--hubs", 30, "--parameters", file, "--out", tmp_path).exit_code == 0

    assert file.read_text(encoding="utf-8") == text


def test_wrong_parameters_are_named_before_anything_is_done(run: Run, tmp_path: Path) -> None:
    file = small_file(tmp_path, fail_percent="101")
    result = run("simulate", "--hubs", 30, "--parameters", file, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "small.toml: csp.fail_percent: must be a percentage from 0 to 100, not 101" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_region_that_cannot_be_upgraded_is_named(run: Run, tmp_path: Path) -> None:
    file = small_file(tmp_path)
    file.write_text(file.read_text(encoding="utf-8").replace("Central = 60", "SMETS1 = 60"), encoding="utf-8")
    result = run("simulate", "--hubs", 30, "--parameters", file, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "country.region_percent.SMETS1: is not upgraded" in result.stderr


def test_an_instance_that_was_kept_is_not_overwritten(run: Run, tmp_path: Path) -> None:
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "something").write_text("kept", encoding="utf-8")
    result = run("simulate", "--hubs", 30, "--out", tmp_path, "--keep")
    assert result.exit_code == 2
    assert "is not empty" in result.stderr


def test_a_country_for_which_there_is_no_room_is_not_begun(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10**9}))
    result = run("simulate", "--hubs", 1_000_000, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "1.0 GB free, and 22.5 GB may be needed: name another folder" in result.stderr


def test_a_database_of_another_kind_is_refused(run: Run, tmp_path: Path) -> None:
    result = run("simulate", "--hubs", 30, "--database", "sqlite:///here.db", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "name a PostgreSQL database" in result.stderr


@pytest.mark.slow
def test_nothing_is_left_of_what_was_ended_by_a_signal(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "sr_engine", "simulate", "--hubs", "300", "--processes", "2", "--out", str(out)]
    command += ["--parameters", str(small_file(tmp_path)), "--regime", "Voluntary", "--regime", "Mandatory"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "Mandatory: the release is opened" in line:
                process.terminate()
        assert process.wait() == 1
    assert list(out.iterdir()) == []
