"""What is said of a spreadsheets.toml that cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sr_engine.configuration import Configuration, ConfigurationError, SheetColumn, SheetDecision, load_spreadsheets
from sr_engine.configuration.spreadsheets import bare

Edit = Callable[[str, str, str], None]
Problems = Callable[[], tuple[str, ...]]
FILE = "spreadsheets.toml"


def test_what_comes_with_the_product_understands_usual_names(shipped: Configuration) -> None:
    found = shipped.spreadsheets
    assert found.headers[bare("CHF Device-ID")] is SheetColumn.HUB_ID
    assert found.decisions[bare("Keep out")] is SheetDecision.EXCLUDE
    assert found.title(SheetColumn.ADVICE) == "Reason / what to do"


def test_a_header_that_means_two_columns_is_refused(edit: Edit, problems: Problems) -> None:
    edit(FILE, '"Wave", "Rollout Phase"', '"Wave", "window-START"')
    assert problems() == (
        "spreadsheets.toml: column.phase: 'window-START' already means window_start; take one of them out",
    )


def test_a_word_that_means_two_decisions_is_refused(edit: Edit, problems: Problems) -> None:
    edit(FILE, 'Decline = ["Declined"', 'Decline = ["ok", "!"')
    assert problems() == (
        "spreadsheets.toml: decision.Decline: 'ok' already means Approve; take one of them out",
        "spreadsheets.toml: decision.Decline: '!' has no letter and no digit",
    )


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("rows = 250_000", "rows = 0", "limits.rows: must be a whole number from 1 to 1048576, not 0"),
        ("[column.phase]", "[column.wave]", "column.phase: is missing; it must be a table"),
        (
            '\nHANIncompatibleDeviceIDList = "',
            '\nHANIncompatibleList = "',
            "advice.HANIncompatibleList: is not a known key; is HANIncompatibleDeviceIDList meant?",
        ),
        ('"Europe/London"', '"Europe/Londinium"', "time_zone: must be the name of a time zone such as Europe/London"),
        ('Pilot = ["P", "Pilot phase"]', 'Pilot = "P"', "phase.Pilot: must be a list, not 'P'"),
    ],
)
def test_a_mistake_is_named_by_file_and_key(edit: Edit, problems: Problems, old: str, new: str, problem: str) -> None:
    edit(FILE, old, new)
    assert any(found.startswith(f"{FILE}: {problem}") for found in problems()), problems()


def test_it_can_be_read_alone_where_there_is_no_instance(directory: Path, edit: Edit) -> None:
    (directory / "policy.toml").unlink()
    assert load_spreadsheets(directory).limits.rows == 250_000
    edit(FILE, "columns = 100 ", "columns = -1 ")
    with pytest.raises(ConfigurationError, match=r"spreadsheets.toml: limits.columns: must be a whole number"):
        load_spreadsheets(directory)
