"""One exchange, from the first look at it to its answer: what the log, the counts and the traces say of it.

Of what was sent nothing is noted but RequestID, User and Service Request; no body, key or token ever is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sr_engine.observing.counting import Counting, Stage

log = logging.getLogger(__name__)

FIELDS = "exchange"
"""The attribute of a log record that holds what is known, by name."""

_LINE = "%s answered %s in %.1f ms: %s %s of %s"


@dataclass(slots=True)
class Exchange:
    """What is known of one so far; times in seconds by the clock that only goes forward."""

    name: str
    """The service that was called."""
    now: Callable[[], float]
    began: float
    headers: Sequence[tuple[bytes, bytes]] = ()
    since: float = 0.0
    request_id: str = ""
    user: str = ""
    variant: str = ""
    """The Service Reference Variant, or the name where it is no Service Request."""
    code: str = ""
    stages: list[tuple[Stage, float, float]] = field(default_factory=list)
    """Stages that are over, with beginning and end."""

    def over(self, stage: Stage) -> None:
        """A stage has ended, and the next begins."""
        now = self.now()
        self.stages.append((stage, self.since, now))
        self.since = now


Note = Callable[[Exchange, float], None]
"""Takes note of an exchange that has ended, and when."""


class Observer:
    """Has each exchange counted, logged with one line and, if somebody wants that, traced."""

    def __init__(
        self,
        counting: Counting | None = None,
        *,
        trace: Note | None = None,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._counting = counting
        self._trace = trace
        self._now = now
        # Made here, for a process may have been forked from one that had read this module.
        self._alike = log.makeRecord(log.name, logging.INFO, __file__, 0, _LINE, (), None).__dict__

    def begin(self, name: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> Exchange:
        """One begins."""
        now = self._now()
        return Exchange(name, self._now, now, headers, since=now)

    def end(self, exchange: Exchange, code: str) -> None:
        """One has been answered with a ResponseCode, or an HTTP status."""
        ended = self._now()
        exchange.code = code
        if (counting := self._counting) is not None:
            counting.exchange(exchange.variant or exchange.name, code)
            for stage, begin, end in exchange.stages:
                counting.took(stage, end - begin)
            counting.took(Stage.WHOLE, ended - exchange.began)
        if log.isEnabledFor(logging.INFO):
            log.handle(_Line(self._alike, exchange, ended))
        if self._trace is not None:
            self._trace(exchange, ended)


class _Line(logging.LogRecord):
    """What the log says of an exchange.

    The library would find out for each anew what all have in common, which takes as long as all the rest.
    """

    def __init__(self, alike: Mapping[str, object], exchange: Exchange, ended: float) -> None:
        self.__dict__.update(alike)
        self.created = time.time()
        self.msecs = self.created % 1 * 1000
        self._known = exchange
        self._milliseconds = 1000 * (ended - exchange.began)
        self.args = (
            exchange.name,
            exchange.code,
            self._milliseconds,
            exchange.variant or "-",
            exchange.request_id or "-",
            exchange.user or "nobody known",
        )

    @property
    def exchange(self) -> Mapping[str, object]:
        """What is known, by name."""
        return {
            "service": self._known.name,
            "request_id": self._known.request_id,
            "user": self._known.user,
            "srv": self._known.variant,
            "code": self._known.code,
            "milliseconds": round(self._milliseconds, 1),
        }
