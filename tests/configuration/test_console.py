"""What the console's configuration says, and what is said of mistakes in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sr_engine.configuration import Configuration, ConfigurationError, load, load_spreadsheets
from sr_engine.configuration.advice import load_advice
from sr_engine.configuration.console import ConsoleRole, load_console
from sr_engine.messages.model import RefusalReason
from sr_engine.resources import data_directory
from tests.world import edit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("console.toml", "advice.toml"):
        shutil.copy(data_directory("config") / name, tmp_path)
    return tmp_path


def test_an_operator_needs_a_second_factor_as_shipped(folder: Path) -> None:
    assert load_console(folder).sign_in.second_factor_for == {ConsoleRole.OPERATOR}


def test_a_folder_from_before_there_was_a_console_has_what_is_shipped(tmp_path: Path, shipped: Configuration) -> None:
    assert load_console(tmp_path) == load_console(data_directory("config"))
    assert load_advice(tmp_path, shipped.response_codes) == load_advice(
        data_directory("config"), shipped.response_codes
    )


def test_every_refusal_has_a_text(shipped: Configuration) -> None:
    advice = load_advice(data_directory("config"), shipped.response_codes)
    for reason in RefusalReason:
        assert advice.for_reason(reason).text
    assert advice.for_code("E110504")
    assert advice.for_code("I0") == ""


def test_sheets_say_of_a_refusal_what_the_console_says_but_where_they_have_a_column_for_it(
    shipped: Configuration,
) -> None:
    advice = load_advice(data_directory("config"), shipped.response_codes)
    said = shipped.spreadsheets.advice

    assert said.keys() == set(RefusalReason)
    assert load_spreadsheets(data_directory("config")).advice == said
    differs = {reason for reason in RefusalReason if said[reason] != advice.for_reason(reason).text}
    assert differs == {RefusalReason.HAN_INCOMPATIBLE}


def test_a_sheet_of_an_instance_that_says_it_in_its_own_words_keeps_them(tmp_path: Path) -> None:
    shutil.copytree(data_directory("config"), tmp_path / "config")
    edit(tmp_path / "config" / "spreadsheets.toml", "[advice]\n", '[advice]\nNotAvailableDeviceIDList = "Call Ann."\n')
    edit(tmp_path / "config" / "advice.toml", "The hub is not commissioned, so", "It is not commissioned, so")

    said = load(tmp_path / "config").spreadsheets.advice

    assert said[RefusalReason.NOT_AVAILABLE] == "Call Ann."
    assert said[RefusalReason.NOT_COMMISSIONED].startswith("It is not commissioned")


def test_a_text_that_is_missing_or_for_nothing_is_named(folder: Path, shipped: Configuration) -> None:
    edit(folder / "advice.toml", "[refusal.NotAvailableDeviceIDList]", "[refusal.NotAvailable]")
    edit(folder / "advice.toml", "[response_code.E110504]", "[response_code.E999]")
    with pytest.raises(ConfigurationError) as caught:
        load_advice(folder, shipped.response_codes)
    assert len(caught.value.problems) == 4
    told = str(caught.value)
    assert "refusal.NotAvailableDeviceIDList: is missing: say what it means and what to do about it" in told
    assert "response_code.E110504: is missing" in told
    assert "response_code.E999: is not in response_codes.toml; take it out" in told


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("idle_minutes = 30 ", "idle_minutes = 0 ", "session.idle_minutes: must be a whole number of minutes from 1"),
        ('["operator"]', '["boss"]', "sign_in.second_factor_for[1]: must be one of view, act, approve, operator"),
        ("[30, 120, 600, 1800]", "[]", "sign_in.lock_seconds: must be a list of at least one"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(folder: Path, old: str, new: str, problem: str) -> None:
    edit(folder / "console.toml", old, new)
    with pytest.raises(ConfigurationError) as caught:
        load_console(folder)
    assert f"console.toml: {problem}" in str(caught.value)
