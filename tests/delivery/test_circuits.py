"""A receiver that fails: nothing but a probe now and then is sent to it, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from sr_engine.delivery.circuit import Breaker
from sr_engine.delivery.tries import NO_ADDRESS, Reply, drawn, settle
from sr_engine.store import circuits, outbox
from sr_engine.store.circuits import OpenCircuit
from sr_engine.store.outbox import DELIVERED, PENDING
from tests.delivery.conftest import POLICY, WAIT, Post, Receiver, listening, longest, message, until
from tests.world import NOW

SECOND = timedelta(seconds=1)
FAILURES = 3
BAD = ("refuses", "is silent", "resets")


@dataclass
class Fragile:
    """A receiver that listens, and does with what comes what its mood says, until that is `well`."""

    mood: str
    url: str = ""
    tries: list[str] = field(default_factory=list)
    taken: list[tuple[str, bytes]] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
                body = await reader.readexactly(int(headers["Content-Length"]))
                self.tries.append(headers["DUIS-Message-ID"])
                if self.mood == "is silent":
                    await reader.read()
                    break
                if self.mood == "resets":
                    sock: socket.socket = writer.get_extra_info("socket")
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
                if self.mood == "well":
                    self.taken.append((headers["DUIS-Message-ID"], body))
                status = b"204 No Content" if self.mood == "well" else b"500 Internal Server Error"
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self.handle, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/in"
        try:
            yield
        finally:
            server.close()


def breaking(post: Post) -> None:
    post.change_policy(circuit_failures=FAILURES, total_timeout=timedelta(seconds=4))


def opened(post: Post) -> dict[str, OpenCircuit]:
    with post.engine.connect() as connection:
        return {one.destination: one for one in circuits.all_open(connection)}


def by_hub(ids: Sequence[str]) -> dict[str, list[str]]:
    """The ids of the messages about each hub, which they begin with."""
    found: dict[str, list[str]] = defaultdict(list)
    for one in ids:
        found[one.partition(".")[0]].append(one)
    return found


def put_for(post: Post, name: str, numbers: range) -> None:
    post.put(*(message(f"{name}{hub}.{n:03}", f"hub-{hub}", f"user:{name}") for n in numbers for hub in "xyz"))


def expected(name: str, numbers: range) -> dict[str, list[str]]:
    return {f"{name}{hub}": [f"{name}{hub}.{n:03}" for n in numbers] for hub in "xyz"}


@pytest.mark.parametrize("processes", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_of_receivers_that_fail_others_notice_nothing_and_they_get_all_once_and_in_order_when_they_are_back(
    post: Post, caplog: pytest.LogCaptureFixture, processes: int
) -> None:
    caplog.set_level(logging.INFO, "sr_engine.delivery.circuit")
    breaking(post)
    # All of it within what a lease lasts, or the clock's hands would have taken them away.
    post.change_policy(circuit=(10 * SECOND, 20 * SECOND))
    fragile = {f"bad{number}": Fragile(mood) for number, mood in enumerate(BAD)}
    good = {name: Receiver() for name in ("good0", "good1")}
    put: dict[str, bytes] = {}

    async def story() -> None:
        async with (
            fragile["bad0"].listening(),
            fragile["bad1"].listening(),
            fragile["bad2"].listening(),
            listening(good["good0"]),
            listening(good["good1"]),
            AsyncExitStack() as stack,
        ):
            for number in range(processes):
                await stack.enter_async_context(post.dispatching(post.claims(f"process {number}")))
            await until(lambda: len(post.present()) == processes)
            post.urls |= {f"user:{name}": one.url for name, one in fragile.items()}
            post.urls |= {f"user:{name}": one.url for name, one in good.items()}
            for name in (*fragile, *good):
                put_for(post, name, range(4))
            await until(lambda: set(opened(post)) == {f"user:{name}" for name in fragile})
            # No clock has moved: what follows happens while every circuit is open.
            tried = {name: len(one.tries) for name, one in fragile.items()}
            assert all(1 <= number <= POLICY.concurrency_per_destination for number in tried.values())
            for name in (*fragile, *good):
                put_for(post, name, range(4, 8))
            for name, receiver in good.items():
                await until(lambda receiver=receiver: len(receiver.ids) == 24)  # type: ignore[misc]
                assert by_hub(receiver.ids) == expected(name, range(8))
            assert {name: len(one.tries) for name, one in fragile.items()} == tried

            # One message each, when the time for it has come.
            post.clock.advance(10 * SECOND)
            await until(lambda: {one.probes for one in opened(post).values()} == {1})
            assert {name: len(one.tries) for name, one in fragile.items()} == {name: n + 1 for name, n in tried.items()}

            for one in fragile.values():
                one.mood = "well"
            post.clock.advance(20 * SECOND)
            await until(post.all_in([DELIVERED]))
            assert opened(post) == {}
            put.update({one: f"<m>{one}</m>".encode() for one in post.states()})

    asyncio.run(story())
    for name, one in fragile.items():
        assert by_hub([message_id for message_id, _ in one.taken]) == expected(name, range(8))
        assert all(body == put[message_id] for message_id, body in one.taken)
    said = [record.getMessage() for record in caplog.records]
    for name in fragile:
        of_one = [line for line in said if f"user:{name} " in line]
        assert [line.partition(f"circuit of user:{name} ")[2].split()[0] for line in of_one] == [
            "opened",
            "stays",
            "closed:",
        ]


def test_what_had_failed_does_not_wait_for_its_own_time_once_the_receiver_is_back(post: Post) -> None:
    """But what it had refused does."""
    breaking(post)
    post.change_policy(back_off=(timedelta(hours=1),), concurrency_per_destination=1)

    async def story() -> None:
        receiver = Receiver(status=503, statuses={"refused": 400})
        async with listening(receiver), post.dispatching():
            post.urls["user:A"] = receiver.url
            post.put(message("refused", "hub-0"), *(message(f"m{n}", f"hub-{n}") for n in range(1, 6)))
            await until(lambda: set(opened(post)) == {"user:A"})
            receiver.status = 204
            post.clock.advance(10 * SECOND)
            await until(lambda: [*post.states().values()].count(DELIVERED) == 5)
            assert (post.states()["refused"], post.tries()["refused"]) == (PENDING, 1)

    asyncio.run(story())


def test_another_process_goes_by_what_one_has_learnt_of_a_receiver(post: Post) -> None:
    breaking(post)

    async def story() -> None:
        receiver = Receiver(status=503)
        async with listening(receiver):
            post.urls |= {"user:A": receiver.url, "user:B": receiver.url.replace("/in", "/elsewhere")}
            first, second = post.claims("a"), post.claims("b")
            post.put(*(message(f"m{n}", f"hub-{n}") for n in range(8)))
            async with post.dispatching(first):
                await until(lambda: set(opened(post)) == {"user:A"})
            await first.give_back()
            tried = len(receiver.received)
            async with post.dispatching(second):
                post.put(message("b", "hub", "user:B"))
                await until(post.tried("b", 1))
                assert len(receiver.received) == tried

    asyncio.run(story())


def test_a_receiver_that_one_process_cannot_reach_is_another_s_from_then_on(post: Post) -> None:
    """The way from one is cut: neither do its receivers wait for it, nor does it get them back to fail again."""
    breaking(post)
    post.change_policy(circuit=(SECOND,), back_off=(SECOND,), max_tries=1000)
    names = [f"user:{letter}" for letter in "ABCDEF"]

    async def story() -> None:
        receiver = Receiver()
        async with (
            listening(receiver),
            post.dispatching(post.claims("well")),
            post.dispatching(post.claims("cut off"), reaching=lambda _: "http://127.0.0.1:1/in"),
        ):
            await until(lambda: len(post.present()) == 2)
            post.urls |= dict.fromkeys(names, receiver.url)
            put = [message(f"{name}{n}", f"hub-{n}", name) for name in names for n in range(FAILURES)]
            post.put(*put)
            delivered = post.all_in([DELIVERED])
            await until(lambda: delivered() or len(opened(post)) > 0)
            cut_off = set(opened(post))
            async with asyncio.timeout(WAIT):
                while not delivered():
                    # Time goes on to the next probe or try, once there is nothing to be done before.
                    cut_off |= set(opened(post))
                    states = post.states()
                    waits = [one.retry_at for one in opened(post).values()] or [
                        at for name, at in post.next_tries().items() if states[name] == PENDING
                    ]
                    if waits and min(waits) > post.clock.now():
                        post.clock.set(min(waits))
                    await asyncio.sleep(0.01)
            assert cut_off, "none has fallen to the one that is cut off"

            post.put(*(message(f"{name} again", f"hub-{n}", name) for n, name in enumerate(names)))
            await until(delivered)
            assert {post.tries()[f"{name} again"] for name in names} == {1}
            assert sorted(receiver.ids) == sorted([one.message_id for one in put] + [f"{name} again" for name in names])

    asyncio.run(story())


def test_a_busy_receiver_says_when_to_probe_it_as_far_as_waits_go(post: Post) -> None:
    breaking(post)

    async def story() -> None:
        receiver = Receiver(status=503, retry_after="3600")
        async with listening(receiver), post.dispatching():
            post.urls["user:A"] = receiver.url
            post.put(*(message(f"m{n}", f"hub-{n}") for n in range(FAILURES)))
            await until(lambda: set(opened(post)) == {"user:A"})
            assert opened(post)["user:A"].retry_at == NOW + max(POLICY.circuit)

    asyncio.run(story())


def test_names_that_nobody_answers_for_hold_up_no_lookup_of_others(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is looked up is not given up while the test goes on.
    post.change_policy(connect_timeout=timedelta(seconds=WAIT), total_timeout=timedelta(seconds=WAIT))
    answered = threading.Event()
    look_up = socket.getaddrinfo

    def as_if_many_were_dead(host: str, *rest: Any, **options: Any) -> Any:
        if host.startswith("dead"):
            answered.wait(WAIT)
        return look_up("127.0.0.1" if host.endswith(".test") else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", as_if_many_were_dead)

    async def story() -> None:
        async with listening(Receiver()) as receiver, post.dispatching():
            port = receiver.url.split(":")[2]
            names = [f"dead-{n}" for n in range(40)]
            post.urls |= {f"user:{name}": f"http://{name}.test:{port}" for name in (*names, "alive")}
            post.put(*(message(name, "hub", f"user:{name}") for name in names))
            await until(lambda: threading.active_count() > len(names))
            post.put(message("alive", "hub", "user:alive"))
            await until(post.tried("alive", 1))
            assert receiver.ids == ["alive"]
            answered.set()
            await until(post.all_in([DELIVERED]))

    asyncio.run(story())


# --- rules -----------------------------------------------------------------------------------------------------------

FAILED, REFUSED, TAKEN = Reply("HTTP 500", 500), Reply("HTTP 400", 400), Reply(None, 204)


def breaker(given: OpenCircuit | None = None) -> Breaker:
    return Breaker("user:A", given, replace(POLICY, circuit_failures=FAILURES), longest)


def test_only_failures_in_a_row_open_a_circuit_and_refusals_of_a_message_are_none() -> None:
    one = breaker()
    for _ in range(FAILURES - 1):
        one.note(FAILED, NOW, probing=False)
    one.note(NO_ADDRESS, NOW, probing=False)
    assert one.admits(NOW, 64) == 64
    one.note(REFUSED, NOW, probing=False)
    for _ in range(FAILURES - 1):
        one.note(FAILED, NOW, probing=False)
    assert (one.opened, one.admits(NOW, 64)) == (None, 64)
    one.note(Reply("no answer in time"), NOW, probing=False)
    assert one.opened == OpenCircuit("user:A", NOW, NOW + 10 * SECOND, 0, "no answer in time")
    assert [one.admits(NOW + seconds * SECOND, 64) for seconds in (0, 9.9, 10, 3600)] == [0, 0, 1, 1]
    # The clock was ahead when it was opened, and is right again.
    assert one.admits(NOW - timedelta(hours=1), 64) == 1


@pytest.mark.parametrize("reply", [TAKEN, REFUSED])
def test_a_probe_that_is_answered_closes_it_and_one_that_fails_makes_the_waits_longer(reply: Reply) -> None:
    one = breaker(OpenCircuit("user:A", NOW, NOW, 0, ""))
    one.note(FAILED, NOW, probing=True)
    one.note(FAILED, NOW, probing=True)
    assert one.opened == OpenCircuit("user:A", NOW, NOW + 60 * SECOND, 2, "HTTP 500")
    # What was on its way when it was opened proves nothing new.
    one.note(FAILED, NOW + SECOND, probing=False)
    assert one.opened.probes == 2
    one.note(reply, NOW + 60 * SECOND, probing=True)
    assert (one.opened, one.admits(NOW, 64)) == (None, 64)


@pytest.mark.parametrize(("drawing", "share"), [(0, 0.0), (499_999, 0.5), (999_999, 1.0)])
def test_waits_are_drawn_between_nothing_and_the_longest(drawing: int, share: float) -> None:
    queued = outbox.Queued(1, "m", "user:A", None, b"", 1, NOW)
    wait = settle(queued, "HTTP 500", NOW, POLICY, lambda _: drawing).next_try_at - NOW
    assert wait == pytest.approx(share * POLICY.back_off[1], abs=SECOND / 1000)
    probe = drawn(10 * SECOND, lambda _: drawing, at_least=0.5)
    assert probe == pytest.approx((5 + 5 * share) * SECOND, abs=SECOND / 1000)
