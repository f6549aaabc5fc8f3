"""What a Supplier's systems have missed, for them to fetch: messages sent to a User, and whole Responses."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sr_engine.configuration import UserDirectory
from sr_engine.configuration.users import User
from sr_engine.gateway.registrations import JSON, problem
from sr_engine.gateway.tokens import digest_of
from sr_engine.messages.identifiers import RequestId
from sr_engine.pipeline.answer import XML, Answer
from sr_engine.store import held, mailbox
from sr_engine.store.reading import Reading

MOST_MESSAGES = 1_000
"""Messages named in one answer."""

_NOT_LET_IN = "send the token of your User, as Authorization: Bearer TOKEN"

Fetch = Callable[[Request, User], Answer]


@dataclass(frozen=True, slots=True)
class PullDesk:
    """Lets a User with a token fetch what was sent to it, and nothing else."""

    users: UserDirectory
    reading: Reading

    def routes(self) -> list[Route]:
        """The addresses, for Users that have a token."""
        return [
            Route("/api/v1/messages", self._endpoint(self._list), methods=["GET"]),
            Route("/api/v1/messages/{message_id}", self._endpoint(self._message), methods=["GET"]),
            Route("/api/v1/responses/{request_id}", self._endpoint(self._response), methods=["GET"]),
        ]

    def _endpoint(self, fetch: Fetch) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            user = self.users.by_token(digest_of(request.headers.get("authorization")))
            if user is None:
                refused = problem(HTTPStatus.UNAUTHORIZED, _NOT_LET_IN)
                headers = {"WWW-Authenticate": "Bearer"}
                return Response(refused.body, refused.status, headers, refused.content_type)
            answer = await asyncio.to_thread(fetch, request, user)
            return Response(answer.body, answer.status, media_type=answer.content_type)

        return endpoint

    def _list(self, request: Request, user: User) -> Answer:
        limit = request.query_params.get("limit", str(MOST_MESSAGES))
        if not (limit.isascii() and limit.isdecimal() and 1 <= int(limit) <= MOST_MESSAGES):
            return problem(HTTPStatus.BAD_REQUEST, f"limit must be a whole number from 1 to {MOST_MESSAGES}")
        after = request.query_params.get("after")
        try:
            found = self.reading(
                lambda connection: mailbox.messages(connection, _destination(user), after=after, limit=int(limit))
            )
        except mailbox.UnknownMessage:
            return problem(
                HTTPStatus.BAD_REQUEST, f"after must be the id of a message that was sent to you, not {after}"
            )
        listed = [
            {
                "message_id": one.message_id,
                "kind": one.kind,
                "created_at": one.created_at.isoformat().replace("+00:00", "Z"),
                "delivered": one.delivered,
                "sha256": hashlib.sha256(one.body).hexdigest(),
            }
            for one in found
        ]
        body = json.dumps({"messages": listed}).encode()
        return Answer(HTTPStatus.OK, body, f"{len(listed)} messages", JSON)

    def _message(self, request: Request, user: User) -> Answer:
        message_id = request.path_params["message_id"]
        try:
            body = self.reading(lambda connection: mailbox.message(connection, _destination(user), message_id))
        except mailbox.UnknownMessage:
            return problem(HTTPStatus.NOT_FOUND, f"no message {message_id} was sent to you")
        return Answer(HTTPStatus.OK, body, "found", XML)

    def _response(self, request: Request, user: User) -> Answer:
        text = request.path_params["request_id"]
        try:
            key = RequestId.parse(text).key
        except ValueError:
            return problem(HTTPStatus.BAD_REQUEST, "the last part of the address must be a RequestID")
        found = self.reading(lambda connection: held.response(connection, key, user.eui))
        if found is None:
            return problem(
                HTTPStatus.NOT_FOUND, f"there is no Response to {text}, or not yet; only what was held has one"
            )
        return Answer(HTTPStatus.OK, found, "found", XML)


def _destination(user: User) -> str:
    return f"user:{user.eui}"
