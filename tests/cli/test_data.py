"""Importing files into an instance."""

from __future__ import annotations

from pathlib import Path

import pytest

from sr_engine.operations import imports
from sr_engine.store import audit, inventory
from tests.cli.conftest import Run
from tests.world import NOW, World, eui

CHF = eui(0xC0, 1)
DEVICES = f"""device_id,device_type,hub_id,manufacturer,model,csp_region,import_mpxn
{CHF.replace("-", "").lower()},CHF,,2B7E,=cmd,Central,
{eui(0xD0, 1)},GPF,{CHF},2B7E,=cmd,Central,
{eui(0xE0, 1)},ESME,{CHF},2B7E,METER,Central,1000000000001
{eui(0xE0, 2)},ESME,{eui(0xC0, 2)},2B7E,METER,Central,1000000000002
"""
REGISTRATIONS = "mpxn,role,organisation,effective_from\n1000000000001,IS,supplier-a,2026-01-01\n"


@pytest.fixture
def devices(tmp_path: Path) -> Path:
    path = tmp_path / "devices.csv"
    path.write_text(DEVICES)
    return path


@pytest.fixture
def registrations(tmp_path: Path) -> Path:
    path = tmp_path / "registrations.csv"
    path.write_text(REGISTRATIONS)
    return path


def test_devices_and_registrations_make_a_hub_with_its_supplier(
    run: Run, world: World, devices: Path, registrations: Path
) -> None:
    first = run("inventory", "import", devices, "--dir", world.directory)
    second = run("registration", "import", registrations, "--dir", world.directory)

    assert (first.exit_code, first.stdout) == (0, "4 devices imported, 1 of them hubs (CHF)\n")
    assert first.stderr == "note: 1 devices name a hub that is not in the inventory\n"
    assert (second.exit_code, second.stdout) == (0, "1 registrations imported\n")
    with world.instance.reading_engine.connect() as connection:
        hub = inventory.hubs(connection, [CHF], NOW, with_han=False)[CHF]
        trail = [(entry.actor, entry.action) for entry in audit.newest(connection, 2)]
    assert (hub.model, hub.electricity, hub.gas, hub.gpf_id) == ("=cmd", "supplier-a", None, eui(0xD0, 1))
    assert trail == [("operator", "registrations imported"), ("operator", "devices imported")]


def test_the_registrations_of_a_meter_point_are_shown_by_its_number_its_meter_or_its_hub(
    run: Run, world: World, devices: Path, registrations: Path
) -> None:
    registrations.write_text(
        f"{REGISTRATIONS}1000000000001,IS,supplier-b,2026-02-01\n1000000000001,IS,,2100-01-01\n"
        "1000000000001,ED,supplier-b,2026-02-01\n"
    )
    run("inventory", "import", devices, "--dir", world.directory)
    run("registration", "import", registrations, "--dir", world.directory)

    shown = [
        run("registration", "show", sought, "--dir", world.directory) for sought in ("1000000000001", eui(0xE0, 1), CHF)
    ]

    rows = [
        " ".join(line.split()) for line in shown[0].stdout.splitlines() if line.lstrip().startswith("1000000000001")
    ]
    assert rows == [
        "1000000000001 ED 2026-02-01 00:00:00Z supplier-b in force",
        "1000000000001 IS 2026-01-01 00:00:00Z supplier-a past",
        "1000000000001 IS 2026-02-01 00:00:00Z supplier-b in force up to here",
        "1000000000001 IS 2100-01-01 00:00:00Z nobody to come",
    ]
    assert [one.exit_code for one in shown] == [0, 0, 0]
    assert len({one.stdout.partition("MPxN")[2] for one in shown}) == 1
    assert "none" in run("registration", "show", "1000000000002", "--dir", world.directory).stdout
    for sought in (eui(0xC0, 99), "1000000000099"):
        unknown = run("registration", "show", sought, "--dir", world.directory)
        assert (unknown.exit_code, unknown.stdout) == (2, "")
        assert f"no such meter point or device: {sought} is neither registered nor in the inventory" in unknown.stderr
    wrong = run("registration", "show", "x1", "--dir", world.directory)
    assert (wrong.exit_code, "nor the EUI-64 of a device" in wrong.stderr) == (2, True)


def test_a_registration_is_taken_back_by_a_file(run: Run, world: World, registrations: Path) -> None:
    run("registration", "import", registrations, "--dir", world.directory)
    registrations.write_text("mpxn,role,organisation,effective_from,cancelled\n1000000000001,IS,,2026-01-01,yes\n")

    done = run("registration", "import", registrations, "--dir", world.directory)

    assert (done.exit_code, done.stdout) == (0, "1 registrations imported\n")
    assert world.snapshot()["registrations"] == []
    assert [row[2] for row in world.snapshot()["settled_registrations"]] == [None]


def test_nothing_is_imported_if_one_row_is_bad(run: Run, world: World, devices: Path, registrations: Path) -> None:
    devices.write_text(DEVICES + f"{eui(0xC0, 9)},CHF,,2B7E,M,Somewhere,\n")
    registrations.write_text(REGISTRATIONS + "1000000000002,IS,supplier-c,2026-01-01\n")
    before = world.snapshot()

    first = run("inventory", "import", devices, "--dir", world.directory)
    second = run("registration", "import", registrations, "--dir", world.directory)

    assert (first.exit_code, second.exit_code) == (10, 10)
    assert first.stderr.startswith("sr-engine: devices.csv: line 6, csp_region: must be one of North, Central")
    assert first.stderr.endswith("nothing was imported: 1 problem(s), see above\n")
    assert "line 3, organisation: must be an id in users.toml: supplier-a, supplier-b" in second.stderr
    assert world.snapshot() == before


def test_a_file_that_is_not_there_is_exit_code_2(run: Run, world: World, tmp_path: Path) -> None:
    done = run("inventory", "import", tmp_path / "none.csv", "--dir", world.directory)

    assert (done.exit_code, done.stderr) == (2, f"sr-engine: {tmp_path / 'none.csv'}: No such file or directory\n")


def test_large_imports_report_their_progress(
    run: Run, world: World, devices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "_AT_ONCE", 3)

    done = run("inventory", "import", devices, "--dir", world.directory)

    assert done.stderr.splitlines()[:2] == ["3 devices written", "4 devices written"]


def test_the_help_names_the_columns_and_the_rules(run: Run) -> None:
    devices = run("inventory", "import", "--help").stdout
    registrations = run("registration", "import", "--help").stdout

    assert "hub_id                  the EUI-64 of the CHF (a CHF: itself), or empty" in devices
    assert "nothing is imported" in " ".join(devices.split())
    assert "effective_from          a date such as 2026-11-22 (00:00 UTC)" in registrations
