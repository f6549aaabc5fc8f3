"""Seeing ahead on the command line."""

from __future__ import annotations

import csv
import io
import json

import pytest

from sr_engine.messages.model import Phase, ScheduleCommsHubFirmware
from tests.cli.conftest import Run
from tests.world import FIRMWARE, WINDOW, A, TestHub, World


@pytest.fixture
def agreed(world: World) -> World:
    """A world with three hubs scheduled in Central, and a clock that the commands read."""
    settings = world.directory / "sr-engine.toml"
    clock = (
        f"\n[clock]\nanchored_at = 2026-01-01T00:00:00Z\nstarts_at = {world.clock.now().isoformat()}\nrate = 0.000001\n"
    )
    settings.write_text(settings.read_text() + clock)
    three = [TestHub(number) for number in (1, 2, 3)]
    world.add_hubs(three)
    world.open_release()
    body = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, tuple(hub.chf for hub in three))
    world.send(A, body, "11.5")
    return world


def test_the_preview_is_shown_as_a_table_and_changes_nothing(run: Run, agreed: World) -> None:
    before = agreed.snapshot()

    done = run("plan", "preview", "--dir", agreed.directory, "--region", "Central")

    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert done.exit_code == 0
    assert lines[0] == "Central: up to 12,000 hubs a night"
    assert "2026-11-29 2026-11-27 22:00:00Z 2B7E C1A20001 9002 3 0 0" in lines
    assert agreed.snapshot() == before


def test_a_region_for_which_nothing_is_planned_says_so_and_no_number(run: Run, agreed: World) -> None:
    north = run("plan", "preview", "--dir", agreed.directory, "--region", "North")
    early = run("plan", "preview", "--dir", agreed.directory, "--region", "Central", "--until", "2026-11-26")

    assert north.stdout == "North: nothing is planned in the nights asked for\n"
    assert early.stdout.splitlines() == [
        "Central: nothing is planned in the nights asked for",
        "  Central, firmware 2B7E C1A20001 9002: 3 hubs: wait for a night after the last one shown",
    ]


def test_csv_and_json_say_the_same_and_what_waits_for_a_later_night(run: Run, agreed: World) -> None:
    command = ("plan", "preview", "--dir", agreed.directory, "--region", "Central", "--until", "2026-11-29")

    rows = list(csv.DictReader(io.StringIO(run(*command, "--format", "csv").stdout)))
    (region,) = json.loads(run(*command, "--format", "json").stdout)["regions"]

    assert [(row["night"], row["fate"], row["hubs"], row["capacity"]) for row in rows] == [
        ("2026-11-29", "listed", "3", "12000")
    ]
    assert [(night["night"], night["listed"]) for night in region["nights"] if night["hubs"]] == [("2026-11-29", 3)]
    assert (region["without_night"], region["beyond"]) == ([], [])

    (late,) = csv.DictReader(io.StringIO(run(*command[:-1], "2026-11-26", "--format", "csv").stdout))
    assert (late["night"], late["fate"], late["hubs"]) == ("", "beyond", "3")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--nights", "3", "--until", "2026-12-01"), "not both"),
        (("--until", "tomorrow"), "is not a date"),
        (("--region", "central"), "'central' is not a region that is upgraded; there are North, Central, South"),
    ],
)
def test_what_cannot_be_looked_for_is_refused(run: Run, agreed: World, arguments: tuple[str, ...], said: str) -> None:
    done = run("plan", "preview", "--dir", agreed.directory, *arguments)

    assert done.exit_code == 2
    assert said in done.stderr
