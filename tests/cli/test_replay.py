"""`sr-engine replay`: what differs is named element by element, recorded on demand, and told to machines."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from sr_engine.pipeline.process import Processor
from sr_engine.replay.fixture import fixture_of, read_fixture
from sr_engine.replay.runner import play
from sr_engine.replay.theatre import Theatre
from tests.cli.conftest import Run

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
MESSAGES = FIXTURES / "messages"
IN_PART = Path("11.5") / "accepted-in-part.toml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what is given, the templates, and one fixture."""
    shutil.copytree(MESSAGES / "templates", tmp_path / "templates")
    shutil.copy(MESSAGES / "town.given.toml", tmp_path)
    (tmp_path / "11.5").mkdir()
    shutil.copy(MESSAGES / IN_PART, tmp_path / IN_PART)
    return tmp_path


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert text.count(old) == 1, text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Makes this build answer with another code than it should."""

    def plant(right: str, wrong: str) -> None:
        decide = Processor._decide

        def planted(self: Processor, *arguments: Any) -> Any:
            outcome = decide(self, *arguments)
            return replace(outcome, code=wrong) if outcome.code == right else outcome

        monkeypatch.setattr(Processor, "_decide", planted)

    return plant


def test_fixtures_that_hold_end_with_0_and_are_told_as_junit(run: Run, folder: Path) -> None:
    result = run("replay", folder, "--junit", folder / "junit.xml", "--verbose")

    assert result.exit_code == 0, result.output
    assert f"passed: {folder / IN_PART}" in result.stdout
    suite = etree.parse(str(folder / "junit.xml")).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "0", "0")


def test_a_planted_change_of_one_code_fails_and_is_named(
    run: Run, folder: Path, plant: Callable[[str, str], None]
) -> None:
    plant("W110501", "E110503")

    result = run("replay", folder, "--junit", folder / "junit.xml")

    assert result.exit_code == 1
    assert "accepted-in-part.toml, step 1, Mon 2026-11-23 09:00: Of two hubs one is another Supplier's" in result.stdout
    assert "  answer\n    the fixture says: W110501\n    what happened:    E110503\n" in result.stdout
    (failure,) = etree.parse(str(folder / "junit.xml")).getroot().iter("failure")
    assert "what happened:    E110503" in str(failure.text)


def test_what_differs_in_a_body_is_told_by_its_element(run: Run, folder: Path) -> None:
    _edit(folder / IN_PART, "<AcceptedDeviceCount>1<", "<AcceptedDeviceCount>2<")

    result = run("replay", folder)

    assert result.exit_code == 1
    told = result.stdout.splitlines()[2:-2]
    assert told == [
        "  body, CommsHubFirmwareResult/AcceptedDeviceCount",
        "    the fixture says: 2",
        "    what happened:    1",
    ]


def test_recording_writes_what_happened_and_keeps_what_its_author_wrote(run: Run, folder: Path) -> None:
    path = folder / IN_PART
    recorded = path.read_text("utf-8")
    start = recorded.index("answer = ")
    path.write_text(recorded[:start].replace("[[step]]\n", "[[step]]\n# A remark.\n"), encoding="utf-8")
    assert run("replay", path).exit_code == 1

    assert run("replay", path, "--record").exit_code == 0

    assert path.read_text("utf-8") == recorded.replace("[[step]]\n", "[[step]]\n# A remark.\n")
    assert run("replay", path).exit_code == 0


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("title", "titel", "accepted-in-part.toml: titel: is not a known key; is title meant?"),
        ('supplier = "Alder Energy"', "", "accepted-in-part.toml: step[1]: request: says not which supplier"),
        ('"../templates/schedule.xml"', '"nowhere.xml"', "request: nowhere.xml: No such file or directory"),
        ('with.start = "{+5d}"\n', "", "there is no value for {start}"),
        ('given = "../town.given.toml"', "", "supplier: is missing"),
    ],
)
def test_a_fixture_that_cannot_be_played_is_refused_with_file_and_key(
    run: Run, folder: Path, old: str, new: str, problem: str
) -> None:
    _edit(folder / IN_PART, old, new)

    result = run("replay", folder)

    assert result.exit_code == 1
    assert f"refused: {folder / IN_PART}" in result.stdout
    assert problem in result.stdout


def test_a_folder_without_fixtures_is_no_success(run: Run, tmp_path: Path) -> None:
    assert run("replay", tmp_path).exit_code == 2


@pytest.mark.slow
def test_fixtures_played_several_at_a_time_come_out_in_their_order(run: Run) -> None:
    one_by_one = run("replay", MESSAGES / "11.7", MESSAGES / "11.8", "--verbose").stdout.splitlines()[:-1]
    at_once = run("replay", MESSAGES / "11.7", MESSAGES / "11.8", "--verbose", "--concurrent", 2)

    assert at_once.exit_code == 0
    assert at_once.stdout.splitlines()[:-1] == one_by_one


@pytest.fixture
def instance(tmp_path: Path, theatre: Theatre) -> Path:
    """An instance that has had traffic: two Suppliers, a list, its CSP's messages, and an upgrade in the end.

    Beside it `before.db`, its database after the third step.
    """
    fixture = read_fixture(FIXTURES / "scenarios" / "split-suppliers-see-answers-not-names.toml")
    with theatre.stage(fixture) as stage:
        database = Path(str(stage.instance.engine.url.database))
        for steps, copy in ((fixture.steps[:3], "before.db"), (fixture.steps[3:], "after.db")):
            play(replace(fixture, steps=steps), stage)
            stage.instance.engine.dispose()
            stage.instance.reading_engine.dispose()
            shutil.copy(database, tmp_path / copy)
        shutil.copytree(database.parent, tmp_path / "instance", ignore=shutil.ignore_patterns("*.db*"))
        shutil.copy(tmp_path / "after.db", tmp_path / "instance" / "sr-engine.db")
    return tmp_path / "instance"


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Theatre:
    return Theatre(tmp_path_factory.mktemp("theatre"))


def test_the_traffic_of_an_instance_is_answered_by_this_build_as_it_was(run: Run, instance: Path) -> None:
    before = (instance / "sr-engine.db").read_bytes()

    result = run("replay", "--from-log", instance)

    assert result.exit_code == 0, result.stdout
    assert result.stdout == "17 messages played; 0 answers differ\n"
    assert (instance / "sr-engine.db").read_bytes() == before


def test_a_planted_change_is_found_in_the_traffic_of_an_instance(
    run: Run, instance: Path, plant: Callable[[str, str], None]
) -> None:
    plant("I99", "W110601")

    result = run("replay", "--from-log", instance)

    assert result.exit_code == 1
    assert "11.6 00-00-5E-EF-10-00-01-02:90-B3-D5-1F-30-00-00-02:" in result.stdout
    assert "I99 was answered, now W110601\n" in result.stdout
    assert result.stdout.endswith("17 messages played; 2 answers differ\n")


def test_with_a_database_from_before_only_what_came_since_is_played(
    run: Run, instance: Path, plant: Callable[[str, str], None]
) -> None:
    plant("I99", "W110601")

    result = run("replay", "--from-log", instance, "--before", instance.parent / "before.db")

    assert result.exit_code == 1
    assert "2026-11-25 09:30:00Z 11.6 " in result.stdout
    assert "2026-11-24" not in result.stdout
    assert result.stdout.endswith("7 messages played; 1 answers differ\n")


def test_a_request_whose_id_was_refused_once_before_is_played_too(
    run: Run, tmp_path: Path, theatre: Theatre, plant: Callable[[str, str], None]
) -> None:
    request = 'supplier = "Alder Energy"\nrequest = "../templates/schedule.xml"\nwith.counter = 777'
    wanted = 'with.start = "{+5d}"\nwith.end = "{+20d}"\nwith.hubs = ["Own 9"]'
    first, second = f'{request}\n{wanted}\nservice = "serviceT"\nanswer = "E13"', f'{request}\n{wanted}\nanswer = "I0"'
    head, last = 'title = "Twice"\ngiven = "../town.given.toml"', 'state."Own 9" = "Scheduled"'
    text = "\n".join([head, "[[step]]", first, "[[step]]", second, last])
    fixture = fixture_of(tomllib.loads(text), MESSAGES / "11.5" / "twice.toml")
    with theatre.stage(fixture) as stage:
        play(fixture, stage)
        stage.instance.engine.dispose()
        stage.instance.reading_engine.dispose()
        database = Path(str(stage.instance.engine.url.database))
        shutil.copytree(database.parent, tmp_path / "instance", ignore=shutil.ignore_patterns("*.db*"))
        shutil.copy(database, tmp_path / "instance" / "sr-engine.db")

    as_it_was = run("replay", "--from-log", tmp_path / "instance")
    plant("I0", "I99")
    planted = run("replay", "--from-log", tmp_path / "instance")

    assert as_it_was.stdout == "1 messages played; 0 answers differ\n"
    assert "I0 was answered, now I99" in planted.stdout


def test_a_report_in_a_folder_that_is_not_there_is_refused_before_anything_is_played(run: Run, folder: Path) -> None:
    result = run("replay", folder, "--junit", folder / "nowhere" / "junit.xml")

    assert result.exit_code == 2
    assert "--junit: there is no folder" in result.stderr
