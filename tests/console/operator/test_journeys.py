"""What an operator does, in a real browser by keyboard alone, at a desk and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from sr_engine.bootstrap import phases_of
from sr_engine.operations.phases import halt
from sr_engine.store import message_search, phases
from tests.console.browser import NARROW, WIDE, chromium, needs_browser, served, violations
from tests.console.desk import PASSWORD, console_world
from tests.console.operator.busy import LOST, Busy, make_busy, pages
from tests.console.operator.office import OperatorFront
from tests.console.operator.person import SIZES, Person
from tests.world import FIRMWARE, A

pytestmark = [pytest.mark.slow, pytest.mark.browser, needs_browser]

SECONDS = 60

LONG = ("/operator/plan?region=Central", "/operator/levels", "/operator/releases/{busy.release_id}/count")
"""Pages that show what takes long: by themselves, once it is there."""


@dataclass
class Open:
    """A busy world whose console is served, with an operator."""

    front: OperatorFront
    busy: Busy
    base: str


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    front = OperatorFront(console_world(tmp_path / "instance"))
    busy = make_busy(front)
    front.add("olga", None)
    with served(front) as base:
        yield Open(front, busy, base)
    front.close()


@pytest.mark.parametrize("size", SIZES)
def test_halt_and_resume(browser: Browser, opened: Open, size: tuple[int, int]) -> None:
    journey = "halt-and-resume"

    def reason() -> str | None:
        with opened.front.world.instance.reading_engine.connect() as connection:
            return phases.of_release(connection, opened.busy.release_id)["Central"].halt_reason

    with Person.at(browser, opened.base, size) as olga:
        olga.sign_in("olga", PASSWORD)
        olga.picture(journey, "1-overview")
        olga.press("Releases")
        olga.picture(journey, "2-releases")
        olga.press(FIRMWARE.version)
        olga.picture(journey, "3-release")
        olga.press("Halt Central")
        olga.type("Why it is halted", "hubs in Leeds lose their HAN")
        olga.picture(journey, "4-reason")
        olga.press("Go on")
        olga.picture(journey, "5-confirm")
        assert reason() is None
        olga.press("Halt now")
        olga.picture(journey, "6-halted")
        assert "Central is halted" in olga.text
        assert reason() == "hubs in Leeds lose their HAN"
        olga.press("Resume Central")
        olga.picture(journey, "7-resume")
        olga.press("Resume now")
        olga.picture(journey, "8-resumed")
        assert "Central goes on" in olga.text
        assert reason() is None


@pytest.mark.parametrize("size", SIZES)
def test_find_a_lost_alert(browser: Browser, opened: Open, size: tuple[int, int]) -> None:
    """A Supplier says that it was not told of a hub: it is found by the hub, seen to be parked, and sent again."""
    journey = "find-a-lost-alert"

    def state() -> str:
        with opened.front.world.instance.reading_engine.connect() as connection:
            line = message_search.sent(connection, opened.busy.lost_message_id)
        assert line is not None
        return line.state

    with Person.at(browser, opened.base, size) as olga:
        olga.sign_in("olga", PASSWORD)
        olga.press("Messages")
        olga.type("RequestID, hub or message id", LOST.chf)
        olga.picture(journey, "1-search")
        olga.press("Search")
        olga.picture(journey, "2-found")
        assert "hub_failed" in olga.text
        olga.press(opened.busy.lost_message_id[:12])
        olga.picture(journey, "3-alert")
        assert "HTTP 503" in olga.text
        assert "The signature is good" in olga.text
        olga.press("Send it again")
        olga.picture(journey, "4-confirm")
        assert state() == "Parked"
        olga.press("Send again now")
        olga.picture(journey, "5-sent-again")
        assert "It is queued again" in olga.text
        assert state() == "Pending"
    assert A.name in opened.front.trail()[0][2] or "console, account:olga" in opened.front.trail()[0][2]


@pytest.mark.parametrize("size", SIZES)
def test_no_page_has_a_serious_issue_and_none_sticks_out(browser: Browser, opened: Open, size: tuple[int, int]) -> None:
    found = list[str]()
    with Person.at(browser, opened.base, size) as olga:
        olga.sign_in("olga", PASSWORD)
        for path in LONG:
            olga.open(path.format(busy=opened.busy))
            olga.page.wait_for_function("() => !document.querySelector('main').innerText.includes('being found out')")
        for number, path in enumerate(pages(opened.busy), start=1):
            olga.open(path)
            name = (
                path.removeprefix("/operator/").partition("?")[0].replace("/", "-").replace(opened.busy.release_id, "x")
            )
            olga.picture("operator-pages", f"{number:02}-{name}"[:60])
            found += [f"{path}: {one}" for one in violations(olga.page)]

    assert found == []


def test_in_the_dark_no_page_has_a_serious_issue(browser: Browser, opened: Open) -> None:
    found = list[str]()
    with Person.at(browser, opened.base, WIDE, dark=True) as olga:
        olga.sign_in("olga", PASSWORD)
        for path in pages(opened.busy):
            olga.open(path)
            found += [f"{path}: {one}" for one in violations(olga.page)]
        olga.open("/operator/overview")
        olga.picture("operator-pages", "dark-overview")

    assert found == []


def test_an_open_page_shows_by_itself_what_has_changed(browser: Browser, opened: Open) -> None:
    world = opened.front.world
    with Person.at(browser, opened.base, WIDE) as olga:
        olga.sign_in("olga", PASSWORD)
        olga.page.wait_for_function("() => document.body.innerText.includes('This page refreshes itself')")
        assert "fire in Crewe" not in olga.text

        steps = phases_of(world.instance)
        world.run(lambda uow: halt(uow, steps, FIRMWARE, "South", "fire in Crewe"))

        olga.page.wait_for_function("() => document.body.innerText.includes('fire in Crewe')", timeout=SECONDS * 1000)


def test_without_scripts_an_open_page_is_loaded_anew(browser: Browser, opened: Open) -> None:
    with Person.at(browser, opened.base, NARROW, scripts=False) as olga:
        olga.open("/sign-in")
        olga.page.fill("#f-login", "olga")
        olga.page.fill("#f-password", PASSWORD)
        olga.page.click("main button")
        olga.page.wait_for_url("**/operator/overview")

        assert olga.page.locator("noscript meta[http-equiv=refresh], meta[http-equiv=refresh]").count() == 1
        olga.page.click("text=Regions halted")
        olga.page.click(f"text={FIRMWARE.version}")
        olga.page.click("text=Resume North")
        olga.page.click("text=Resume now")
        olga.page.wait_for_url("**done=resumed**")
        assert "North goes on" in olga.text
