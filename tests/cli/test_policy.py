"""Changing the terms of a release from the command line, and rehearsing what an operator does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from sr_engine.messages.model import ApproveCommsHubFirmware, Decision, Phase, ScheduleCommsHubFirmware
from sr_engine.store.tables import exclusions, releases
from tests.cli.conftest import Run, keep_to_yourself
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, World, make_world

NAMED = ("--manufacturer", "2B7E", "--model", "C1A20001", "--version", "9002")
CONSULTED = ("--consultation", "DCC-2026-17", "--consultation-date", "2026-01-31")


def announce(world: World, *options: object) -> tuple[object, ...]:
    return ("policy", "announce", *NAMED, *CONSULTED, *options, "--dir", world.directory)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An instance the clock of which stands still, for commands too."""

    def prepare(directory: Path) -> None:
        keep_to_yourself(directory)
        settings = directory / "sr-engine.toml"
        clock = f"[clock]\nanchored_at = {NOW.isoformat()}\nstarts_at = {NOW.isoformat()}\nrate = 1e-15\n"
        settings.write_text(f"{settings.read_text()}\n{clock}")

    world = make_world(tmp_path / "instance", prepare=prepare)
    yield world
    world.close()


def far(days: int) -> str:
    """A day from now on."""
    return f"{NOW + timedelta(days=days):%Y-%m-%d}"


def test_a_change_is_announced_shown_and_taken_back(run: Run, world: World) -> None:
    world.open_release()
    options = ("--obligation", "Mandatory", "--comply-by", far(400), "--effective", far(100))
    place = ("--dir", world.directory)

    done = run(*announce(world, *options))
    assert done.stdout == (
        f"announced: Mandatory, SupplierManaged, ComplyBy {far(400)}T00:00Z from {far(100)} 00:00:00Z\n"
    )
    shown = run("policy", "show", *NAMED, *place)
    assert shown.stdout.startswith("in force: Voluntary, SupplierManaged\n")
    assert "DCC-2026-17" in shown.stdout
    taken_back = run("policy", "cancel", *NAMED, *place)
    assert taken_back.stdout.startswith("cancelled: the release does not become Mandatory")
    again = run("policy", "cancel", *NAMED, *place)
    assert (again.exit_code, again.stderr) == (2, "sr-engine: no change of this release's terms is announced\n")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ("--obligation", "Mandatory"),
            "sr-engine: a release that is Mandatory or DCCManaged needs a ComplyBy: say by --c",
        ),
        (("--effective", "2026-02-01"), "sr-engine: 2026-02-01T00:00:00Z is too early"),
        (("--obligation", "Optional"), "'Optional' is not one of"),
        (("--effective", "soon"), "'soon' is not a time such as"),
        (("--effective", "2027-02-01T10:00"), "has no zone: add Z for UTC"),
        (("--consultation-date", "yesterday"), "'yesterday' is not a date"),
        (("--version", "1"), "sr-engine: there is no release of firmware 2B7E C1A20001 1: `sr-engine release list`"),
    ],
)
def test_what_cannot_be_announced_is_exit_code_2_and_says_why(
    run: Run, world: World, options: Sequence[str], says: str
) -> None:
    world.open_release()

    done = run(*announce(world, *options))

    assert (done.exit_code, done.stdout) == (2, "")
    assert says in done.stderr


def test_regimes_are_compared(run: Run, world: World) -> None:
    world.open_release()
    world.add_hubs([TestHub(1), TestHub(2, region="North")])

    done = run("policy", "compare", *NAMED, "--comply-by", far(200), "--dir", world.directory)

    assert done.exit_code == 0
    for word in ("not scheduled", "Voluntary", "Mandatory", "DCCManaged", "Nights needed", "Central", "North"):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "the release has no ComplyBy: name the one to compare with by --comply-by"),
        (("--comply-by", "2026-01-01"), "ComplyBy 2026-01-01T00:00:00Z has passed"),
        (("--comply-by", far(100), "--effective", far(200)), "must be later than"),
        (("--version", "1"), "there is no release of firmware 2B7E C1A20001 1: `sr-engine release list` shows all"),
    ],
)
def test_what_cannot_be_compared_is_exit_code_2_and_says_why(
    run: Run, world: World, options: Sequence[str], says: str
) -> None:
    world.open_release()

    done = run("policy", "compare", *NAMED, *options, "--dir", world.directory)

    assert (done.exit_code, done.stdout) == (2, "")
    assert says in done.stderr


def test_regimes_of_a_closed_release_are_not_compared(run: Run, world: World) -> None:
    world.open_release()
    run("release", "close", *NAMED, "--dir", world.directory)

    done = run("policy", "compare", *NAMED, "--comply-by", far(200), "--dir", world.directory)

    assert (done.exit_code, done.stderr) == (2, "sr-engine: the release is closed: its terms are changed no more\n")


