"""The checked-in requests of the quick start: their script writes these very files, and they are played in order."""

from __future__ import annotations

import importlib.util
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest

from sr_engine.replay.fixture import read_fixture

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
IN_ORDER = "in-order.toml"


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
    assert {path.name for path in (FIXTURES / "requests").iterdir()} == {IN_ORDER} | {
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


def test_the_fixture_sends_every_request_in_the_order_of_the_script(script: ModuleType) -> None:
    sent = [step.deed for step in read_fixture(FIXTURES / "requests" / IN_ORDER).steps if "request" in step.deed]

    assert [(deed["supplier"], deed["request"]) for deed in sent] == [
        (sender, f"{name}.xml") for name, sender, *_ in script.requests(script.NOW)
    ]
