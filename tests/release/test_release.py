"""What is released: the contents of wheel and source distribution, its version, and the licences of what it needs."""

from __future__ import annotations

import re
import sys
import zipfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.release.building import ROOT, SHIPPED_LOCK, Built, build
from tests.release.contents import pinned, problems, pythons_of_project, version_of_project
from tests.release.notices import NOTICES, text
from tests.release.trying import try_with
from tests.security.sbom import shipped


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    if not (ROOT / ".git").exists():
        pytest.skip("what belongs to it is known in a clone of the repository alone")
    return build(tmp_path_factory.mktemp("dist"))


def test_wheel_and_source_distribution_hold_all_that_they_should_and_nothing_else(built: Built) -> None:
    assert list(problems(built)) == []


def test_what_a_wheel_lacks_or_holds_beside_is_named(built: Built, tmp_path: Path) -> None:
    changed = tmp_path / built.wheel.name
    with zipfile.ZipFile(built.wheel) as source, zipfile.ZipFile(changed, "w") as target:
        for one in source.infolist():
            if one.filename != "sr_engine/_data/xsd/duis.xsd":
                target.writestr(one, source.read(one))
        target.writestr("sr_engine/left_over.py", "")

    assert set(problems(replace(built, wheel=changed))) == {
        "the wheel lacks sr_engine/_data/xsd/duis.xsd",
        "the wheel holds sr_engine/left_over.py, which is no part of it",
    }


def test_the_newest_version_in_the_list_of_changes_is_the_one_that_is_released() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (\S+)(?:, (\d{4}-\d{2}-\d{2}))?$", changes, re.MULTILINE)

    assert sections[0] == ("Unreleased", "")
    assert sections[1][0] == version_of_project() == version("sr-engine")
    assert all(date for _, date in sections[1:])


def test_the_version_stands_in_one_place() -> None:
    number = re.compile(rf"(?<![\d.]){re.escape(version_of_project())}(?![\d.])")
    places = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "sr_engine").rglob("*.py")]

    assert [str(one) for one in places if one != NOTICES and number.search(one.read_text(encoding="utf-8"))] == []


def test_what_is_locked_to_run_is_what_is_needed_to_run_in_the_versions_that_are_tested() -> None:
    to_run, to_develop = (
        pinned(path.read_text(encoding="utf-8")) for path in (SHIPPED_LOCK, ROOT / "requirements.lock")
    )

    assert to_run.items() <= to_develop.items()
    assert shipped().items() <= to_run.items()
    assert not {"pytest", "mypy", "uv", "hatchling"} & to_run.keys()


def test_every_package_that_is_needed_to_run_has_its_licence_named() -> None:
    notices = NOTICES.read_text(encoding="utf-8")

    assert notices == text()
    for name, number in shipped().items():
        assert f"| {name} | {number} | " in notices


def test_the_pythons_that_are_tried_are_those_that_are_promised() -> None:
    assert pythons_of_project() == ["3.11", "3.12", "3.13"]


def test_a_python_that_is_not_to_be_had_is_no_success(built: Built, tmp_path: Path) -> None:
    tried = try_with("3.99", built, tmp_path, say=lambda _: None)

    assert tried.missing
    assert tried.problem.startswith("not to be had here: ")
    assert tried.steps == {}


@pytest.mark.slow
def test_a_wheel_is_installed_in_an_empty_environment_and_used_there(built: Built, tmp_path: Path) -> None:
    tried = try_with(f"{sys.version_info.major}.{sys.version_info.minor}", built, tmp_path, say=print, demo=False)

    assert tried.problem == ""
    assert set(tried.steps) == {"installed", "--version", "init", "doctor", "serve", "types"}
