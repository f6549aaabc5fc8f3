"""Waking processes elsewhere: on PostgreSQL a transaction that leaves something to be done says so as it is committed.

A notice saves waiting for the next look, and nothing rests on it: who was not there to hear it looks by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from enum import StrEnum
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, text

from sr_engine.store.database import KEPT_ALIVE
from sr_engine.store.dialects import POSTGRESQL

log = logging.getLogger(__name__)

RECONNECT_SECONDS = 1.0
_KEY = "sr_engine.left"
_NOTIFY = text("SELECT pg_notify('sr_engine', :left)")
_LISTEN = "LISTEN sr_engine"


class Left(StrEnum):
    """What a transaction may leave to be done."""

    OUTBOX = "outbox"
    """Messages to be sent."""
    TIDINGS = "tidings"
    """Alerts to be signed."""
    HELD = "held"
    """Held requests that may wait no more."""


def leave(connection: Connection, what: Left) -> None:
    """Remember until the transaction's end that it leaves something; costs no statement."""
    connection.info.setdefault(_KEY, set()).add(what)


def forget(connection: Connection) -> None:
    """Forget what a transaction left that was taken back."""
    connection.info.pop(_KEY, None)


def notify(connection: Connection) -> None:
    """Say once, when this transaction is committed, what all of it leaves; if that is nothing, nothing is said."""
    left = connection.info.pop(_KEY, None)
    if left and connection.dialect.name == POSTGRESQL:
        connection.execute(_NOTIFY, {"left": " ".join(sorted(left))})


class Listener:
    """Hears what other processes have left to be done."""

    def __init__(self, engine: Engine, woken: Callable[[Collection[Left]], None]) -> None:
        """`woken` is told what there may be to do, in the event loop; after a loss of the connection, everything."""
        self._engine = engine
        self._woken = woken

    async def run(self) -> None:
        """Listen until cancelled, over a connection of its own; on SQLite there is nothing to hear."""
        if self._engine.dialect.name != POSTGRESQL:
            return
        lost = False
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(**self._address()) as connection:
                    await connection.execute(_LISTEN)
                    if lost:
                        log.info("the database wakes this process again")
                    lost = False
                    self._woken(frozenset(Left))
                    async for notice in connection.notifies():
                        self._woken(frozenset(one for one in Left if one in notice.payload.split()))
            except (psycopg.Error, OSError) as error:
                if not lost:
                    log.warning("the database does not wake this process, which looks by itself: %s", _in_a_line(error))
                lost = True
            await asyncio.sleep(RECONNECT_SECONDS)

    def _address(self) -> dict[str, Any]:
        _, parameters = self._engine.dialect.create_connect_args(self._engine.url)
        return {**parameters, **KEPT_ALIVE, "connect_timeout": 10, "application_name": "sr-engine", "autocommit": True}


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())
