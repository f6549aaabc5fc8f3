"""Pages with running work are told by server-sent events when they would show anything new."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from sr_engine.console.crowding import Crowded
from sr_engine.console.desk import Desk
from sr_engine.console.pages import Page, Stamp, Visit
from sr_engine.console.security import HEADERS

LetIn = Callable[[Desk, Page, Request], Awaitable[Visit | Response]]


def endpoint(desk: Desk, page: Page, let_in: LetIn) -> Callable[[Request], Awaitable[Response]]:
    """The stream of a page: one event, `changed`, each time; it ends with the session, and after a while by itself."""

    async def stream(request: Request) -> Response:
        visit = await let_in(desk, page, request)
        if isinstance(visit, Response):
            # A redirect would be followed for ever by a browser that reconnects; 204 tells it to stop.
            return Response(status_code=204, headers=HEADERS)
        stamp = page.stamp
        before = "" if stamp is None else await desk.read(lambda connection: stamp(visit, connection))
        if stamp is None or not before:
            return Response(status_code=204, headers=HEADERS)
        return _Stream(desk, visit, _events(desk, stamp, visit, before))

    return stream


class _Stream(Response):
    """The events, if there is a place for one more stream; without it the page works all the same."""

    def __init__(self, desk: Desk, visit: Visit, events: AsyncIterator[ServerSentEvent]) -> None:
        super().__init__(headers=HEADERS)
        self._desk = desk
        self._visit = visit
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The place is given back however it ends, also where nothing was sent."""
        try:
            with self._desk.streams.place(self._visit.account.account_id):
                await EventSourceResponse(self._events, headers=HEADERS, ping=20)(scope, receive, send)
        except Crowded as crowded:
            headers = {**HEADERS, "Retry-After": str(crowded.retry_after)}
            words = "too many pages refresh themselves just now: load the page again to see what is new"
            await PlainTextResponse(words, HTTPStatus.TOO_MANY_REQUESTS, headers)(scope, receive, send)


async def _events(desk: Desk, stamp: Stamp, visit: Visit, before: str) -> AsyncIterator[ServerSentEvent]:
    look = desk.rules.pages.look.total_seconds()
    # What was missed between the making of the page and now is made up for by a first event.
    shown = visit.query("stamp")
    # That there is something new is all that is said: what tells it may count what is others' too.
    yield ServerSentEvent(event="changed" if shown not in {"", before} else "ready", data="")
    for _ in range(max(1, int(desk.rules.pages.live.total_seconds() / look))):
        await asyncio.sleep(look)
        present = await desk.read(lambda connection: desk.signing_in.present(connection, visit.token))
        if present is None:
            yield ServerSentEvent(event="ended", data="")
            return
        now = await desk.read(lambda connection: stamp(visit, connection))
        if now != before:
            before = now
            yield ServerSentEvent(event="changed", data="")
