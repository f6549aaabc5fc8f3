"""What a receiver takes, answers and hands on."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import queue
import sqlite3
import zlib
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount

from signing import Trust
from sr_engine.clock import FixedClock
from sr_engine.receiver import Alert, HandlerRetries, InboxUnusable, JsonLines, Message, Receiver, Response
from sr_engine.receiver.order import Order
from tests.receiver.conftest import AT_ONCE, NOW, XML, Desk, Sender, desk, listening, post, settled

Story = Callable[[Desk], Awaitable[None]]


def _play(tmp_path: Path, sender: Sender, story: Story, **options: object) -> None:
    async def run() -> None:
        async with desk(tmp_path / "inbox.db", sender, **options) as one:
            await story(one)

    asyncio.run(run())


def test_genuine_messages_are_answered_204_and_handed_on_as_values(tmp_path: Path, sender: Sender) -> None:
    async def story(desk: Desk) -> None:
        assert await desk.post(sender.alert(1)) == (204, b"")
        assert await desk.post(sender.response()) == (204, b"")
        await settled(desk)
        alert, response = desk.handled
        assert isinstance(alert, Alert)
        assert isinstance(response, Response)
        assert alert.device_ids == ("00-00-5E-EF-C0-00-00-01",)
        assert response.request_id.counter == 1

    _play(tmp_path, sender, story)


def test_the_same_message_is_answered_again_and_handled_once(tmp_path: Path, sender: Sender) -> None:
    data = sender.alert(1)

    async def story(desk: Desk) -> None:
        answers = await asyncio.gather(*(desk.post(data) for _ in range(8)))
        await settled(desk)
        answers.append(await desk.post(data))
        await settled(desk)
        assert answers == [(204, b"")] * 9
        assert len(desk.handled) == 1

    _play(tmp_path, sender, story)


def test_what_cannot_be_validated_is_answered_400_with_the_reason_and_not_kept(tmp_path: Path, sender: Sender) -> None:
    data = sender.alert(1)
    wrong = {
        b"": "empty",
        b"<a/>": "Signature",
        data.replace(b"A5", b"A6", 1): "changed after it was signed",
        data[: data.index(b"<ds:Signature")] + b"</sr:Response>": "Signature",
        data[:-5]: "well-formed",
    }

    async def story(desk: Desk) -> None:
        for body, why in wrong.items():
            status, said = await desk.post(body)
            assert status == 400
            assert why in json.loads(said)["detail"]
        await settled(desk)
        assert desk.handled == []

    _play(tmp_path, sender, story)


def test_a_message_whose_certificate_is_not_valid_now_is_refused(tmp_path: Path, sender: Sender) -> None:
    async def story(desk: Desk) -> None:
        status, said = await desk.post(sender.alert(1))
        assert status == 400
        assert "expired" in json.loads(said)["detail"]

    _play(tmp_path, sender, story, clock=FixedClock(NOW + timedelta(days=365 * 40)))


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", XML, 405),
        ("POST", {}, 415),
        ("POST", {"content-type": "text/xml"}, 415),
        ("POST", {**XML, "content-encoding": "br"}, 415),
        ("POST", {**XML, "content-length": "99999999"}, 413),
    ],
)
def test_what_is_no_message_is_turned_away(
    tmp_path: Path, sender: Sender, method: str, headers: dict[str, str], status: int
) -> None:
    async def story(desk: Desk) -> None:
        assert (await desk.post(sender.alert(1), headers, method=method))[0] == status

    _play(tmp_path, sender, story)


def _raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", _raw), ("identity", bytes)],
    ids=["gzip", "deflate", "deflate without a header", "not at all"],
)
def test_bodies_may_be_compressed_and_come_in_pieces(
    tmp_path: Path, sender: Sender, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    async def story(desk: Desk) -> None:
        for chunks in (1, 7, 100_000):
            data = pack(sender.alert(1))
            assert await desk.post(data, {**XML, "content-encoding": encoding}, chunks=chunks) == (204, b"")
        await settled(desk)
        assert len(desk.handled) == 3

    _play(tmp_path, sender, story)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
def test_a_body_that_would_unpack_to_too_much_is_given_up(
    tmp_path: Path, sender: Sender, pack: Callable[[bytes], bytes]
) -> None:
    bomb = pack(bytes(18 * 1024 * 1024))
    encoding = {"content-encoding": "gzip" if pack is gzip.compress else "deflate"}

    async def story(desk: Desk) -> None:
        status, said = await desk.post(bomb, {**XML, **encoding})
        assert status == 413
        assert b"unpacks to more than" in said

    _play(tmp_path, sender, story)


def test_a_body_that_is_not_what_its_headers_say_is_refused(tmp_path: Path, sender: Sender) -> None:
    packed = gzip.compress(sender.alert(1))

    async def story(desk: Desk) -> None:
        for body in (sender.alert(1), packed[:-9], packed + b"more", packed + packed):
            assert (await desk.post(body, {**XML, "content-encoding": "gzip"}))[0] == 400
        assert (await desk.post(bytes(20_000_000), XML))[0] == 413

    _play(tmp_path, sender, story)


def test_a_handler_that_fails_is_tried_again_while_others_pass(tmp_path: Path, sender: Sender) -> None:
    seen: list[str] = []
    failures = iter([True, True, False])

    def handler(message: Message) -> None:
        hub = message.device_ids[0][-1]
        seen.append(hub)
        if hub == "1" and len(seen) < 4 and next(failures):
            raise RuntimeError("not now")

    async def story(desk: Desk) -> None:
        for hub in (1, 1, 2):
            await desk.post(sender.alert(hub))
        await settled(desk)

    _play(tmp_path, sender, story, handler=handler)
    assert sorted(seen) == ["1", "1", "1", "1", "2"]


def test_a_handler_may_return_what_is_to_be_awaited(tmp_path: Path, sender: Sender) -> None:
    handled: list[str] = []

    async def later(message: Message) -> None:
        handled.append(message.sha256)

    async def story(desk: Desk) -> None:
        await desk.post(sender.alert(1))
        await settled(desk)

    _play(tmp_path, sender, story, handler=lambda message: later(message))  # noqa: PLW0108 - that it is no coroutine function
    assert len(handled) == 1


def test_a_handler_that_is_cancelled_is_one_that_fails(tmp_path: Path, sender: Sender) -> None:
    seen: list[str] = []

    async def handler(message: Message) -> None:
        seen.append(message.sha256)
        if len(seen) == 1:
            raise asyncio.CancelledError

    async def story(desk: Desk) -> None:
        await desk.post(sender.alert(1))
        await settled(desk)

    _play(tmp_path, sender, story, handler=handler)
    assert len(seen) == 2


def test_a_receiver_that_cannot_handle_any_more_takes_nothing_more(tmp_path: Path, sender: Sender) -> None:
    (tmp_path / "inbox.db.lock").mkdir()

    async def story(desk: Desk) -> None:
        async with asyncio.timeout(90):
            while (await desk.post(sender.alert(1)))[0] != 503:
                pass

    _play(tmp_path, sender, story)


def test_lines_are_not_appended_to_a_file_that_is_something_else(tmp_path: Path) -> None:
    other = tmp_path / "letter.txt"
    other.write_text("Dear Sir,")

    with pytest.raises(OSError, match="not one of a message"):
        JsonLines(other)
    assert other.read_text() == "Dear Sir,"


def test_messages_of_one_hub_are_handled_in_order_though_one_fails(tmp_path: Path, sender: Sender) -> None:
    handled: list[str] = []
    failed: set[str] = set()

    async def handler(message: Message) -> None:
        await asyncio.sleep(0)
        if message.sha256 not in failed and len(failed) < 6:
            failed.add(message.sha256)
            raise RuntimeError("not now")
        handled.append(message.sha256)

    sent: list[tuple[int, str]] = []

    async def story(desk: Desk) -> None:
        for number in range(30):
            data = sender.alert(number % 3) if number % 7 else sender.alert(0, 1, 2)
            sent.extend((hub, hashlib.sha256(data).hexdigest()) for hub in ([number % 3] if number % 7 else [0, 1, 2]))
            await desk.post(data)
        await settled(desk)

    _play(tmp_path, sender, story, handler=handler, at_once=4)
    assert len(failed) == 6
    for hub in range(3):
        of_hub = [sha256 for one, sha256 in sent if one == hub]
        assert [sha256 for sha256 in handled if sha256 in of_hub] == of_hub


def test_a_message_that_can_never_be_handled_is_given_up_and_can_be_tried_once_more(
    tmp_path: Path, sender: Sender
) -> None:
    broken = [True]
    handled: list[Message] = []

    def handler(message: Message) -> None:
        if broken[0] and not handled:
            raise RuntimeError("never")
        handled.append(message)

    async def story(desk: Desk) -> None:
        await desk.post(sender.alert(1))
        await settled(desk)
        (parked,) = await desk.receiver.parked()
        assert (parked.error, parked.tries) == ("RuntimeError: never", AT_ONCE.tries)
        broken[0] = False
        await desk.post(sender.alert(1))
        await settled(desk)
        assert len(handled) == 1
        assert await desk.receiver.retry_parked() == 1
        await settled(desk)
        assert len(handled) == 2
        assert await desk.receiver.parked() == []

    _play(tmp_path, sender, story, handler=handler)


def test_what_was_not_handled_before_a_stop_is_handled_after_it_and_nothing_twice(
    tmp_path: Path, sender: Sender
) -> None:
    seen: list[str] = []
    all_seen = asyncio.Event()
    data = [sender.alert(number) for number in range(4)]

    async def failing(message: Message) -> None:
        seen.append(message.sha256)
        if len(seen) == 4:
            all_seen.set()
        if len(seen) == 3:
            raise RuntimeError("not now")

    async def before(desk: Desk) -> None:
        for one in data:
            await desk.post(one)
        async with asyncio.timeout(90):
            await all_seen.wait()

    async def after(desk: Desk) -> None:
        await settled(desk)
        for one in data:
            assert (await desk.post(one))[0] == 204
        await settled(desk)
        assert [one.sha256 for one in desk.handled] == [seen[2]]

    waits = HandlerRetries(first_wait=3600, longest_wait=3600)
    _play(tmp_path, sender, before, handler=failing, retries=waits)
    _play(tmp_path, sender, after)
    assert len(seen) == 4


def test_a_message_whose_sender_is_not_believed_any_more_when_its_turn_comes_is_given_up(
    tmp_path: Path, sender: Sender
) -> None:
    def failing(_message: Message) -> None:
        raise RuntimeError("not now")

    async def before(desk: Desk) -> None:
        await desk.post(sender.alert(1))

    async def after() -> None:
        receiver = Receiver(tmp_path / "inbox.db", Trust(), failing, clock=FixedClock(NOW))
        async with receiver.running():
            await receiver.settled()
            (parked,) = await receiver.parked()
            assert parked.error is not None
            assert "not believed any more" in parked.error

    _play(tmp_path, sender, before, handler=failing, retries=HandlerRetries(first_wait=3600, longest_wait=3600))
    asyncio.run(after())


@pytest.mark.parametrize("keep", [True, False])
def test_bytes_stay_or_go_once_they_are_handled(tmp_path: Path, sender: Sender, keep: bool) -> None:
    data = sender.alert(1)

    async def story(desk: Desk) -> None:
        await desk.post(data)
        await settled(desk)

    _play(tmp_path, sender, story, keep=keep)
    with closing(sqlite3.connect(tmp_path / "inbox.db")) as connection:
        assert connection.execute("SELECT state, data FROM messages").fetchall() == [("handled", data if keep else b"")]


def test_a_message_that_cannot_be_kept_is_not_taken(tmp_path: Path, sender: Sender) -> None:
    async def story(desk: Desk) -> None:
        with closing(sqlite3.connect(tmp_path / "inbox.db")) as other:
            other.execute("DROP TABLE messages")
        assert (await desk.post(sender.alert(1)))[0] == 503

    _play(tmp_path, sender, story)


def test_two_receivers_of_one_file_handle_each_message_once(tmp_path: Path, sender: Sender) -> None:
    handled: list[str] = []

    async def run() -> None:
        def handler(message: Message) -> None:
            handled.append(message.sha256)

        async with desk(tmp_path / "i.db", sender, handler) as one, desk(tmp_path / "i.db", sender, handler) as two:
            for number in range(20):
                data = sender.alert(number)
                await asyncio.gather(one.post(data), two.post(data))
            await settled(one)

    asyncio.run(run())
    assert len(handled) == len(set(handled)) == 20


def test_it_is_mounted_in_an_application_that_runs_it_in_its_lifespan(tmp_path: Path, sender: Sender) -> None:
    handled: queue.Queue[Message] = queue.Queue()
    receiver = Receiver(tmp_path / "inbox.db", sender.trust, handled.put, clock=FixedClock(NOW))
    app = Starlette(routes=[Mount("/smartdcc", receiver)], lifespan=lambda _app: receiver.running())
    data = sender.alert(1)

    with listening(app) as port:
        assert post(port, "/smartdcc/duis", data)[0] == 204
        assert post(port, "/smartdcc/duis", b"<a/>")[0] == 400
        assert handled.get(timeout=90).device_ids == ("00-00-5E-EF-C0-00-00-01",)
    with listening(Starlette(routes=[Mount("/smartdcc", receiver)])) as port:
        assert post(port, "/smartdcc/duis", data)[0] == 503


def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path, sender: Sender) -> None:
    path = tmp_path / "inbox.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE mine (x)")
    before = path.read_bytes()

    async def run() -> None:
        async with Receiver(path, sender.trust, print).running():
            """Never."""

    with pytest.raises(InboxUnusable, match="something else"):
        asyncio.run(run())
    assert path.read_bytes()[100:] == before[100:]
    path.write_text("text\n" * 500)
    with pytest.raises(InboxUnusable, match="cannot be used"):
        asyncio.run(run())


@settings(max_examples=60, deadline=None)
@given(
    messages=st.lists(st.lists(st.integers(0, 4), max_size=3).map(tuple), max_size=12),
    draws=st.randoms(use_true_random=False),
)
def test_messages_that_share_a_device_are_never_out_of_order(messages: list[tuple[int, ...]], draws: Random) -> None:
    order = Order()
    done: list[int] = []
    in_hand: list[int] = []
    waiting = list(enumerate(messages))
    while len(done) < len(messages):
        if waiting and draws.random() < 0.5:
            number, devices = waiting.pop(0)
            order.add(number, map(str, devices))
        while (free := order.take()) is not None:
            in_hand.append(free)
        assert waiting or in_hand or len(done) == len(messages)
        if in_hand:
            number = in_hand.pop(draws.randrange(len(in_hand)))
            if draws.random() < 0.3:
                order.put_back(number)
            else:
                order.done(number)
                done.append(number)
    for later in range(len(messages)):
        for earlier in range(later):
            if set(messages[earlier]) & set(messages[later]):
                assert done.index(earlier) < done.index(later)
    assert len(order) == 0
