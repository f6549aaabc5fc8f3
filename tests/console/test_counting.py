"""Numbers that are counted beside pages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sr_engine.console.counting import Counting
from sr_engine.store.reading import Reading
from tests.console.desk import Front


def test_that_something_was_counted_for_one_tells_another_nothing(fronts: Callable[..., Front]) -> None:
    front = fronts()
    with ThreadPoolExecutor(1) as threads:
        counting = Counting(Reading(front.world.instance.reading_engine), front.rules.pages, threads)

        async def count() -> int | None:
            return (await counting.get(("supplier-a", "a release"), lambda _connection: 7)).value

        assert asyncio.run(count()) == 7
    assert (counting.finished("supplier-a"), counting.finished("supplier-b")) == (1, 0)
