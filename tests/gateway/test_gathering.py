"""What is there in one turn of the event loop is done together, and concerns nobody else."""

from __future__ import annotations

import asyncio

import pytest

from sr_engine.gateway.gathering import MOST, Gathering
from sr_engine.pipeline.stages import Stages

WAIT = 10.0


def noting(number: int, done: list[tuple[str, int]], fails: bool = False) -> Stages[int]:
    """Two stages, of which each is noted."""
    done.append(("first", number))
    yield
    if fails:
        raise ValueError(f"{number} failed")
    done.append(("second", number))
    return number


def test_what_comes_in_one_turn_is_done_stage_by_stage() -> None:
    done: list[tuple[str, int]] = []

    async def story() -> list[int]:
        gathering: Gathering[int] = Gathering()
        return await asyncio.gather(*(gathering.run(noting(number, done)) for number in range(3)))

    assert asyncio.run(story()) == [0, 1, 2]
    assert done == [(stage, number) for stage in ("first", "second") for number in range(3)]


def test_one_that_fails_fails_alone() -> None:
    async def story() -> list[int | BaseException]:
        gathering: Gathering[int] = Gathering()
        works = (noting(number, [], fails=number == 1) for number in range(3))
        return await asyncio.gather(*map(gathering.run, works), return_exceptions=True)

    first, second, third = asyncio.run(story())
    assert (first, third) == (0, 2)
    assert isinstance(second, ValueError)


class Panic(BaseException):
    """As a library raises that has come to the end of its wits: no Exception."""


def test_one_that_ends_in_something_unusual_holds_up_nobody() -> None:
    def panicking() -> Stages[int]:
        yield
        raise Panic

    async def story() -> list[int | BaseException]:
        gathering: Gathering[int] = Gathering()
        works = [noting(0, []), panicking(), noting(2, [])]
        async with asyncio.timeout(WAIT):
            return await asyncio.gather(*map(gathering.run, works), return_exceptions=True)

    first, second, third = asyncio.run(story())
    assert (first, third) == (0, 2)
    assert isinstance(second, Panic)


def test_one_whose_caller_has_gone_away_is_not_begun_and_the_others_are() -> None:
    done: list[tuple[str, int]] = []

    async def story() -> tuple[int, int]:
        gathering: Gathering[int] = Gathering()
        tasks = [asyncio.create_task(gathering.run(noting(number, done))) for number in range(3)]
        # Each has asked, and nothing has been begun.
        tasks[0].get_loop().call_soon(tasks[1].cancel)
        first, second, third = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(second, asyncio.CancelledError)
        assert isinstance(first, int)
        assert isinstance(third, int)
        return first, third

    assert asyncio.run(story()) == (0, 2)
    assert {number for _, number in done} == {0, 2}


@pytest.mark.parametrize("number", [MOST - 1, MOST, MOST + 1, 3 * MOST])
def test_no_more_are_done_in_one_turn_than_others_can_wait_for(number: int) -> None:
    done: list[tuple[str, int]] = []
    in_a_turn: list[int] = []

    async def watch() -> None:
        seen = 0
        while seen < 2 * number:
            await asyncio.sleep(0)
            in_a_turn.append(len(done) - seen)
            seen = len(done)

    async def story() -> list[int]:
        gathering: Gathering[int] = Gathering()
        results, _ = await asyncio.gather(
            asyncio.gather(*(gathering.run(noting(one, done)) for one in range(number))), watch()
        )
        return results

    assert asyncio.run(story()) == list(range(number))
    assert max(in_a_turn) == 2 * min(number, MOST)


def test_those_that_come_one_after_another_are_done_one_after_another() -> None:
    async def story() -> list[int]:
        gathering: Gathering[int] = Gathering()
        return [await gathering.run(noting(number, [])) for number in range(3)]

    assert asyncio.run(story()) == [0, 1, 2]
