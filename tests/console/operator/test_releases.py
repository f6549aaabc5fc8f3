"""Releases on an operator's pages: what stands there is so, and what is asked for is done once, after a second look."""

from __future__ import annotations

import pytest

from sr_engine.bootstrap import phases_of
from sr_engine.configuration.console import ConsoleRole
from sr_engine.messages.model import ReportStatus
from sr_engine.operations.phases import halt, resume
from sr_engine.store import phases
from tests.console.operator.office import OperatorFront, found_out
from tests.world import FIRMWARE, A, TestHub

HOW = "(console, account:olga)"


@pytest.fixture
def release_id(front: OperatorFront) -> str:
    front.world.add_hubs([TestHub(1), TestHub(2)])
    release_id = front.world.open_release(general_open=False)
    front.central.schedule([TestHub(1), TestHub(2)])
    return release_id


def halted(front: OperatorFront, release_id: str) -> str | None:
    with front.world.instance.reading_engine.connect() as connection:
        return phases.of_release(connection, release_id)["Central"].halt_reason


def test_a_release_is_halted_after_a_reason_was_given_and_confirmed(front: OperatorFront, release_id: str) -> None:
    olga = front.olga()
    olga.open("/operator/releases")
    olga.follow(FIRMWARE.version)
    olga.follow("Halt Central")
    assert olga.heading == "Halt Central"

    olga.send("Go on", reason="smoke in Leeds")
    assert "2 wait for a night now" in olga.main
    assert halted(front, release_id) is None

    olga.send("Halt now")

    assert olga.path == f"/console/operator/releases/{release_id}"
    assert "Central is halted: nothing more is listed there" in olga.main
    assert "smoke in Leeds" in olga.main
    assert halted(front, release_id) == "smoke in Leeds"
    assert front.trail() == [("operator", "halted", f"Central: smoke in Leeds {HOW}")]
    assert "delivery" in front.woken
    assert front.central.told("hub_halted") == [(TestHub(1).chf, A.name), (TestHub(2).chf, A.name)]


def test_halting_twice_by_the_same_form_is_halting_once(front: OperatorFront, release_id: str) -> None:
    olga = front.olga()
    olga.open(f"/operator/releases/{release_id}/Central/halt?reason=smoke")
    form = olga.page
    olga.send("Halt now")
    olga.page = form
    olga.send("Halt now")

    assert "Central was halted already: nothing changed" in olga.main
    assert front.trail(2)[-1][1] == "halted"
    assert [one for one in front.trail(9) if one[1] == "halted"] == [("operator", "halted", f"Central: smoke {HOW}")]


def test_a_release_is_resumed_and_its_gate_opened(front: OperatorFront, release_id: str) -> None:
    steps = phases_of(front.world.instance)
    front.world.run(lambda uow: halt(uow, steps, FIRMWARE, "Central", "smoke"))
    olga = front.olga()
    olga.open(f"/operator/releases/{release_id}")
    olga.follow("Resume Central")
    assert "Why it was halted smoke" in olga.main
    olga.send("Resume now")
    assert "Central goes on" in olga.main
    assert halted(front, release_id) is None

    olga.follow("Open the gate of Central")
    olga.send("Open the gate now")

    assert "The gate of Central is open" in olga.main
    assert front.trail(2) == [
        ("operator", "resumed", f"Central: it was halted: smoke {HOW}"),
        ("operator", "gate opened", f"Central: General phase {HOW}"),
    ]


def test_what_was_halted_again_since_the_page_was_made_is_not_resumed(front: OperatorFront, release_id: str) -> None:
    steps, world = phases_of(front.world.instance), front.world
    world.run(lambda uow: halt(uow, steps, FIRMWARE, "Central", "smoke"))
    olga = front.olga()
    olga.open(f"/operator/releases/{release_id}/Central/resume")
    world.run(lambda uow: resume(uow, steps, FIRMWARE, "Central"))
    world.run(lambda uow: halt(uow, steps, FIRMWARE, "Central", "fire"))

    olga.send("Resume now")

    assert olga.page.status_code == 422
    assert "has been halted or resumed since this page was made" in olga.main
    assert "fire" in olga.main
    assert halted(front, release_id) == "fire"


def test_a_halt_without_a_reason_or_with_too_long_a_one_is_refused(front: OperatorFront, release_id: str) -> None:
    olga = front.olga()
    olga.open(f"/operator/releases/{release_id}/Central/halt?reason=x")
    for reason, said in ((" ", "say why it is halted"), ("x" * 501, "500 characters")):
        olga.send("Halt now", tampered={"reason": reason})
        assert olga.page.status_code == 422
        assert said in olga.main
        olga.open(f"/operator/releases/{release_id}/Central/halt?reason=x")
    assert halted(front, release_id) is None


def test_a_region_shows_its_failures_beside_what_it_is_halted_at(front: OperatorFront, release_id: str) -> None:
    night = front.central
    front.world.run(lambda uow: phases.open_gate(uow.connection, release_id, "Central"))
    night.cut()
    (list_id,) = night.list_ids()
    night.report(
        list_id, night.saw(TestHub(1), ReportStatus.ACTIVATED), night.saw(TestHub(2), ReportStatus.FAILED, "no image")
    )
    olga = front.olga()
    olga.open(f"/operator/releases/{release_id}")

    plan = front.world.instance.configuration.policy.phases
    assert "50.0 %, 1 of 2" in olga.main
    assert f"{plan.failure_percent} %, of {plan.minimum_sample:,} or more" in olga.main
    found_out(olga, f"/operator/releases/{release_id}/count")
    assert "Activated" in olga.main


@pytest.mark.parametrize("path", ["nothing", "nothing/count", "{id}/Nowhere/halt", "{id}/Central/burn"])
def test_what_there_is_not_is_not_found(front: OperatorFront, release_id: str, path: str) -> None:
    olga = front.olga()

    assert olga.open(f"/operator/releases/{path.format(id=release_id)}").status_code == 404


def test_none_of_it_is_for_suppliers(front: OperatorFront, release_id: str) -> None:
    front.add("ann", A.name, (ConsoleRole.ACT, ConsoleRole.APPROVE))
    ann = front.signed_in("ann")

    for path in ("", "/overview", "/releases", f"/releases/{release_id}", f"/releases/{release_id}/Central/halt"):
        assert ann.open(f"/operator{path}").status_code == 403


def test_what_a_reason_says_is_never_markup(front: OperatorFront, release_id: str) -> None:
    steps = phases_of(front.world.instance)
    front.world.run(lambda uow: halt(uow, steps, FIRMWARE, "Central", "<script>alert(1)</script>"))
    olga = front.olga()

    for path in ("/operator/overview", f"/operator/releases/{release_id}"):
        assert "<script>alert" not in olga.open(path).text
        assert "&lt;script&gt;alert(1)" in olga.page.text
