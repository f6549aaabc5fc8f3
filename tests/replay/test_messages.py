"""The message fixtures: every one is green, nothing that the processor can answer or tell is without one."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from fixtures.write_messages import made
from sr_engine import configuration
from sr_engine.configuration import Configuration
from sr_engine.replay.fixture import Fixture, Shelf, fixtures_in, read_fixture
from sr_engine.replay.runner import play
from sr_engine.replay.theatre import Theatre
from sr_engine.replay.vocabulary import EXPECTATIONS
from sr_engine.resources import data_directory

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
MESSAGES = FIXTURES / "messages"
FILES = fixtures_in([MESSAGES, FIXTURES / "requests"])
SHELF = Shelf()


@pytest.fixture(scope="module")
def loaded() -> Configuration:
    return configuration.load(data_directory("config"))


@pytest.fixture(scope="module")
def all_fixtures() -> list[Fixture]:
    return [read_fixture(path, SHELF) for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_processor_does_what_the_fixture_says(path: Path, theatre: Theatre) -> None:
    fixture = read_fixture(path, SHELF)
    with theatre.stage(fixture) as stage:
        play(fixture, stage)


def test_there_are_as_many_as_were_asked_for() -> None:
    assert len(FILES) >= 150


def test_every_response_code_that_is_not_reserved_is_answered(
    all_fixtures: list[Fixture], loaded: Configuration
) -> None:
    answered = {code for fixture in all_fixtures for code in _codes(fixture)}

    assert answered >= {name for name, code in loaded.response_codes.items() if not code.reserved}


def test_every_event_is_alerted(all_fixtures: list[Fixture], loaded: Configuration) -> None:
    told = {
        event
        for fixture in all_fixtures
        for step in fixture.steps
        for events in step.expected.get("told", {}).values()
        for event in events
    }

    assert told >= set(loaded.alerts)


def test_every_service_request_is_sent_and_what_is_not_offered_is_refused(
    all_fixtures: list[Fixture], loaded: Configuration
) -> None:
    offered = {name for name, entry in loaded.catalogue.service_request.items() if entry.offered}
    refused = {
        fixture.path.stem: code
        for fixture in all_fixtures
        if fixture.path.parent.name == "not-offered"
        for code in _codes(fixture)
    }
    accepted = {
        fixture.path.parent.name
        for fixture in all_fixtures
        if any(code.startswith(("I", "W")) for code in _codes(fixture))
    }

    assert offered <= accepted
    assert refused.keys() == loaded.catalogue.service_request.keys() - offered
    assert set(refused.values()) == {"E100", "E2"}


def test_hubs_of_every_region_are_listed_and_upgraded(all_fixtures: list[Fixture], loaded: Configuration) -> None:
    listed, upgraded = set(), set()
    for fixture in all_fixtures:
        for step in fixture.steps:
            listed |= step.expected.get("listed", {}).keys()
            hubs = fixture.hubs_named(step.expected.get("runs", {}))
            upgraded |= {fixture.given.homes[hub].region for hub in hubs}

    assert listed == upgraded == loaded.regions.keys()


def test_each_fixture_has_homes_of_its_own_so_that_all_can_be_sent_to_one_processor(
    all_fixtures: list[Fixture],
) -> None:
    town = next(fixture.given for fixture in all_fixtures if fixture.path.parent.name == "11.5")
    users: dict[str, str] = {}
    for fixture in all_fixtures:
        reads = fixture.path.parent.name in {"8.2", "not-offered"}
        if fixture.given.key != town.key or reads:
            continue
        for home in fixture.given.homes.keys() & set(_words(fixture)):
            assert users.setdefault(home, fixture.path.name) == fixture.path.name, home


def test_the_generator_makes_these_fixtures_and_no_others() -> None:
    fixtures, files = made()

    assert {path.relative_to(MESSAGES).as_posix() for path in MESSAGES.rglob("*") if path.is_file()} == {
        *files,
        *(one.path for one in fixtures),
    }
    for path, text in files.items():
        assert (MESSAGES / path).read_text("utf-8") == text, path
    for one in fixtures:
        assert _without_what_is_recorded((MESSAGES / one.path).read_text("utf-8")) == _without_what_is_recorded(
            one.text()
        ), one.path


def test_the_generator_states_the_codes_that_are_expected(all_fixtures: list[Fixture]) -> None:
    by_path = {fixture.path: fixture for fixture in all_fixtures}
    for one in made()[0]:
        steps = by_path[MESSAGES / one.path].steps
        answers = {step.number: step.expected["answer"] for step in steps if "answer" in step.expected}
        assert {number: answers.get(number) for number in one.codes} == one.codes, one.path
        # A request without a code is refused as HTTP: recorded again, it cannot become an answer.
        requests = [step for step in steps if "request" in step.deed]
        assert one.codes or all(400 <= step.expected["status"] < 500 for step in requests), one.path


def _codes(fixture: Fixture) -> Iterator[str]:
    for step in fixture.steps:
        if "supplier" in step.deed and "answer" in step.expected:
            yield step.expected["answer"]
        for codes in step.expected.get("responses", {}).values():
            yield from codes


def _words(fixture: Fixture) -> Iterator[str]:
    def words(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield key
                yield from words(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from words(inner)
        elif isinstance(value, str):
            yield value.strip("{}")

    for step in fixture.steps:
        for word in words(step.deed):
            yield word
            yield word.rpartition(" ")[0]


def _without_what_is_recorded(text: str) -> object:
    content = tomllib.loads(text, parse_float=Decimal)
    for step in content["step"]:
        for key in EXPECTATIONS - {"as_before"}:
            step.pop(key, None)
    return content
