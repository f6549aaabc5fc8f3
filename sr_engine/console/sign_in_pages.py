"""Signing in and out."""

from __future__ import annotations

import math
from contextlib import suppress

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sr_engine.console.crowding import Crowded
from sr_engine.console.desk import Desk
from sr_engine.console.pages import go, url
from sr_engine.console.security import (
    CSRF_FIELD,
    comes_from_here,
    csrf_token,
    drop_cookie,
    form_cookie,
    holds_nul,
    is_ours,
    is_own_path,
    session_cookie,
    set_cookie,
)
from sr_engine.operations.signing_in import Present, Refused, SignedIn
from sr_engine.store import accounts
from sr_engine.store.accounts import Account
from sr_engine.store.units_of_work import UnitOfWork

_MOST_BYTES = 16_384
_WRONG = "Login or password is not right. Check both, and that Caps Lock is off."
_CROWDED = "Too many people are signing in just now. Nothing was tried; please try again in a few seconds."
_WRONG_CODE = "That code is not right, or was used before. Wait for the next one in your app and type it."


def routes(desk: Desk) -> list[Route]:
    """What needs no session."""
    pages = SignInPages(desk)
    return [
        Route("/sign-in", pages.form, methods=["GET"]),
        Route("/sign-in", pages.take, methods=["POST"]),
        Route("/sign-in/second", pages.second_form, methods=["GET"]),
        Route("/sign-in/second", pages.take_second, methods=["POST"]),
        Route("/sign-out", pages.leave, methods=["POST"]),
    ]


def address_of(request: Request) -> str:
    """Where a request comes from."""
    return "unknown" if request.client is None else request.client.host


