"""Fetching what was missed: one receiver that fetches much leaves room to others, and a token opens one thing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import TypeVar

import pytest
from sqlalchemy import Connection
from starlette.requests import Request

from sr_engine.bootstrap import open_instance
from sr_engine.configuration import ConfigurationError
from sr_engine.gateway.pull import FETCHED_AT_ONCE, PullDesk
from sr_engine.store.reading import Reading
from tests.gateway.conftest import WAIT
from tests.world import A, B, World, edit, make_world

T = TypeVar("T")


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _with_tokens(directory: Path) -> None:
    for user in (A, B):
        edit(
            directory / "users.toml",
            f'eui = "{user.eui}"',
            f'eui = "{user.eui}"\ntoken_sha256 = "{_digest(user.name)}"',
        )


class _Held(Reading):
    """A look into the database takes as long as the test says."""

    def __init__(self, world: World) -> None:
        super().__init__(world.instance.reading_engine)
        self.go = Event()

    def __call__(self, look: Callable[[Connection], T]) -> T:
        assert self.go.wait(WAIT)
        return super().__call__(look)


@contextmanager
def _desk(directory: Path) -> Iterator[tuple[PullDesk, _Held]]:
    world = make_world(directory, prepare=_with_tokens)
    reading = _Held(world)
    instance = world.instance
    yield PullDesk(instance.users, instance.configuration.regions, reading, instance.transactions), reading
    world.close()


def test_a_user_that_fetches_all_the_time_leaves_a_place_to_the_others(tmp_path: Path) -> None:
    with _desk(tmp_path) as (desk, reading):
        (endpoint,) = [route.endpoint for route in desk.routes() if route.path == "/api/v1/messages"]

        async def fetch(token: str) -> int:
            headers = [(b"authorization", f"Bearer {token}".encode())]
            scope = {"type": "http", "method": "GET", "headers": headers, "query_string": b"", "path_params": {}}
            response = await endpoint(Request(scope))
            return int(response.status_code)

        async def story() -> tuple[Counter[int], int]:
            greedy = [asyncio.create_task(fetch(A.name)) for _ in range(2 * FETCHED_AT_ONCE)]
            await asyncio.sleep(0)
            other = asyncio.create_task(fetch(B.name))
            await asyncio.sleep(0)
            reading.go.set()
            return Counter(await asyncio.gather(*greedy)), await other

        statuses, other = asyncio.run(story())

    assert other == 200
    assert statuses == {200: FETCHED_AT_ONCE - 1, 503: FETCHED_AT_ONCE + 1}


@pytest.mark.parametrize("table", ["registration_feed", "operator", "relay"])
def test_a_token_that_would_open_two_things_keeps_the_instance_from_opening(tmp_path: Path, table: str) -> None:
    world = make_world(tmp_path, prepare=_with_tokens)
    world.close()
    settings = world.directory / "sr-engine.toml"
    url = 'url = "http://127.0.0.1:9/"\n' if table == "relay" else ""
    more = f'\n[{table}]\n{url}token_sha256 = "{_digest(A.name)}"\n'
    settings.write_text(settings.read_text(encoding="utf-8") + more, encoding="utf-8")

    with pytest.raises(ConfigurationError, match=f"{table} and User {A.eui} have the same; each needs its own"):
        open_instance(world.directory)
