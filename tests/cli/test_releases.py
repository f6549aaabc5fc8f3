"""Opening releases and their gates."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from sr_engine.messages.model import Firmware
from sr_engine.store import outbox, releases
from sr_engine.store.database import open_engine
from tests.cli.conftest import Run
from tests.world import FIRMWARE, TestHub, World

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

    lines = [line.split() for line in run("release", "list", "--dir", world.directory).stdout.splitlines()]

    assert ["2B7E", "C1A20001", "9003", "Open", "9001", "Central,", "North,", "South", "none"] in lines
    assert lines[-2][-1] == "1234:[DISPLAY]"


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

    assert (done.exit_code, done.stderr) == (2, "sr-engine: no release of this firmware in region Central\n")


def test_what_the_database_says_is_one_line(run: Run, world: World) -> None:
    world.close()
    engine = open_engine(world.instance.settings.database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE release_paths RENAME COLUMN from_version TO other")
    engine.dispose()
    done = run("release", "open", *NAMED, *HASH, *WHERE, "--dir", world.directory)

    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("sr-engine: the database cannot be used: ")
