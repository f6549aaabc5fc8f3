"""Whether a process lives, and whether it can take requests."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from itertools import count
from pathlib import Path

import httpx
from starlette.applications import Starlette

from sr_engine.observing.exposition import Health
from sr_engine.store.reading import Reading
from tests.gateway.conftest import WAIT
from tests.observing.test_metrics import fetch, served
from tests.world import NOW, make_world


def test_a_processor_with_its_database_and_key_is_ready(tmp_path: Path) -> None:
    with served(tmp_path, "") as here:
        assert fetch(here.port, "/health/live") == (200, b"alive\n")
        assert fetch(here.port, "/health/ready") == (200, b"ready\n")


def test_with_a_certificate_that_has_expired_it_lives_and_is_not_ready(tmp_path: Path) -> None:
    with served(tmp_path, "") as here:
        here.world.clock.set(NOW + timedelta(days=365 * 20))

        status, said = fetch(here.port, "/health/ready")

        assert (status, said) == (503, b"the certificate of the key that signs answers has expired\n")
        assert fetch(here.port, "/health/live")[0] == 200


def test_a_database_that_hangs_is_asked_once_however_often_somebody_wants_to_know(tmp_path: Path) -> None:
    world, answers, asked = make_world(tmp_path / "instance"), threading.Event(), []

    class Hung(Reading):
        def __call__(self, look):  # type: ignore[no-untyped-def]
            asked.append(look)
            assert answers.wait(WAIT)
            return super().__call__(look)

    async def ask() -> list[int]:
        seconds = count()
        health = Health(
            Hung(world.instance.reading_engine),
            world.clock,
            NOW + timedelta(days=1),
            monotonic=seconds.__next__,
            within=0.05,
        )
        transport = httpx.ASGITransport(Starlette(routes=health.routes()))
        async with httpx.AsyncClient(transport=transport, base_url="http://processor") as client:
            statuses = [(await client.get("/health/ready")).status_code for _ in range(3)]
            assert len(asked) == 1
            answers.set()
            later = [(await client.get("/health/ready")).status_code for _ in range(20)]
            return [*statuses, later[-1]]

    assert asyncio.run(ask()) == [503, 503, 503, 200]
    world.close()
