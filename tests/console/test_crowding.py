"""So many at a time: whoever comes then is told so at once, and takes nothing from those who were there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from sr_engine.console.crowding import Crowded, Hashing, Streams
from tests.console.desk import AT, PASSWORD, Front, Somebody
from tests.console.test_supplier import opened
from tests.world import edit

GUESSES = 12


def narrow(directory: Path) -> None:
    console = directory / "config" / "console.toml"
    edit(console, "argon2_passes = 1", "argon2_passes = 20")
    edit(console, "hashes_at_once = 4", "hashes_at_once = 1")
    edit(console, "hashes_waiting = 32", "hashes_waiting = 0")
    edit(console, "streams_of_one = 12", "streams_of_one = 1")


def test_streams_are_limited_by_account_and_in_all() -> None:
    streams = Streams(3, 2)
    with streams.place(1), streams.place(1):
        with pytest.raises(Crowded), streams.place(1):
            pass
        with streams.place(2), pytest.raises(Crowded), streams.place(3):
            pass
        with streams.place(3):
            pass


def test_passwords_wait_for_their_turn_up_to_a_number_and_a_caller_who_goes_away_frees_no_thread() -> None:
    begun, free = threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return free.wait(60)

    async def crowd() -> list[Any]:
        hashing = Hashing(ThreadPoolExecutor(1), 2)
        first, second = (asyncio.create_task(hashing(work)) for _ in range(2))
        await asyncio.to_thread(begun.wait, 60)
        first.cancel()
        with pytest.raises(Crowded):
            await hashing(work)
        free.set()
        return [await second, await hashing(work)]

    assert asyncio.run(crowd()) == [True, True]


def test_beyond_the_queue_a_sign_in_is_told_to_come_again_and_counts_as_no_failure(
    fronts: Callable[..., Front],
) -> None:
    front = fronts(narrow)
    front.add()
    browser = front.somebody()
    browser.open("/sign-in")
    fields = {one.get("name"): one.get("value", "") for one in browser.tree.xpath("//form//input[@name]")}

    async def all_at_once() -> list[httpx.Response]:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(front.app), base_url=AT, cookies=browser.client.cookies, timeout=60
        ) as client:
            typed = {**fields, "login": "ann", "password": PASSWORD}
            return await asyncio.gather(*(client.post("/console/sign-in", data=typed) for _ in range(GUESSES)))

    answers = front.runner.run(all_at_once())
    turned_away = [one for one in answers if one.status_code == 503]

    assert {one.status_code for one in answers} == {303, 503}
    assert {one.headers["retry-after"] for one in turned_away} == {"2"}
    assert "Too many people are signing in just now" in turned_away[0].text
    assert front.signed_in().page.status_code == 200


class Listening:
    """A stream of a page's events that is read as long as a test wants."""

    def __init__(self, front: Front, somebody: Somebody, path: str) -> None:
        cookies = "; ".join(f"{name}={value}" for name, value in somebody.client.cookies.items())
        self._app = front.app
        self._gone = asyncio.Event()
        self._sent: asyncio.Queue[Any] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1"), (b"cookie", cookies.encode())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }

    async def begin(self) -> Any:
        """Returns the beginning of the answer."""

        async def receive() -> Any:
            await self._gone.wait()
            return {"type": "http.disconnect"}

        self._task = asyncio.create_task(self._app(self._scope, receive, self._sent.put))
        return await asyncio.wait_for(self._sent.get(), 60)

    async def end(self) -> None:
        self._gone.set()
        if self._task is not None:
            await asyncio.wait_for(self._task, 60)


def test_a_page_too_many_does_not_refresh_itself_and_works_all_the_same(fronts: Callable[..., Front]) -> None:
    front = opened(fronts(narrow))
    ann = front.signed_in()

    async def streams() -> list[tuple[int, dict[bytes, bytes]]]:
        found = []
        first, second = (Listening(front, ann, "/console/alerts/live") for _ in range(2))
        for one in (first, second):
            begin = await one.begin()
            found.append((begin["status"], dict(begin["headers"])))
        await first.end()
        await second.end()
        third = Listening(front, ann, "/console/alerts/live")
        begin = await third.begin()
        await third.end()
        return [*found, (begin["status"], {})]

    taken, refused, after = front.runner.run(streams())

    assert (taken[0], refused[0], after[0]) == (200, 429, 200)
    assert int(refused[1][b"retry-after"]) > 0
    assert ann.open("/alerts").status_code == 200
