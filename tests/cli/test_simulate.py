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
