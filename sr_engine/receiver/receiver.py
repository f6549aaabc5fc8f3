"""The Supplier's end: an ASGI application that takes Responses and Alerts, and what it does beside."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

from signing import Trust
from sr_engine.clock import Clock, SystemClock
from sr_engine.parsing import RESPONSE_ROLES, Message, MessageRefused, Parser, Response
from sr_engine.receiver.bodies import BodyRefused, Receive, Room, Scope, Send, read_body
from sr_engine.receiver.handling import Handler, HandlerRetries, Handling
from sr_engine.receiver.inbox import Arrival, Entry, Inbox
from sr_engine.receiver.pull import Pull, Puller, PullFailed
from sr_engine.watching import Watched, Watcher

log = logging.getLogger(__name__)

MAX_BYTES = 16 * 1024 * 1024
"""Of a message, compressed or not."""

_HEAVY_BYTES = 64 * 1024
"""From this size on a message is verified in a thread, so that small ones pass in between."""
_BODY_SECONDS = 60.0
"""Until the whole body has to be there."""
_BODIES_AT_ONCE = 16
"""Of the largest size; there may be any number of small ones."""
_KEPT_TOGETHER = 256
"""Messages that share a transaction, at most."""
_STOPPED = "the receiver has stopped"
_ACKNOWLEDGED = "I99"
"""What a request that is held is answered at once."""


class Receiver:
    """Takes messages by HTTP POST, at whatever path it is asked; an ASGI application, alone or mounted in another.

    A message that is genuine is kept, then answered 204; the same again is answered 204 and not kept twice. What cannot
    be validated is answered 400 with the reason, and what cannot be kept now 503. The handler is given each message
    once it has been answered: in order for each device, one at a time unless `at_once` says otherwise, again later if
    it raises.

    Served alone, it starts and stops with its server. Mounted in another application, it has to be entered in the
    lifespan of that: `async with receiver.running():`.
    """

    def __init__(
        self,
        inbox: Path,
        trust: Trust | Path,
        handler: Handler,
        *,
        pull: Pull | None = None,
        retries: HandlerRetries = HandlerRetries(),  # noqa: B008 - it cannot be changed
        at_once: int = 1,
        keep: bool = True,
        max_bytes: int = MAX_BYTES,
        path: str | None = None,
        clock: Clock | None = None,
        roles: Collection[str] = RESPONSE_ROLES,
    ) -> None:
        """`inbox` is a SQLite file, made if need be; `keep` says whether bytes stay in it once they are handled.

        `trust` says whose messages are believed; a folder is read as `Trust.from_directory` does, and again when it
        changes. `path` is the only one that messages are taken at, if it is given. Raises KeyUnavailable, naming the
        file, if the folder cannot be read.
        """
        self._inbox_path = inbox
        self._watched: tuple[Watched, ...] = ()
        if isinstance(trust, Path):
            folder, trust = trust, Trust.from_directory(trust)
            self._watched = (Watched("the trusted certificates", folder, trust.reload),)
        self._parser = Parser.trusting(trust, roles=frozenset(roles))
        self._path = path
        self._handler = handler
        self._pull = pull
        self._retries = retries
        self._at_once = at_once
        self._keep = keep
        self._max_bytes = max_bytes
        self._room = Room(max_bytes * _BODIES_AT_ONCE)
        self._clock: Clock = SystemClock() if clock is None else clock
        self._running: _Running | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take and handle messages until the end of the block; raises InboxUnusable, RuntimeError if it does so."""
        if self._running is not None:
            raise RuntimeError("the receiver is running already")
        inbox = await asyncio.to_thread(Inbox, self._inbox_path)
        handling = Handling(
            inbox=inbox,
            lock_path=self._inbox_path.with_name(self._inbox_path.name + ".lock"),
            parser=self._parser,
            handler=self._handler,
            retries=self._retries,
            at_once=self._at_once,
            keep=self._keep,
        )
        puller = None if self._pull is None else Puller(self._pull, inbox, self._take)
        running = self._running = _Running(inbox, handling, puller)
        tasks = [asyncio.create_task(handling.run()), asyncio.create_task(running.keep_what_comes())]
        if self._pull is not None:
            tasks.append(asyncio.create_task(running.pull_for_ever(self._pull.every.total_seconds())))
        for task in tasks:
            task.add_done_callback(self._ended)
        try:
            async with Watcher(self._watched).running():
                yield
        finally:
            self._running = None
            running.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            inbox.close()

    async def receive(self, data: bytes, *, message_id: str | None = None) -> bool:
        """Verify and keep a message; False if it had come before. Raises MessageRefused, saying why, or InboxUnusable.

        For messages that come by another way than HTTP; it returns when the message is on the disk.
        """
        running = self._is_running()
        sha256 = hashlib.sha256(data).hexdigest()
        if await asyncio.to_thread(running.inbox.knows, sha256):
            return False
        await self._take(data, message_id)
        return True

    async def pull_once(self) -> int:
        """Fetch now what was missed; returns how much that was. Raises PullFailed."""
        running = self._is_running()
        if running.puller is None:
            raise PullFailed("this receiver was given no place to pull from")
        return await running.puller.once()

    async def settled(self) -> None:
        """Return when all that has come was handled or given up."""
        await self._is_running().handling.settled()

    async def parked(self) -> Sequence[Entry]:
        """The messages that were given up, and why."""
        return await asyncio.to_thread(self._is_running().inbox.parked)

    async def retry_parked(self) -> int:
        """Let the messages that were given up be handled once more; returns how many there are."""
        running = self._is_running()
        done = await asyncio.to_thread(running.inbox.unpark)
        running.handling.wake()
        return done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of the ASGI server: its lifespan or one HTTP exchange."""
        match scope["type"]:
            case "lifespan":
                await self._lifespan(receive, send)
            case "http":
                await self._answer(scope, receive, send)
            case other:
                raise ValueError(f"{other} is not served here")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with self.running():
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if self._path in {None, scope["path"]}:
            status, reason = await self._posted(scope["method"], headers, receive)
        else:
            status, reason = HTTPStatus.NOT_FOUND, f"messages are taken at {self._path}"
        await send({"type": "http.response.start", "status": status.value, "headers": _headers(status, reason)})
        await send({"type": "http.response.body", "body": b"" if reason is None else _problem(status, reason)})

    async def _posted(self, method: str, headers: dict[str, str], receive: Receive) -> tuple[HTTPStatus, str | None]:
        """What becomes of a POST: 204, or another status and why."""
        if method != "POST":
            return HTTPStatus.METHOD_NOT_ALLOWED, "messages are taken by POST"
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/xml":
            reason = f"the body must be application/xml, not {media_type or 'of no media type'}"
            return HTTPStatus.UNSUPPORTED_MEDIA_TYPE, reason
        if self._running is None:
            log.error("a message came and the receiver is not running: enter `running()` where it is mounted")
            return HTTPStatus.SERVICE_UNAVAILABLE, "the receiver is not running"
        with self._room.shared() as take:
            return await self._read_and_kept(headers, receive, take)

    async def _read_and_kept(
        self, headers: dict[str, str], receive: Receive, take: Callable[[int], None]
    ) -> tuple[HTTPStatus, str | None]:
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                data = await read_body(headers, receive, max_bytes=self._max_bytes, take=take)
        except TimeoutError:
            return HTTPStatus.REQUEST_TIMEOUT, f"the whole body did not come within {_BODY_SECONDS:g} s"
        except BodyRefused as refused:
            return refused.status, refused.reason
        try:
            await self.receive(data, message_id=headers.get("duis-message-id"))
        except MessageRefused as refused:
            log.warning("a message was refused: %s", refused.reason)
            place = f" (line {refused.line})" if refused.line is not None else ""
            return HTTPStatus.BAD_REQUEST, refused.reason + place
        except Exception:
            log.exception("a message cannot be kept; its sender is asked to send it again")
            return HTTPStatus.SERVICE_UNAVAILABLE, "the message cannot be kept now; send it again"
        return HTTPStatus.NO_CONTENT, None

    async def _take(self, data: bytes, message_id: str | None) -> None:
        """Verify a message and have it on the disk."""
        running, now = self._is_running(), self._clock.now()
        if len(data) >= _HEAVY_BYTES:
            message: Message = await asyncio.to_thread(self._parser.message, data, at=now)
        else:
            message = self._parser.message(data, at=now)
        if isinstance(message, Response) and message.response_id is None and message.code == _ACKNOWLEDGED:
            # Somebody has recorded what the client was told; as a Response it would say that the request is done.
            raise MessageRefused(f"this is what {message.request_id.text} was answered at once, not its Response")
        await running.kept(Arrival(message.sha256, now, message_id, message.device_ids, data))
        running.handling.wake(message)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Take nothing more that would never be handled."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("the receiver has failed, and takes no messages until it is started anew", exc_info=error)
            self._running = None

    def _is_running(self) -> _Running:
        if self._running is None:
            raise RuntimeError("the receiver is not running: `async with receiver.running():`")
        return self._running


class _Running:
    """What a receiver has while it runs."""

    def __init__(self, inbox: Inbox, handling: Handling, puller: Puller | None) -> None:
        self.inbox = inbox
        self.handling = handling
        self.puller = puller
        self._arrivals: asyncio.Queue[tuple[Arrival, asyncio.Future[None]]] = asyncio.Queue()
        self._has_stopped = False

    async def kept(self, arrival: Arrival) -> None:
        """Return when it is on the disk; raises what keeps it from being so."""
        if self._has_stopped:
            raise RuntimeError(_STOPPED)
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrivals.put_nowait((arrival, kept))
        await kept

    async def keep_what_comes(self) -> None:
        """Write what comes until cancelled; what came while the disk was written goes into one transaction."""
        while True:
            together = [await self._arrivals.get()]
            while len(together) < _KEPT_TOGETHER and not self._arrivals.empty():
                together.append(self._arrivals.get_nowait())
            failure: Exception | None = RuntimeError(_STOPPED)
            try:
                await asyncio.to_thread(self.inbox.add, [arrival for arrival, _ in together])
                failure = None
            except Exception as error:
                failure = error
            finally:
                for _, kept in together:
                    if kept.done():
                        continue
                    if failure is None:
                        kept.set_result(None)
                    else:
                        kept.set_exception(failure)

    def stop(self) -> None:
        """Let nobody wait for what will not be written any more."""
        self._has_stopped = True
        while not self._arrivals.empty():
            _, kept = self._arrivals.get_nowait()
            if not kept.done():
                kept.set_exception(RuntimeError(_STOPPED))

    async def pull_for_ever(self, seconds: float) -> None:
        """Fetch what was missed, now and then, until cancelled."""
        assert self.puller is not None  # noqa: S101 - whoever calls this has one
        while True:
            try:
                if fetched := await self.puller.once():
                    log.info("%d messages were missed and have been fetched", fetched)
            except PullFailed as failed:
                log.warning("%s", failed)
            except Exception:
                log.exception("fetching what was missed failed; it is tried again")
            await asyncio.sleep(seconds)


def _headers(status: HTTPStatus, reason: str | None) -> list[tuple[bytes, bytes]]:
    if reason is None:
        return []
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(_problem(status, reason))),
    ]
    match status:
        case HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append((b"allow", b"POST"))
        case HTTPStatus.SERVICE_UNAVAILABLE:
            headers.append((b"retry-after", b"5"))
        case _:
            pass
    return headers


def _problem(status: HTTPStatus, reason: str) -> bytes:
    """RFC 9457."""
    return json.dumps({"title": status.phrase, "status": status.value, "detail": reason}).encode()
