"""Reports on the command line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from lxml import etree

from sr_engine.messages.model import ReportStatus
from sr_engine.reports.chart import Bar, Group, chart
from tests.cli.conftest import Run
from tests.regions.conftest import Nights, hubs
from tests.world import World

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def reported(world: World) -> World:
    """A world in which a list of three hubs was delivered, acknowledged after two hours, and one hub upgraded."""
    central = Nights(world, world.instance.configuration.regions["Central"])
    world.open_release()
    three = hubs(3)
    world.add_hubs(three)
    central.schedule(three)
    central.cut()
    central.deliver_all()
    world.clock.set(central.due() + (central.period().end - central.period().start) / 4)
    central.acknowledge(central.list_ids()[0], three)
    world.clock.set(central.period().end)
    central.report(central.list_ids()[0], central.saw(three[0], ReportStatus.ACTIVATED))
    settings = world.directory / "sr-engine.toml"
    clock = "\n[clock]\nanchored_at = 2026-01-01T00:00:00Z\nstarts_at = 2026-12-20T00:00:00Z\nrate = 0.000001\n"
    settings.write_text(settings.read_text() + clock)
    return world


def report(world: World, month: str, *more: object) -> tuple[object, ...]:
    return ("report", "sla", "--dir", world.directory, "--month", month, *more)


def test_the_table_tells_each_measure_region_by_region_and_changes_nothing(run: Run, reported: World) -> None:
    before = reported.snapshot()

    done = run(*report(reported, "2026-11", "--region", "Central"))
    later = run(*report(reported, "2026-12", "--region", "Central"))

    lines, more = ([" ".join(line.split()) for line in one.stdout.splitlines()] for one in (done, later))
    assert (done.exit_code, later.exit_code) == (0, 0)
    assert "Central 1 d 1 0 0 0 100.0 % 2 h 2 h 2 h" in lines
    assert "Central 15 min 1 0 0 0 100.0 % 0 s 0 s 0 s" in lines
    assert "Central 3 1 0 33.3 % 0 0 0 2 2 d 2" in more
    assert reported.snapshot() == before


def test_csv_has_a_row_for_each_region(run: Run, reported: World, tmp_path: Path) -> None:
    out = tmp_path / "sla.csv"
    assert run(*report(reported, "2026-11", "--format", "csv", "--out", out)).stdout == ""

    rows = list(csv.DictReader(io.StringIO(out.read_text())))

    assert {row["region"] for row in rows} == set(reported.instance.configuration.regions)
    (central,) = (row for row in rows if row["region"] == "Central")
    assert central["acknowledgement_median_seconds"] == "7200"
    assert (central["alert_queued_within"], central["hubs"]) == ("1", "0")


def test_the_chart_says_in_its_description_and_labels_all_that_the_bars_show(run: Run, reported: World) -> None:
    root = etree.fromstring(run(*report(reported, "2026-12", "--format", "svg")).stdout.encode())

    assert (root.get("role"), root.get("aria-labelledby")) == ("img", "title description")
    assert root.findtext(f"{SVG}title") == "Service levels of 2026-12 by CSP region"
    told = root.findtext(f"{SVG}desc") or ""
    assert "Central, Hubs activated by the end of their window: 33.3 %, 1 of 3 hubs." in told
    assert "North, Upgrade lists acknowledged within the limit: no lists to judge." in told
    labels = [text.text for text in root.iter(f"{SVG}text")]
    assert labels.count("33.3 %, 1 of 3 hubs") == 1


def test_bars_differ_by_pattern_and_names_are_never_taken_for_markup() -> None:
    bars = [Bar(None, "none"), Bar(None, "none")]
    root = etree.fromstring(chart("<A & B>", ("one", "two"), [Group("<North>", bars)]))

    patterns = [etree.tostring(pattern[-1]) for pattern in root.iter(f"{SVG}pattern")]
    assert len(set(patterns)) == 2
    assert root.findtext(f"{SVG}title") == "<A & B>"
    assert "<North>" in [text.text for text in root.iter(f"{SVG}text")]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--out", "x"), "name --format"),
        (("--region", "central"), "'central' is not a region that is upgraded; there are North, Central, South"),
        (("--region", "North", "--region", "Nord"), "'Nord' is not a region that is upgraded; there are North, "),
    ],
)
def test_what_cannot_be_reported_is_refused(run: Run, reported: World, more: tuple[str, ...], said: str) -> None:
    done = run(*report(reported, "2026-11", *more))
    assert (done.exit_code, said in done.stderr) == (2, True)

    assert "is not a month" in run(*report(reported, "November")).stderr


def test_without_a_month_it_is_the_current_one_in_utc(run: Run, reported: World) -> None:
    said = run("report", "sla", "--dir", reported.directory, "--format", "csv")

    assert (said.exit_code, said.stdout) == (0, run(*report(reported, "2026-12", "--format", "csv")).stdout)


def test_a_month_that_has_not_begun_is_refused_and_no_file_is_written(
    run: Run, reported: World, tmp_path: Path
) -> None:
    out = tmp_path / "sla.csv"

    done = run(*report(reported, "2027-01", "--format", "csv", "--out", out))

    assert (done.exit_code, out.exists()) == (2, False)
    assert "2027-01 has not begun yet: it is 2026-12, in UTC" in done.stderr
