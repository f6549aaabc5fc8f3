"""Hooks round the commits, answers and messages of a process that serves, which kill it when its turn comes.

What a transaction is for is told by what it writes. `CRASH_AT` names a point (`points`), `CRASH_PASS` how often it is
to be passed, after the first `CRASH_AFTER` seconds; with `CRASH_SERVER`, the folder of a PostgreSQL server, it is that
server which is stopped, at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
from aiohttp.connector import Connection as HttpConnection
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from sr_engine.application import application
from sr_engine.cli import serve
from sr_engine.delivery import dispatch
from sr_engine.delivery.tries import Reply, post
from sr_engine.regions.outcomes import Outcomes
from sr_engine.store import exchanges, held, kept_changes, leases, lists, outbox, tidings
from tests.crash import points

REACHED = "reached the point "
"""Begins the last line that a process writes which is killed."""

_MARKS, _CACHE = "tests.crash.marks", "tests.crash.cache"
_OF_MESSAGES = {"UpgradeReport": "report", "UpgradeListAckno": "acknowledgement"}
_SERVER_STOPS_WITHIN = 10


@dataclass
class Trap:
    """Counts the passes by one point."""

    at: str
    at_pass: int
    server: Path | None
    armed_at: float
    """By the clock that only goes forward."""
    passes: int = 0
    guard: threading.Lock = field(default_factory=threading.Lock)

    def reach(self, what: str, where: str) -> bool:
        """Dies here if it is time; True if the server was stopped instead."""
        if self.at != f"{what}: {where}" or time.monotonic() < self.armed_at:
            return False
        with self.guard:
            self.passes += 1
            if self.passes != self.at_pass:
                return False
            os.write(2, f"{REACHED}{self.at}\n".encode())
            if self.server is None:
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                _stop_at_once(self.server)
            return True


def _stop_at_once(folder: Path) -> None:
    process = int((folder / "data" / "postmaster.pid").read_text().split()[0])
    os.kill(process, signal.SIGQUIT)
    deadline = time.monotonic() + _SERVER_STOPS_WITHIN
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.002)


def install(environment: Mapping[str, str]) -> None:
    """Set the trap that the environment describes; without one nothing is hooked.

    `SQLITE_CACHE_KIB`: the pages that each connection to SQLite keeps take no more than that.
    """
    if (cache := environment.get("SQLITE_CACHE_KIB")) is not None:
        _keep_small(int(cache))
    at = environment.get("CRASH_AT")
    if at is None:
        return
    server = environment.get("CRASH_SERVER")
    armed_at = time.monotonic() + float(environment.get("CRASH_AFTER", "0"))
    folder = None if server is None else Path(server)
    trap = Trap(at, int(environment.get("CRASH_PASS", "1")), folder, armed_at)
    _hook_transactions(trap)
    _hook_answers(trap)
    _hook_messages(trap)


def _keep_small(kibibytes: int) -> None:
    @event.listens_for(Pool, "checkout")
    def _checkout(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        # Not at its making: what the engine itself says of it then comes later.
        if record.info.setdefault(_CACHE, None) is None and isinstance(connection, sqlite3.Connection):
            connection.execute(f"PRAGMA cache_size = -{kibibytes}")
            record.info[_CACHE] = kibibytes


# --- Transactions ------------------------------------------------------------------------------------------------


def _hook_transactions(trap: Trap) -> None:
    def mark(connection: Connection, what: str) -> None:
        connection.info.setdefault(_MARKS, {})[what] = None
        trap.reach(what, points.IN_TRANSACTION)

    def after(owner: Any, name: str, what: Callable[[Any, tuple[Any, ...]], str | None], *, at: int = 0) -> None:
        """Mark the transaction once a function of the store has written; `what` judges by its result and arguments."""
        original = getattr(owner, name)

        def hooked(*arguments: Any, **named: Any) -> Any:
            result = original(*arguments, **named)
            found = what(result, arguments)
            if found is not None:
                given = arguments[at]
                mark(given if isinstance(given, Connection) else given.connection, found)
            return result

        setattr(owner, name, hooked)

    def of_exchange(_: Any, arguments: tuple[Any, ...]) -> str:
        return _OF_MESSAGES.get(arguments[1].service_reference_variant, "request")

    after(exchanges, "add", of_exchange)
    after(exchanges, "put", of_exchange)
    after(held, "add", lambda _, arguments: "held request")
    after(held, "end", lambda _, arguments: "held request carried out")
    after(held, "answer_left", lambda _, arguments: "answer left")
    after(outbox, "settle", lambda _, arguments: "delivery recorded")
    after(tidings, "remove", lambda removed, _: "alerts queued" if removed else None)
    after(kept_changes, "take", lambda _, arguments: "portion")
    after(lists, "add_list", lambda _, arguments: "lists cut")
    after(lists, "record_run", lambda _, arguments: "night done")
    after(leases, "claim", lambda lease, _: "lease claimed" if lease else None)
    after(leases, "renew", lambda _, arguments: "lease renewed")
    after(Outcomes, "time_out", lambda missed, _: "missed" if missed else None, at=1)

    @event.listens_for(Engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.info.pop(_MARKS, None)

    @event.listens_for(Engine, "commit")
    def _commit(connection: Connection) -> None:
        for what in _marks(connection.info):
            trap.reach(what, points.BEFORE_COMMIT)

    commit: Callable[[DefaultDialect, Any], None] = DefaultDialect.do_commit

    def do_commit(self: DefaultDialect, connection: Any) -> None:
        commit(self, connection)
        marks = _marks(connection.info)
        connection.info.pop(_MARKS, None)
        for what in marks:
            trap.reach(what, points.AFTER_COMMIT)
            if trap.reach(what, points.ANSWER_LOST):
                raise psycopg.OperationalError("the server closed the connection unexpectedly")

    DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]


def _marks(info: dict[Any, Any]) -> list[str]:
    marks = list(info.get(_MARKS, ()))
    # What is held is a request too, and has points of its own.
    return [one for one in marks if one != "request" or "held request" not in marks]


# --- Answers -----------------------------------------------------------------------------------------------------


def _hook_answers(trap: Trap) -> None:
    def hooked(*arguments: Any, **named: Any) -> Any:
        app = application(*arguments, **named)

        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            path = scope.get("path", "")
            what = ""

            async def sending(message: Any) -> None:
                nonlocal what
                if message["type"] == "http.response.start" and message["status"] < 300:
                    what = _answered(path, dict(message["headers"]))
                    trap.reach(what, points.BEFORE_ANSWER)
                await send(message)
                if what and message["type"] == "http.response.body":
                    # What was written is handed to the system at the end of this turn of the loop.
                    asyncio.get_running_loop().call_later(0.001, trap.reach, what, points.AFTER_ANSWER)

            await app(scope, receive, sending)

        # What serves an application tells it by its state when it is to stop.
        wrapped.state = app.state  # type: ignore[attr-defined]
        return wrapped

    serve.application = hooked  # type: ignore[attr-defined]  # what is put in its place there is served


def _answered(path: str, headers: Mapping[bytes, bytes]) -> str:
    if path == "/api/v1/csp":
        return "message of a CSP"
    if not path.startswith("/api/v1/service"):
        return ""
    return "held request" if b"duis-response-follows" in {name.lower() for name in headers} else "request"


# --- Messages ----------------------------------------------------------------------------------------------------


def _hook_messages(trap: Trap) -> None:
    write = aiohttp.ClientRequest.send
    under_way: ContextVar[str | None] = ContextVar("under_way", default=None)

    async def hooked_post(session: aiohttp.ClientSession, url: str, body: bytes, message_id: str) -> Reply:
        what = "list" if "/csp/" in url else "response" if b":ResponseID>" in body else "alert"
        trap.reach(what, points.BEFORE_SENDING)
        token = under_way.set(what)
        try:
            reply = await post(session, url, body, message_id)
        finally:
            under_way.reset(token)
        if reply.error is None:
            trap.reach(what, points.TAKEN)
        return reply

    async def hooked_write(self: aiohttp.ClientRequest, conn: HttpConnection) -> aiohttp.ClientResponse:
        response = await write(self, conn)
        what = under_way.get()
        if what is not None:
            trap.reach(what, points.ON_ITS_WAY)
        return response

    dispatch.post = hooked_post  # type: ignore[attr-defined]  # as above
    aiohttp.ClientRequest.send = hooked_write  # type: ignore[method-assign]
