"""Somebody at a real browser who uses the keyboard and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.console.browser import NARROW, WAIT, WIDE, output

_MOST_TABS = 250
_LABEL = """() => {
  const one = document.activeElement;
  const label = one.labels && one.labels.length ? one.labels[0].innerText : "";
  return (label || one.getAttribute("aria-label") || one.innerText || "").replace(/\\s+/g, " ").trim();
}"""
_SEEN = """() => {
  const style = getComputedStyle(document.activeElement);
  return style.outlineStyle !== "none" && style.outlineWidth !== "0px";
}"""
SIZES = (WIDE, NARROW)


@dataclass
class Person:
    """Somebody at a browser window of some width, who uses the keyboard and nothing else."""

    page: Page
    base: str
    width: int

    @classmethod
    @contextmanager
    def at(
        cls, browser: Browser, base: str, size: tuple[int, int], *, scripts: bool = True, dark: bool = False
    ) -> Iterator[Person]:
        """Somebody at a new window, with or without JavaScript; what a page complains of fails the test."""
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            java_script_enabled=scripts,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            locale="en-GB",
        )
        context.set_default_timeout(WAIT * 1000)
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        try:
            yield cls(page, base, size[0])
            assert complaints == []
        finally:
            context.close()

    def open(self, path: str) -> None:
        """Type an address; `path` without /console."""
        self.page.goto(f"{self.base}/console{path}", wait_until="load")

    def tab_to(self, text: str) -> None:
        """Go on from thing to thing until the one that is called so; where one is must be seen."""
        for _ in range(_MOST_TABS):
            self.page.keyboard.press("Tab")
            label = self.page.evaluate(_LABEL)
            if text in label:
                assert self.page.evaluate(_SEEN), f"nobody sees that {label!r} has the focus"
                return
        raise AssertionError(f"{text!r} is not reached by keyboard on {self.page.url}")

    def press(self, text: str) -> None:
        """Follow a link or press a button, and wait for the page that it leads to."""
        self.tab_to(text)
        with self.page.expect_navigation(wait_until="load"):
            self.page.keyboard.press("Enter")

    def type(self, label: str, text: str) -> None:
        """Fill in a field."""
        self.tab_to(label)
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)

    def sign_in(self, login: str, password: str) -> None:
        """Sign in, by keyboard too."""
        self.open("/sign-in")
        self.type("Login", login)
        self.type("Password", password)
        with self.page.expect_navigation(wait_until="load"):
            self.page.keyboard.press("Enter")

    @property
    def text(self) -> str:
        """What can be read in the main part of the page."""
        return " ".join(self.page.inner_text("main").split())

    def picture(self, journey: str, step: str) -> Path:
        """Keep the whole page as a picture; nothing of it may stick out of the window."""
        path = output() / journey / f"{self.width}-{step}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path, full_page=True)
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{self.page.url} sticks out of a window of {self.width} px by {wide} px"
        return path
