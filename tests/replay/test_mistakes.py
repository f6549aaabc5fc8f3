"""What a person gets wrong in a fixture is told by file and key, and spoils nothing but that fixture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from sr_engine.replay.fixture import read_fixture
from sr_engine.replay.runner import FixtureFailed, play
from sr_engine.replay.running import Result, Verdict, replay
from sr_engine.replay.stage import Posted
from sr_engine.replay.theatre import Theatre

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
    fixture = read_fixture(write(folder, "fails", GOOD.replace("I0", "I99")))
    place = folder / "theatre"
    with pytest.raises(FixtureFailed), Theatre(place).stage(fixture) as stage:
        play(fixture, stage)

    assert list(place.rglob("copy.db*")) == []


REPORTS = 'csp = "CSP North"\nreports."House 1" = '
SCHEDULES = 'supplier = "Us"\nschedules = ["House 1"]\nphase = "General"\nwindow = '


@pytest.mark.parametrize(
    ("step", "given", "problem"),
    [
        (SCHEDULES + '["Sun 2026-11-29 22:00"]', "", "step[1].window: must be when it begins and when it ends"),
        ('supplier = "Us"\nschedules = "House 1"', "", "step[1].schedules: must be a list, not 'House 1'"),
        ('supplier = "Us"\nschedules = []\nphase = "Generl"', "", "step[1].phase: must be one of Pilot, General"),
        (REPORTS + '"Actvated"', "", 'step[1].reports."House 1": must be one of Delivered, Activated, Failed'),
        (GOOD.replace('state."House 1"', "state"), "", "step[1].state: must be a table"),
        (GOOD + '\ntold.Us = "hub_listed"', "", "step[1].told.Us: must be a table"),
        (GOOD + '\nresponses.Us = "I0"', "", "step[1].responses.Us: must be a list, not 'I0'"),
        (GOOD + '\naltered = ["x"]', "", "step[1].altered: must be what stands there"),
        (GOOD + '\nwith = "x"', "", "step[1].with: must be a table, not 'x'"),
        (GOOD + '\ndetail = ""', "", "step[1].detail: must be text that is not empty"),
        (GOOD + '\nstatus = "200"', "", "step[1].status: must be a whole number"),
        ('supplier = "Us"\nagain = "1"', "", "step[1].again: must be a whole number"),
        ("opens = 9003", "", "step[1].opens: must be text"),
        ('opens = "9003"\ngate = "auto"', "", "step[1].gate: must be one of automatic, by hand"),
        (GOOD, '[hub.X]\nregion = "North"\nstatus = "Comissioned"', "hub.X.status: must be one of Pending"),
        (
            GOOD,
            '[hub."House 1"]\nregion = "North"',
            "hub.\"House 1\": 'House 1' is the name of a home that is described",
        ),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_file_and_key(
    folder: Path, step: str, given: str, problem: str
) -> None:
    (result,) = judged(write(folder, "wrong", step, given=given))

    assert result.verdict is Verdict.REFUSED
    assert "wrong.toml" in result.words
    assert problem in result.words


def test_what_cannot_be_played_is_refused_with_its_step(folder: Path) -> None:
    told = {
        'supplier = "Us"\nrequest = "latin.xml"': "request: latin.xml: is not UTF-8",
        'supplier = "Us"\nrequest = "."': "request: .: Is a directory",
        GOOD + '\nbody = "latin.xml"': "body: latin.xml: is not UTF-8",
        'registration = "House 1"\nfrom = "Mon 2027-11-29 00:00"': "registration: says neither electricity nor gas",
        'compares = "Nowhere"\ncomply_by = "Mon 2027-11-29 00:00"': "compares: there is no region 'Nowhere'",
    }

    results = judged(*(write(folder, f"wrong-{number}", step) for number, step in enumerate(told)))

    assert [one.verdict for one in results] == [Verdict.REFUSED] * len(told)
    assert [one.words.splitlines()[1:] for one in results] == [[f"  {words}"] for words in told.values()]


def test_nothing_that_is_expected_holds_whatever_happens(folder: Path) -> None:
    registers = 'registration = "House 1"\nelectricity = "Alert"\nfrom = "Mon 2027-11-29 00:00"\nanswer = "204"'
    steps = (GOOD.replace('"I0"', '"{any}"'), GOOD.replace('"Scheduled"', '"{any}"'), f"{registers}\nstatus = 500")

    results = judged(*(write(folder, f"wrong-{number}", step) for number, step in enumerate(steps)))

    assert [one.verdict for one in results] == [Verdict.FAILED] * len(steps)


def test_a_supplier_may_be_called_by_a_word_that_is_part_of_others(folder: Path) -> None:
    (result,) = judged(write(folder, "names", GOOD, 'at = "Mon 2026-11-30 23:00"'))

    assert "told Us, hub_listed" in result.words


def test_a_night_comes_for_hubs_that_only_the_request_names(folder: Path) -> None:
    (folder / "by-id.xml").write_text(REQUEST.replace("{House 1}", "00-00-5e-ef-c0-00-00-01"), encoding="utf-8")
    later = 'at = "Mon 2026-11-30 23:00"'
    by_name, by_id = write(folder, "name", GOOD, later), write(folder, "id", GOOD.replace("schedule.", "by-id."), later)

    assert ["list of North" in result.words for result in judged(by_name, by_id)] == [True, True]


def test_a_request_that_is_not_signed_is_sent_byte_for_byte(folder: Path, theatre: Theatre) -> None:
    (folder / "raw.xml").write_bytes(b"<a>\r\n\xff</a>")
    fixture = read_fixture(write(folder, "raw", 'supplier = "Us"\nrequest = "raw.xml"\nsigned = false\nstatus = 400'))
    with theatre.stage(fixture) as stage:
        play(fixture, stage)

    assert stage.exchanged[1].request == b"<a>\r\n\xff</a>"


def test_an_answer_whose_signature_does_not_hold_fails_the_fixture(folder: Path, theatre: Theatre) -> None:
    fixture = read_fixture(write(folder, "unsigned", GOOD))
    with theatre.stage(fixture) as stage:
        posts = stage.post

        def altered(path: str, data: bytes, headers: Mapping[str, str]) -> Posted:
            answer = posts(path, data, headers)
            return replace(answer, body=answer.body.replace(b"AcceptedDeviceCount>1<", b"AcceptedDeviceCount>3<"))

        stage.post = altered  # type: ignore[method-assign]
        with pytest.raises(FixtureFailed, match="an answer whose signature does not hold"):
            play(fixture, stage)


def test_whoever_is_no_user_may_act_in_words_too(folder: Path) -> None:
    stranger = '[supplier.Stranger]\nroles = ["IS"]\nstatus = "Unknown"'
    acts = 'supplier = "Stranger"\napproves = ["House 1"]\nanswer = "E1"'

    (result,) = judged(write(folder, "stranger", acts, given=stranger))

    assert (result.verdict, result.words) == (Verdict.PASSED, "")


def test_a_request_that_the_schema_refuses_is_told_with_the_reason(folder: Path) -> None:
    (folder / "schedule.xml").write_text(REQUEST.replace(">General<", ">Generl<"), encoding="utf-8")

    (result,) = judged(write(folder, "schema", GOOD))

    assert "what happened:    400: " in result.words
    assert "Generl" in result.words


def test_recording_keeps_the_line_ends_of_its_author(folder: Path) -> None:
    file = write(folder, "lines", GOOD)
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))

    list(replay([file], record=True))

    written = file.read_bytes()
    assert b"AcceptedDeviceCount" in written
    assert written.count(b"\n") == written.count(b"\r\n")
