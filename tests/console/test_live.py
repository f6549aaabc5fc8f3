"""Pages with running work are told when there is something new, over a real connection."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import httpx
import pytest

from tests.console.browser import served
from tests.console.desk import Front
from tests.console.test_supplier import compose, four_eyes, opened

pytestmark = pytest.mark.slow


def events(address: str, cookie: str, heard: list[str], ready: threading.Event) -> None:
    with httpx.stream("GET", address, cookies={"sr-console": cookie}, timeout=60) as answer:
        for line in answer.iter_lines():
            if line.startswith("event:"):
                heard.append(line.partition(": ")[2])
                ready.set()
                if heard[-1] in {"changed", "ended"}:
                    return


@pytest.fixture
def front(fronts: Callable[..., Front]) -> Front:
    return opened(fronts(four_eyes))


def test_a_change_is_told_once_it_is_there(front: Front) -> None:
    ann = front.signed_in()
    compose(ann, f"release={front.release_id}&waiting=yes", deed="approve")
    heard: list[str] = []
    ready = threading.Event()
    with served(front) as base:
        cookie = ann.client.cookies["sr-console"]
        listener = threading.Thread(target=events, args=(f"{base}{ann.path}/live", cookie, heard, ready))
        listener.start()
        assert ready.wait(60)
        form = {name: ann.tree.xpath(f"//input[@name='{name}']")[0].get("value") for name in ("csrf", "seen")}
        httpx.post(f"{base}{ann.path}/confirm", data=form, cookies={"sr-console": cookie}, timeout=60)
        listener.join(60)
    assert heard == ["ready", "changed"]


def test_whoever_signs_out_is_told_no_more(front: Front) -> None:
    ann = front.signed_in()
    heard: list[str] = []
    ready = threading.Event()
    with served(front) as base:
        cookie = ann.client.cookies["sr-console"]
        listener = threading.Thread(target=events, args=(f"{base}/console/alerts/live", cookie, heard, ready))
        listener.start()
        assert ready.wait(60)
        ann.send("Sign out")
        listener.join(60)
    assert heard == ["ready", "ended"]


def test_nobody_is_told_anything_who_is_not_signed_in(front: Front) -> None:
    begun = time.monotonic()
    assert front.somebody().open("/alerts/live").status_code == 204
    assert time.monotonic() - begun < 60
