"""The door of the interface: who is let in, how often, with how large a body; and what every answer bears."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sr_engine.api.desk import Caller, Desk
from sr_engine.api.limits import Rates, Standing
from sr_engine.api.problems import Problem, away, failure
from sr_engine.operations import api_tokens
from sr_engine.peers import Peers
from sr_engine.store.api_tokens import Token
from sr_engine.store.database import DatabaseAway
from sr_engine.store.units_of_work import NO_HUBS

log = logging.getLogger(__name__)

OPEN_TO_ALL = "/openapi.json"
JSON = "application/json"
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_STREAM = "text/event-stream"
_BEARER = {"WWW-Authenticate": "Bearer"}


class _Gone(Exception):
    """The client has gone before its request was whole."""


@dataclass(frozen=True, slots=True)
class Door:
    """Around the application, and the first to see a request: nothing of a body is read before its sender is let in."""

    app: ASGIApp
    desk: Desk
    rates: Rates
    peers: Peers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        reply = _Reply(scope, send)
        try:
            if _path(scope) == OPEN_TO_ALL:
                await self.app(scope, receive, reply)
                return
            _check_address(scope)
            headers = Headers(scope=scope)
            caller = await self._caller(scope, headers)
            standing = self.rates.count(caller.token.token_id)
            reply.more.update(standing.headers)
            _check(standing)
            if not api_tokens.is_noted(caller.token, self.desk.clock.now()):
                await self._note(scope, caller.token)
            scope["caller"] = caller
            scope["stopping"] = _stopping(scope)
            body = await self._body(scope, headers, receive)
            await self.app(scope, _replayed(body, receive), reply)
        except Problem as problem:
            await problem.response()(scope, receive, reply)
        except _Gone:
            return
        except DatabaseAway as error:
            # Before the application had it.
            await away(error).response()(scope, receive, reply)
        except Exception:
            log.exception("%s %s failed", scope["method"], _path(scope))
            if not reply.begun:
                await failure().response()(scope, receive, reply)

    async def _caller(self, scope: Scope, headers: Headers) -> Caller:
        given = headers.get("authorization", "").split()
        if len(given) != 2 or given[0].lower() != "bearer":
            raise Problem(HTTPStatus.UNAUTHORIZED, "send your token, as Authorization: Bearer TOKEN", headers=_BEARER)
        now = self.desk.clock.now()
        token = await self.desk.read(lambda connection: api_tokens.find(connection, given[1], now))
        if token is None:
            raise Problem(HTTPStatus.UNAUTHORIZED, "the token is not good, or not any more", headers=_BEARER)
        if not self._is_over_its_own(scope, token):
            detail = "the token has to be bound to a certificate, and is good only over connections that have shown it"
            raise Problem(HTTPStatus.UNAUTHORIZED, detail, headers=_BEARER)
        if token.user_eui is None:
            return Caller(token, None)
        user = self.desk.users.by_eui(token.user_eui)
        if user is None or not self.desk.users.is_active(user):
            raise Problem(HTTPStatus.FORBIDDEN, "the User that the token acts for is suspended, or none any more")
        return Caller(token, user)

    def _is_over_its_own(self, scope: Scope, token: Token) -> bool:
        """Whether the connection has shown the certificate that a token is bound to (RFC 8705, section 3).

        One that is bound to none is good over any, unless policy says otherwise.
        """
        if token.certificate_sha256 is None:
            return not self.desk.policy.tokens.must_be_bound
        return token.certificate_sha256 == self.peers.of(scope).certificate_sha256

    async def _note(self, scope: Scope, token: Token) -> None:
        client = scope.get("client")
        address = "unknown" if client is None else str(client[0])
        await self.desk.transactions.run(lambda uow: api_tokens.note_use(uow, token, address), hubs=NO_HUBS)

    async def _body(self, scope: Scope, headers: Headers, receive: Receive) -> bytes:
        """The whole body; raises Problem for one that is too large, too slow, or not JSON."""
        most = self.desk.policy.limits.max_body_bytes
        too_large = Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than the {most} bytes taken")
        announced = headers.get("content-length", "")
        if announced.isascii() and announced.isdecimal() and int(announced) > most:
            raise too_large
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must not be compressed")
        within = self.desk.body_within.total_seconds()
        chunks, size = [], 0
        try:
            async with asyncio.timeout(within):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Gone
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > most:
                        raise too_large
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise Problem(HTTPStatus.REQUEST_TIMEOUT, f"the whole body did not come within {within:.0f} s") from None
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] in _WITH_BODY and size and media_type != JSON:
            raise Problem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body must be {JSON}, not {media_type or 'of no media type'}"
            )
        return b"".join(chunks)


def _check_address(scope: Scope) -> None:
    """Raises Problem for one with a text in it that PostgreSQL takes for an error to be asked for."""
    if "\0" in _path(scope) or b"%00" in scope.get("query_string", b""):
        raise Problem(HTTPStatus.BAD_REQUEST, "there is nothing whose name holds U+0000")


def _check(standing: Standing) -> None:
    """Raises Problem if it was one request too many."""
    if not standing.allowed:
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"your token has asked for too much; send it again in {standing.retry_after} s",
            headers={"Retry-After": str(standing.retry_after)},
        )


class _Reply:
    """Adds to every answer what it bears; what can be compared gets an ETag, and is left out if it is known."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.begun = False
        self.more: dict[str, str] = {"Cache-Control": "private, no-cache"}
        self._scope = scope
        self._send = send
        self._start: Message | None = None
        self._body: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            for name, value in self.more.items():
                headers.setdefault(name, value)
            comparable = (
                self._scope["method"] == "GET"
                and message["status"] == HTTPStatus.OK
                and headers.get("content-type", "").startswith(JSON)
                and headers.get("cache-control") != "no-store"
            )
            if comparable:
                self._start = message
                return
            self.begun = True
        elif self._start is not None:
            self._body.append(message.get("body", b""))
            if not message.get("more_body", False):
                await self._compared(self._start, b"".join(self._body))
            return
        await self._send(message)

    async def _compared(self, start: Message, body: bytes) -> None:
        headers = MutableHeaders(raw=start["headers"])
        headers.setdefault("ETag", etag_of(body))
        known = Headers(scope=self._scope).get("if-none-match")
        if known is not None and matches(known, headers["ETag"]):
            del headers["content-length"]
            del headers["content-type"]
            start, body = {**start, "status": HTTPStatus.NOT_MODIFIED.value}, b""
        self.begun = True
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def etag_of(body: bytes) -> str:
    """What stands for a representation."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def matches(header: str, etag: str) -> bool:
    """Whether If-Match or If-None-Match names an ETag."""
    named = [one.strip().removeprefix("W/") for one in header.split(",")]
    return "*" in named or etag in named


def _stopping(scope: Scope) -> Callable[[], bool]:
    """What tells whether the server has been told to stop; never, where nobody says so."""
    found: Callable[[], bool] = getattr(scope["app"].state, "is_stopping", lambda: False)
    return found


def _path(scope: Mapping[str, object]) -> str:
    """The address below the one that the interface stands at."""
    return str(scope["path"]).removeprefix(str(scope.get("root_path", "")))


def _replayed(body: bytes, receive: Receive) -> Receive:
    """What the application is given: the body that has come already, and then what comes from the client."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
