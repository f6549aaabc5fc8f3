"""Gates, halts and resumptions by command."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sr_engine.messages.model import Phase, ScheduleCommsHubFirmware
from tests.cli.conftest import Run
from tests.cli.test_releases import HASH, NAMED, WHERE
from tests.world import FIRMWARE, WINDOW, A, TestHub, World

HERE = (*NAMED, "--region", "Central")


def test_the_gate_opens_by_either_name(run: Run, world: World) -> None:
    world.open_release(general_open=False)

    said = [run(group, "gate", *HERE, "--dir", world.directory).stdout for group in ("phase", "release")]

    assert said == ["the gate of region Central is open now\n", "the gate of region Central was open already\n"]


def test_a_region_is_halted_and_resumed_and_the_second_time_that_is_said(run: Run, world: World) -> None:
    hub = TestHub(1)
    world.add_hubs([hub])
    world.open_release()
    body = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (hub.chf,))
    assert world.send(A, body, "11.5").code == "I0"
    where = ("--dir", world.directory)

    said = [
        run("phase", what, *HERE, *options, *where).stdout
        for what, options in (
            ("halt", ("--reason", "smoke")),
            ("halt", ("--reason", "smoke")),
            ("resume", ()),
            ("resume", ()),
        )
    ]

    assert said == [
        "firmware 9002 is halted now in region Central\n",
        "firmware 9002 was halted already in region Central\n",
        "firmware 9002 is resumed now in region Central\n",
        "firmware 9002 was not halted in region Central\n",
    ]


def test_where_a_release_stands_is_shown_region_by_region(run: Run, world: World) -> None:
    world.add_hubs([TestHub(1)])
    closes = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    run(
        *("release", "open", *NAMED, *HASH, *WHERE, "--pilot-first", "--pilot-limit", "7", "--automatic-gate"),
        *("--pilot-closes", closes.isoformat(), "--soak-hours", "24", "--dir", world.directory),
    )
    run("phase", "gate", *NAMED, "--region", "4G North", "--dir", world.directory)
    run("phase", "halt", *HERE, "--reason", "smoke", "--dir", world.directory)

    done = run("phase", "show", *NAMED, "--dir", world.directory)

    north, central = (line for line in done.stdout.splitlines() if line.lstrip().startswith(("4G North", "Central")))
    assert f"opens by itself on {closes + timedelta(days=1):%Y-%m-%d %H:%M:%S}Z" in central
    assert "supplier-a 7" in central
    assert central.rstrip().endswith(": smoke")
    assert " open " in north
    assert north.rstrip().endswith("no")


def test_how_a_gate_opens_is_shown(run: Run, world: World) -> None:
    world.open_release(general_open=False)

    shown = run("phase", "show", *NAMED, "--dir", world.directory).stdout

    assert shown.count("closed until somebody opens it") == 3
    assert "Firmware 9002 for 2B7E C1A20001: Open, CPL Active" in shown


def test_a_reason_has_500_characters_at_most(run: Run, world: World) -> None:
    world.open_release()

    done = [run("phase", "halt", *HERE, "--reason", "x" * many, "--dir", world.directory) for many in (501, 500)]

    assert [one.exit_code for one in done] == [2, 0]
    assert done[0].stderr == "sr-engine: the reason may have 500 characters: it has 501\n"


def test_a_region_the_release_is_not_for_is_refused(run: Run, world: World) -> None:
    world.open_release()

    done = run("phase", "resume", *NAMED, "--region", "4G North", "--dir", world.directory)

    assert (done.exit_code, done.stderr) == (
        2,
        "sr-engine: firmware 9002 is not released in region 4G North but in Central, North, South\n",
    )
