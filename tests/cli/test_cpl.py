"""The Certified Products List of meters and PPMIDs on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from sr_engine.store import audit, cpl
from tests.cli.conftest import Run
from tests.firmware import Meters, esme, hash_of
from tests.world import TestHub, World

HUB = TestHub(1)
HEADER = "manufacturer,model,device_type,version,image_hash,status,from_versions\n"
ROW = f"2B7E,METER,ESME,0002012F,{hash_of()},Active,\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cpl.csv"
    path.write_text(HEADER + ROW + f"2B7E,GM,GSME,0002012F,{hash_of()},Active,00020001\n")
    return path


def entries(world: World) -> int:
    with world.instance.reading_engine.connect() as connection:
        return len(cpl.all_entries(connection))


def test_what_is_imported_is_shown_recorded_and_what_requests_are_judged_by(run: Run, world: World, file: Path) -> None:
    world.add_hubs([HUB])
    assert Meters(world).update([esme(HUB)]).code == "E110101"

    done = run("cpl", "import", file, "--dir", world.directory)
    shown = run("cpl", "list", "--dir", world.directory)

    assert (done.exit_code, done.stdout) == (0, "2 entries added, 0 changed, 0 as before\n")
    rows = [" ".join(line.split()) for line in shown.stdout.splitlines() if "2B7E" in line]
    assert rows == [
        f"2B7E GM GSME 0002012F Active any 00020001 {hash_of()}",
        f"2B7E METER ESME 0002012F Active any any {hash_of()}",
    ]
    assert Meters(world).update([esme(HUB)]).code == "I99"
    with world.instance.reading_engine.connect() as connection:
        trail = [(one.actor, one.detail) for one in audit.newest(connection, 10) if one.action.startswith("CPL")]
    assert trail == [("operator", "cpl.csv: 2 entries added, 0 changed, 0 as before")]


def test_a_second_import_replaces_what_it_names_and_leaves_the_rest(run: Run, world: World, file: Path) -> None:
    world.add_hubs([HUB])
    run("cpl", "import", file, "--dir", world.directory)
    file.write_text(HEADER + ROW.replace("Active", "Withdrawn"))

    done = run("cpl", "import", file, "--dir", world.directory)
    again = run("cpl", "import", file, "--dir", world.directory)

    assert done.stdout == "0 entries added, 1 changed, 0 as before\n"
    assert again.stdout == "0 entries added, 0 changed, 1 as before\n"
    assert entries(world) == 2
    assert Meters(world).update([esme(HUB)]).code == "E110103", "the version is active for gas meters still"


def test_a_dry_run_says_what_would_change_and_changes_nothing(run: Run, world: World, file: Path) -> None:
    done = run("cpl", "import", file, "--dry-run", "--dir", world.directory)

    assert done.stdout == "2 entries added, 0 changed, 0 as before\ndry run: nothing was changed\n"
    assert entries(world) == 0
    assert "none" in run("cpl", "list", "--dir", world.directory).stdout


def test_a_file_with_a_mistake_is_not_imported(run: Run, world: World, file: Path) -> None:
    file.write_text(HEADER + ROW + ROW.replace("Active", "Good"))

    done = run("cpl", "import", file, "--dir", world.directory)

    assert done.exit_code == 10
    assert "cpl.csv: line 3, status: must be one of Active, Cancelled, Expired, Withdrawn, not 'Good'" in done.stderr
    assert entries(world) == 0
