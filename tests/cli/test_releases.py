"""Opening releases and their gates."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sr_engine.domain.phases import PhasePlan
from sr_engine.messages.model import Firmware, Phase, ScheduleCommsHubFirmware
from sr_engine.store import outbox, phases, releases
from sr_engine.store.database import open_engine
from tests.cli.conftest import Run
from tests.databases import refuse_rows
from tests.world import FIRMWARE, WINDOW, A, TestHub, World

NAMED = ("--manufacturer", "2B7E", "--model", "C1A20001", "--version", "9002")
HASH = ("--image-hash", "ab" * 32)
WHERE = ("--region", "Central", "--region", "4G North", "--from-version", "9001", "--from-version", "9000")


def test_a_release_is_opened_and_its_suppliers_are_told(run: Run, world: World) -> None:
    world.add_hubs([TestHub(1), TestHub(2), TestHub(3, region="South")])

    done = run(
        *("release", "open", *NAMED, *HASH, *WHERE, "--han-model", "1234:DISPLAY", "--pilot-first"),
        *("--dir", world.directory),
    )

    assert (done.exit_code, done.stdout) == (0, "opened firmware 9002 for 2B7E C1A20001: it concerns 2 hubs\n")
    with world.instance.reading_engine.connect() as connection:
        release = releases.by_firmware(connection, FIRMWARE)
        assert outbox.counts(connection) == {("alert", "release_opened", "Pending"): 1}
    assert release is not None
    assert (release.image_hash, release.reachable_from) == ("AB" * 32, {"9000", "9001"})
    assert (release.regions, release.general_open) == ({"Central", "4G North"}, set())
    assert release.han_models == {("1234", "DISPLAY")}


def test_the_hash_may_be_taken_of_the_image(run: Run, world: World, tmp_path: Path) -> None:
    (tmp_path / "image.bin").write_bytes(b"firmware")

    done = run("release", "open", *NAMED, "--image", tmp_path / "image.bin", *WHERE, "--dir", world.directory)

    assert done.exit_code == 0
    with world.instance.reading_engine.connect() as connection:
        release = releases.by_firmware(connection, FIRMWARE)
    assert release is not None
    assert release.image_hash == hashlib.sha256(b"firmware").hexdigest().upper()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((*NAMED, *WHERE), "name the image by --image or its hash by --image-hash"),
        ((*NAMED, *WHERE, *HASH, "--image", "x"), "name the image by --image or its hash by --image-hash"),
        ((*NAMED, *WHERE, "--image", "/none/image.bin"), "sr-engine: /none/image.bin: No such file or directory"),
        ((*NAMED, *WHERE, "--image-hash", "ab"), "sr-engine: the image hash must be the SHA-256 of the image"),
        ((*NAMED, *WHERE, *HASH, "--region", "East"), "sr-engine: not regions that can be upgraded: East; there are"),
        ((*NAMED, *WHERE, *HASH, "--han-model", "1234"), "'1234' is not MANUFACTURER:MODEL"),
        ((*NAMED, *HASH), "Missing option '--region'"),
    ],
)
def test_a_release_that_cannot_be_opened_is_exit_code_2(
    run: Run, shared_instance: Path, options: tuple[str, ...], says: str
) -> None:
    done = run("release", "open", *options, "--dir", shared_instance)

    assert (done.exit_code, done.stdout) == (2, "")
    assert says in done.stderr


def test_without_the_signing_key_nothing_is_opened(run: Run, world: World) -> None:
    (world.directory / "pki" / "broker" / "key.pem").unlink()

    done = run("release", "open", *NAMED, *HASH, *WHERE, "--dir", world.directory)

    assert (done.exit_code, done.stderr) == (
        3,
        f"sr-engine: {world.directory}/pki/broker/key.pem cannot be read: No such file or directory\n",
    )


def test_releases_are_listed_newest_first(run: Run, world: World) -> None:
    world.open_release(han_models=[("1234", "[DISPLAY]")])
    world.clock.advance(world.instance.configuration.policy.triggers.tick)
    world.open_release(Firmware("2B7E", "C1A20001", "9003"), general_open=False)
    run("phase", "halt", *NAMED, "--region", "North", "--reason", "smoke", "--dir", world.directory)

    lines = [line.split() for line in run("release", "list", "--dir", world.directory).stdout.splitlines()]

    assert [
        "2B7E",
        "C1A20001",
        "9003",
        "Open",
        "Active",
        "9001",
        "Central,",
        "North,",
        "South",
        "none",
        "none",
    ] in lines
    assert lines[-2][-2:] == ["North", "1234:[DISPLAY]"]


def test_a_gate_is_opened_once(run: Run, world: World) -> None:
    world.open_release(general_open=False)
    gate = ("release", "gate", *NAMED, "--region", "Central", "--dir", world.directory)

    first, second = run(*gate), run(*gate)

    assert (first.exit_code, first.stdout) == (0, "the gate of region Central is open now\n")
    assert (second.exit_code, second.stdout) == (0, "the gate of region Central was open already\n")
    with world.instance.reading_engine.connect() as connection:
        release = releases.by_firmware(connection, FIRMWARE)
    assert release is not None
    assert release.general_open == {"Central"}


def test_a_gate_of_no_release_is_refused(run: Run, shared_instance: Path) -> None:
    done = run("release", "gate", *NAMED, "--region", "Central", "--dir", shared_instance)

    assert (done.exit_code, done.stderr) == (
        2,
        "sr-engine: there is no release of firmware 2B7E C1A20001 9002: `sr-engine release list` shows all\n",
    )


def test_a_release_may_begin_with_a_pilot(run: Run, world: World) -> None:
    world.add_hubs([TestHub(1)])

    done = run(
        *("release", "open", *NAMED, *HASH, *WHERE, "--pilot-first", "--pilot-limit", "20", "--soak-hours", "24"),
        *("--pilot-closes", "2026-12-24T01:00+01:00", "--automatic-gate", "--failure-percent", "5"),
        *("--minimum-sample", "30", "--dir", world.directory),
    )

    assert done.exit_code == 0
    with world.instance.reading_engine.connect() as connection:
        release = releases.by_firmware(connection, FIRMWARE)
        assert release is not None
        plan = phases.of_release(connection, release.release_id)["Central"].plan
    closes = datetime(2026, 12, 24, 0, 0, tzinfo=UTC)
    assert plan == PhasePlan(20, closes, timedelta(hours=24), True, 5, 30)
    assert release.general_open == set()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--pilot-limit", "20"), "need --pilot-first: without a pilot the gate is open from the start"),
        (("--automatic-gate",), "need --pilot-first"),
        (("--pilot-first", "--pilot-closes", "2026-12-24T01:00"), "'2026-12-24T01:00' is not a time with a zone"),
        (("--pilot-first", "--pilot-closes", "Christmas"), "'Christmas' is not a time with a zone"),
        (("--pilot-first", "--pilot-closes", "2020-12-24T01:00Z"), "sr-engine: the pilot would close in the past"),
    ],
)
def test_a_pilot_that_cannot_be_is_exit_code_2(
    run: Run, shared_instance: Path, options: tuple[str, ...], says: str
) -> None:
    done = run("release", "open", *NAMED, *HASH, *WHERE, *options, "--dir", shared_instance)

    assert (done.exit_code, done.stdout) == (2, "")
    assert says in done.stderr


def test_a_release_is_amended_and_what_was_so_already_is_said(run: Run, world: World) -> None:
    world.open_release()
    world.add_hubs([TestHub(1, version="9000")])
    amend = (
        *("release", "amend", *NAMED, "--add-from-version", "9000", "--remove-from-version", "9001"),
        *("--add-region", "4G North", "--add-han-model", "1234:DISPLAY", "--dir", world.directory),
    )

    first, second = run(*amend), run(*amend)

    assert first.stdout.splitlines() == [
        "firmware 9002 for 2B7E C1A20001: installs on too: 9000",
        "firmware 9002 for 2B7E C1A20001: installs no more on: 9001",
        "firmware 9002 for 2B7E C1A20001: new regions: 4G North",
        "firmware 9002 for 2B7E C1A20001: HAN models it may break: 1234:DISPLAY",
        "it concerns 1 more hubs",
    ]
    assert (second.exit_code, second.stdout) == (
        0,
        "firmware 9002 for 2B7E C1A20001 was so already: nothing changed\n",
    )


def test_an_amendment_of_nothing_is_a_usage_error(run: Run, shared_instance: Path) -> None:
    done = run("release", "amend", *NAMED, "--dir", shared_instance)

    assert done.exit_code == 2
    assert "say what is to be added or removed" in done.stderr


def test_a_release_is_closed_and_withdrawn_and_the_second_time_that_is_said(run: Run, world: World) -> None:
    hub = TestHub(1)
    world.add_hubs([hub])
    world.open_release()
    body = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (hub.chf,))
    assert world.send(A, body, "11.5").code == "I0"
    here = (*NAMED, "--dir", world.directory)

    said = [
        run("release", what, *here).stdout.removeprefix("firmware 9002 for 2B7E C1A20001 ")
        for what in ("close", "close", "withdraw", "withdraw")
    ]

    assert said == [
        "is closed now\n",
        "was closed already\n",
        "is withdrawn now: 1 upgrades cancelled\n",
        "was withdrawn already: 0 upgrades cancelled\n",
    ]
    closed = run("release", "close", *here)
    assert (closed.exit_code, closed.stderr) == (
        2,
        "sr-engine: firmware 2B7E C1A20001 9002 is withdrawn: it cannot be closed\n",
    )


def test_the_products_list_is_followed(run: Run, world: World) -> None:
    world.open_release()
    cpl = ("release", "cpl", *NAMED, "removed", "--dir", world.directory)

    assert [run(*cpl).stdout for _ in range(2)] == [
        "firmware 9002 for 2B7E C1A20001 is Removed on the Certified Products List now\n",
        "firmware 9002 for 2B7E C1A20001 was Removed on the Certified Products List already\n",
    ]


def test_an_empty_file_is_no_image(run: Run, shared_instance: Path, tmp_path: Path) -> None:
    (tmp_path / "image.bin").write_bytes(b"")

    done = run("release", "open", *NAMED, "--image", tmp_path / "image.bin", *WHERE, "--dir", shared_instance)

    assert (done.exit_code, done.stderr) == (
        2,
        f"sr-engine: {tmp_path}/image.bin is empty: it is not the image of a firmware\n",
    )


def test_a_dry_run_of_an_opening_says_how_many_hubs_it_would_concern(run: Run, world: World) -> None:
    world.add_hubs([TestHub(1), TestHub(2), TestHub(3, region="South")])

    done = run("release", "open", *NAMED, *HASH, *WHERE, "--dry-run", "--dir", world.directory)

    assert done.stdout.endswith("firmware 9002 for 2B7E C1A20001 would concern 2 hubs\ndry run: nothing was changed\n")


def test_a_plan_for_new_regions_needs_a_new_region(run: Run, world: World) -> None:
    world.open_release()

    for options in (("--failure-percent", "0"), ("--pilot-first",), ("--add-region", "North", "--minimum-sample", "9")):
        done = run("release", "amend", *NAMED, "--add-from-version", "9000", *options, "--dir", world.directory)

        assert (done.exit_code, done.stdout) == (2, "")
        assert "are decided when a region is added, and none is new" in done.stderr


def test_the_alias_of_the_gate_is_not_in_the_help(run: Run) -> None:
    assert "\n  gate " not in run("release", "--help").stdout
    assert "\n  gate " in run("phase", "--help").stdout


@pytest.mark.parametrize(
    ("once", "options", "says"),
    [
        ("release close", (), "firmware 9002 for 2B7E C1A20001 was closed already"),
        ("release withdraw", (), "firmware 9002 for 2B7E C1A20001 was withdrawn already"),
        ("release cpl", ("Removed",), "was Removed on the Certified Products List already"),
        ("release amend", ("--add-from-version", "9000"), "was so already: nothing changed"),
        ("phase gate", ("--region", "North"), "the gate of region North was open already"),
        ("phase halt", ("--region", "North", "--reason", "smoke"), "firmware 9002 was halted already in region North"),
    ],
)
def test_a_dry_run_of_what_is_so_already_says_so(
    run: Run, world: World, once: str, options: tuple[str, ...], says: str
) -> None:
    world.open_release()
    command = (*once.split(), *NAMED, *options, "--dir", world.directory)
    run(*command)

    done = run(*command, "--dry-run")

    assert done.exit_code == 0
    assert done.stdout.endswith(f"{says}\ndry run: nothing was changed\n")


def test_what_the_database_says_is_one_line(run: Run, world: World) -> None:
    world.close()
    engine = open_engine(world.instance.settings.database_url)
    with engine.begin() as connection:
        refuse_rows(connection, "releases", "no")
    engine.dispose()
    done = run("release", "open", *NAMED, *HASH, *WHERE, "--dir", world.directory)

    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("sr-engine: the database cannot be used: no")
