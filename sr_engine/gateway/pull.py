"""What a receiver has missed, for it to fetch: messages sent to a User or a region's CSP, and whole Responses."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sr_engine.configuration import Region, UserDirectory
from sr_engine.delivery.having import note_had
from sr_engine.gateway.fairness import Places
from sr_engine.gateway.registrations import JSON, problem
from sr_engine.gateway.tokens import digest_of
from sr_engine.messages.identifiers import RequestId
from sr_engine.pipeline.answer import XML, Answer
from sr_engine.store import held, mailbox
from sr_engine.store.reading import Connection, Reading
from sr_engine.store.units_of_work import NO_HUBS, Runs

T = TypeVar("T")

MOST_MESSAGES = 1_000
"""Messages named in one answer."""

FETCHED_AT_ONCE = 4

_NOT_LET_IN = "send your token, as Authorization: Bearer TOKEN"

Fetch = Callable[[Request, str], Awaitable[Answer]]
"""Answers a receiver, which is named as in the outbox: `user:<EUI>` or `csp:<region>`."""


@dataclass(frozen=True, slots=True)
class PullDesk:
    """Lets a User, or a region's CSP, with a token fetch what was sent to it, and nothing else.

    What a CSP has fetched it has, and it is sent no more: that is noted before it gets it. A User's alerts are sent all
    the same, in their order.
    """

    users: UserDirectory
    regions: Mapping[str, Region]
    reading: Reading
    transactions: Runs
    places: Places = field(default_factory=lambda: Places(FETCHED_AT_ONCE))
    """So that what is fetched leaves the processor's threads and memory to what it is there for, and one of these to
    whoever has none."""

    def routes(self) -> list[Route]:
        """The addresses, for those who have a token."""
        return [
            Route("/api/v1/messages", self._endpoint(self._list), methods=["GET"]),
            Route("/api/v1/messages/{message_id}", self._endpoint(self._message), methods=["GET"]),
            Route("/api/v1/responses/{request_id}", self._endpoint(self._response), methods=["GET"]),
        ]

    def _endpoint(self, fetch: Fetch) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            receiver = self._receiver(digest_of(request.headers.get("authorization")))
            if receiver is None:
                refused = problem(HTTPStatus.UNAUTHORIZED, _NOT_LET_IN)
                headers = {"WWW-Authenticate": "Bearer"}
                return Response(refused.body, refused.status, headers, refused.content_type)
            if not self.places.free_for(receiver):
                answer = problem(HTTPStatus.SERVICE_UNAVAILABLE, "too much is being fetched; send it again in a second")
                return Response(answer.body, answer.status, {"Retry-After": "1"}, answer.content_type)
            self.places.take(receiver)
            try:
                answer = await fetch(request, receiver)
            finally:
                self.places.give_back(receiver)
            return Response(answer.body, answer.status, media_type=answer.content_type)

        return endpoint

    def _receiver(self, token_sha256: str | None) -> str | None:
        """Whose token it is."""
        user = self.users.by_token(token_sha256)
        if user is not None:
            return f"user:{user.eui}"
        regions = (region for region in self.regions.values() if token_sha256 is not None)
        return next((f"csp:{region.name}" for region in regions if region.token_sha256 == token_sha256), None)

    async def _list(self, request: Request, receiver: str) -> Answer:
        limit = request.query_params.get("limit", str(MOST_MESSAGES))
        if re.fullmatch("[0-9]{1,4}", limit) is None or not 1 <= int(limit) <= MOST_MESSAGES:
            return problem(HTTPStatus.BAD_REQUEST, f"limit must be a whole number from 1 to {MOST_MESSAGES}")
        after = request.query_params.get("after")
        try:
            found = await self._read(
                lambda connection: mailbox.messages(connection, receiver, after=after, limit=int(limit))
            )
        except mailbox.UnknownMessage:
            return problem(
                HTTPStatus.BAD_REQUEST,
                f"after must be the id of a message that was sent to you and is still kept, not {after}",
            )
        listed = [
            {
                "message_id": one.message_id,
                "kind": one.kind,
                "created_at": one.created_at.isoformat().replace("+00:00", "Z"),
                "delivered": one.delivered,
                "sha256": one.sha256,
            }
            for one in found
        ]
        body = json.dumps({"messages": listed}).encode()
        return Answer(HTTPStatus.OK, body, f"{len(listed)} messages", JSON)

    async def _message(self, request: Request, receiver: str) -> Answer:
        message_id = request.path_params["message_id"]
        try:
            body, taken = await self._read(lambda connection: mailbox.message(connection, receiver, message_id))
        except mailbox.UnknownMessage:
            return problem(
                HTTPStatus.NOT_FOUND,
                f"no message {message_id} was sent to you, or it is so old that it is not kept any more",
            )
        if receiver.startswith("csp:") and not taken:
            await self.transactions.run(lambda unit_of_work: note_had(unit_of_work, message_id), hubs=NO_HUBS)
        return Answer(HTTPStatus.OK, body, "found", XML)

    async def _response(self, request: Request, receiver: str) -> Answer:
        text = request.path_params["request_id"]
        try:
            key = RequestId.parse(text).key
        except ValueError:
            return problem(HTTPStatus.BAD_REQUEST, "the last part of the address must be a RequestID")
        found = await self._read(lambda connection: held.ended(connection, key, receiver.removeprefix("user:")))
        if found is not None and found.response is None:
            return problem(HTTPStatus.GONE, f"there is no Response to {text}: it was {found.detail}")
        if found is not None and not found.response:
            return problem(HTTPStatus.GONE, f"the Response to {text} is so old that it is not kept any more")
        if found is None or found.response is None:
            return problem(
                HTTPStatus.NOT_FOUND, f"there is no Response to {text}, or not yet; only what was held has one"
            )
        return Answer(HTTPStatus.OK, found.response, "found", XML)

    async def _read(self, look: Callable[[Connection], T]) -> T:
        return await asyncio.to_thread(self.reading, look)
