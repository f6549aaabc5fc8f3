"""Delivery: at least once, in order per hub, with back-off, each destination for itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_engine.bootstrap import phases_of
from sr_engine.clock import FixedClock
from sr_engine.delivery.dispatch import SENT_TOGETHER
from sr_engine.delivery.tries import settle
from sr_engine.operations.phases import halt, resume
from sr_engine.operations.releases import withdraw
from sr_engine.store import audit, outbox
from sr_engine.store.database import create_tables, open_engine
from sr_engine.store.forms import Form, kept
from sr_engine.store.outbox import DELIVERED, PARKED, PENDING, Queued
from sr_engine.store.tables import outbox_forms
from tests.delivery.conftest import POLICY, WAIT, Post, Received, Receiver, listening, longest, message, until
from tests.regions.conftest import Nights
from tests.world import FIRMWARE, NOW, TestHub, make_world, on_connection

SECOND = timedelta(seconds=1)
Story = Callable[[], Coroutine[Any, Any, None]]


def run(story: Story) -> None:
    asyncio.run(story())


# --- taken -----------------------------------------------------------------------------------------------------------


def test_a_message_is_posted_as_it_was_stored_and_counts_as_delivered(post: Post) -> None:
    async def story() -> None:
        async with listening(Receiver()) as receiver, post.dispatching():
            post.urls["user:A"] = receiver.url
            post.put(message("m1", "hub-1"))
            await until(post.all_in([DELIVERED]))
            (one,) = receiver.received
            assert (one.message_id, one.body, one.content_type) == ("m1", b"<m>m1</m>", "application/xml")

    run(story)
    assert post.tries() == {"m1": 1}


def test_what_is_put_while_the_dispatcher_runs_is_sent_when_it_is_woken(post: Post) -> None:
    async def story() -> None:
        async with listening(Receiver()) as receiver, post.dispatching() as dispatcher:
            post.urls["user:A"] = receiver.url
            for name in ("m1", "m2", "m3"):
                post.put(message(name))
                dispatcher.wake()
                await until(post.all_in([DELIVERED]))
            assert receiver.ids == ["m1", "m2", "m3"]

    run(story)


def test_what_is_put_just_after_a_destination_was_found_to_have_no_more_does_not_wait_for_the_next_poll(
    post: Post,
) -> None:
    chosen, looked = threading.Event(), threading.Event()

    async def story() -> None:
        async with listening(Receiver()) as receiver, post.dispatching(poll=3600) as dispatcher:
            choose, look = dispatcher._choose, dispatcher._look

            def choose_late(destination: str, in_hand: Collection[int], most: int) -> list[outbox.Queued]:
                found = choose(destination, in_hand, most)
                if receiver.ids == ["m1"] and not found and not chosen.is_set():
                    chosen.set()
                    assert looked.wait(WAIT)
                return found

            def look_and_say(*asked: Any) -> Any:
                found = look(*asked)
                if "m2" in post.states():
                    looked.set()
                return found

            dispatcher._choose, dispatcher._look = choose_late, look_and_say  # type: ignore[method-assign]
            post.urls["user:A"] = receiver.url
            post.put(message("m1"))
            dispatcher.wake()
            await until(chosen.is_set)
            post.put(message("m2"))
            dispatcher.wake()
            await until(post.all_in([DELIVERED]))

    run(story)


def test_more_messages_than_are_sent_together_all_arrive_once(post: Post) -> None:
    number = 3 * SENT_TOGETHER + 5

    async def story() -> None:
        async with listening(Receiver()) as receiver, post.dispatching():
            post.urls["user:A"] = receiver.url
            post.put(*(message(f"m{n}", f"hub-{n}") for n in range(number)))
            await until(post.all_in([DELIVERED]))
            assert sorted(receiver.ids) == sorted(f"m{n}" for n in range(number))
            assert receiver.most_at_once <= POLICY.concurrency_per_destination

    run(story)


def test_of_large_messages_only_as_many_are_read_as_a_limit_allows_and_all_arrive_once(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "BYTES_AT_ONCE", 100)
    names = [f"m{number}" for number in range(7)]
    sizes = [49, 49, 1, 2, 101, 1, 99]
    post.put(
        *(
            outbox.Outgoing(name, outbox.METER_LIST, "csp:Central", "firmware_image", b"x" * size)
            for name, size in zip(names, sizes, strict=True)
        )
    )

    async def story() -> None:
        async with listening(Receiver()) as receiver, post.dispatching():
            post.urls["csp:Central"] = receiver.url
            await until(post.all_in([DELIVERED]))
            assert sorted(receiver.ids) == names

    chosen: list[str] = []
    while names[len(chosen) :]:
        with post.engine.connect() as connection:
            some = outbox.sendable(connection, "csp:Central", NOW, 100)
        chosen += [one.message_id for one in some]
        assert len(some) == 1 or sum(len(one.body) for one in some) <= 100
        done = [replace(settle(one, None, NOW, POLICY, longest), state=PARKED) for one in some]
        post.transactions.run_now(on_connection(outbox.settle, done))
    assert chosen == names
    for name in names:
        post.transactions.run_now(on_connection(outbox.send_again, name, NOW))
    run(story)


def test_messages_about_different_hubs_go_side_by_side(post: Post) -> None:
    async def story() -> None:
        receiver = Receiver(gate=asyncio.Event())
        async with listening(receiver), post.dispatching():
            post.urls["user:A"] = receiver.url
            post.put(*(message(f"m{n}", f"hub-{n}") for n in range(10)))
            await until(lambda: receiver.at_once == POLICY.concurrency_per_destination)
            assert receiver.gate is not None
            receiver.gate.set()
            await until(post.all_in([DELIVERED]))
            assert receiver.most_at_once == POLICY.concurrency_per_destination

    run(story)


# --- order -----------------------------------------------------------------------------------------------------------


def test_messages_of_a_hub_arrive_in_the_order_in_which_they_were_queued(post: Post) -> None:
    async def story() -> None:
        async with listening(Receiver()) as receiver, post.dispatching():
            post.urls["user:A"] = receiver.url
            post.put(*(message(f"{hub}{n}", f"hub-{hub}") for n in range(5) for hub in "xyz"))
            await until(post.all_in([DELIVERED]))
            for hub in "xyz":
                assert [one for one in receiver.ids if one[0] == hub] == [f"{hub}{n}" for n in range(5)]

    run(story)


def test_a_message_without_hub_goes_after_all_before_it_and_before_all_after_it(post: Post) -> None:
    async def story() -> None:
        async with listening(Receiver()) as receiver, post.dispatching():
            post.urls["user:A"] = receiver.url
            post.put(
                *(message(f"a{n}", f"hub-{n}") for n in range(6)),
                message("all-1"),
                message("all-2"),
                *(message(f"b{n}", f"hub-{n}") for n in range(6)),
            )
            await until(post.all_in([DELIVERED]))
            kinds = [one.rstrip("012345") if one[0] in "ab" and one[1].isdigit() else one for one in receiver.ids]
            assert kinds == ["a"] * 6 + ["all-1", "all-2"] + ["b"] * 6

    run(story)


def test_a_refused_message_holds_later_ones_of_its_hub_and_no_others(post: Post) -> None:
    async def story() -> None:
        receiver = Receiver(statuses={"x1": 400})
        async with listening(receiver), post.dispatching():
            post.urls["user:A"] = receiver.url
            post.put(message("x1", "hub-x"), message("x2", "hub-x"), message("y1", "hub-y"), message("y2", "hub-y"))
            await until(post.tried("x1", 1))
            await until(post.tried("y2", 1))
            assert post.states() == {"x1": PENDING, "x2": PENDING, "y1": DELIVERED, "y2": DELIVERED}
            receiver.statuses.clear()
            post.clock.advance(5 * SECOND)
            await until(post.all_in([DELIVERED]))
            assert receiver.ids[-2:] == ["x1", "x2"]

    run(story)


def test_a_message_without_hub_waits_for_one_that_was_refused_before_it(post: Post) -> None:
    async def story() -> None:
        receiver = Receiver(statuses={"x1": 500})
        async with listening(receiver), post.dispatching() as dispatcher:
            post.urls["user:A"] = receiver.url
            post.put(message("x1", "hub-x"), message("all"), message("y1", "hub-y"))
            await until(post.tried("x1", 1))
            dispatcher.wake()
            receiver.statuses.clear()
            post.clock.advance(5 * SECOND)
            await until(post.all_in([DELIVERED]))
            assert receiver.ids == ["x1", "x1", "all", "y1"]

    run(story)


def test_many_messages_that_are_not_yet_due_hide_no_later_one(post: Post) -> None:
    number = 2 * SENT_TOGETHER

    async def story() -> None:
        receiver = Receiver(statuses={f"x{n}": 400 for n in range(number)})
        async with listening(receiver), post.dispatching():
            post.urls["user:A"] = receiver.url
            post.put(*(message(f"x{n}", f"hub-{n}") for n in range(number)))
            await until(lambda: sum(post.tries().values()) == number)
            post.put(message("y", "hub-y"))
            await until(post.tried("y", 1))
            assert len(receiver.ids) == number + 1

    run(story)


# --- tried again -----------------------------------------------------------------------------------------------------


def test_each_try_carries_the_same_bytes_and_the_same_id(post: Post) -> None:
    async def story() -> None:
        receiver = Receiver(status=503)
        async with listening(receiver), post.dispatching():
            post.urls["user:A"] = receiver.url
            post.put(message("m1", "hub-1"))
            for times, wait in ((1, 5), (2, 30), (3, 120)):
                await until(post.tried("m1", times))
                post.clock.advance(wait * SECOND)
            await until(post.tried("m1", 4))
            receiver.status = 204
            post.clock.advance(timedelta(minutes=2))
            await until(post.all_in([DELIVERED]))
            assert len(receiver.received) == 5
            assert len(set(receiver.received)) == 1

    run(story)


def test_a_message_is_not_tried_again_before_its_time(post: Post) -> None:
    async def story() -> None:
        receiver = Receiver(statuses={"m1": 500})
        async with listening(receiver), post.dispatching():
            post.urls["user:A"] = receiver.url
            post.put(message("m1", "hub-1"))
            await until(post.tried("m1", 1))
            post.clock.advance(5 * SECOND - timedelta(microseconds=1))
            post.put(message("m2", "hub-2"))
            await until(post.tried("m2", 1))
            assert receiver.ids == ["m1", "m2"]

    run(story)


def test_after_its_last_try_a_message_is_parked_and_lets_the_next_of_its_hub_pass(post: Post) -> None:
    async def story() -> None:
        receiver = Receiver(statuses={"m1": 400})
        async with listening(receiver), post.dispatching():
            post.urls["user:A"] = receiver.url
            post.put(message("m1", "hub-1"), message("m2", "hub-1"))
            for times in range(1, POLICY.max_tries + 1):
                await until(post.tried("m1", times))
                post.clock.advance(timedelta(minutes=2))
            await until(post.tried("m2", 1))
            assert post.states() == {"m1": PARKED, "m2": DELIVERED}
            assert receiver.ids == ["m1"] * 5 + ["m2"]

    run(story)
    assert post.last_errors()["m1"] == "HTTP 400"
    with post.engine.connect() as connection:
        (entry,) = audit.newest(connection, 10)
    assert (entry.action, entry.message_key) == ("parked", "m1")
    assert entry.detail == "message m1 parked after 5 tries: HTTP 400"


def test_messages_that_a_damaged_database_has_lost_are_parked_and_let_all_later_ones_pass(post: Post) -> None:
    form = Form((b"<m>", b"</m>"))
    # More than are chosen together, and the next of a hub behind one of them.
    lost = [message(f"m{n}", f"hub-{n}")._replace(form=form, body=kept([b"%d" % n])) for n in range(SENT_TOGETHER + 1)]
    post.put(*lost)
    post.transactions.run_now(lambda uow: uow.connection.execute(outbox_forms.delete()))
    post.put(message("next", "hub-0"))

    async def story() -> None:
        async with listening(Receiver()) as receiver, post.dispatching():
            post.urls["user:A"] = receiver.url
            await until(post.all_in([DELIVERED, PARKED]))
            assert receiver.ids == ["next"]

    run(story)
    assert post.states() == {**dict.fromkeys((one.message_id for one in lost), PARKED), "next": DELIVERED}
    assert post.last_errors()["m0"] == "form 1 of a message in the outbox is not there"
    assert post.tries()["m0"] == 0


def test_a_parked_message_is_sent_again_when_somebody_says_so(post: Post) -> None:
    post.change_policy(max_tries=1)

    async def story() -> None:
        receiver = Receiver(status=400)
        async with listening(receiver), post.dispatching():
            post.urls["user:A"] = receiver.url
            post.put(message("m1", "hub-1"))
            await until(post.all_in([PARKED]))
            receiver.status = 204
            await post.transactions.run(lambda uow: outbox.send_again(uow.connection, "m1", uow.now))
            await until(post.all_in([DELIVERED]))
            assert len(set(receiver.received)) == 1
            assert len(receiver.received) == 2

    run(story)


def test_a_message_nobody_knows_cannot_be_sent_again(post: Post) -> None:
    assert not post.transactions.run_now(lambda uow: outbox.send_again(uow.connection, "m1", uow.now))


def test_a_message_sent_again_keeps_the_time_of_its_first_delivery(post: Post) -> None:
    from sqlalchemy import select

    from sr_engine.store.tables import outbox as table

    async def story() -> None:
        async with listening(Receiver()) as receiver, post.dispatching():
            post.urls["user:A"] = receiver.url
            post.put(message("m1", "hub-1"))
            await until(post.all_in([DELIVERED]))
            post.clock.advance(timedelta(days=1))
            await post.transactions.run(lambda uow: outbox.send_again(uow.connection, "m1", uow.now))
            await until(lambda: len(receiver.received) == 2)
            await until(post.all_in([DELIVERED]))

    run(story)
    with post.engine.connect() as connection:
        assert connection.scalar(select(table.c.delivered_at)) == NOW


@pytest.mark.parametrize("status", [200, 204, 299])
def test_any_2xx_means_taken(post: Post, status: int) -> None:
    async def story() -> None:
        async with listening(Receiver(status=status)) as receiver, post.dispatching():
            post.urls["user:A"] = receiver.url
            post.put(message("m1"))
            await until(post.all_in([DELIVERED]))

    run(story)


@pytest.mark.parametrize("status", [300, 301, 307, 400, 404, 500, 503])
def test_anything_else_means_not_taken_and_a_redirection_is_not_followed(post: Post, status: int) -> None:
    async def story() -> None:
        async with listening(Receiver(status=status)) as receiver, post.dispatching():
            post.urls["user:A"] = receiver.url
            post.put(message("m1"))
            await until(post.tried("m1", 1))
            assert receiver.ids == ["m1"]

    run(story)
    assert post.last_errors() == {"m1": f"HTTP {status}"}


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/in", "http://[broken", "nonsense", "http://exa mple/in"])
def test_an_address_that_cannot_be_reached_or_read_is_a_failed_try_like_any_other(post: Post, url: str) -> None:
    async def story() -> None:
        post.urls["user:A"] = url
        async with post.dispatching():
            post.put(message("m1", "hub-1"))
            await until(post.tried("m1", 1))

    run(story)
    assert post.states() == {"m1": PENDING}
    assert post.last_errors()["m1"]


def test_a_destination_without_address_is_a_failed_try_that_says_so(post: Post) -> None:
    async def story() -> None:
        async with post.dispatching():
            post.put(message("m1"))
            await until(post.tried("m1", 1))

    run(story)
    assert post.last_errors() == {"m1": "no address is configured for this destination"}


def test_a_receiver_that_does_not_answer_is_given_up_after_the_time_limit(post: Post) -> None:
    post.change_policy(total_timeout=timedelta(milliseconds=50), connect_timeout=timedelta(milliseconds=50))

    async def story() -> None:
        receiver = Receiver(gate=asyncio.Event())
        async with listening(receiver), post.dispatching():
            post.urls["user:A"] = receiver.url
            post.put(message("m1"))
            await until(post.tried("m1", 1))
            assert receiver.gate is not None
            receiver.gate.set()

    run(story)
    assert post.last_errors() == {"m1": "no answer in time"}


@dataclass
class Talker(Receiver):
    """A receiver that says something beside its status, but later."""

    slowly: bool = False
    connections: set[tuple[str, int]] = field(default_factory=set)

    async def handle(self, request: web.Request) -> web.StreamResponse:  # type: ignore[override]
        assert request.transport is not None
        self.connections.add(request.transport.get_extra_info("peername"))
        self.received.append(Received(request.headers["DUIS-Message-ID"], await request.read(), request.content_type))
        said = web.StreamResponse(status=self.status, headers={"Content-Length": "2"})
        await said.prepare(request)
        await asyncio.sleep(WAIT if self.slowly else 0.02)
        await said.write(b"ok")
        return said


def test_what_a_receiver_says_beside_its_status_costs_no_connection(post: Post) -> None:
    post.change_policy(concurrency_per_destination=1)

    async def story() -> None:
        talker = Talker(status=200)
        async with listening(talker), post.dispatching():
            post.urls["user:A"] = talker.url
            post.put(*(message(f"m{n}", f"hub-{n}") for n in range(5)))
            await until(post.all_in([DELIVERED]))
            assert len(talker.received) == 5
            assert len(talker.connections) == 1

    run(story)


def test_a_receiver_that_never_comes_to_its_end_has_taken_the_message_all_the_same(post: Post) -> None:
    async def story() -> None:
        talker = Talker(status=200, slowly=True)
        async with listening(talker), post.dispatching():
            post.urls["user:A"] = talker.url
            post.put(message("m1"))
            await until(post.all_in([DELIVERED]))
            assert post.tries() == {"m1": 1}

    run(story)


@pytest.mark.parametrize(
    ("status", "said", "waits"),
    [
        (503, "60", 60),
        (429, "60", 60),
        (503, "1", 5),
        (503, "999999999", 120),
        (503, "9" * 4000, 5),
        (503, "-60", 5),
        (503, "Fri, 31 Dec 2027 23:59:59 GMT", 5),
        (500, "60", 5),
    ],
)
def test_a_receiver_that_is_busy_says_when_to_come_again(post: Post, status: int, said: str, waits: int) -> None:
    async def story() -> None:
        async with listening(Receiver(status=status, retry_after=said)) as receiver, post.dispatching():
            post.urls["user:A"] = receiver.url
            post.put(message("m1"))
            await until(post.tried("m1", 1))

    run(story)
    assert post.next_tries() == {"m1": NOW + waits * SECOND}


# --- destinations ----------------------------------------------------------------------------------------------------


def test_dead_and_silent_receivers_do_not_hold_up_the_others(post: Post) -> None:
    async def story() -> None:
        silent, well = Receiver(gate=asyncio.Event()), Receiver()
        async with listening(silent), listening(well), post.dispatching():
            post.urls |= {"user:dead": "http://127.0.0.1:1/in", "user:silent": silent.url, "user:well": well.url}
            for name in ("dead", "silent", "well"):
                post.put(*(message(f"{name}{n}", f"hub-{n}", f"user:{name}") for n in range(20)))
            await until(lambda: len(well.received) == 20)
            await until(lambda: [post.states()[f"well{n}"] for n in range(20)] == [DELIVERED] * 20)
            assert [post.states()[f"silent{n}"] for n in range(20)] == [PENDING] * 20
            assert silent.gate is not None
            silent.gate.set()
            await until(lambda: len(silent.received) == 20)

    run(story)


def test_two_destinations_on_one_host_do_not_share_a_limit(post: Post) -> None:
    async def story() -> None:
        slow = Receiver(gate=asyncio.Event())
        async with listening(slow), post.dispatching():
            post.urls |= {"csp:Central": slow.url, "csp:South": slow.url}
            for name in ("Central", "South"):
                post.put(*(message(f"{name}{n}", f"hub-{n}", f"csp:{name}") for n in range(10)))
            await until(lambda: slow.at_once == 2 * POLICY.concurrency_per_destination)
            assert slow.gate is not None
            slow.gate.set()
            await until(post.all_in([DELIVERED]))

    run(story)


def test_what_one_receiver_says_is_not_told_to_another_on_its_host(post: Post) -> None:
    async def story() -> None:
        async with listening(Receiver()) as both, post.dispatching():
            # An address that is a number never gets a cookie back.
            url = both.url.replace("127.0.0.1", "localhost")
            post.urls |= {"user:A": url, "user:B": url}
            for name in ("A", "B"):
                post.put(message(name, None, f"user:{name}"))
                await until(post.all_in([DELIVERED]))
            assert [(one.message_id, one.cookie) for one in both.received] == [("A", None), ("B", None)]

    run(story)


def test_a_receiver_that_comes_back_gets_everything_in_order(post: Post) -> None:
    async def story() -> None:
        receiver = Receiver()
        async with listening(receiver):
            address = receiver.url
        port = int(address.split(":")[2].split("/")[0])
        post.urls["user:A"] = address
        async with post.dispatching():
            post.put(*(message(f"m{n}", "hub-1") for n in range(3)))
            await until(post.tried("m0", 1))
            async with listening(receiver, port):
                post.clock.advance(5 * SECOND)
                await until(post.all_in([DELIVERED]))
        assert receiver.ids == ["m0", "m1", "m2"]

    run(story)


# --- rules -----------------------------------------------------------------------------------------------------------


def queued(tries: int) -> Queued:
    return Queued(1, "m1", "user:A", None, b"", tries, NOW)


@pytest.mark.parametrize(("tries", "wait"), [(0, 5), (1, 30), (2, 120), (3, 120)])
def test_waits_grow_and_the_last_one_repeats(tries: int, wait: int) -> None:
    attempted = settle(queued(tries), "HTTP 500", NOW, POLICY, longest)

    assert (attempted.state, attempted.tries, attempted.next_try_at) == (PENDING, tries + 1, NOW + wait * SECOND)


def test_the_last_try_parks_and_a_taken_one_is_delivered() -> None:
    assert settle(queued(4), "HTTP 500", NOW, POLICY, longest).state == PARKED
    assert settle(queued(4), None, NOW, POLICY, longest).state == DELIVERED


Row = tuple[int | None, bool]


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(st.none() | st.integers(0, 3), st.booleans()), max_size=12))
def test_what_may_be_sent_is_the_oldest_of_each_hub_up_to_the_first_without_hub(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row]
) -> None:
    engine = open_engine("sqlite://")
    create_tables(engine)
    post = Post(engine, FixedClock(NOW))
    messages = [message(f"m{n}", None if hub is None else f"hub-{hub}") for n, (hub, _) in enumerate(rows)]
    for one, (_, due) in zip(messages, rows, strict=True):
        post.clock.set(NOW if due else NOW + SECOND)
        post.put(one)

    expected = []
    held: set[int] = set()
    for number, (hub, due) in enumerate(rows):
        if hub is None:
            if number == 0 and due:
                expected.append("m0")
            break
        if hub not in held and due:
            expected.append(f"m{number}")
        held.add(hub)
    with engine.connect() as connection:
        found = outbox.sendable(connection, "user:A", NOW, 100)
        assert outbox.destinations(connection, NOW) == (["user:A"] if any(due for _, due in rows) else [])

    assert [one.message_id for one in found] == expected
    engine.dispose()


def test_a_list_that_the_csp_does_not_take_holds_up_no_other_list(post: Post) -> None:
    async def story() -> None:
        async with listening(Receiver(statuses={"list-1": 400})) as receiver, post.dispatching():
            post.urls["csp:Central"] = receiver.url
            post.put(
                *(
                    outbox.Outgoing(name, outbox.UPGRADE_LIST, "csp:Central", "upgrade_list", b"<m/>")
                    for name in ("list-1", "list-2", "list-3")
                )
            )
            await until(post.tried("list-1", 1))
            await until(lambda: {"list-2", "list-3"} <= set(receiver.ids))
            await until(lambda: post.states()["list-3"] == DELIVERED)

    run(story)
    assert post.states() == {"list-1": PENDING, "list-2": DELIVERED, "list-3": DELIVERED}


def test_a_list_of_a_release_that_is_halted_in_its_region_waits_and_of_one_withdrawn_it_is_not_sent(
    tmp_path: Path,
) -> None:
    world = make_world(tmp_path / "instance")
    world.open_release()
    hub = TestHub(1)
    world.add_hubs([hub])
    nights = Nights(world, world.instance.configuration.regions["Central"])
    nights.schedule([hub])
    assert nights.cut() == 1
    steps = phases_of(world.instance)

    def waiting() -> int:
        with world.instance.reading_engine.connect() as connection:
            return len(outbox.sendable(connection, "csp:Central", world.clock.now(), 100))

    seen = [waiting()]
    world.run(lambda uow: halt(uow, steps, FIRMWARE, "South", "many failures"))
    seen.append(waiting())
    world.run(lambda uow: halt(uow, steps, FIRMWARE, "Central", "many failures"))
    seen.append(waiting())
    world.run(lambda uow: resume(uow, steps, FIRMWARE, "Central"))
    seen.append(waiting())
    world.run(lambda uow: withdraw(uow, steps, FIRMWARE))
    seen.append(waiting())

    assert seen == [1, 1, 0, 1, 0]
    world.close()
