"""Anomaly thresholds and quarantine from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sr_engine.messages.model import ApproveCommsHubFirmware, Decision, QuarantinedRequest
from tests.cli.conftest import Run, keep_to_yourself
from tests.world import FIRMWARE, NOW, A, TestHub, World, make_world

HUBS = [TestHub(number) for number in range(1, 4)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An instance the clock of which stands still, for commands too."""

    def prepare(directory: Path) -> None:
        keep_to_yourself(directory)
        settings = directory / "sr-engine.toml"
        clock = f"[clock]\nanchored_at = {NOW.isoformat()}\nstarts_at = {NOW.isoformat()}\nrate = 1e-15\n"
        settings.write_text(f"{settings.read_text()}\n{clock}")

    world = make_world(tmp_path / "instance", prepare=prepare)
    world.add_hubs(HUBS)
    world.open_release()
    yield world
    world.close()


def decline(world: World, number: int) -> str:
    body = ApproveCommsHubFirmware(FIRMWARE, Decision.DECLINE, tuple(hub.chf for hub in HUBS[:number]))
    return world.send(A, body, "11.6").code


def reference(world: World) -> str:
    alert = world.sent(A, "notice")[-1].alert
    assert isinstance(alert, QuarantinedRequest)
    return alert.event_ref


def test_a_threshold_is_set_shown_and_taken_away(run: Run, world: World) -> None:
    place = ("--dir", world.directory)
    assert run("anomaly", "set", A.eui.lower(), "--devices", 2, *place).stdout == f"thresholds of {A.eui} are set\n"
    assert run("anomaly", "set", A.eui, "--by", "user", "--requests", 7, *place).exit_code == 0
    decline(world, 2)

    shown = run("anomaly", "show", *place).stdout

    (line,) = [line for line in shown.splitlines() if A.eui in line]
    assert line.split(A.eui)[1].split() == ["1", "2", "2", "devices", "7", "requests"]
    assert run("anomaly", "set", A.eui, "--reset", *place).exit_code == 0
    assert "20,000 requests" in run("anomaly", "show", *place).stdout


@pytest.mark.parametrize("options", [(), ("--reset", "--requests", 1), ("--requests", 0)])
def test_thresholds_that_make_no_sense_are_refused(run: Run, world: World, options: tuple[object, ...]) -> None:
    assert run("anomaly", "set", A.eui, *options, "--dir", world.directory).exit_code == 2


def test_thresholds_of_nobody_are_refused(run: Run, world: World) -> None:
    done = run("anomaly", "set", TestHub(9).chf, "--requests", 1, "--dir", world.directory)
    assert (done.exit_code, done.stderr) == (2, f"sr-engine: {TestHub(9).chf} is no User known here\n")


@pytest.mark.parametrize(("word", "done", "code"), [("release", "released", "I99"), ("delete", "deleted", "E100")])
def test_a_request_in_quarantine_is_listed_and_decided_once(
    run: Run, world: World, word: str, done: str, code: str
) -> None:
    place = ("--dir", world.directory)
    run("anomaly", "set", A.eui, "--devices", 1, *place)
    assert decline(world, 3) == "I99"
    held = reference(world)
    assert held in run("quarantine", "list", *place).stdout

    assert run("quarantine", word, held, *place).stdout == f"{held}: {done}\n"

    assert done in run("quarantine", "list", *place).stdout
    again = run("quarantine", word, held, *place)
    assert (again.exit_code, "was decided before" in again.stderr) == (2, True)
    world.resume(NOW.replace(hour=10))
    assert [one.code for one in world.sent(A, "response")] == [code]
    assert held not in run("quarantine", "list", *place).stdout
