"""The HTTP face of the service, as a plain ASGI application: a framework would cost as much as the signature."""

from __future__ import annotations

import asyncio
import binascii
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Any, Literal

from signing import DocumentRefused, KeyUnavailable, NotAuthenticated, ProfileRefused
from sr_engine.connections import CLIENT_CERTIFICATE
from sr_engine.messages.schema import SchemaRefused
from sr_engine.signservice.permissions import Access, Caller, NotPermitted, Permission, Tokens
from sr_engine.signservice.service import SignService

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 17 * 1024 * 1024
"""The largest body taken, with the message in base64 in it."""

HEAVY_BYTES = 64 * 1024
"""From this size on a body is worked on in a thread, so that small ones pass in between."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Background = Callable[[], AbstractAsyncContextManager[object]]

_CONTENT_REFUSED = (DocumentRefused, ProfileRefused, NotAuthenticated, SchemaRefused)

# The error codes are the exit codes of the command line, as text: clients know errorCode as a string.
_REFUSED = "10"
_KEY_MISSING = "3"
_ANYTHING_ELSE = "2"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


class _BadCall(Exception):
    """The body is not the JSON that the API takes."""


@dataclass(frozen=True, slots=True)
class _Call:
    message: bytes
    preserve_counter: bool


class SignApplication:
    """`POST /sign` and `POST /verify`, as an ASGI application."""

    def __init__(self, service: SignService, access: Access, *, background: Iterable[Background] = ()) -> None:
        """`background` is entered when the server starts and left when it stops."""
        self._access = access
        self._background = tuple(background)
        self._operations: dict[str, Callable[[_Call, Permission], bytes]] = {
            "/sign": lambda call, permission: service.sign(
                call.message, permission, preserve_counter=call.preserve_counter
            ),
            "/verify": lambda call, _permission: service.verify(call.message),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of the ASGI server: its lifespan or one HTTP exchange."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        answer = await self._exchange(scope, receive)
        if answer is None:
            return
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(answer.body)),
            *answer.headers,
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as running:
            await receive()
            for one in self._background:
                await running.enter_async_context(one())
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _exchange(self, scope: Scope, receive: Receive) -> _Answer | None:
        """None if the caller went away before it had sent everything."""
        operation = self._operations.get(scope["path"])
        if operation is None:
            return _error(404, "no such address here: there are /sign and /verify")
        if scope["method"] != "POST":
            return _error(405, "this address takes POST only", headers=((b"allow", b"POST"),))
        admitted = self._admit(scope)
        if isinstance(admitted, _Answer):
            return admitted
        body = await _body(receive)
        if body is None:
            return None
        if len(body) > MAX_BODY_BYTES:
            return _TOO_LARGE
        if len(body) >= HEAVY_BYTES:
            return await asyncio.to_thread(_work, operation, body, admitted)
        return _work(operation, body, admitted)

    def _admit(self, scope: Scope) -> Permission | _Answer:
        """From the headers alone: what the caller may do, or why it goes no further."""
        authorization = origin = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
            elif name == b"origin":
                origin = value
            elif name == b"content-length" and len(value) < 20 and int(value) > MAX_BODY_BYTES:
                return _TOO_LARGE
        permission = self._access.permission(Caller(authorization, scope.get(CLIENT_CERTIFICATE)))
        if permission is None:
            return _error(
                401, "you are not let in: send a token that is known here", headers=((b"www-authenticate", b"Bearer"),)
            )
        if origin is not None and not isinstance(self._access, Tokens):
            # Any page in a browser on this machine can reach the loopback address, and may add what headers it likes;
            # what it cannot do is leave this one out, or know a token.
            return _error(403, "web pages are not served here: the request has an Origin")
        return permission


def _work(operation: Callable[[_Call, Permission], bytes], body: bytes, permission: Permission) -> _Answer:
    try:
        result = operation(_read(body), permission)
    except _CONTENT_REFUSED as error:
        return _error(400, str(error), _REFUSED)
    except KeyUnavailable as error:
        return _error(400, str(error), _KEY_MISSING)
    except _BadCall as error:
        return _error(400, str(error))
    except NotPermitted as error:
        return _error(403, str(error))
    except Exception:
        log.exception("an exchange failed")
        return _error(500, "the message could not be worked on; the log of the service says why")
    return _Answer(200, b'{"message":"%s"}' % binascii.b2a_base64(result, newline=False))


def _read(body: bytes) -> _Call:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise _BadCall("the body is not JSON") from None
    if not isinstance(content, dict):
        raise _BadCall('the body is not a JSON object such as {"message": "PHNyOl..."}')
    message, preserve_counter = content.get("message"), content.get("preserveCounter", False)
    if not isinstance(message, str):
        raise _BadCall("the body has no message, a string of base64")
    if not isinstance(preserve_counter, bool):
        raise _BadCall("preserveCounter is neither true nor false")
    try:
        # Padding may be left out, as the tool whose API this is allows.
        data = binascii.a2b_base64(message + "=" * (-len(message) % 4), strict_mode=True)
    except ValueError:
        raise _BadCall("message is not base64") from None
    return _Call(data, preserve_counter)


async def _body(receive: Receive) -> bytes | None:
    """The body, cut off where it is too large; None if the caller went away."""
    event = await receive()
    if event["type"] == "http.disconnect":
        return None
    first: bytes = event.get("body", b"")
    if not event.get("more_body", False):
        return first
    chunks, size = [first], len(first)
    while size <= MAX_BODY_BYTES and event.get("more_body", False):
        event = await receive()
        if event["type"] == "http.disconnect":
            return None
        chunks.append(event.get("body", b""))
        size += len(chunks[-1])
    return b"".join(chunks)


Status = Literal[400, 401, 403, 404, 405, 413, 500]


def _error(
    status: Status, reason: str, code: str = _ANYTHING_ELSE, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> _Answer:
    if status in {400, 403, 500}:
        log.info("refused: %s", reason)
    return _Answer(status, json.dumps({"error": reason, "errorCode": code}).encode(), headers)


_TOO_LARGE = _Answer(
    413,
    json.dumps({"error": f"the body is larger than {MAX_BODY_BYTES} bytes", "errorCode": _ANYTHING_ELSE}).encode(),
)