class SignInPages:
    """The pages for signing in, with a form that is known as ours before there is a session."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def form(self, request: Request) -> Response:
        """Ask for login and password."""
        present, _ = await self._present(request)
        wanted = request.query_params.get("next", "")
        if present is not None:
            return go("/")
        return await self._ask(request, wanted=wanted)

    async def _ask(
        self, request: Request, *, wanted: str = "", login: str = "", problem: str = "", status: int = 200
    ) -> Response:
        secret = request.cookies.get(form_cookie(request)) or f"{self._desk.randbelow(1 << 256):064x}"
        response = await self._desk.show(
            request,
            "sign_in.html",
            status=status,
            form_csrf=csrf_token(secret),
            wanted=wanted if is_own_path(wanted) else "",
            login=login,
            problem=problem,
        )
        set_cookie(request, response, form_cookie(request), secret)
        return response

    async def take(self, request: Request) -> Response:
        """Take login and password."""
        form = await _small_form(request)
        login, password = _text(form, "login").strip().lower(), _text(form, "password")
        wanted = _text(form, "next")
        secret = request.cookies.get(form_cookie(request), "")
        if not secret or holds_nul(login) or not comes_from_here(request) or not is_ours(secret, form.get(CSRF_FIELD)):
            problem = "The form was too old, or cookies are switched off. Please sign in again."
            return await self._ask(request, wanted=wanted, login=login, problem=problem, status=400)
        signing_in, address = self._desk.signing_in, address_of(request)
        found = await self._desk.read(lambda connection: signing_in.look(connection, login, address))
        if isinstance(found, Refused):
            return await self._ask(request, wanted=wanted, login=login, problem=_locked(found), status=429)
        hashed = None if found is None else found.password_hash
        try:
            good = await self._desk.verify(hashed, password)
        except Crowded as crowded:
            response = await self._ask(request, wanted=wanted, login=login, problem=_CROWDED, status=503)
            response.headers["Retry-After"] = str(crowded.retry_after)
            return response
        if found is None or not good:
            refused = await self._desk.transactions.run(
                lambda unit_of_work: signing_in.fails(unit_of_work, login, address)
            )
            problem = _WRONG if refused.wait is None else f"{_WRONG} {_locked(refused)}"
            return await self._ask(request, wanted=wanted, login=login, problem=problem, status=403)
        account: Account = found
        renewed = None
        if hashed is not None and self._desk.passwords.is_outdated(hashed):
            with suppress(Crowded):
                renewed = await self._desk.hash(password)
        old = await self._present(request)

        def begin(unit_of_work: UnitOfWork) -> SignedIn | Refused:
            # Of many that were sent at once none is let in after so many failures that no more are tried.
            now = signing_in.look(unit_of_work.connection, login, address)
            if isinstance(now, Refused):
                return now
            if now is None or now.password_hash != hashed:
                return Refused()
            if old[0] is not None:
                signing_in.leaves(unit_of_work, old[0])
            if renewed is not None:
                accounts.change(unit_of_work.connection, account.account_id, password_hash=renewed)
            return signing_in.begins(unit_of_work, account, address, second_factor=False, how="password")

        signed_in = await self._desk.transactions.run(begin)
        if isinstance(signed_in, Refused):
            problem, status = (_WRONG, 403) if signed_in.wait is None else (_locked(signed_in), 429)
            return await self._ask(request, wanted=wanted, login=login, problem=problem, status=status)
        second = account.totp_secret is not None
        target = url("/sign-in/second", next=wanted) if second else wanted if is_own_path(wanted) else url("/")
        return self._with_session(request, signed_in, target)

    def _with_session(self, request: Request, signed_in: SignedIn, target: str) -> Response:
        response = RedirectResponse(target, status_code=303)
        set_cookie(request, response, session_cookie(request), signed_in.token)
        drop_cookie(request, response, form_cookie(request))
        return response

    async def second_form(self, request: Request) -> Response:
        """Ask for the second factor."""
        present, token = await self._present(request)
        if present is None or token is None:
            return go("/sign-in")
        if present.account.totp_secret is None or present.session.second_factor:
            return go("/")
        return await self._ask_second(request, token, wanted=request.query_params.get("next", ""))

    async def _ask_second(
        self, request: Request, token: str, *, wanted: str, problem: str = "", status: int = 200
    ) -> Response:
        return await self._desk.show(
            request,
            "second_factor.html",
            status=status,
            form_csrf=csrf_token(token),
            wanted=wanted if is_own_path(wanted) else "",
            problem=problem,
        )

    async def take_second(self, request: Request) -> Response:
        """Take the second factor."""
        form = await _small_form(request)
        present, token = await self._present(request)
        if present is None or token is None:
            return go("/sign-in")
        if not comes_from_here(request) or not is_ours(token, form.get(CSRF_FIELD)):
            raise HTTPException(400)
        wanted, code, address = _text(form, "next"), _text(form, "code"), address_of(request)
        done = await self._desk.transactions.run(
            lambda unit_of_work: self._desk.signing_in.gives_second_factor(unit_of_work, present, code, address)
        )
        if isinstance(done, Refused):
            problem = _WRONG_CODE if done.wait is None else _locked(done)
            return await self._ask_second(request, token, wanted=wanted, problem=problem, status=403)
        return self._with_session(request, done, wanted if is_own_path(wanted) else url("/"))

    async def leave(self, request: Request) -> Response:
        """Sign out."""
        form = await _small_form(request)
        present, token = await self._present(request)
        if present is not None and token is not None:
            if not is_ours(token, form.get(CSRF_FIELD)):
                raise HTTPException(400)
            await self._desk.transactions.run(lambda unit_of_work: self._desk.signing_in.leaves(unit_of_work, present))
        response = go("/sign-in")
        drop_cookie(request, response, session_cookie(request))
        return response

    async def _present(self, request: Request) -> tuple[Present | None, str | None]:
        token = request.cookies.get(session_cookie(request))
        if token is None:
            return None, None
        found = await self._desk.read(lambda connection: self._desk.signing_in.present(connection, token))
        return found, token


def _locked(refused: Refused) -> str:
    seconds = 0 if refused.wait is None else math.ceil(refused.wait.total_seconds())
    wait = f"{seconds} seconds" if seconds < 120 else f"{math.ceil(seconds / 60)} minutes"
    return f"After too many attempts nothing is tried for {wait}. Then try again, or ask your operator to unlock it."


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


async def _small_form(request: Request) -> FormData:
    announced = request.headers.get("content-length", "")
    if not announced.isascii() or not announced.isdecimal() or int(announced) > _MOST_BYTES:
        raise HTTPException(413)
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise HTTPException(400)
    return await request.form(max_fields=10)
