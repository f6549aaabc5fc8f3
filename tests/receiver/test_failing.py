"""What a receiver makes of handlers that hang, files that are meddled with, and processes that are killed."""

from __future__ import annotations

import asyncio
import gc
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from sr_engine.clock import FixedClock
from sr_engine.messages.build import build_alert, build_response
from sr_engine.messages.model import CommsHubAlert
from sr_engine.receiver import Alert, InboxUnusable, JsonLines, Message
from sr_engine.receiver.inbox import Arrival, Inbox
from tests.receiver.conftest import BROKER, NOW, SUPPLIER, Desk, Sender, desk, settled
from tests.world import eui

Story = Callable[[Desk], Awaitable[None]]


def _play(tmp_path: Path, sender: Sender, story: Story, **options: object) -> None:
    async def run() -> None:
        async with asyncio.timeout(90), desk(tmp_path / "inbox.db", sender, **options) as one:
            await story(one)

    asyncio.run(run())


def test_handlers_that_hang_do_not_keep_messages_from_being_taken(tmp_path: Path, sender: Sender) -> None:
    go_on = threading.Event()
    hang = threading.Barrier(41)

    def handler(_message: Message) -> None:
        hang.wait(90)
        go_on.wait(90)

    async def story(desk: Desk) -> None:
        for hub in range(40):
            assert (await desk.post(sender.alert(hub)))[0] == 204
        await asyncio.to_thread(hang.wait, 10)
        assert (await desk.post(sender.alert(0)))[0] == 204
        go_on.set()
        hang.reset()

    _play(tmp_path, sender, story, handler=handler, at_once=40)
    assert not hang.broken


def test_a_handler_that_raises_what_nobody_can_await_is_tried_again(tmp_path: Path, sender: Sender) -> None:
    seen: list[str] = []

    def handler(message: Message) -> None:
        seen.append(message.sha256)
        next(iter(seen[1:]))

    async def story(desk: Desk) -> None:
        await desk.post(sender.alert(1))
        await settled(desk)

    _play(tmp_path, sender, story, handler=handler)
    assert len(seen) == 2


