"""Journeys of a Supplier's people in a real browser: wide and narrow, by keyboard alone, and without JavaScript."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from sr_engine.store.tables import decisions, schedules
from tests.console.browser import NARROW, WIDE, Visitor, chromium, needs_browser, served, violations, visitor
from tests.console.desk import PASSWORD, Front
from tests.console.test_sheets_and_lists import plan
from tests.console.test_supplier import HOMES, count, four_eyes, opened
from tests.world import TestHub

pytestmark = [pytest.mark.slow, pytest.mark.browser, needs_browser]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def front(fronts: Callable[..., Front]) -> Front:
    front = opened(fronts())
    front.world.add_hubs(TestHub(number, region=("North", "South", "Central")[number % 3]) for number in range(20, 140))
    return front


def approve(one: Visitor) -> None:
    one.sign_in("ann", PASSWORD)
    one.shoot("1-releases")
    one.press("Answer for them")
    one.page.check("input[value=approve]")
    one.shoot("2-what")
    one.press("Show what will happen")
    one.page.wait_for_selector("text=would be accepted")
    one.shoot("3-preview")
    one.press("Do it for")
    one.page.wait_for_selector("text=/^accepted$/")
    one.shoot("4-done")
    assert "124 accepted" in one.text()
    assert one.overflow() <= 0


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])
@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without"])
def test_a_release_is_approved(front: Front, browser: Browser, size: tuple[int, int], script: bool) -> None:
    name = "approve" if script else "approve-no-script"
    with served(front) as base, visitor(browser, base, name, size, script=script) as one:
        approve(one)
    assert count(front, decisions) == 124


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])
@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without"])
def test_hubs_are_scheduled_by_a_sheet(
    front: Front, browser: Browser, size: tuple[int, int], script: bool, tmp_path: Path
) -> None:
    file = tmp_path / "plan.xlsx"
    file.write_bytes(plan())
    name = "sheet" if script else "sheet-no-script"
    with served(front) as base, visitor(browser, base, name, size, script=script) as one:
        one.sign_in("ann", PASSWORD)
        one.press("Sheets")
        one.page.set_input_files("input[type=file]", file)
        one.page.select_option("#f-release-2", front.release_id)
        one.shoot("1-sheet")
        one.press("Show what will happen")
        one.page.wait_for_selector("text=would be accepted")
        one.shoot("2-preview")
        one.press("Do it for")
        one.page.wait_for_selector("text=/^accepted$/")
        one.shoot("3-done")
        assert one.overflow() <= 0
        with one.page.expect_download() as download:
            one.page.get_by_text("Get the sheet back").click()
        assert download.value.suggested_filename.endswith(".xlsx")
    assert count(front, schedules) == 1


def test_a_release_is_approved_by_keyboard_alone(front: Front, browser: Browser) -> None:
    with served(front) as base, visitor(browser, base, "keyboard") as one:
        keys = one.page.keyboard
        one.open("/sign-in")
        one.tab_to("Skip to the content", most=2)
        one.tab_to("Login")
        keys.type("ann")
        one.tab_to("Password")
        keys.type(PASSWORD)
        keys.press("Enter")
        one.page.wait_for_selector("text=Answer for them")
        one.tab_to("Skip to the content", most=2)
        keys.press("Enter")
        one.tab_to("Answer for them", most=4)
        keys.press("Enter")
        one.page.wait_for_selector("h1:has-text('What is to be done')")
        one.tab_to("Approve")
        keys.press("Space")
        one.shoot("focus")
        one.tab_to("Show what will happen")
        keys.press("Enter")
        one.page.wait_for_selector("text=would be accepted")
        one.tab_to("Do it for")
        keys.press("Enter")
        one.page.wait_for_selector("text=/^accepted$/")
    assert count(front, decisions) == 124


def test_hubs_are_scheduled_by_a_sheet_by_keyboard_alone(front: Front, browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "plan.xlsx"
    file.write_bytes(plan())
    with served(front) as base, visitor(browser, base, "keyboard-sheet") as one:
        keys = one.page.keyboard
        one.sign_in("ann", PASSWORD)
        one.tab_to("Sheets")
        keys.press("Enter")
        one.page.wait_for_selector("h1:has-text('Sheets')")
        one.tab_to("Sheet")
        # The dialogue of the computer that Enter opens is not the page's.
        with one.page.expect_file_chooser() as chooser:
            one.page.locator("input[type=file]").focus()
            keys.press("Enter")
        chooser.value.set_files(file)
        one.tab_to("Release")
        keys.type("9002")
        one.tab_to("Show what will happen")
        keys.press("Enter")
        one.page.wait_for_selector("text=would be accepted")
        one.tab_to("Do it for")
        keys.press("Enter")
        one.page.wait_for_selector("text=/^accepted$/")
    assert count(front, schedules) == 1


def test_a_page_shows_by_itself_what_a_second_person_has_confirmed(
    fronts: Callable[..., Front], browser: Browser
) -> None:
    front = opened(fronts(four_eyes))
    front.add("bob")
    with served(front) as base, visitor(browser, base, "live") as ann, visitor(browser, base, "live") as bob:
        ann.sign_in("ann", PASSWORD)
        ann.press("Answer for them")
        ann.page.check("input[value=approve]")
        ann.press("Show what will happen")
        ann.press("Ask a second person")
        ann.page.wait_for_selector("text=It waits for a second person")
        ann.page.wait_for_selector("text=This page refreshes itself")
        ann.shoot("waiting")
        bob.sign_in("bob", PASSWORD)
        bob.open(ann.page.url.partition("/console")[2])
        bob.shoot("to-confirm")
        bob.press("Confirm it")
        ann.page.wait_for_selector("text=/^accepted$/")
    assert count(front, decisions) == 4


PAGES = (
    "/releases",
    "/releases/{release}",
    "/hubs",
    "/hubs?release={release}&state=Scheduled",
    "/hubs/{hub}",
    "/act?release={release}&waiting=yes",
    "/sheets",
    "/proposals",
    "/schedules",
    "/exclusions",
    "/calendar",
    "/alerts",
    "/account",
    "/account/password",
    "/account/second-factor",
    "/nothing",
)


@pytest.mark.parametrize(("size", "dark"), [(WIDE, False), (NARROW, True)], ids=["wide and light", "narrow and dark"])
def test_no_page_keeps_anybody_out(front: Front, browser: Browser, size: tuple[int, int], dark: bool) -> None:
    found = {}
    with served(front) as base, visitor(browser, base, "page-dark" if dark else "page", size, dark=dark) as one:
        one.open("/sign-in")
        one.shoot("sign-in")
        found["/sign-in"] = violations(one.page)
        one.sign_in("ann", PASSWORD)
        one.open(f"/act?hubs={HOMES[0].chf}&release={front.release_id}")
        one.page.check("input[value=schedule]")
        one.press("Show what will happen")
        one.page.wait_for_selector("text=would be")
        one.press("Do it for")
        one.page.wait_for_selector("text=/^accepted$/")
        for path in PAGES:
            one.open(path.format(release=front.release_id, hub=HOMES[3].chf))
            name = path.partition("?")[0].strip("/").replace("/", "-").replace("{", "").replace("}", "") or "first"
            one.shoot(name)
            found[path] = violations(one.page)
            assert one.overflow() <= 0, f"{path} is wider than the window"
            assert len(one.page.content().encode()) < 150_000
    assert {path: some for path, some in found.items() if some} == {}
