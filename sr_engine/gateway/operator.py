"""What the DCC's operators decide over HTTP, as JSON: requests in quarantine (section 2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sr_engine.domain.holding import HoldReason
from sr_engine.gateway.registrations import JSON, problem
from sr_engine.gateway.tokens import bears
from sr_engine.operations import quarantine
from sr_engine.pipeline.answer import Answer
from sr_engine.store import held
from sr_engine.store.reading import Reading
from sr_engine.store.transactions import Transactions


@dataclass(frozen=True, slots=True)
class OperatorDesk:
    """Shows and decides what an operator may; nothing without the operator's token."""

    token_sha256: str
    reading: Reading
    transactions: Transactions
    after_work: Callable[[], None]
    """Called when something was decided."""

    def routes(self) -> list[Route]:
        """The addresses."""
        return [
            Route("/operator/quarantine", self._endpoint(self._list), methods=["GET"]),
            Route("/operator/quarantine/{event_ref}/release", self._endpoint(self._release), methods=["POST"]),
            Route("/operator/quarantine/{event_ref}/delete", self._endpoint(self._delete), methods=["POST"]),
        ]

    def _endpoint(self, take: Callable[[Request], Awaitable[Answer]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            headers = {}
            if bears(request.headers.get("authorization"), self.token_sha256):
                answer = await take(request)
            else:
                answer = problem(HTTPStatus.UNAUTHORIZED, "send the operator's token, as Authorization: Bearer TOKEN")
                headers["WWW-Authenticate"] = "Bearer"
            return Response(answer.body, answer.status, headers, answer.content_type if answer.body else None)

        return endpoint

    async def _list(self, _request: Request) -> Answer:
        found = await asyncio.to_thread(self._quarantined)
        return Answer(HTTPStatus.OK, json.dumps({"quarantined": found}).encode(), f"{len(found)} requests", JSON)

    def _quarantined(self) -> list[dict[str, object]]:
        return [
            {
                "quarantine_event_ref": one.event_ref,
                "request_id": one.request_id,
                "service_reference_variant": one.service_reference_variant,
                "threshold_of": one.breach,
                "held_at": one.held_at.isoformat().replace("+00:00", "Z"),
                "until": one.ready_at.isoformat().replace("+00:00", "Z"),
                "decided": one.decided,
            }
            for one in self.reading(lambda connection: held.waiting(connection, HoldReason.QUARANTINE))
        ]

    async def _release(self, request: Request) -> Answer:
        return await self._decide(request, release=True)

    async def _delete(self, request: Request) -> Answer:
        return await self._decide(request, release=False)

    async def _decide(self, request: Request, *, release: bool) -> Answer:
        event_ref = request.path_params["event_ref"]
        try:
            await self.transactions.run(
                lambda unit_of_work: quarantine.decide(unit_of_work, event_ref, release=release)
            )
        except quarantine.NotQuarantined as refused:
            return problem(HTTPStatus.NOT_FOUND, str(refused))
        self.after_work()
        return Answer(HTTPStatus.NO_CONTENT, b"", "released" if release else "deleted")
