"""Handing messages to the Supplier's handler: in order for each device, again if it fails, given up in the end."""

from __future__ import annotations

import asyncio
import fcntl
import inspect
import logging
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from sr_engine.parsing import Message, MessageRefused, Parser
from sr_engine.receiver.inbox import Entry, Inbox
from sr_engine.receiver.order import Order
from sr_engine.receiver.threads import call_apart

log = logging.getLogger(__name__)

Handler = Callable[[Message], Awaitable[None]] | Callable[[Message], None]
"""Takes one message; one that is not async is called in a thread. What it raises means: once more, later."""

_LOOKED_AHEAD = 20_000
"""Messages that wait and are looked at; those behind wait until there are fewer."""
_PARSED = 1_000
"""Messages kept in memory between their receipt and their turn, so that they need not be verified again."""
_PARSED_BYTES = 32 * 1024 * 1024
"""What these have, all together, as received."""
_LOOK_SECONDS = 1.0
"""How often is looked for what other processes have received, and for whether they still handle."""
_STOP_SECONDS = 20.0
_ERROR_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class HandlerRetries:
    """How a message is tried again when its handler fails, in seconds; meanwhile later ones of its devices wait.

    Waits double from `first_wait` to `longest_wait`. After `tries` the message is parked, and lets the others pass.
    """

    tries: int = 20
    first_wait: float = 1.0
    longest_wait: float = 300.0

    def wait(self, tries: int) -> float:
        """After so many tries."""
        return float(min(self.longest_wait, self.first_wait * 2 ** min(tries - 1, 60)))


class _NotBelieved(Exception):
    """A message that was kept is refused now; a handler may raise MessageRefused for reasons of its own."""


class Handling:
    """Handles what is in an inbox, in one process at a time; the messages of a hub are never handled at once."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        lock_path: Path,
        parser: Parser,
        handler: Handler,
        retries: HandlerRetries,
        at_once: int,
        keep: bool,
    ) -> None:
        self._inbox = inbox
        self._lock_path = lock_path
        self._parser = parser
        self._handler = handler
        self._is_async = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
            getattr(handler, "__call__", None)  # noqa: B004 - whether it is async, not whether it can be called
        )
        self._retries = retries
        self._at_once = at_once
        self._keep = keep
        self._order = Order()
        self._entries: dict[int, Entry] = {}
        self._seen = 0
        self._more = False
        """There was no room for all that wait."""
        self._stopping = False
        self._parsed: OrderedDict[str, Message] = OrderedDict()
        self._parsed_bytes = 0
        self._wake = asyncio.Event()
        self._progress = asyncio.Event()
        self._in_hand: set[asyncio.Task[None]] = set()

    def wake(self, message: Message | None = None) -> None:
        """Something has come; the message itself saves verifying it again."""
        if message is not None:
            self._forgotten(message.sha256)
            self._parsed[message.sha256] = message
            self._parsed_bytes += len(message.data)
            while len(self._parsed) > _PARSED or self._parsed_bytes > _PARSED_BYTES:
                self._forgotten(next(iter(self._parsed)))
        self._wake.set()

    def _forgotten(self, sha256: str) -> Message | None:
        """A message that was kept in memory, which it is not any more."""
        message = self._parsed.pop(sha256, None)
        if message is not None:
            self._parsed_bytes -= len(message.data)
        return message

    async def settled(self) -> None:
        """Return when everything that has come was handled or given up."""
        while True:
            self._progress.clear()
            if not await asyncio.to_thread(self._inbox.waiting, 0, 1):
                return
            await self._progress.wait()

    async def run(self) -> None:
        """Handle until cancelled; what is in hand then is brought to its end."""
        lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await _locked(lock)
            while True:
                self._wake.clear()
                try:
                    await self._look()
                except Exception:
                    log.exception("the inbox cannot be read; it is tried again")
                self._start()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await self._wake.wait()
        finally:
            await self._brought_to_an_end()
            os.close(lock)

    async def _brought_to_an_end(self) -> None:
        """Wait for what is in hand: a handler that is stopped half-way will be called again for what it has done."""
        self._stopping = True
        if not self._in_hand:
            return
        _, left = await asyncio.wait(self._in_hand, timeout=_STOP_SECONDS)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _look(self) -> None:
        """Take into the order what has come."""
        room = _LOOKED_AHEAD - len(self._order)
        if room <= 0:
            return
        found = await asyncio.to_thread(self._inbox.waiting, self._seen, room)
        self._more = len(found) == room
        for entry in found:
            self._entries[entry.number] = entry
            self._order.add(entry.number, entry.device_ids)
            self._seen = entry.number

    def _start(self) -> None:
        while not self._stopping and len(self._in_hand) < self._at_once:
            number = self._order.take()
            if number is None:
                return
            task = asyncio.create_task(self._handle(self._entries[number]))
            self._in_hand.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._in_hand.discard(task)
        self._start()
        if self._more:
            self._wake.set()

    async def _handle(self, entry: Entry) -> None:
        try:
            message = self._forgotten(entry.sha256)
            if message is None:
                message = await asyncio.to_thread(self._read, entry)
            handler = partial(self._handler, message)
            handled = handler() if self._is_async else await call_apart(handler)
            # One that is not async itself may return what is to be awaited.
            if inspect.isawaitable(handled):
                await handled
        except _NotBelieved as refused:
            # It was genuine when it came: whom to believe has changed since.
            await self._failed(entry, f"it is not believed any more: {refused}", give_up=True)
        except (Exception, asyncio.CancelledError) as error:
            if self._stopping:
                raise
            tries = entry.tries + 1
            log.warning("message %s could not be handled, try %d", entry.sha256, tries, exc_info=True)
            words = f"{type(error).__name__}: {error}"[:_ERROR_CHARACTERS]
            await self._failed(entry, words, give_up=tries >= self._retries.tries)
        else:
            await self._recorded(lambda: self._inbox.handled(entry.number, keep=self._keep))
            self._gone(entry)

    def _read(self, entry: Entry) -> Message:
        data = self._inbox.data(entry.number)
        try:
            return self._parser.message(data, at=entry.received_at)
        except MessageRefused as refused:
            raise _NotBelieved(refused.reason) from None

    async def _failed(self, entry: Entry, error: str, *, give_up: bool) -> None:
        await self._recorded(lambda: self._inbox.failed(entry.number, error, give_up=give_up))
        if give_up:
            log.error("message %s is given up: %s", entry.sha256, error)
            self._gone(entry)
            return
        tries = entry.tries + 1
        self._entries[entry.number] = replace(entry, tries=tries, error=error)
        asyncio.get_running_loop().call_later(self._retries.wait(tries), self._again, entry.number)

    def _again(self, number: int) -> None:
        self._order.put_back(number)
        self._start()

    def _gone(self, entry: Entry) -> None:
        del self._entries[entry.number]
        self._order.done(entry.number)
        self._progress.set()

    async def _recorded(self, record: Callable[[], None]) -> None:
        """Record what came of a message, however long the file cannot be written: it must not be handled twice."""
        while True:
            try:
                await asyncio.to_thread(record)
            except Exception:
                log.exception("what came of a message cannot be recorded; it is tried again")
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                return


async def _locked(lock: int) -> None:
    """Wait until no other process handles this inbox; the lock of one that dies is free at once."""
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(_LOOK_SECONDS)
        else:
            return
