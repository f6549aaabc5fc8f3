"""The pytest plugin in somebody else's suite: fixtures become tests, and nothing happens where nobody asks for them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MESSAGES = Path(__file__).resolve().parents[2] / "fixtures" / "messages"


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite with a test of its own, and three fixtures, of which one does not hold and one cannot."""
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = test_own.py\n")
    (tmp_path / "test_own.py").write_text("def test_own():\n    pass\n")
    fixtures = tmp_path / "fixtures"
    shutil.copytree(MESSAGES / "templates", fixtures / "templates")
    shutil.copy(MESSAGES / "town.given.toml", fixtures)
    (fixtures / "11.6").mkdir()
    shutil.copy(MESSAGES / "11.6" / "approved.toml", fixtures / "11.6")
    wrong = (MESSAGES / "11.6" / "declined.toml").read_text("utf-8").replace('answer = "I99"', 'answer = "W110601"')
    (fixtures / "11.6" / "wrong.toml").write_text(wrong, encoding="utf-8")
    impossible = wrong + "\n[policy.horizon]\nupgrade_window_dayz = 3\n"
    (fixtures / "11.6" / "impossible.toml").write_text(impossible, encoding="utf-8")
    return tmp_path


def _pytest(suite: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", *arguments]
    return subprocess.run(command, cwd=suite, capture_output=True, text=True, check=False)


def test_fixtures_run_beside_the_tests_of_a_suite_and_failures_are_told_in_words(suite: Path) -> None:
    ran = _pytest(suite, "--sr-fixtures", "fixtures")

    assert "2 failed, 2 passed" in ran.stdout, ran.stdout
    assert "fixture wrong" in ran.stdout
    assert "    the fixture says: W110601\n    what happened:    I99\n" in ran.stdout
    assert "impossible.toml: policy.horizon.upgrade_window_dayz: policy.toml has no such key" in ran.stdout
    assert "Traceback" not in ran.stdout


def test_without_the_option_no_fixture_is_collected_and_nothing_of_the_processor_is_loaded(suite: Path) -> None:
    (suite / "test_own.py").write_text(
        "import sys\n\ndef test_own():\n    assert not [one for one in sys.modules if one.startswith('sr_engine.re')]\n"
    )

    ran = _pytest(suite, ".")

    assert "1 passed" in ran.stdout, ran.stdout


def test_a_folder_without_fixtures_is_no_success(suite: Path) -> None:
    (suite / "empty").mkdir()

    ran = _pytest(suite, "--sr-fixtures", "empty")

    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--sr-fixtures: there are no fixtures, that is no .toml files, in empty" in ran.stderr
