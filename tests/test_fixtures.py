"""The checked-in fixtures: what they are answered with, and that their script writes these very files."""

from __future__ import annotations

import importlib.util
import tomllib
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest

from signing import Signer
from sr_engine.importers.cpl_csv import read_entries
from sr_engine.importers.inventory_csv import read_devices
from sr_engine.importers.registration_csv import read_registrations
from sr_engine.operations.cpl import import_entries
from sr_engine.operations.imports import import_devices, import_registrations
from tests.world import World, make_world

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
EXPECTED = tomllib.loads((FIXTURES / "expected.toml").read_text(encoding="utf-8"))["request"]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_fixtures", FIXTURES / "write.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_writes_exactly_the_files_that_are_checked_in(script: ModuleType) -> None:
    written = script.contents()

    assert {name: (FIXTURES / name).read_bytes() for name in written} == written
    assert {path.name for path in (FIXTURES / "requests").iterdir()} == {
        name.removeprefix("requests/") for name in written if name.startswith("requests/")
    }


def test_the_script_moves_the_windows_to_another_day(script: ModuleType) -> None:
    written = script.contents(script.NOW + timedelta(days=100))

    checked_in = script.contents()
    assert b"<sr:StartDateTime>2027-03-08T09:00:00Z" in written["requests/schedule.xml"]
    assert {name for name in written if written[name] != checked_in[name]} == {
        "requests/schedule.xml",
        "requests/schedule-again.xml",
        "requests/schedule-window-past.xml",
        "requests/defer.xml",
        "requests/exclude.xml",
    }


@pytest.fixture
def town(tmp_path: Path) -> World:
    """The homes of the fixtures, and the firmware their requests name."""
    world = make_world(tmp_path / "instance")
    organisations = {one.id for one in world.instance.users.organisations()}
    devices = read_devices(FIXTURES / "inventory.csv")
    registrations = read_registrations(FIXTURES / "registrations.csv", organisations)
    world.run(lambda uow: import_devices(uow, devices, "inventory.csv"))
    world.run(lambda uow: import_registrations(uow, registrations, "registrations.csv"))
    entries = read_entries(FIXTURES / "cpl.csv")
    world.run(lambda uow: import_entries(uow, entries, "cpl.csv"))
    world.open_release()
    return world


def test_every_request_is_answered_with_the_code_written_beside_it(town: World) -> None:
    answered = []
    for one in EXPECTED:
        signer = Signer(town.key(one["sender"]))
        answer = town.post(signer.sign_bytes((FIXTURES / one["file"]).read_bytes()))
        answered.append((one["file"], answer.code, town.decoded(answer).code))
    town.close()

    assert answered == [(one["file"], one["code"], one["code"]) for one in EXPECTED]
