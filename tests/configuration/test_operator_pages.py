"""The rules of the operators' pages: those shipped are good, and mistakes are named."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from sr_engine.configuration import ConfigurationError
from sr_engine.configuration.operator_pages import OPERATOR_FILE, load_operator_rules
from sr_engine.resources import data_directory
from tests.world import edit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(data_directory("config") / OPERATOR_FILE, tmp_path)
    return tmp_path


def test_the_shipped_rules_are_read(folder: Path) -> None:
    rules = load_operator_rules(folder)

    assert rules.attention.certificate == timedelta(days=30)
    assert rules.search.time == timedelta(milliseconds=120)
    assert rules.plan.nights == 14


def test_a_folder_without_the_file_has_the_shipped_rules(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert load_operator_rules(tmp_path / "empty") == load_operator_rules(folder)


def test_every_mistake_is_named_with_its_place(folder: Path) -> None:
    edit(folder / OPERATOR_FILE, "certificate_days = 30", "certificate_days = 0")
    edit(folder / OPERATOR_FILE, "nights = 14", "knights = 14")

    with pytest.raises(ConfigurationError) as refused:
        load_operator_rules(folder)

    told = "\n".join(refused.value.problems)
    assert "operator.toml" in told
    assert "attention.certificate_days" in told
    assert "knights" in told
