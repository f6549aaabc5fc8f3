"""Services as ASGI applications of their own, reached by their address without a router.

What a framework does for any kind of request, of its routing, its request and response objects and its layers for
errors, takes longer than all that these need of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sr_engine.pipeline.answer import Answer

Headers = list[tuple[bytes, bytes]]
_WITHOUT_LENGTH = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Service:
    """An address at which messages are answered."""

    take: Callable[[Scope, Receive], Awaitable[Answer]]
    answer_left: Callable[[str, int], Awaitable[None]]
    """Told of each request of which a Response follows, once its answer has left."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self.take(scope, receive)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers_of(answer)})
        await send({"type": "http.response.body", "body": answer.body})
        if answer.held is not None:
            await self.answer_left(*answer.held)


@dataclass(frozen=True, slots=True)
class Direct:
    """Before an ASGI application: what is posted to an address named here goes to that service."""

    app: ASGIApp
    services: Mapping[str, Service]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        service = self.services.get(scope.get("path", ""))
        if service is not None and scope.get("method") == "POST":
            await service(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def headers_of(answer: Answer) -> Headers:
    """What the head of an answer says."""
    body = answer.body
    headers = [(b"duis-response-detail", answer.detail_header.encode("ascii"))]
    if answer.follows:
        headers.append((b"duis-response-follows", b"true"))
    if answer.retry_after is not None:
        headers.append((b"retry-after", b"%d" % answer.retry_after))
    if answer.status not in _WITHOUT_LENGTH:
        headers.append((b"content-length", b"%d" % len(body)))
    if body:
        headers.append((b"content-type", answer.content_type.encode("ascii")))
    return headers


def response_of(answer: Answer) -> Response:
    """The same as a response of the framework."""
    response = Response(answer.body, answer.status)
    response.raw_headers = headers_of(answer)
    return response
