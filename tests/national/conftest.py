"""A small country and a short campaign: some weeks, two regions, three Suppliers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sr_engine.national.parameters import Parameters, load
from sr_engine.resources import data_directory

SMALL = {
    "split_percent": "40",
    "excluded_percent": "4",
    "declined_percent": "5",
    "silent_percent": "10",
    "moves_percent_a_year": "60",
    "capacity_for_hubs": "100_000",
    "pilot_percent": "5",
    "pilot_from_days": "6",
    "pilot_days": "5",
    "soak_hours": "24",
    "first_wave_days": "15",
    "wave_days": "7",
    "retry_after_days": "1",
    "attempts": "2",
    "longest_days": "120",
    "comply_by_days": "105",
    "fail_percent": "6",
    "lose_percent": "2",
    "late_percent": "5",
    "refuse_percent": "3",
    "duplicate_percent": "20",
    "verify_one_alert_in": "50",
}
SUPPLIERS = """
[[supplier]]
name = "large"
market_percent = 60
schedules_after_days = 3
waves = 2

[[supplier]]
name = "middle"
market_percent = 30
schedules_after_days = 2
waves = 1

[[supplier]]
name = "small"
market_percent = 10
schedules_after_days = 5
waves = 1

"""


def small_text(**changes: str) -> str:
    """The shipped parameters, made small; values as they stand in the file."""
    text = (data_directory("config") / "national.toml").read_text(encoding="utf-8")
    for key, value in (SMALL | changes).items():
        text, found = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
        assert found == 1, key
    before, _, after = text.partition("[[supplier]]")
    text = before + SUPPLIERS.lstrip() + after[after.index("[campaign]") :]
    regions = text.index("[country.region_percent]")
    end = text.index("\n\n", regions)
    return text[:regions] + '[country.region_percent]\nCentral = 60\n"4G South" = 40' + text[end:]


def small_file(directory: Path, **changes: str) -> Path:
    """A file of small parameters."""
    path = directory / "small.toml"
    path.write_text(small_text(**changes), encoding="utf-8")
    return path


@pytest.fixture
def parameters(tmp_path: Path) -> Parameters:
    return load(small_file(tmp_path))
