"""Looking into the database beside the transactions that write: what was committed when the look began."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine

__all__ = ["Connection", "Reading"]

T = TypeVar("T")


class Reading:
    """Runs looks, each on a connection of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(self, look: Callable[[Connection], T]) -> T:
        """Return what `look` returned."""
        with self._engine.connect() as connection:
            return look(connection)
