"""What the units of work of a transaction share: what was read for all of them, and what is written for all at its end.

What was read ahead is used only as long as nothing has written to a table it rests on; whoever writes rows that it can
name says which (`Shared.forget`), and all others are as they were. What is kept back is written before any statement
that touches its table, so that every statement finds what it would have found had each been run at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection

from sr_engine.store.tables import metadata

Kind = tuple[Hashable, ...]
"""What values that are found under keys are; those of one name differ in what follows it."""
Row = Mapping[str, object]
Write = Callable[[Connection, Sequence[Row]], None]
Take = Callable[[], None]
"""Takes in what was asked for before: all is asked before any of it is taken, for one trip to the database will do."""

UNKNOWN: Any = object()
"""Nothing has been read of it, or that may not be so any more."""

_BY_CONNECTION: dict[Connection, Shared] = {}
"""Asked for before each statement: what SQLAlchemy keeps for a connection takes ten times as long to look up."""
_WORD = re.compile("[a-z_]+")


@dataclass(slots=True)
class _Known:
    values: dict[Hashable, Any] = field(default_factory=dict)
    rests_on: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Kept:
    write: Write
    rows: dict[Hashable, Row] = field(default_factory=dict)


class Shared:
    """Belongs to one transaction, and ends with it."""

    def __init__(self) -> None:
        self._known: dict[Kind, _Known] = {}
        self._kept: dict[str, _Kept] = {}
        self._spared: set[Hashable] = set()
        self._touched: set[str] | None = None
        self._writing = False
        self._failed: BaseException | None = None

    def read(self, kind: Kind, look: Callable[[], Mapping[Any, Any]]) -> None:
        """Remember what `look` finds; it rests on all tables that it reads."""
        outer, self._touched = self._touched, set()
        try:
            found = look()
        finally:
            touched, self._touched = self._touched, outer
        if outer is not None:
            outer |= touched
        known = self._known.setdefault(kind, _Known())
        known.values.update(found)
        known.rests_on |= touched

    def known(self, kind: Kind, key: Hashable) -> Any:
        """What is known under a key, or UNKNOWN."""
        known = self._known.get(kind)
        if known is None:
            return UNKNOWN
        if self._touched is not None:
            self._touched |= known.rests_on
        return known.values.get(key, UNKNOWN)

    def put(self, kind: Kind, key: Hashable, value: object) -> None:
        """What is to be known from now on under a key of which something is."""
        known = self._known.get(kind)
        if known is not None:
            known.values[key] = value

    def forget(self, name: Hashable, keys: Collection[Hashable]) -> None:
        """What is known under some keys, of all kinds of a name, is about to change."""
        for kind, known in self._known.items():
            if kind[0] == name:
                for key in keys:
                    known.values.pop(key, None)

    def keep(self, table: str, write: Write, row: Row, key: Hashable = None) -> None:
        """Have a row written to a table later, with others; one that has the `key` of another stands instead of it."""
        kept = self._kept.get(table)
        if kept is None:
            kept = self._kept[table] = _Kept(write)
        kept.rows[len(kept.rows) if key is None else key] = row

    def before(self, connection: Connection, statement: str) -> None:
        """Called before each statement: what it would miss is written, what it may change is forgotten."""
        tables, writes = _touched_by(statement)
        if self._kept and (tables is None or not tables.isdisjoint(self._kept)):
            self._write(connection, tables)
        if self._touched is not None and tables is not None:
            self._touched |= tables
        if writes and not self._writing:
            self._forget_all_of(tables)

    def finish(self, connection: Connection) -> None:
        """Write all that is left; raises what went wrong with it, if it did before and nobody was to know."""
        self._write(connection, None)
        if self._failed is not None:
            raise self._failed

    @contextmanager
    def sparing(self, name: Hashable, keys: Collection[Hashable]) -> Iterator[None]:
        """While this lasts nothing is written that concerns others of what has this name than some keys."""
        self.forget(name, keys)
        self._spared.add(name)
        try:
            yield
        finally:
            self._spared.discard(name)

    def _forget_all_of(self, tables: frozenset[str] | None) -> None:
        over = [
            kind
            for kind, known in self._known.items()
            if kind[0] not in self._spared and (tables is None or not tables.isdisjoint(known.rests_on))
        ]
        for kind in over:
            del self._known[kind]

    def _write(self, connection: Connection, tables: frozenset[str] | None) -> None:
        outer, self._writing = self._writing, True
        try:
            for table in [one for one in self._kept if tables is None or one in tables]:
                # Gone already if what was written meanwhile refers to it.
                kept = self._kept.pop(table, None)
                if kept is not None:
                    kept.write(connection, list(kept.rows.values()))
        except BaseException as error:
            # Whoever runs a statement now may take it for a failure of its own, and go on.
            self._failed = error
            raise
        finally:
            self._writing = outer


def of(connection: Connection) -> Shared | None:
    """What the units of work of the connection's transaction share; None if they share nothing."""
    return _BY_CONNECTION.get(connection)


@contextmanager
def shared_by(connection: Connection) -> Iterator[Shared]:
    """While this lasts all that runs through a connection shares what is read and written; then all is written."""
    shared = _BY_CONNECTION[connection] = Shared()
    try:
        yield shared
        shared.finish(connection)
    finally:
        del _BY_CONNECTION[connection]


@contextmanager
def sparing(connection: Connection, name: Hashable, keys: Collection[Hashable]) -> Iterator[None]:
    """`Shared.sparing`, where anything is shared."""
    shared = of(connection)
    if shared is None:
        yield
    else:
        with shared.sparing(name, keys):
            yield


def note(connection: Connection, statement: str) -> None:
    """To be called before each statement that is run through a connection."""
    shared = _BY_CONNECTION.get(connection)
    if shared is not None:
        shared.before(connection, statement)


@lru_cache(maxsize=1_024)
def _touched_by(statement: str) -> tuple[frozenset[str] | None, bool]:
    """The tables whose names are in a statement, and whether it may write; None: it may concern all there are.

    A table that another refers to is looked at when that is written.
    """
    writes = not statement.startswith("SELECT")
    tables = [metadata.tables[word] for word in set(_WORD.findall(statement)) & metadata.tables.keys()]
    if writes and not tables:
        # That of a savepoint, or its end.
        return None, True
    referred = {key.column.table.name for table in tables for key in table.foreign_keys} if writes else set()
    return frozenset({table.name for table in tables} | referred), writes
