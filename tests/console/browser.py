"""A real Chromium, an axe, and a console that is really served: for journeys as people take them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from tests.console.desk import Front

WIDE, NARROW = (1280, 900), (390, 844)
WAIT = 60
CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)

_FOCUSED = """() => {
  const focused = document.activeElement;
  if (focused === document.body) return '';
  const label = focused.labels && focused.labels[0];
  return ((label && label.innerText) || focused.innerText || '').trim();
}"""
"""What the element says that has the focus."""

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this computer")


def output() -> Path:
    """Where screenshots go: SR_ENGINE_TEST_OUTPUT, or a folder for this user below the system's temporary one."""
    folder = Path(os.environ.get("SR_ENGINE_TEST_OUTPUT", Path(tempfile.gettempdir()) / "sr-engine-test-output"))
    (folder / "screenshots").mkdir(parents=True, exist_ok=True)
    return folder / "screenshots"


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set()


@contextmanager
def served(front: Front) -> Iterator[str]:
    """The address of a console that is served until the end of the block."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            front.app, log_config=None, lifespan="off", access_log=False, timeout_graceful_shutdown=1
        )
        server = _Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            assert server.listening.wait(WAIT), "the server did not start"
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(WAIT)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visitor:
    """Somebody in front of a browser window of some width."""

    page: Page
    base: str
    name: str
    width: int

    def open(self, path: str) -> None:
        self.page.goto(f"{self.base}/console{path}")

    def sign_in(self, login: str, password: str) -> None:
        self.open("/sign-in")
        self.page.fill("[name=login]", login)
        self.page.fill("[name=password]", password)
        self.page.click("text=Sign in >> nth=-1")
        self.page.wait_for_load_state()

    def press(self, text: str) -> None:
        """Press a button, or follow a link, that says this."""
        target = self.page.locator("button, a.button, a").filter(has_text=text).first
        target.click()
        self.page.wait_for_load_state()

    def shoot(self, what: str) -> None:
        """Take a picture of the whole page."""
        self.page.screenshot(path=output() / f"{self.name}-{what}-{self.width}.png", full_page=True)

    def text(self) -> str:
        return " ".join(self.page.inner_text("main").split())

    def tab_to(self, text: str, *, most: int = 80) -> None:
        """Press Tab until something that says this has the focus."""
        for _ in range(most):
            self.page.keyboard.press("Tab")
            found = self.page.evaluate(_FOCUSED)
            if text in found:
                outline = self.page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none", f"the focus on {text!r} is not seen"
                return
        raise AssertionError(f"Tab does not come to {text!r}")

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(self.page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth"))


@contextmanager
def visitor(
    browser: Browser, base: str, name: str, size: tuple[int, int] = WIDE, *, script: bool = True, dark: bool = False
) -> Iterator[Visitor]:
    """Somebody with a fresh browser window; what the page complains about to the console fails the test."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        java_script_enabled=script,
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.set_default_timeout(WAIT * 1000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield Visitor(page, base, name, size[0])
        expected = ("404", "403", "422", "409")
        assert [one for one in complaints if not any(code in one for code in expected)] == []
    finally:
        context.close()


@cache
def axe() -> str | None:
    """The source of axe-core, fetched from the npm registry; None where that is not to be had."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [npm, "pack", "axe-core", "--silent"],
                cwd=folder,
                capture_output=True,
                timeout=120,
                check=True,
                text=True,
            )
            archive = Path(folder) / done.stdout.split()[-1]
            with tarfile.open(archive) as packed:
                member = packed.extractfile("package/axe.min.js")
                return None if member is None else member.read().decode()
        except (OSError, subprocess.SubprocessError, KeyError, IndexError):
            return None


def violations(page: Page) -> list[dict[str, Any]]:
    """What axe finds on a page that is serious or critical; skips the test where there is no axe."""
    source = axe()
    if source is None:
        pytest.skip("axe-core cannot be fetched from the npm registry")
    # The page forbids scripts that are not ours, so that axe is brought in beside the page's own policy.
    page.evaluate(source)
    found = page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
    return [
        {"id": one["id"], "impact": one["impact"], "nodes": [node["html"][:200] for node in one["nodes"][:3]]}
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]
