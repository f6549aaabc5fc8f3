"""The table of transitions as people read it."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from sr_engine import configuration
from sr_engine.cli.lifecycle import page
from sr_engine.cli.main import commands
from sr_engine.configuration import AttemptEvent, AttemptState
from sr_engine.resources import data_directory

PAGE = Path(__file__).parents[2] / "docs" / "lifecycle.md"


def test_the_page_of_the_documentation_is_what_the_table_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(configuration.load(data_directory("config")))


def test_the_command_shows_every_state_and_every_event() -> None:
    shown = CliRunner().invoke(commands, ["lifecycle", "--markdown"])

    assert shown.exit_code == 0
    first_cells = {line.split(" | ")[0].removeprefix("| ") for line in shown.output.splitlines()}
    assert first_cells >= {*AttemptState, *AttemptEvent}
