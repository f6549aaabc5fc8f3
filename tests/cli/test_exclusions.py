"""Counting excluded hubs and confirming, from the command line."""

from __future__ import annotations

from pathlib import Path

from sr_engine.messages.model import ExclusionAction, UpdateCommsHubFirmwareExclusion
from tests.cli.conftest import Run
from tests.world import A, TestHub, World

NAMED = ("--manufacturer", "2B7E", "--model", "C1A20001", "--version", "9002")
HOMES = [TestHub(1), TestHub(2), TestHub(3, region="South")]


def _exclude(world: World) -> None:
    world.add_hubs(HOMES)
    world.open_release()
    body = UpdateCommsHubFirmwareExclusion(ExclusionAction.EXCLUDE, tuple(hub.chf for hub in HOMES))
    assert world.send(A, body, "11.9").code == "I99"


def _rows(printed: str) -> list[list[str]]:
    return [line.split() for line in printed.splitlines() if line.strip()]


def test_exclusions_are_confirmed_and_then_listed_as_confirmed(run: Run, world: World) -> None:
    _exclude(world)

    before = run("exclusion", "list", "--dir", world.directory)
    done = run("exclusion", "confirm", *NAMED, "--region", "Central", "--dir", world.directory)
    after = run("exclusion", "list", "--dir", world.directory)
    again = run("exclusion", "confirm", *NAMED, "--region", "Central", "--dir", world.directory)

    assert {one.exit_code for one in (before, done, after, again)} == {0}
    assert _rows(before.stdout)[-2:] == [["Central", "2", "0", "2"], ["South", "1", "0", "1"]]
    assert _rows(done.stdout)[-1] == ["Central", "2"]
    assert _rows(after.stdout)[-2:] == [["Central", "2", "2", "0"], ["South", "1", "0", "1"]]
    assert again.stdout == "Confirmed: none\n"
    assert HOMES[0].chf not in before.stdout + done.stdout, "counts are all that is shown"


def test_a_dry_run_says_how_many_hubs_would_be_confirmed_in_each_region(run: Run, world: World) -> None:
    _exclude(world)
    before = world.snapshot()

    done = run("exclusion", "confirm", *NAMED, "--dry-run", "--dir", world.directory)

    assert _rows(done.stdout)[-3:-1] == [["Central", "2"], ["South", "1"]]
    assert world.snapshot() == before


def test_a_release_that_is_not_there_is_exit_code_2(run: Run, shared_instance: Path) -> None:
    done = run("exclusion", "confirm", *NAMED, "--dir", shared_instance)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        "sr-engine: there is no release of firmware 2B7E C1A20001 9002: `sr-engine release list` shows all\n"
    )
