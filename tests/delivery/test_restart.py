"""A dispatcher that is killed in the middle: nothing is lost, and what comes twice comes as it was."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from sr_engine.store.outbox import DELIVERED
from tests.delivery.conftest import WAIT, Post, Receiver, listening, message, until

CHILD = """
import asyncio, secrets, sys, time
from datetime import datetime, timedelta
from sr_engine.claims import Claims, Terms
from sr_engine.clock import FixedClock
from sr_engine.configuration import Delivery
from sr_engine.delivery.dispatch import Dispatcher
from sr_engine.store.database import open_engine
from sr_engine.store.reading import Reading
from sr_engine.store.transactions import Transactions

database, url, now = sys.argv[1:]
clock = FixedClock(datetime.fromisoformat(now))
second = timedelta(seconds=1)
policy = Delivery(
    connect_timeout=5 * second,
    total_timeout=10 * second,
    concurrency_per_destination=4,
    back_off=(second,),
    max_tries=5,
    circuit_failures=1000,
    circuit=(second,),
    refusals_of_one=frozenset(),
    poll=second,
)
reading_engine = open_engine(database, read_only=True)
claims = Claims(
    transactions=Transactions(open_engine(database), clock),
    reading=Reading(reading_engine),
    clock=clock,
    monotonic=time.monotonic,
    holder=secrets.token_hex(16),
    terms=Terms(timedelta(seconds=60), timedelta(seconds=20)),
)
dispatcher = Dispatcher(
    engine=reading_engine,
    clock=clock,
    policy=policy,
    resolve=lambda destination: url,
    claims=claims,
    randbelow=secrets.randbelow,
    poll_seconds=0.01,
)
asyncio.run(dispatcher.run())
"""


@asynccontextmanager
async def dispatching_elsewhere(post: Post, url: str) -> AsyncIterator[None]:
    """Dispatch in a process of its own, which begins when the last one's lease has run out, and kill it in the end."""
    post.clock.advance(timedelta(minutes=1))
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, str(post.engine.url), url, post.clock.now().isoformat()
    )
    try:
        yield
    finally:
        child.send_signal(signal.SIGKILL)
        async with asyncio.timeout(WAIT):
            assert await child.wait() == -signal.SIGKILL


def test_a_dispatcher_killed_again_and_again_delivers_everything_in_order(post: Post) -> None:
    messages = [message(f"{hub}-{n}", f"hub-{hub}") for n in range(15) for hub in range(20)]

    async def story() -> Receiver:
        receiver = Receiver()
        async with listening(receiver):
            post.put(*messages)
            for target in (1, 60, 150):
                async with dispatching_elsewhere(post, receiver.url):
                    await until(lambda: len(receiver.received) >= target)  # noqa: B023 - used at once
            async with dispatching_elsewhere(post, receiver.url):
                await until(post.all_in([DELIVERED]))
        return receiver

    receiver = asyncio.run(story())

    first_seen = list(dict.fromkeys(receiver.ids))
    assert sorted(first_seen) == sorted(one.message_id for one in messages)
    assert {one.message_id: one.body for one in receiver.received} == {one.message_id: one.body for one in messages}
    assert len(set(receiver.received)) == len(messages)
    by_hub: dict[str, list[int]] = defaultdict(list)
    for one in first_seen:
        hub, _, number = one.partition("-")
        by_hub[hub].append(int(number))
    assert all(numbers == list(range(15)) for numbers in by_hub.values())


def test_what_was_taken_and_recorded_before_a_kill_is_not_sent_again(post: Post) -> None:
    async def story() -> Receiver:
        receiver = Receiver()
        async with listening(receiver):
            post.put(message("before", "hub-1"))
            async with dispatching_elsewhere(post, receiver.url):
                await until(post.all_in([DELIVERED]))
            post.put(message("after", "hub-1"))
            async with dispatching_elsewhere(post, receiver.url):
                await until(post.all_in([DELIVERED]))
        return receiver

    assert asyncio.run(story()).ids == ["before", "after"]
