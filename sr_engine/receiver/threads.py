"""Calling what may take long, or never come back, apart from everything else."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

_T = TypeVar("_T")


async def call_apart(function: Callable[[], _T]) -> _T:
    """Return what a function returns, or raise what it raises, having called it in a thread of its own.

    It takes no place among the threads of the event loop, which are few, and does not keep the process from ending.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[_T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(value: _T | None, error: BaseException | None) -> None:
        if outcome.done():
            return
        if error is None:
            outcome.set_result(value)  # type: ignore[arg-type]  # what the function returned
        elif isinstance(error, StopIteration):
            # Nobody who awaits can be given that one.
            outcome.set_exception(RuntimeError("it raised StopIteration"))
        else:
            outcome.set_exception(error)

    def run() -> None:
        value, error = None, None
        try:
            value = context.run(function)
        except BaseException as raised:
            error = raised
        # The loop may have ended meanwhile.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, name="handler", daemon=True).start()
    return await outcome
