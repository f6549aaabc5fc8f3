"""What takes too long for a page: found out beside it, kept, and shown with the time it is of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar, cast

from sr_engine.apart import Say, Work, WorkFailed
from sr_engine.clock import Clock

log = logging.getLogger(__name__)

T = TypeVar("T")
Run = Callable[[Work[Any], Say], Any]
"""Does work beside everything else, and waits for it."""

_MOST_KEPT = 32


@dataclass(frozen=True, slots=True)
class Looked(Generic[T]):
    """What is known now."""

    result: T | None
    """The newest there is, be it old."""
    at: datetime | None
    """The time it is of."""
    running_since: datetime | None
    """It is being found out anew."""
    said: str
    """How far that has come."""
    failed: str | None
    """Why the last attempt came to nothing."""

    @property
    def stamp(self) -> str:
        """Changes with what is known."""
        return f"{self.at} {self.running_since} {self.said} {self.failed}"


@dataclass(slots=True)
class _Kept:
    result: object = None
    at: datetime | None = None
    running_since: datetime | None = None
    said: str = ""
    failed: str | None = None
    tried_at: datetime | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class LongLooks:
    """Finds things out one after another, each once at a time, and keeps what was found."""

    def __init__(self, run: Run, clock: Clock, keep: timedelta) -> None:
        """What is older than `keep` is found out anew when it is asked for."""
        self._run = run
        self._clock = clock
        self._keep = keep
        self._kept: dict[str, _Kept] = {}
        # Whoever waits for its turn must not take a thread from what is being served.
        self._waiting = ThreadPoolExecutor(1, "long look")

    def known(self, name: str) -> Looked[Any]:
        """What is known under a name; nothing is begun."""
        one = self._kept.get(name, _Kept())
        return Looked(one.result, one.at, one.running_since, one.said, one.failed)

    def look(self, name: str, work: Callable[[datetime], Work[T]], *, anew: bool = False) -> Looked[T]:
        """What is known under a name; what is missing, too old or wanted `anew` is being found out from now on.

        `work` is given the time that it is to be of.
        """
        one = self._kept.setdefault(name, _Kept())
        now = self._clock.now()
        tried = max((at for at in (one.at, one.tried_at) if at is not None), default=None)
        if one.running_since is None and (anew or tried is None or now - tried > self._keep):
            one.running_since, one.said = now, ""
            one.task = asyncio.create_task(self._find_out(name, one, work(now), now))
            self._forget_oldest()
        return cast("Looked[T]", self.known(name))

    async def come_to_rest(self) -> None:
        """Wait until nothing is being found out."""
        while running := [one.task for one in self._kept.values() if one.task is not None and not one.task.done()]:
            await asyncio.wait(running)

    async def _find_out(self, name: str, one: _Kept, work: Work[Any], now: datetime) -> None:
        def say(text: str) -> None:
            one.said = text

        try:
            loop = asyncio.get_running_loop()
            one.result = await loop.run_in_executor(self._waiting, self._run, work, say)
            one.at, one.failed = now, None
        except WorkFailed as failed:
            log.warning("%s could not be found out: %s", name, failed)
            one.failed, one.tried_at = str(failed), now
        finally:
            one.running_since, one.said = None, ""

    def _forget_oldest(self) -> None:
        done = [name for name, one in self._kept.items() if one.running_since is None]
        for name in done[: max(0, len(self._kept) - _MOST_KEPT)]:
            del self._kept[name]
