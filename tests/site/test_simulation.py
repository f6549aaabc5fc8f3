"""The comparisons on the pages are what the simulation says."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from sr_engine import configuration
from sr_engine.cli.main import commands
from sr_engine.national.country import make_country
from sr_engine.national.figures import case_of
from sr_engine.national.page import compared
from sr_engine.national.parameters import load
from sr_engine.national.setting_up import scaled
from sr_engine.national.simulation import models
from sr_engine.resources import data_directory
from tests.conftest import ROOT

DOCS = ROOT / "docs"
HUBS, SEED = 5_000, 1
Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Kept:
    """A comparison that a page shows, as `comparison.csv` had it."""

    page: str
    name: str
    hubs: int

    def rows(self) -> list[Row]:
        with (DOCS / self.name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


FIRST_PAGE = Kept("index.md", "simulation.csv", HUBS)
ALL = (FIRST_PAGE, Kept("country.md", "country/comparison.csv", 1_000_000))
of_each = pytest.mark.parametrize("kept", ALL, ids=lambda kept: kept.page)


def shown(row: Row) -> Sequence[str]:
    """A row as the page has it."""
    return (
        row["way"] + (", played" if row["played"] == "played" else ""),
        f"{row['upgraded_percent']} %",
        row["days_to_half"],
        row["days_to_90_percent"],
        f"{int(row['messages']):,}",
        f"{int(row['misses']):,}",
        f"£{float(row['pounds_per_hub']):.2f}",
    )


@of_each
def test_the_page_shows_every_way_with_the_figures_that_are_kept(kept: Kept) -> None:
    page = (DOCS / kept.page).read_text(encoding="utf-8")
    table = page.partition("| way of working |")[2].partition("\n\n")[0]
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in table.splitlines()[2:]]

    assert rows == [shown(one) for one in kept.rows()]
    assert re.search(rf"^sr-engine simulate --hubs {kept.hubs} --seed {SEED} --out \w+$", page, re.MULTILINE)


@of_each
def test_the_models_still_say_what_is_kept_of_them(kept: Kept) -> None:
    parameters, loaded = load(None), configuration.load(data_directory("config"))
    share = kept.hubs / parameters.campaign.capacity_for_hubs
    regions = {
        name: replace(loaded.regions[name], hubs_per_night=scaled(loaded.regions[name].hubs_per_night, share))
        for name in parameters.country.region_percent
    }
    country = make_country(parameters, kept.hubs, SEED)

    found = models(case_of(country, parameters, regions, loaded.policy), parameters)

    modelled = [one for one in kept.rows() if one["played"] == "model"]
    assert [list(map(str, compared(one))) for one in found] == [
        list(one.values())[: len(compared(found[0]))] for one in modelled
    ]


@pytest.mark.slow
def test_the_simulation_still_says_what_is_kept(tmp_path: Path) -> None:
    ran = CliRunner().invoke(
        commands, ["simulate", "--hubs", str(HUBS), "--seed", str(SEED), "--out", str(tmp_path / "report")]
    )

    assert ran.exit_code == 0, ran.output
    assert (tmp_path / "report" / "comparison.csv").read_bytes() == (DOCS / FIRST_PAGE.name).read_bytes()
