"""The console as an ASGI application, to be mounted at /console: who is let in to which page, and how it answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Message

from sr_engine.console import account_pages, live, sign_in_pages
from sr_engine.console.crowding import Crowded
from sr_engine.console.desk import Desk
from sr_engine.console.pages import Page, Section, Visit, go, is_number
from sr_engine.console.security import CSRF_FIELD, HEADERS, PATH, comes_from_here, holds_nul, is_ours, session_cookie
from sr_engine.operations.signing_in import Present
from sr_engine.store import console_sessions
from sr_engine.store.database import AWAY_FOR_SECONDS, DatabaseAway
from sr_engine.store.units_of_work import NO_HUBS

log = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]
_FIELDS = 2000
_LIVE = "x-live"
"""Sent by a page that fetches itself anew (`static/console.js`)."""
_AWAY = (
    "The database is away",
    "What you asked for may have been done: look again in a minute, and ask once more if it was not.",
)
_WORDS = {
    HTTPStatus.NOT_FOUND: ("There is nothing here", "The page you asked for does not exist, or is not yours to see."),
    HTTPStatus.FORBIDDEN: ("Not for this account", "Your account does not have the role that this page needs."),
    HTTPStatus.METHOD_NOT_ALLOWED: ("Not this way", "Open the page from the navigation and use its form."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("Too large", "What you sent is larger than what is taken here."),
    HTTPStatus.BAD_REQUEST: ("That did not work", "The form is not one of ours, or too old: open its page again."),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Too much at once", "Nothing was changed. Try again in a few seconds."),
    HTTPStatus.INTERNAL_SERVER_ERROR: (
        "Something went wrong here",
        "Nothing of what you asked for was half done. Try again; if it happens again, tell your operator the time.",
    ),
}


class TooLarge(Exception):
    """More was sent than a page takes."""


def console_routes(
    desk: Desk, sections: Sequence[Section], more_routes: Sequence[BaseRoute] = ()
) -> Sequence[BaseRoute]:
    """All pages of the sections, at /console; `more_routes`, below it, need no sign-in."""
    desk = replace(desk, navigation=tuple(entry for one in sections for entry in one.navigation))

    async def begin(_request: Request) -> Response:
        return go("/")

    return [
        Route(PATH, begin, methods=["GET"]),
        Mount(PATH, _app(desk, (account_pages.section(), *sections), more_routes)),
    ]


def _app(desk: Desk, sections: Sequence[Section], more_routes: Sequence[BaseRoute]) -> Starlette:
    routes: list[BaseRoute] = [desk.assets.route(), *sign_in_pages.routes(desk), *more_routes]
    for section in sections:
        for page in section.pages:
            methods = ["POST"] if page.changes else ["GET"]
            routes.append(Route(page.path, _endpoint(desk, page), methods=methods))
            if page.stamp is not None:
                routes.append(Route(f"{page.path}/live", live.endpoint(desk, page, _let_in), methods=["GET"]))

    async def http_error(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            return await _told(desk, request, HTTPStatus.BAD_REQUEST)
        status = HTTPStatus(error.status_code)
        response = await _told(desk, request, status, "" if error.detail == status.phrase else error.detail)
        response.headers.update(error.headers or {})
        return response

    async def failure(request: Request, _error: Exception) -> Response:
        return await _told(desk, request, HTTPStatus.INTERNAL_SERVER_ERROR)

    async def crowded(request: Request, error: Exception) -> Response:
        response = await _told(desk, request, HTTPStatus.SERVICE_UNAVAILABLE)
        if isinstance(error, Crowded):
            response.headers["Retry-After"] = str(error.retry_after)
        return response

    async def away(request: Request, error: Exception) -> Response:
        log.warning("a page is answered HTTP 503: %s", error)
        heading, words = _AWAY
        # Who asks cannot be looked up either.
        status = HTTPStatus.SERVICE_UNAVAILABLE
        response = await desk.show(request, "error.html", status=status, heading=heading, words=words)
        response.headers["Retry-After"] = str(AWAY_FOR_SECONDS)
        return response

    handlers = {HTTPException: http_error, Crowded: crowded, DatabaseAway: away, Exception: failure}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


async def _told(desk: Desk, request: Request, status: HTTPStatus, detail: str = "") -> Response:
    heading, words = _WORDS.get(status, (status.phrase, status.description or "Nothing was changed."))
    visit = None
    token = request.cookies.get(session_cookie(request))
    if token is not None and status is not HTTPStatus.INTERNAL_SERVER_ERROR:
        present = await desk.read(lambda connection: desk.signing_in.present(connection, token))
        if present is not None and _unfinished(desk, present) is None:
            visit = Visit(request, desk, Page("", _nothing, None), present, token)
    return await desk.show(request, "error.html", status=status, visit=visit, heading=heading, words=detail or words)


async def _nothing(_visit: Visit) -> Response:
    raise HTTPException(HTTPStatus.NOT_FOUND)


def _endpoint(desk: Desk, page: Page) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        let_in = await _let_in(desk, page, request)
        if isinstance(let_in, Response):
            return let_in
        visit = let_in
        if page.changes:
            form = await _form(request, page.max_bytes)
            typed = (one for one in form.values() if isinstance(one, str))
            if holds_nul(*typed) or not comes_from_here(request) or not is_ours(visit.token, form.get(CSRF_FIELD)):
                await form.close()
                raise HTTPException(HTTPStatus.BAD_REQUEST)
            visit = Visit(request, desk, page, visit.present, visit.token, form)
        try:
            response = await page.handler(visit)
        finally:
            if isinstance(visit.form, FormData):
                await visit.form.close()
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return endpoint


async def _let_in(desk: Desk, page: Page, request: Request) -> Visit | Response:
    """Who asks, if a page is for them; raises HTTPException, or sends them where they have to go first."""
    numbers = [one for one in request.path_params.values() if isinstance(one, int)]
    if holds_nul(request.url.path, *request.query_params.values()) or not all(map(is_number, numbers)):
        raise HTTPException(HTTPStatus.NOT_FOUND)
    token = request.cookies.get(session_cookie(request))
    present = None
    if token is not None:
        present = await desk.read(lambda connection: desk.signing_in.present(connection, token))
    if present is None or token is None:
        if page.changes:
            return go("/sign-in")
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return go("/sign-in", next=wanted)
    first = _unfinished(desk, present)
    if first is not None and page.path not in (first, f"{first}/codes", "/sign-out"):
        return go(first)
    if page.role is not None and str(page.role) not in present.account.roles:
        raise HTTPException(HTTPStatus.FORBIDDEN)
    # A page that refreshes itself does not mean that somebody is there.
    if _LIVE not in request.headers and present.is_to_be_seen(desk.signing_in.clock.now()):
        digest, now = present.session.token_sha256, desk.signing_in.clock.now()
        await desk.transactions.run(
            lambda unit_of_work: console_sessions.seen(unit_of_work.connection, digest, now), hubs=NO_HUBS
        )
    return Visit(request, desk, page, present, token)


def _unfinished(desk: Desk, present: Present) -> str | None:
    """The page that has to be dealt with before any other."""
    account, session = present.account, present.session
    if account.totp_secret is not None and not session.second_factor:
        return "/sign-in/second"
    if account.must_change:
        return "/account/password"
    wanted = account.roles & {str(role) for role in desk.rules.sign_in.second_factor_for}
    if wanted and account.totp_secret is None and account.oidc_subject is None:
        return "/account/second-factor"
    return None


async def _form(request: Request, max_bytes: int) -> FormData:
    """The form in a request; raises HTTPException for one that is too large or none."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in {"application/x-www-form-urlencoded", "multipart/form-data"}:
        raise HTTPException(HTTPStatus.BAD_REQUEST)
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdecimal() and int(announced) > max_bytes:
        raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    size, receive = 0, request.receive

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > max_bytes:
            raise TooLarge
        return message

    try:
        async with asyncio.timeout(60):
            return await Request(request.scope, counted).form(max_files=1, max_fields=_FIELDS, max_part_size=max_bytes)
    except TooLarge:
        raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE) from None
    except (TimeoutError, ClientDisconnect):
        raise HTTPException(HTTPStatus.BAD_REQUEST) from None
