"""Several statements in one trip to PostgreSQL, where the driver makes a trip of each.

What a trip costs is mostly not what it asks: the two processes wake each other, and whoever waits lets go of the
interpreter. So statements whose rows nobody needs yet are kept, and go with the next one that somebody waits for, in
their order; the server executes them one after the other, each seeing what those before it did, and after one that
fails none. A commit goes with what is left.

The driver has a mode for it, which sends each statement by itself and wakes the server as often; this uses what lies
below it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format, TransactionStatus
from psycopg.waiting import Ready, Wait

PREPARED_MOST = 300
"""Statements that a connection keeps prepared; the program has fewer."""

_PLACEHOLDER = re.compile(r"%(?:\((\w+)\)([sbt])|%)")
_FORMATS = {"s": PyFormat.AUTO, "b": PyFormat.BINARY, "t": PyFormat.TEXT}
_FAILED = {ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED, ExecStatus.BAD_RESPONSE}
_ENDS_PREPARED = ("ROLLBACK", "DROP", "ALTER", "DEALLOCATE", "DISCARD")
"""Statements after which the driver has the server forget all that is prepared, as it may not stand any more."""


@dataclass(frozen=True, slots=True)
class _Written:
    """A statement as the server takes it, with the names of its values in the order of their numbers."""

    sql: bytes
    names: tuple[str, ...]
    formats: tuple[PyFormat, ...]


_Key = tuple[bytes, tuple[int, ...]]
"""A statement, and the types of its values."""


class Asked:
    """A statement on its way, or kept to go with the next; reading what it gave sends it."""

    __slots__ = ("_result", "_trip", "prepare", "sql", "values")

    def __init__(self, trip: Trip, sql: str, values: Mapping[str, object], *, prepare: bool = True) -> None:
        self._trip = trip
        self.sql = sql
        self.values = values
        self.prepare = prepare
        self._result: Any = None

    @property
    def rowcount(self) -> int:
        """How many rows it found or changed."""
        return int(self._done().command_tuples or 0)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows that it gives, as the driver converts them."""
        return self._trip.rows_of(self._done())

    def found(self, result: Any) -> None:
        """What the server said to it."""
        self._result = result

    def _done(self) -> Any:
        if self._result is None:
            self._trip.send()
        if self._result is None:
            raise psycopg.InterfaceError("the transaction of this statement has ended")
        return self._result


Sender = Callable[[str, Callable[[], None]], None]
"""Does what sends a statement, and raises what is raised for it."""


