"""What is said of a configuration as a whole that cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sr_engine.configuration import ConfigurationError, load

Edit = Callable[[str, str, str], None]
Problems = Callable[[], tuple[str, ...]]

REGIONS, REQUESTS, CODES, ALERTS, POLICY = (
    "regions.toml",
    "service_requests.toml",
    "response_codes.toml",
    "alerts.toml",
    "policy.toml",
)


def test_all_mistakes_of_all_files_are_named_at_once(edit: Edit, problems: Problems) -> None:
    edit(REGIONS, "hubs_per_night = 6000", "hubs_per_night = 0")
    edit(REGIONS, "list_size = 5000", "list_size = 0")
    edit(REGIONS, '[region."4G North"] ... list_size = 20000', "list_size = 0")
    edit(ALERTS, 'code = "N59"', 'code = "N32"')
    edit(POLICY, "max_tries = 30", "max_tries = 1")
    assert problems() == (
        "regions.toml: region.North.hubs_per_night: must be a whole number of at least 1, not 0",
        "regions.toml: region.North.list_size: must be a whole number from 1 to 50000, not 0",
        'regions.toml: region."4G North".list_size: must be a whole number from 1 to 50000, not 0',
        (
            "alerts.toml: alert.release_opened.code: must be a DCCAlertCode of DUIS (AD1, N1 to N31, N33 to N65, "
            "N999), not 'N32'"
        ),
        "policy.toml: delivery.max_tries: must be a whole number of at least 2, not 1",
    )


def test_an_event_that_the_product_does_not_know_is_named(edit: Edit, problems: Problems) -> None:
    edit(ALERTS, "[alert.hub_missed]", "[alert.hub_forgotten]")
    (problem,) = problems()
    assert problem.startswith("alerts.toml: alert.hub_forgotten: must be one of release_opened, ")


def test_an_alert_left_out_is_missed(directory: Path, problems: Problems) -> None:
    path = directory / ALERTS
    before, _, after = path.read_text(encoding="utf-8").partition("[alert.hub_missed]")
    path.write_text(before + "[alert.hub_cancelled]" + after.partition("[alert.hub_cancelled]")[2], encoding="utf-8")
    assert problems() == ("alerts.toml: alert.hub_missed: is missing; every event needs its table",)


def test_the_same_code_twice_is_refused(directory: Path, problems: Problems) -> None:
    path = directory / CODES
    path.write_text(path.read_text(encoding="utf-8") + "\n[response_code.E4]\n", encoding="utf-8")
    (problem,) = problems()
    assert problem.startswith("response_codes.toml: is not TOML: Cannot declare ('response_code', 'E4') twice (at line")


def test_a_file_that_is_not_there_is_named(directory: Path, problems: Problems) -> None:
    (directory / POLICY).unlink()
    assert problems() == (f"policy.toml: cannot be read: No such file or directory ({directory / POLICY})",)


def test_a_folder_without_configuration_names_every_file_but_those_of_faces(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load(tmp_path)
    assert [problem.partition(":")[0] for problem in refusal.value.problems] == [
        REGIONS,
        "bank_holidays.toml",
        REQUESTS,
        CODES,
        ALERTS,
        "lifecycle.toml",
        POLICY,
    ]


def test_a_file_that_is_not_text_is_refused(directory: Path, problems: Problems) -> None:
    (directory / POLICY).write_bytes(b"\xff\xfe")
    (problem,) = problems()
    assert problem.startswith("policy.toml: is not TOML: 'utf-8' codec can't decode")


@pytest.mark.parametrize("content", ["region = 1", "region = {}", "region = [1]"])
def test_a_value_where_tables_belong_is_refused(directory: Path, problems: Problems, content: str) -> None:
    (directory / REGIONS).write_text(f"not_upgradable = []\n{content}", encoding="utf-8")
    (problem,) = problems()
    assert problem.startswith("regions.toml: region: must be a table of tables, one at least, not ")
