"""Where a receiver keeps what came: one SQLite file, written before anything is answered.

Apart from the processor's store, which knows SQL for everybody else: a Supplier has this file and no processor.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

VERSION = 1
"""Of the form of the file."""

_CREATE = """
CREATE TABLE messages (
    number      INTEGER PRIMARY KEY,
    sha256      TEXT NOT NULL UNIQUE,
    received_at TEXT NOT NULL,
    message_id  TEXT,
    device_ids  TEXT NOT NULL,
    data        BLOB NOT NULL,
    state       TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'handled', 'parked')),
    tries       INTEGER NOT NULL DEFAULT 0,
    error       TEXT
);
CREATE INDEX messages_waiting ON messages (number) WHERE state <> 'handled';
CREATE TABLE places (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

_INSERT = """
INSERT INTO messages (sha256, received_at, message_id, device_ids, data) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (sha256) DO NOTHING
"""
_WAITING = """
SELECT number, sha256, received_at, message_id, device_ids, tries, error FROM messages
WHERE state = 'waiting' AND number > ? ORDER BY number LIMIT ?
"""
_PARKED = """
SELECT number, sha256, received_at, message_id, device_ids, tries, error FROM messages
WHERE state = 'parked' ORDER BY number
"""
_UNPARK = """
UPDATE messages SET number = (SELECT MAX(number) + 1 FROM messages), state = 'waiting', tries = 0 WHERE number = ?
"""
_HANDLED_AND_KEPT = "UPDATE messages SET state = 'handled', error = NULL WHERE number = ?"
_HANDLED = "UPDATE messages SET state = 'handled', error = NULL, data = x'' WHERE number = ?"
_BUSY_SECONDS = 30.0


class InboxUnusable(Exception):
    """The file cannot be opened, read or written, or is none of a receiver's."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A genuine message that has come."""

    sha256: str
    received_at: datetime
    message_id: str | None
    """As the processor calls it, in DUIS-Message-ID or when it was fetched."""
    device_ids: tuple[str, ...]
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """A message that is kept and not handled: it waits, or was given up."""

    number: int
    """In the order of arrival."""
    sha256: str
    received_at: datetime
    message_id: str | None
    device_ids: tuple[str, ...]
    tries: int
    error: str | None
    """Why it could not be handled when it was last tried."""


class Inbox:
    """The file; safe to use from several threads, and by several processes at the same time.

    What comes in is on the disk when `add` returns. That a message is handled is on the disk a little later: nothing of
    it is lost when the process ends, however it does, and only a loss of power can have a message handled again.
    Whatever cannot be read or written, on a full disk for example, raises InboxUnusable.
    """

    def __init__(self, path: Path) -> None:
        """Open the file or make it; raises InboxUnusable naming it."""
        self._path = path
        self._lock = threading.Lock()
        try:
            # Two connections, for SQLite knows how durable a transaction is to be by the connection.
            self._durable = _connect(path, synchronous="FULL")
            self._quick = _connect(path, synchronous="NORMAL")
        except sqlite3.Error as error:
            raise InboxUnusable(f"the inbox {path} cannot be used: {error}") from None

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._quick.close()
            self._durable.close()

    def knows(self, sha256: str) -> bool:
        """Whether this message has come already."""
        with self._used():
            found = self._quick.execute("SELECT 1 FROM messages WHERE sha256 = ?", (sha256,)).fetchone()
        return found is not None

    def add(self, arrivals: Iterable[Arrival]) -> None:
        """Keep messages, all in one transaction; those that have come already are left as they are."""
        rows = [
            (one.sha256, one.received_at.isoformat(), one.message_id, " ".join(one.device_ids), one.data)
            for one in arrivals
        ]
        with self._used(), self._durable:
            self._durable.executemany(_INSERT, rows)

    def waiting(self, after: int, limit: int) -> Sequence[Entry]:
        """Messages that wait, in the order of arrival, beginning behind a number."""
        with self._used():
            return [_entry(row) for row in self._quick.execute(_WAITING, (after, limit))]

    def parked(self) -> Sequence[Entry]:
        """Messages that were given up."""
        with self._used():
            return [_entry(row) for row in self._quick.execute(_PARKED)]

    def data(self, number: int) -> bytes:
        """The bytes of a message."""
        with self._used():
            row = self._quick.execute("SELECT data FROM messages WHERE number = ?", (number,)).fetchone()
        if row is None:
            raise InboxUnusable(f"the inbox {self._path} does not hold message {number} any more")
        data: bytes = row[0]
        return data

    def handled(self, number: int, *, keep: bool) -> None:
        """It has been handled; its bytes stay if `keep`, that it has come is known for ever."""
        with self._used(), self._quick:
            self._quick.execute(_HANDLED_AND_KEPT if keep else _HANDLED, (number,))

    def failed(self, number: int, error: str, *, give_up: bool) -> None:
        """It could not be handled, and waits on or is given up."""
        with self._used(), self._quick:
            self._quick.execute(
                "UPDATE messages SET tries = tries + 1, error = ?, state = ? WHERE number = ?",
                (error, "parked" if give_up else "waiting", number),
            )

    def unpark(self) -> int:
        """Let everything wait again that was given up, as if it came now; returns how many there are."""
        with self._used(), self._durable:
            numbers = [row[0] for row in self._durable.execute(_PARKED)]
            for number in numbers:
                self._durable.execute(_UNPARK, (number,))
        return len(numbers)

    def place(self, name: str) -> str | None:
        """A place that was noted."""
        with self._used():
            row = self._quick.execute("SELECT value FROM places WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def note_place(self, name: str, value: str | None) -> None:
        """Note a place, or forget it."""
        with self._used(), self._quick:
            if value is None:
                self._quick.execute("DELETE FROM places WHERE name = ?", (name,))
            else:
                self._quick.execute(
                    "INSERT INTO places VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    (name, value),
                )

    @contextmanager
    def _used(self) -> Iterator[None]:
        """The file for one thread."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise InboxUnusable(f"the inbox {self._path} cannot be used: {error}") from error


def _connect(path: Path, *, synchronous: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new file; refuse one that is something else's."""
    with closing(connection.cursor()) as cursor, connection:
        # Two processes may open a new file at the same time.
        cursor.execute("BEGIN IMMEDIATE")
        (version,) = cursor.execute("PRAGMA user_version").fetchone()
        if version == VERSION:
            return
        if version or cursor.execute("SELECT 1 FROM sqlite_master").fetchone() is not None:
            raise InboxUnusable(
                f"the inbox {path} is a database of something else, or of another version: name another"
            )
        for statement in _CREATE.split(";"):
            cursor.execute(statement)
        cursor.execute(f"PRAGMA user_version = {VERSION}")


def _entry(row: tuple[int, str, str, str | None, str, int, str | None]) -> Entry:
    number, sha256, received_at, message_id, device_ids, tries, error = row
    moment = datetime.fromisoformat(received_at)
    return Entry(number, sha256, moment, message_id, tuple(device_ids.split()), tries, error)