# --- dry runs --------------------------------------------------------------------------------------------------------


@pytest.fixture
def scheduled(world: World) -> World:
    """A release whose gate is open everywhere, with one hub of two Suppliers that is Scheduled."""
    world.open_release()
    world.add_hubs([SPLIT])
    assert world.send(A, ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (SPLIT.chf,)), "11.5").code == "I0"
    assert world.send(B, ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (SPLIT.chf,)), "11.6").code == "I99"
    return world


SPLIT = TestHub(1, gas=B.name)
KEPT = ["Central GS may be listed kept off lists 1", "Central IS may be listed kept off lists 1"]
FREED = ["Central GS kept off lists may be listed 1", "Central IS kept off lists may be listed 1"]
CANCELLED = ["Central GS Scheduled Cancelled 1", "Central IS Scheduled Cancelled 1"]
REHEARSED: dict[str, tuple[tuple[object, ...], list[str]]] = {
    "release open": (("--region", "South", "--from-version", "9001", "--image-hash", "ab" * 32), []),
    "release amend": (("--remove-from-version", "9001", "--add-from-version", "9000"), KEPT),
    "release close": ((), []),
    "release withdraw": ((), CANCELLED),
    "release cpl": (("Removed",), KEPT),
    "release gate": (("--region", "Central"), []),
    "phase gate": (("--region", "Central"), []),
    "phase halt": (("--region", "Central", "--reason", "too many failures"), KEPT),
    "phase resume": (("--region", "Central"), []),
    "policy announce": ((*CONSULTED, "--management", "DCCManaged", "--comply-by", far(300)), []),
    "exclusion confirm": ((), FREED),
}


@pytest.mark.parametrize("command", REHEARSED)
def test_a_dry_run_says_how_many_hubs_would_change_and_changes_nothing(
    run: Run, scheduled: World, command: str
) -> None:
    options, says = REHEARSED[command]
    if command == "exclusion confirm":
        _make_compulsory_and_exclude(scheduled)
    named = (*NAMED[:-1], "9003") if command == "release open" else NAMED
    before = scheduled.snapshot()

    done = run(*command.split(), *named, *options, "--dry-run", "--dir", scheduled.directory)

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.endswith("dry run: nothing was changed\n")
    tables, _, rest = done.stdout.partition("Would be confirmed")
    assert [words for line in tables.splitlines() if (words := " ".join(line.split())).endswith(" 1")] == says
    assert (["Central", "1"] in [line.split() for line in rest.splitlines()]) == (command == "exclusion confirm")
    assert scheduled.snapshot() == before


def test_a_dry_run_of_an_import_says_what_changes_of_supplier_would_do(
    run: Run, scheduled: World, tmp_path: Path
) -> None:
    file = tmp_path / "registrations.csv"
    file.write_text(f"mpxn,role,organisation,effective_from\n{SPLIT.mpan},IS,{B.name},2026-11-01T00:00:00Z\n")
    before = scheduled.snapshot()

    done = run("registration", "import", file, "--dry-run", "--dir", scheduled.directory)

    assert (done.exit_code, done.stderr) == (0, "")
    assert "Voided" in done.stdout
    assert scheduled.snapshot() == before


def test_dry_runs_of_an_announcement_and_its_cancellation_say_what_would_be(run: Run, scheduled: World) -> None:
    options = ("--obligation", "Mandatory", "--comply-by", far(400), "--effective", far(100))
    terms = f"Mandatory, SupplierManaged, ComplyBy {far(400)}T00:00Z"
    announced = run(*announce(scheduled, *options, "--dry-run"))
    run(*announce(scheduled, *options))
    before = scheduled.snapshot()

    cancelled = run("policy", "cancel", *NAMED, "--dry-run", "--dir", scheduled.directory)

    assert f"would be announced: {terms} from {far(100)} 00:00:00Z\ndry run" in announced.stdout
    assert f"would be cancelled: the change to {terms}\ndry run" in cancelled.stdout
    assert scheduled.snapshot() == before


def test_a_dry_run_refuses_what_the_command_refuses(run: Run, shared_instance: Path) -> None:
    done = run("release", "close", *NAMED, "--dry-run", "--dir", shared_instance)

    assert done.exit_code == 2
    assert "no release of firmware" in done.stderr


def _make_compulsory_and_exclude(world: World) -> None:
    terms = {"obligation": "Mandatory", "compulsory_from": NOW, "comply_by": WINDOW.end}
    world.run(lambda uow: uow.connection.execute(update(releases).values(terms)))
    row = {"hub_id": SPLIT.chf, "organisation": A.name, "set_at": NOW}
    world.run(lambda uow: uow.connection.execute(insert(exclusions).values(row)))
