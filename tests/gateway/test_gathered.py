"""What is written to a connection in one turn of the event loop leaves in one piece, and in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sr_engine.gathered import AT_ONCE, Gathered


class Line(asyncio.Transport):
    """The end of the network that a test can look at."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes | str] = []
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.sent.append("closed")
        self.closing = True

    def abort(self) -> None:
        self.sent.append("aborted")
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing


def sent_by(*turns: Callable[[Gathered], object]) -> list[bytes | str]:
    """What has been sent once each of these has had a turn of the event loop."""

    async def run() -> list[bytes | str]:
        line = Line()
        gathered = Gathered(line, asyncio.get_running_loop())
        for turn in turns:
            turn(gathered)
            await asyncio.sleep(0)
        return line.sent

    return asyncio.run(run())


def both(transport: Gathered) -> None:
    transport.write(b"head ")
    transport.write(b"body")


def test_head_and_body_leave_together_and_the_next_answer_after_them() -> None:
    assert sent_by(both, lambda one: one.write(b"another")) == [b"head body", b"another"]


def test_what_was_written_before_a_connection_is_closed_leaves_before() -> None:
    def answer_and_close(transport: Gathered) -> None:
        both(transport)
        transport.close()

    assert sent_by(answer_and_close) == [b"head body", "closed"]


def test_a_connection_that_is_broken_off_sends_what_was_written_and_nothing_more() -> None:
    def answer_and_abort(transport: Gathered) -> None:
        both(transport)
        transport.abort()

    assert sent_by(answer_and_abort, both) == [b"head body", "aborted"]


def test_much_does_not_wait_for_more() -> None:
    def write_much(transport: Gathered) -> None:
        transport.write(b"head ")
        transport.write(b"x" * AT_ONCE)
        transport.write(b"rest")

    assert sent_by(write_much) == [b"head " + b"x" * AT_ONCE, b"rest"]