class Trip:
    """What is kept for the next trip over one connection; belongs to whoever has the connection."""

    def __init__(self, driver: psycopg.Connection[Any]) -> None:
        self._driver = driver
        self._values = Transformer(driver)
        self._waiting: list[Asked] = []
        self._prepared: dict[_Key, bytes] = {}
        self._given_up: list[bytes] = []
        self._made = 0
        self._sender: Sender | None = None
        self.later = False
        """Nobody needs to know at once what becomes of a statement that is run for what it changes."""
        self.used_at = time.monotonic()

    def begin(self, *first: str) -> None:
        """Begin a transaction with some statements that give nothing; raises what the driver raises."""
        self.over()
        level = self._driver.isolation_level
        begin = "BEGIN" if level is None else f"BEGIN ISOLATION LEVEL {level.name.replace('_', ' ')}"
        self._go([Asked(self, sql, {}) for sql in (begin, *first)])

    def through(self, sender: Sender) -> None:
        """Have this transaction's statements sent by it."""
        self._sender = sender

    def ask(self, sql: str, values: Mapping[str, object], *, prepare: bool = True) -> Asked:
        """Keep a statement for the next trip; its plan is not kept unless it is to `prepare`."""
        asked = Asked(self, sql, values, prepare=prepare)
        self._waiting.append(asked)
        return asked

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Meanwhile a statement is kept, whatever it is."""
        before, self.later = self.later, True
        try:
            yield
        finally:
            self.later = before

    @property
    def is_under_way(self) -> bool:
        """Whether a transaction has begun with it."""
        return self._sender is not None

    @property
    def waits(self) -> bool:
        """Whether anything is kept."""
        return bool(self._waiting)

    def send(self) -> None:
        """Send all that is kept; raises what the first of it that fails raises, for all of it."""
        going, self._waiting = self._waiting, []
        if going and self._sender is not None:
            self._sender(going[-1].sql, lambda: self._go(going))

    def commit(self) -> None:
        """Send all that is kept, with a commit behind it; nothing happens if nothing is."""
        going, self._waiting = self._waiting, []
        if going:
            self._go([*going, Asked(self, "COMMIT", {})])

    def over(self) -> None:
        """A transaction has ended: what is still kept of it is not sent."""
        self._waiting = []
        self.later = False
        self._sender = None
        self.used_at = time.monotonic()

    def rolls_back(self) -> None:
        """The driver is about to roll back."""
        if self._driver.pgconn.transaction_status != TransactionStatus.IDLE:
            self._give_up()

    def before(self, statement: str) -> None:
        """Somebody is about to run a statement by the driver itself: what is kept goes first."""
        self.send()
        if statement.startswith(_ENDS_PREPARED):
            self._give_up()

    def _give_up(self) -> None:
        """What is prepared is prepared anew: the driver may be about to have all of it forgotten, or may not."""
        if psycopg.capabilities.has_send_close_prepared():
            self._given_up += self._prepared.values()
        self._prepared.clear()

    def rows_of(self, result: Any) -> list[tuple[Any, ...]]:
        """The rows of a result."""
        self._values.set_pgresult(result)
        return self._values.load_rows(0, result.ntuples, tuple)

    def _go(self, going: Sequence[Asked]) -> None:
        pgconn = self._driver.pgconn
        # As for a statement by the driver: a connection that is closed is told from one that is lost meanwhile.
        if self._driver.closed:
            raise psycopg.OperationalError("the connection is closed")
        pgconn.enter_pipeline_mode()
        try:
            sent: list[tuple[Asked | None, Callable[[], None]]] = []
            while self._given_up:
                # Which is no error if it is there no more.
                pgconn.send_close_prepared(self._given_up.pop())
                sent.append((None, _nothing))
            new: dict[_Key, bytes] = {}
            for asked in going:
                self._post(pgconn, asked, new, sent)
            pgconn.pipeline_sync()
            results = self._driver.wait(_results(pgconn, len(sent)))
        except BaseException:
            # It is not known how much of it has been done, and what comes next would be taken for the answer.
            self._driver.close()
            raise
        pgconn.exit_pipeline_mode()
        failed = None
        for (waiting, done), result in zip(sent, results, strict=True):
            if result.status not in _FAILED:
                done()
                if waiting is not None:
                    waiting.found(result)
            elif failed is None:
                failed = result
        if failed is not None:
            raise error_from_result(failed, encoding=self._driver.info.encoding)

    def _post(
        self, pgconn: Any, asked: Asked, new: dict[_Key, bytes], sent: list[tuple[Asked | None, Callable[[], None]]]
    ) -> None:
        """`new` is what is prepared in the same trip, and is not known to be yet."""
        written = _written(asked.sql)
        values = asked.values
        dumped: Any = self._values.dump_sequence([values[name] for name in written.names], written.formats)
        types, formats = tuple(self._values.types or ()), self._values.formats
        key = (written.sql, types)
        name = self._prepared.get(key) or new.get(key)
        if not asked.prepare or (name is None and len(self._prepared) >= PREPARED_MOST):
            pgconn.send_query_params(written.sql, dumped, types, formats, Format.TEXT)
        else:
            if name is None:
                self._made += 1
                name = new[key] = b"trip_%d" % self._made
                pgconn.send_prepare(name, written.sql, types)
                sent.append((None, _remembering(self._prepared, key, name)))
            pgconn.send_query_prepared(name, dumped, formats, Format.TEXT)
        sent.append((asked, _nothing))


_TRIPS: WeakKeyDictionary[psycopg.Connection[Any], Trip] = WeakKeyDictionary()


def of_driver(driver: psycopg.Connection[Any]) -> Trip:
    """That of a connection."""
    trip = _TRIPS.get(driver)
    if trip is None:
        trip = _TRIPS[driver] = Trip(driver)
    return trip


def under_way(driver: psycopg.Connection[Any]) -> Trip | None:
    """That of a connection whose transaction has begun with it; None if it has none, or reads only."""
    trip = _TRIPS.get(driver)
    return trip if trip is not None and trip.is_under_way else None


def _nothing() -> None:
    pass


def _remembering(prepared: dict[Any, bytes], key: Any, name: bytes) -> Callable[[], None]:
    def remember() -> None:
        prepared[key] = name

    return remember


def _results(pgconn: Any, number: int) -> Generator[Wait, Ready | int, list[Any]]:
    """Send what is written, and read one result for each of so many commands, and the end of them all."""
    while pgconn.flush():
        # Whoever answers meanwhile may have to be read before it reads on.
        if (yield Wait.RW) & Ready.R:
            pgconn.consume_input()
    found: list[Any] = []
    while True:
        while pgconn.is_busy():
            if (yield Wait.R):
                pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            continue
        if result.status == ExecStatus.PIPELINE_SYNC:
            break
        found.append(result)
    if len(found) != number:
        raise psycopg.InternalError(f"{len(found)} results of {number} commands")
    return found


@lru_cache(maxsize=1_024)
def _written(sql: str) -> _Written:
    """The driver's placeholders as the server numbers them."""
    names: list[str] = []
    formats: list[PyFormat] = []

    def numbered(match: re.Match[str]) -> str:
        name, form = match.groups()
        if name is None:
            return "%"
        if name not in names:
            names.append(name)
            formats.append(_FORMATS[form])
        return f"${names.index(name) + 1}"

    text = _PLACEHOLDER.sub(numbered, sql)
    return _Written(text.encode(), tuple(names), tuple(formats))
