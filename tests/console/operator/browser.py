"""A real browser at a console that is really served, used by keyboard; and what axe-core says of its pages."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright
from starlette.types import ASGIApp

OUTPUT = Path(os.environ.get("SR_ENGINE_TEST_OUTPUT", "test-output"))
"""Where screenshots go."""
WIDTHS = (1280, 390)
"""Of a desk and of a phone, in pixels."""
_HEIGHTS = {1280: 900, 390: 844}
_WAIT_SECONDS = 60
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
_WORST = {"serious", "critical"}


def chromium() -> str:
    """The browser of this computer; the test is skipped where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("there is no Chromium here (apt-get install chromium)")
    return found


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """An application behind a server on the loopback address, until the end of the block; its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, log_config=None, lifespan="off", access_log=False, timeout_graceful_shutdown=1, server_header=False
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(_WAIT_SECONDS)


@contextmanager
def browsing() -> Iterator[Browser]:
    """Chromium without a window, until the end of the block."""
    path = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Person:
    """Somebody at a browser window of some width, who uses the keyboard and nothing else."""

    page: Page
    base: str
    width: int

    @classmethod
    @contextmanager
    def at(
        cls, browser: Browser, base: str, width: int, *, scripts: bool = True, dark: bool = False
    ) -> Iterator[Person]:
        """Somebody at a new window, with or without JavaScript."""
        context = browser.new_context(
            viewport={"width": width, "height": _HEIGHTS.get(width, 900)},
            java_script_enabled=scripts,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            locale="en-GB",
        )
        context.set_default_timeout(_WAIT_SECONDS * 1000)
        try:
            yield cls(context.new_page(), base, width)
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
        path = OUTPUT / journey / f"{self.width}-{step}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path, full_page=True)
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{self.page.url} sticks out of a window of {self.width} px by {wide} px"
        return path


@cache
def axe() -> str:
    """The script of axe-core, from the npm registry; the test is skipped where that is not reached."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm here to fetch axe-core with")
    folder = Path(mkdtemp(prefix="axe-core-"))
    try:
        done = subprocess.run(
            [npm, "pack", "axe-core", "--silent", "--pack-destination", str(folder)],
            cwd=folder,
            capture_output=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"axe-core cannot be fetched: {done.stderr.decode()[-200:]}")
        (archive,) = folder.glob("*.tgz")
        with tarfile.open(archive) as packed:
            script = packed.extractfile("package/axe.min.js")
            assert script is not None
            return script.read().decode("utf-8")
    except subprocess.TimeoutExpired:
        pytest.skip("axe-core cannot be fetched: the registry does not answer")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def serious_issues(page: Page, *, but: Sequence[str] = ()) -> list[str]:
    """What axe-core finds on a page that is serious or critical; rules named in `but` are left out."""
    page.evaluate(axe())
    found: dict[str, Any] = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: {node['html'][:200]}"
        for one in found["violations"]
        if one["impact"] in _WORST and one["id"] not in but
        for node in one["nodes"]
    ]
