"""The runner itself: a story that does not go as it is told fails, and says where and what in words one can read."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from sr_engine.replay.fixture import Fixture, FixtureRefused, fixture_of
from sr_engine.replay.runner import FixtureFailed, play
from sr_engine.replay.stage import SecretTold, check_privacy
from sr_engine.replay.theatre import Theatre

TRUE = """
title = "A hub is scheduled"
wish = "To show what the runner compares."
[supplier."Alder Energy"]
roles = ["IS", "GS"]
[supplier."Birch Gas"]
roles = ["IS", "GS"]
[hub.Terrace]
home = "A home with two Suppliers."
region = "Central"
electricity = "Alder Energy"
gas = "Birch Gas"
[hub.Cottage]
home = "A home with one."
region = "Central"
electricity = "Alder Energy"
[hub.Flat]
home = "A home of somebody else."
region = "Central"
electricity = "Birch Gas"
[[step]]
number = 1
at = "Mon 2026-11-23 09:00"
says = "A release is opened."
opens = "9002"
told."Alder Energy".release_opened = ["Terrace", "Cottage"]
told."Birch Gas".release_opened = ["Terrace", "Flat"]
[[step]]
number = 2
at = "Mon 2026-11-23 10:00"
says = "Alder schedules."
supplier = "Alder Energy"
schedules = ["Terrace", "Cottage", "Flat"]
window = ["Sun 2026-11-29 22:00", "Fri 2026-12-04 06:00"]
phase = "General"
answer = "W110501"
refused.NotResponsible = ["Flat"]
told."Birch Gas".other_supplier_answer_changed = ["Terrace"]
state.Terrace = "AwaitingApproval"
state.Cottage = "Scheduled"
shows."Birch Gas".Terrace = { status = "AwaitingApproval", own = "Pending", other = "Approved" }
shows."Birch Gas".Cottage = "E4"
[[step]]
number = 3
at = "Fri 2026-11-27 23:00"
says = "The list is cut."
told."Alder Energy".hub_listed = ["Cottage"]
listed.Central."Sun 2026-11-29 22:00" = ["Cottage"]
state.Cottage = "Listed"
"""


def changed(old: str, new: str) -> Fixture:
    """The true fixture with one place of it changed."""
    assert TRUE.count(old) == 1, f"{old!r} stands {TRUE.count(old)} times in the fixture"
    return fixture_of(tomllib.loads(TRUE.replace(old, new)), Path("test.toml"))


def played(fixture: Fixture, theatre: Theatre) -> None:
    with theatre.stage(fixture) as stage:
        play(fixture, stage)


def test_a_story_that_goes_as_it_is_told_passes(theatre: Theatre) -> None:
    played(changed("A hub is scheduled", "A hub"), theatre)


def test_a_wrong_expectation_fails_with_the_step_its_sentence_and_both_sides(theatre: Theatre) -> None:
    with pytest.raises(FixtureFailed) as failed:
        played(changed('state.Cottage = "Scheduled"', 'state.Cottage = "AwaitingApproval"'), theatre)

    assert str(failed.value) == (
        "test.toml, step 2, Mon 2026-11-23 10:00: Alder schedules.\n"
        "  state of Cottage\n"
        "    the fixture says: AwaitingApproval\n"
        "    what happened:    Scheduled"
    )


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ('answer = "W110501"', 'answer = "I0"', ("answer", "I0", "W110501")),
        ('refused.NotResponsible = ["Flat"]', "", ("refused as NotResponsible", "nothing", "Flat")),
        (
            'told."Birch Gas".other_supplier_answer_changed = ["Terrace"]',
            "",
            ("told Birch Gas, other_supplier_answer_changed", "nothing", "Terrace"),
        ),
        (
            'told."Alder Energy".hub_listed = ["Cottage"]',
            'told."Alder Energy".hub_listed = ["Cottage", "Cottage"]',
            ("told Alder Energy, hub_listed", "Cottage, Cottage", "Cottage"),
        ),
        (
            'told."Alder Energy".hub_listed = ["Cottage"]',
            'told."Alder Energy".hub_listed = ["Cottage"]\ntold."Birch Gas".hub_listed = ["Flat"]',
            ("told Birch Gas, hub_listed", "Flat", "nothing"),
        ),
        (
            'listed.Central."Sun 2026-11-29 22:00" = ["Cottage"]',
            "",
            ("list of Central, Sun 2026-11-29 22:00", "nothing", "Cottage"),
        ),
        ('state.Cottage = "Listed"', "", ("state of Cottage", "Scheduled", "Listed")),
        (
            'state.Cottage = "Listed"',
            'state.Cottage = "Listed"\nruns.Flat = "9002"',
            ("firmware of Flat", "9002", "9001"),
        ),
        (
            'own = "Pending", other = "Approved"',
            'own = "Pending", other = "Declined"',
            ("11.7 shows Birch Gas of Terrace, other", "Declined", "Approved"),
        ),
        (', own = "Pending"', "", ("11.7 shows Birch Gas of Terrace, own", "nothing", "Pending")),
        ('Cottage = "E4"', 'Cottage = "E19"', ("11.7 shows Birch Gas of Cottage", "E19", "E4")),
    ],
)
def test_whatever_a_story_leaves_out_or_gets_wrong_is_told(
    theatre: Theatre, old: str, new: str, difference: tuple[str, str, str]
) -> None:
    with pytest.raises(FixtureFailed) as failed:
        played(changed(old, new), theatre)

    about, says, happened = difference
    _, *told = str(failed.value).splitlines()
    assert told == [f"  {about}", f"    the fixture says: {says}", f"    what happened:    {happened}"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            'home = "A home with one."',
            'house = "A home with one."',
            "test.toml: hub.Cottage.house: is not a known key; is home meant?",
        ),
        (
            'electricity = "Alder Energy"\n[hub.Flat]',
            'electricity = "Alder"\n[hub.Flat]',
            "test.toml: hub.Cottage.electricity: is of 'Alder', who is not given",
        ),
        ("number = 3", "number = 4", "test.toml: step[3].number: must be 3: steps are numbered from 1"),
        ("Fri 2026-11-27 23:00", "Fri 2026-11-20 23:00", "test.toml: step[3].at: is earlier than the step before it"),
        ("Fri 2026-11-27 23:00", "Sat 2026-11-27 23:00", "step[3].at: 'Sat 2026-11-27 23:00': that day is a Friday"),
        ("Fri 2026-11-27 23:00", "27 November", "test.toml: step[3].at: '27 November' is no time"),
        ('title = "A hub is scheduled"', "", "test.toml: title: is missing"),
        ('wish = "', 'wich = "', "test.toml: wich: is not a known key; is wish meant?"),
        ('phase = "General"', 'phase = "General"\nfase = "x"', "step[2].fase: is not known of 'schedules'"),
        ('schedules = ["Terrace"', 'plans = ["Terrace"', "test.toml: step[2].plans: is not a known key"),
        ('supplier = "Alder Energy"', "", "test.toml: step[2]: schedules: says not which supplier"),
    ],
)
def test_a_file_that_is_no_story_is_refused_before_it_is_played(old: str, new: str, problem: str) -> None:
    with pytest.raises(FixtureRefused) as refused:
        changed(old, new)

    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('schedules = ["Terrace"', 'schedules = ["Palace"', "hub 'Palace' is not given"),
        ('hub_listed = ["Cottage"]', 'hub_listed = ["Palace"]', "hub 'Palace' is not given"),
        ('supplier = "Alder Energy"', 'supplier = "Cedar"', "Supplier 'Cedar' is not given"),
        ('phase = "General"', 'phase = "General"\nreplaces = "a plan"', "no schedule was named 'a plan' before"),
        (
            'says = "The list is cut."',
            'says = "x"\ncsp = "CSP North"\naccepts = ["Cottage"]',
            "hub 'Cottage' is in Central, whose CSP is 'CSP Central and South', not 'CSP North'",
        ),
        (
            'says = "The list is cut."',
            'says = "x"\ncsp = "CSP North"\naccepts = ["Flat"]',
            "no CSP was ever sent hub 'Flat'",
        ),
    ],
)
def test_what_nobody_can_do_is_refused_with_its_step(theatre: Theatre, old: str, new: str, problem: str) -> None:
    with pytest.raises(FixtureRefused) as refused:
        played(changed(old, new), theatre)

    assert "test.toml, step" in str(refused.value)
    assert problem in str(refused.value)


def test_a_group_of_homes_is_named_as_one_where_all_of_it_is_meant() -> None:
    story = changed('home = "A home with one."', "homes = 3")

    assert story.hubs_named(["Cottage", "Flat"]) == ["Cottage 1", "Cottage 2", "Cottage 3", "Flat"]
    assert story.in_words(["Flat", "Cottage 3", "Cottage 1", "Cottage 2"]) == "Cottage, Flat"
    assert story.in_words(["Cottage 3", "Cottage 1"]) == "Cottage 1, Cottage 3"
    assert story.in_words(["Cottage 1", "Cottage 2", "Cottage 3", "Cottage 2"]) == "Cottage, Cottage 2"
    assert len({hub.chf for hub in story.given.homes.values()}) == 5


def test_a_message_that_names_another_supplier_would_not_go_unseen() -> None:
    story = changed("A hub is scheduled", "A hub")
    with pytest.raises(SecretTold, match="Alder Energy was sent the name of Birch"):
        check_privacy(story, "Alder Energy", b"<DeviceID>00-00-5e-ef-10-00-01-02</DeviceID>")
