"""Every scenario file is a story the product lives up to."""

from __future__ import annotations

from pathlib import Path

import pytest

from sr_engine import configuration
from sr_engine.replay.fixture import read_fixture
from sr_engine.replay.runner import play
from sr_engine.replay.theatre import Theatre
from sr_engine.resources import data_directory

CONFIG = data_directory("config")
SCENARIOS = Path(__file__).resolve().parents[2] / "fixtures" / "scenarios"
FILES = sorted(SCENARIOS.glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_story_goes_as_it_is_told(path: Path, theatre: Theatre) -> None:
    fixture = read_fixture(path)
    with theatre.stage(fixture) as stage:
        play(fixture, stage)


def test_the_story_of_the_uniform_process_has_a_hub_in_every_region() -> None:
    story = read_fixture(SCENARIOS / "one-process-in-every-region.toml")

    assert {home.region for home in story.given.homes.values()} == configuration.load(CONFIG).regions.keys()


def test_the_table_of_contents_names_every_story_and_no_other() -> None:
    contents = (SCENARIOS / "README.md").read_text(encoding="utf-8")
    linked = {line.partition("](")[2].partition(")")[0] for line in contents.splitlines() if ".toml)" in line}

    assert linked == {path.name for path in FILES}
