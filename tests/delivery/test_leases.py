"""Delivery by several processes: one at a time sends to an address, and one that was paused sends nothing more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from sr_engine.claims import Claims
from sr_engine.store import leases
from sr_engine.store.leases import all_leases
from sr_engine.store.outbox import DELIVERED, PENDING
from tests.delivery.conftest import TERMS, WAIT, Post, Receiver, listening, message, until


def test_two_dispatchers_send_each_message_once_and_in_order(post: Post) -> None:
    async def story() -> None:
        async with listening(Receiver()) as receiver, post.dispatching(post.claims("a")) as first:
            post.urls["user:A"] = receiver.url
            async with post.dispatching(post.claims("b")) as second:
                for n in range(12):
                    post.put(*(message(f"{hub}{n}", f"hub-{hub}") for hub in "xyz"))
                    first.wake()
                    second.wake()
                await until(post.all_in([DELIVERED]))
            for hub in "xyz":
                assert [one for one in receiver.ids if one[0] == hub] == [f"{hub}{n}" for n in range(12)]

    asyncio.run(story())


def test_each_address_may_be_another_process_s(post: Post) -> None:
    first, second = post.claims("a"), post.claims("b")

    async def story() -> None:
        async with listening(Receiver()) as receiver:
            post.urls |= {"user:A": receiver.url, "user:B": receiver.url}
            assert await first.claim("delivery:user:A") is not None
            post.put(message("m1", "hub-1"), message("m2", "hub-1", "user:B"))
            async with post.dispatching(second):
                await until(lambda: post.states()["m2"] == DELIVERED)
                assert post.states()["m1"] == PENDING
                await first.give_back()
                await until(post.all_in([DELIVERED]))
        assert receiver.ids == ["m2", "m1"]

    asyncio.run(story())


def test_processes_share_the_receivers_out_and_again_when_one_joins_or_leaves(post: Post) -> None:
    names = [f"user:{letter}" for letter in "ABCDEFGH"]
    first, second = post.claims("first"), post.claims("second")
    sent = 0

    def of(claims: Claims) -> set[str]:
        return {name.removeprefix("delivery:") for name in claims.held if name.startswith("delivery:")}

    async def story() -> None:
        async with listening(Receiver()) as receiver:
            post.urls |= dict.fromkeys(names, receiver.url)

            async def send_and_see(shares: Callable[[], bool]) -> None:
                """Something to everybody, until the shares are as they should be and it has been delivered."""
                nonlocal sent
                async with asyncio.timeout(WAIT):
                    while not shares():
                        post.put(*(message(f"{name[-1]}{sent:04}", "hub-1", name) for name in names))
                        sent += 1
                        await until(post.all_in([DELIVERED]))

            async with post.dispatching(first):
                await send_and_see(lambda: of(first) == set(names))
                async with post.dispatching(second):
                    await send_and_see(lambda: len(of(second)) > 0 and of(first) | of(second) == set(names))
                    assert of(first) & of(second) == set()
                await second.give_back()
                await send_and_see(lambda: of(first) == set(names))
            for name in names:
                assert [one for one in receiver.ids if one[0] == name[-1]] == [f"{name[-1]}{n:04}" for n in range(sent)]

    asyncio.run(story())
    with post.engine.connect() as connection:
        # Those by which processes show that they are there do not pile up.
        there = [one.name for one in all_leases(connection) if one.name.startswith("worker:")]
    assert there == ["worker:first"]


def test_a_dispatcher_that_does_not_know_whether_it_holds_its_lease_sends_nothing_more(post: Post) -> None:
    seconds = 0.0
    post.monotonic = lambda: seconds
    claims = post.claims("a")

    async def story() -> None:
        nonlocal seconds
        receiver = Receiver(gate=asyncio.Event())
        async with listening(receiver), post.dispatching(claims):
            post.urls["user:A"] = receiver.url
            number = 3 * post.policy.concurrency_per_destination
            post.put(*(message(f"m{n}", f"hub-{n}") for n in range(number)))
            await until(lambda: len(receiver.received) == post.policy.concurrency_per_destination)
            # Paused for as long as a lease lasts, in which another process has claimed it.
            seconds += TERMS.length.total_seconds()
            post.clock.advance(TERMS.length)
            # In this turn of the event loop, before the first renews anything.
            post.transactions.run_now(
                lambda uow: leases.claim(uow.connection, "delivery:user:A", "b", uow.now, TERMS.length)
            )
            other = post.claims("b")
            assert await other.claim("delivery:user:A") is not None
            assert receiver.gate is not None
            receiver.gate.set()
            await until(lambda: receiver.at_once == 0)
            await until(lambda: "delivery:user:A" not in claims.held)
            assert len(receiver.received) == post.policy.concurrency_per_destination
            # What it had sent it could not record either: the other sends it once more, as it was.
            assert set(post.states().values()) == {PENDING}
            async with post.dispatching(other):
                await until(post.all_in([DELIVERED]))
            assert len(set(receiver.received)) == number
            assert len(receiver.received) == number + post.policy.concurrency_per_destination

    asyncio.run(story())


def test_what_a_dispatcher_that_was_overtaken_learns_late_changes_nothing(post: Post) -> None:
    """Its try failed, while the other process has delivered the message in between."""

    async def story() -> None:
        receiver = Receiver(gate=asyncio.Event(), status=503)
        paused, other = post.claims("a"), post.claims("b")
        async with listening(receiver), post.dispatching(paused):
            post.urls["user:A"] = receiver.url
            post.put(message("m1", "hub-1"))
            await until(lambda: len(receiver.received) == 1)
            gate, receiver.gate = receiver.gate, None
            receiver.status = 204
            post.clock.advance(TERMS.length)
            async with post.dispatching(other):
                await until(post.all_in([DELIVERED]))
                receiver.status = 503
                assert gate is not None
                gate.set()
                await until(lambda: receiver.at_once == 0)
                await paused.renew()
            assert post.states() == {"m1": DELIVERED}
        assert receiver.ids == ["m1", "m1"]
        assert len(set(receiver.received)) == 1

    asyncio.run(story())


def test_a_dispatcher_that_stops_has_recorded_all_it_sent_before_another_sends(post: Post) -> None:
    async def story() -> None:
        async with listening(Receiver()) as receiver:
            post.urls["user:A"] = receiver.url
            post.put(*(message(f"m{n}", f"hub-{n % 7}") for n in range(100)))
            for name in "abcd":
                claims: Claims = post.claims(name)
                async with post.dispatching(claims):
                    before = len(receiver.received)
                    await until(lambda: len(receiver.received) >= min(100, before + 20))  # noqa: B023 - used at once
                await claims.give_back()
            async with post.dispatching(post.claims("e")):
                await until(post.all_in([DELIVERED]))
            # What was under way when one was told to stop may come twice.
            assert len(receiver.received) <= 100 + 4 * post.policy.concurrency_per_destination
            assert len(set(receiver.received)) == 100

    asyncio.run(story())


def test_a_killed_dispatcher_s_messages_go_once_its_lease_has_run_out(post: Post) -> None:
    async def story() -> None:
        dead = post.claims("dead")
        await dead.claim("delivery:user:A")
        async with listening(Receiver()) as receiver, post.dispatching(post.claims("b")):
            post.urls |= {"user:A": receiver.url, "user:B": receiver.url}
            post.put(message("m1", "hub-1"), message("m2", "hub-1", "user:B"))
            await until(lambda: post.states()["m2"] == DELIVERED)
            post.clock.advance(TERMS.length - timedelta(microseconds=1))
            post.put(message("m3", "hub-1", "user:B"))
            await until(lambda: post.states()["m3"] == DELIVERED)
            assert post.states()["m1"] == PENDING
            post.clock.advance(timedelta(microseconds=1))
            await until(post.all_in([DELIVERED]))

    asyncio.run(story())
