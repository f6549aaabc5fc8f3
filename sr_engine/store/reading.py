"""Looking into the database beside the transactions that write: what was committed when the look began."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from sr_engine.store.database import DatabaseAway, may_pass

__all__ = ["Connection", "Reading"]

T = TypeVar("T")


class Reading:
    """Runs looks, each on a connection of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(self, look: Callable[[Connection], T]) -> T:
        """Return what `look` returned; raises DatabaseAway if the database is."""
        try:
            with self._engine.connect() as connection:
                return look(connection)
        except DBAPIError as error:
            if not may_pass(error):
                raise
            raise DatabaseAway(error) from error

    def if_possible(self, look: Callable[[Connection], T]) -> T | None:
        """The same for a look that can be done without; None if the database cannot be asked just now."""
        try:
            return self(look)
        except (PoolTimeout, DatabaseAway):
            return None

    @contextmanager
    def beside(self, look: Callable[[Connection], T]) -> Iterator[Callable[[], T]]:
        """Look in a thread of its own while something else is done; what is yielded waits for what `look` returned.

        Begun in a transaction that writes, it sees what was committed before that: nobody else writes meanwhile.
        """
        with ThreadPoolExecutor(1) as thread:
            yield thread.submit(self, look).result
