"""Services as ASGI applications of their own, reached by their address without a router.

What a framework does for any kind of request, of its routing, its request and response objects and its layers for
errors, takes longer than all that these need of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sr_engine.connections import IN_ONE_PIECE, InOnePiece
from sr_engine.pipeline.answer import Answer
from sr_engine.pipeline.problem import problem

_WITHOUT_LENGTH = frozenset({204, 304})

FAILED = problem(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "the request could not be worked on and changed nothing; it may be sent again as it is",
)
"""The answer where something has gone wrong here, of which the log knows more."""


@dataclass(frozen=True, slots=True)
class Service:
    """An address at which messages are answered."""

    take: Callable[[Scope, Receive], Awaitable[Answer]]
    answer_left: Callable[[str, int], Awaitable[None]]
    """Told of each request of which a Response follows, once its answer has left."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self.take(scope, receive)
        except Exception:
            await _send(FAILED, scope, send)
            raise  # whoever serves this has it logged
        await _send(answer, scope, send)
        if answer.held is not None:
            await self.answer_left(*answer.held)


class Served(Starlette):
    """An application of the framework, past which what is posted to the address of a service goes to that service."""

    def __init__(self, services: Mapping[str, Service], **of_framework: Any) -> None:
        super().__init__(**of_framework)
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        service = self._services.get(scope.get("path", ""))
        if service is not None and scope.get("method") == "POST":
            await service(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


async def _send(answer: Answer, scope: Scope, send: Send) -> None:
    headers, body = headers_of(answer), answer.body
    in_one_piece: InOnePiece | None = scope.get(IN_ONE_PIECE)
    if in_one_piece is None or not in_one_piece(answer.status, headers, body):
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def headers_of(answer: Answer) -> list[tuple[bytes, bytes]]:
    """What the head of an answer says."""
    headers = [(b"duis-response-detail", answer.detail_header.encode("ascii"))]
    if answer.follows:
        headers.append((b"duis-response-follows", b"true"))
    if answer.retry_after is not None:
        headers.append((b"retry-after", b"%d" % answer.retry_after))
    if answer.status not in _WITHOUT_LENGTH:
        headers.append((b"content-length", b"%d" % len(answer.body)))
    if answer.body:
        headers.append((b"content-type", answer.content_type.encode("ascii")))
    return headers


def response_of(answer: Answer) -> Response:
    """The same as a response of the framework."""
    response = Response(answer.body, answer.status)
    response.raw_headers = headers_of(answer)
    return response