@pytest.mark.slow
def test_a_handler_that_hangs_does_not_keep_the_process_from_ending(tmp_path: Path, sender: Sender) -> None:
    program = """
import asyncio, sys, threading
from datetime import datetime
from pathlib import Path
from typing import Any
from sr_engine.clock import FixedClock
from sr_engine.receiver import Receiver
hangs = threading.Event()
def handler(message):
    hangs.set()
    threading.Event().wait()
async def main():
    clock = FixedClock(datetime.fromisoformat(sys.argv[3]))
    receiver = Receiver(Path(sys.argv[1]), Path(sys.argv[2]), handler, clock=clock)
    async with receiver.running():
        await receiver.receive(sys.stdin.buffer.read())
        await asyncio.to_thread(hangs.wait)
asyncio.run(main())
"""
    command = [sys.executable, "-c", program, str(tmp_path / "i.db"), str(sender.pki.trust_directory), NOW.isoformat()]
    done = subprocess.run(command, input=sender.alert(1), capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def _fill(path: Path, sender: Sender, *hubs: int) -> None:
    """Have an inbox with messages that wait, one for each hub."""
    with closing(Inbox(path)) as inbox:
        for hub in hubs:
            message = sender.message(sender.alert(hub))
            inbox.add([Arrival(message.sha256, NOW, None, message.device_ids, message.data)])


def test_a_message_that_cannot_be_read_any_more_is_not_in_the_way_of_others(tmp_path: Path, sender: Sender) -> None:
    handled: list[str] = []

    def meddling(message: Message) -> None:
        if not handled:
            with closing(sqlite3.connect(tmp_path / "inbox.db")) as file, file:
                file.execute("DELETE FROM messages WHERE number = 2")
        handled.append(message.device_ids[0][-1])

    _fill(tmp_path / "inbox.db", sender, 1, 2, 2)
    _play(tmp_path, sender, settled, handler=meddling)
    assert handled == ["1", "2"]


def test_what_cannot_be_kept_is_an_error_of_the_receivers_own(tmp_path: Path, sender: Sender) -> None:
    async def story(desk: Desk) -> None:
        with closing(sqlite3.connect(tmp_path / "inbox.db")) as file, file:
            file.execute("CREATE TRIGGER full BEFORE INSERT ON messages BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
        with pytest.raises(InboxUnusable, match=r"inbox\.db cannot be used: disk is full"):
            await desk.receiver.receive(sender.alert(1))
        assert (await desk.post(sender.alert(1)))[0] == 503

    _play(tmp_path, sender, story)


def test_what_a_request_was_answered_at_once_is_not_taken_for_its_response(tmp_path: Path, sender: Sender) -> None:
    recorded = build_response(
        schema_version="5.4",
        request_id=f"{SUPPLIER}:{BROKER}:1",
        code="I99",
        at=NOW,
        service_reference="11.6",
        service_reference_variant="11.6",
        result=None,
    )

    async def story(desk: Desk) -> None:
        status, said = await desk.post(sender.signer.sign(recorded))
        assert status == 400
        assert "answered at once" in json.loads(said)["detail"]
        await settled(desk)
        assert desk.handled == []

    _play(tmp_path, sender, story)


@pytest.mark.slow
def test_messages_that_wait_are_kept_in_memory_up_to_a_limit(tmp_path: Path, sender: Sender) -> None:
    go_on = asyncio.Event()

    async def handler(_message: Message) -> None:
        await go_on.wait()

    async def story(desk: Desk) -> None:
        for number in range(20):
            root = build_alert(schema_version="5.4", alert_code="N62", body=CommsHubAlert(eui(0xC0, 1), "A501"), at=NOW)
            etree.SubElement(root[1], "{urn:later}More").text = f"{number:02}" * 1_000_000
            assert (await desk.post(sender.signer.sign(root)))[0] == 204
        gc.collect()
        held = sum(len(one.data) for one in gc.get_objects() if isinstance(one, Alert))
        assert held < 36 * 1024 * 1024
        go_on.set()
        await settled(desk)

    _play(tmp_path, sender, story, handler=handler)


@pytest.mark.parametrize("left", [0, 1, 40, 10_000], ids=["nothing", "a byte", "half a line", "the line"])
def test_lines_are_whole_and_written_once_whoever_goes_on_after_a_kill(
    tmp_path: Path, sender: Sender, left: int
) -> None:
    messages = [sender.message(sender.alert(number)) for number in range(3)]
    path = tmp_path / "lines"
    first, second = JsonLines(path), JsonLines(path)
    first(messages[0])
    before = path.stat().st_size
    first(messages[1])
    with path.open("r+b") as file:
        file.truncate(min(before + left, path.stat().st_size))
    second(messages[1])
    second(messages[1])
    second(messages[2])

    written = [json.loads(line)["sha256"] for line in path.read_text().splitlines()]
    assert written == [message.sha256 for message in messages]


def test_bodies_that_come_at_the_same_time_take_memory_up_to_a_limit(tmp_path: Path, sender: Sender) -> None:
    go_on, all_refused = asyncio.Event(), asyncio.Event()
    half = bytes(15 * 1024 * 1024)
    statuses: list[int] = []

    async def send_half(desk: Desk) -> None:
        events = [{"type": "http.request", "body": half, "more_body": True}]

        async def receive() -> Any:
            if events:
                return events.pop()
            await go_on.wait()
            return {"type": "http.disconnect"}

        async def send(event: Any) -> None:
            if "status" in event:
                statuses.append(event["status"])
                if len(statuses) == 23:
                    all_refused.set()

        headers = [(b"content-type", b"application/xml")]
        await desk.receiver({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive, send)

    async def story(desk: Desk) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(40):
                group.create_task(send_half(desk))
            await all_refused.wait()
            assert statuses == [503] * 23
            assert (await desk.post(sender.alert(1)))[0] == 204
            go_on.set()
        assert statuses == [503] * 23 + [400] * 17
        assert (await desk.post(sender.alert(1)))[0] == 204

    _play(tmp_path, sender, story)


class _AskedClock(FixedClock):
    """A clock that tells when it is asked: a message is about to be verified."""

    __slots__ = ("asked",)

    def __init__(self) -> None:
        super().__init__(NOW)
        self.asked = asyncio.Event()

    def now(self) -> datetime:
        self.asked.set()
        return super().now()


def test_nobody_waits_for_ever_for_a_receiver_that_has_stopped(tmp_path: Path, sender: Sender) -> None:
    data = sender.alert(*range(1, 4_001))

    async def run() -> None:
        clock = _AskedClock()
        async with asyncio.timeout(90):
            async with desk(tmp_path / "inbox.db", sender, clock=clock) as one:
                receiving = asyncio.create_task(one.receiver.receive(data))
                await clock.asked.wait()
            with pytest.raises(RuntimeError, match="has stopped"):
                await receiving
        async with desk(tmp_path / "inbox.db", sender) as one:
            assert await one.receiver.receive(data)

    asyncio.run(run())
