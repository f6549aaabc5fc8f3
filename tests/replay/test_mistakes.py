"""What a person gets wrong in a fixture is told by file and key, and spoils nothing but that fixture."""

from __future__ import annotations

from pathlib import Path

import pytest

from sr_engine.replay.running import Result, Verdict, replay

GIVEN = """
[supplier."Us"]
roles = ["IS", "GS"]
[supplier."Alert"]
roles = ["IS", "GS"]
[release."9002"]
[hub.House]
region = "North"
electricity = "Us"
gas = "Us"
homes = 3
[hub.Split]
region = "North"
electricity = "Us"
gas = "Alert"
"""
REQUEST = """<sr:Request xmlns:sr="http://www.dccinterface.co.uk/ServiceUserGateway" schemaVersion="5.4">
  <sr:Header>
    <sr:RequestID>{originator}:{target}:{counter}</sr:RequestID>
    <sr:CommandVariant>8</sr:CommandVariant>
    <sr:ServiceReference>11.5</sr:ServiceReference>
    <sr:ServiceReferenceVariant>11.5</sr:ServiceReferenceVariant>
  </sr:Header>
  <sr:Body>
    <sr:ScheduleCommsHubFirmware>
      <sr:DeviceManufacturer>2B7E</sr:DeviceManufacturer>
      <sr:DeviceModel>C1A20001</sr:DeviceModel>
      <sr:FirmwareVersion>9002</sr:FirmwareVersion>
      <sr:UpgradeWindow>
        <sr:StartDateTime>{+4d}</sr:StartDateTime>
        <sr:EndDateTime>{+14d}</sr:EndDateTime>
      </sr:UpgradeWindow>
      <sr:Phase>General</sr:Phase>
      <sr:DeviceIDList>{House 1}</sr:DeviceIDList>
    </sr:ScheduleCommsHubFirmware>
  </sr:Body>
</sr:Request>
"""
GOOD = 'supplier = "Us"\nrequest = "schedule.xml"\nanswer = "I0"\nstate."House 1" = "Scheduled"'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as somebody writes it who has read the documentation: what is given, a request, no fixture yet."""
    (tmp_path / "our.given.toml").write_text(GIVEN, encoding="utf-8")
    (tmp_path / "schedule.xml").write_text(REQUEST, encoding="utf-8")
    (tmp_path / "latin.xml").write_bytes("<a>caf\xe9</a>".encode("latin-1"))
    return tmp_path


def write(folder: Path, name: str, *steps: str, given: str = "") -> Path:
    file = folder / f"{name}.toml"
    text = "\n".join([f'title = "{name}"', 'given = "our.given.toml"', *(f"[[step]]\n{step}" for step in steps), given])
    file.write_text(text, encoding="utf-8")
    return file


def judged(*files: Path) -> list[Result]:
    return list(replay(files))


def test_an_impossible_given_spoils_no_fixture_after_it(folder: Path) -> None:
    impossible = write(folder, "impossible", GOOD, given="[policy.horizon]\nupgrade_window_dayz = 3")
    another = write(folder, "possible", GOOD, given="[policy.horizon]\nupgrade_window_days = 60")

    refused, passed = judged(impossible, another)

    assert refused.words == "impossible.toml: policy.horizon.upgrade_window_dayz: policy.toml has no such key"
    assert passed.verdict is Verdict.PASSED, passed.words


def test_a_fixture_that_fails_leaves_no_file_of_its_database(folder: Path) -> None:
    from sr_engine.replay.fixture import read_fixture
    from sr_engine.replay.runner import FixtureFailed, play
    from sr_engine.replay.theatre import Theatre

    fixture = read_fixture(write(folder, "fails", GOOD.replace("I0", "I99")))
    place = folder / "theatre"
    with pytest.raises(FixtureFailed), Theatre(place).stage(fixture) as stage:
        play(fixture, stage)

    assert list(place.rglob("copy.db*")) == []
