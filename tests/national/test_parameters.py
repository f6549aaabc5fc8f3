"""The parameters of a simulation are checked, and every problem is named with its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from sr_engine.configuration import ConfigurationError
from sr_engine.instance import create_instance
from sr_engine.national.parameters import load
from tests.national.conftest import small_file
from tests.world import NOW


def test_the_shipped_parameters_can_be_used_and_are_kept_for_the_report() -> None:
    parameters = load()
    assert sum(one.market_percent for one in parameters.suppliers) == 100
    assert "[channel.spreadsheets]" in parameters.text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Central = 60", "Central = 61", "country.region_percent: must be 100 together, not 101"),
        ("Central = 60", "Middle = 60", "country.region_percent.Middle: is no CSPRegion"),
        ('name = "small"', 'name = "large"', "supplier[3].name: large stands in the list already"),
        ("market_percent = 10", "market_percent = 11", "supplier: must be 100 together, not 101"),
        ("schedules_after_days = 2", "schedules_after_days = 1", "supplier[2].schedules_after_days: must be a whole"),
        ("fail_percent = 6", "fail_percent = 600", "csp.fail_percent: must be a percentage from 0 to 100"),
        ("first_wave_days = 15", "first_wave_days = 3", "campaign.first_wave_days: must not be before pilot_from_days"),
        ("longest_days = 120", "longest_days = 105", "campaign.longest_days: must be more than terms.comply_by_days"),
        ("hour = 40", 'hour = "dear"', "costs.hour: must be a number of pounds"),
        ("split_percent = 40", "splitt_percent = 40", "country.splitt_percent: is not a known key"),
        ("days_to_match = 21", "days_to_match = -1", "channel.spreadsheets.days_to_match: must be a whole number"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = small_file(tmp_path)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        load(path)
    assert any(problem.startswith(f"small.toml: {said}") for problem in refused.value.problems), refused.value


def test_an_instance_is_not_given_the_parameters_which_it_does_not_read(tmp_path: Path) -> None:
    create_instance(tmp_path / "instance", now=NOW)
    assert not (tmp_path / "instance" / "config" / "national.toml").exists()
