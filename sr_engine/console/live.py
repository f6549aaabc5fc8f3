"""Pages with running work are told by server-sent events when they would show anything new."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response

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
        return EventSourceResponse(_events(desk, stamp, visit, before), headers=HEADERS, ping=20)

    return stream


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
