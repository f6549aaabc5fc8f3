"""Work in a process of its own."""

from __future__ import annotations

import os
import threading
import time
from functools import partial

import pytest

from sr_engine.apart import Apart, Say, WorkFailed


def add(say: Say, *, one: int, other: int) -> tuple[int, int]:
    say("adding")
    return one + other, os.getpid()


def fail(_say: Say) -> None:
    raise LookupError("nothing there")


def die(_say: Say) -> None:
    os._exit(3)


def last(say: Say) -> None:
    say("begun")
    time.sleep(600)


def test_work_is_done_by_another_process_which_says_how_far_it_is() -> None:
    said = list[str]()

    found, process = Apart()(partial(add, one=2, other=3), said.append)

    assert (found, said) == (5, ["adding"])
    assert process != os.getpid()


def test_what_the_work_raises_is_told() -> None:
    with pytest.raises(WorkFailed, match="LookupError: nothing there"):
        Apart()(fail, print)


def test_a_process_that_dies_is_told_too() -> None:
    with pytest.raises(WorkFailed, match="the process that was at it has ended"):
        Apart()(die, print)


def test_what_runs_can_be_stopped_and_nothing_runs_after_that() -> None:
    apart, begun, told = Apart(), threading.Event(), list[str]()

    def wait() -> None:
        try:
            apart(last, lambda _text: begun.set())
        except WorkFailed as failed:
            told.append(str(failed))

    thread = threading.Thread(target=wait)
    thread.start()
    assert begun.wait(60)
    apart.stop()
    thread.join(60)

    assert told == ["the process that was at it has ended"]
    with pytest.raises(WorkFailed, match="it was stopped"):
        apart(partial(add, one=1, other=1), print)
