"""One's own account: what it may do, its password and its second factor; and the first page."""

from __future__ import annotations

import io

import segno
from starlette.responses import RedirectResponse, Response

from sr_engine.configuration.console import ConsoleRole
from sr_engine.console.pages import Page, Section, Visit
from sr_engine.console.security import session_cookie, set_cookie
from sr_engine.console.sign_in_pages import address_of
from sr_engine.operations import accounts as operations
from sr_engine.operations.accounts import NewSecondFactor
from sr_engine.operations.passwords import (
    PasswordTooWeak,
    draw_recovery_codes,
    draw_totp_secret,
    totp_step,
    totp_uri,
)
from sr_engine.operations.signing_in import SignedIn
from sr_engine.store import console_sessions
from sr_engine.store.accounts import use_step
from sr_engine.store.units_of_work import UnitOfWork

ISSUER = "sr_engine"


def section() -> Section:
    """The pages of one's own account."""
    return Section(
        (
            Page("/", first, None),
            Page("/account", show, None),
            Page("/account/password", ask_password, None),
            Page("/account/password", change_password, None, changes=True),
            Page("/account/second-factor", offer_second_factor, None),
            Page("/account/second-factor", confirm_second_factor, None, changes=True),
        )
    )


async def first(visit: Visit) -> Response:
    """Send people to where they begin."""
    return visit.go("/operator" if visit.may(ConsoleRole.OPERATOR) else "/releases")


async def show(visit: Visit) -> Response:
    """Who one is here, and what one may do."""
    user = None if visit.account.organisation is None else visit.desk.users.by_eui(visit.account.user_eui or "")
    return await visit.show("account.html", user=user)


async def ask_password(visit: Visit) -> Response:
    """Ask for a new password."""
    return await visit.show("password.html", least=visit.desk.rules.sign_in.password_min_length)


async def change_password(visit: Visit) -> Response:
    """Take a new password; other sessions of the account end, and this one goes on under a new token."""
    before, wanted, again = (str(visit.form.get(name, "")) for name in ("password", "new_password", "again"))
    problem = await _not_owner(visit, before)
    if isinstance(problem, Response):
        return problem
    problem = problem or _unusable(visit, before, wanted, again)
    if problem:
        least = visit.desk.rules.sign_in.password_min_length
        return await visit.show("password.html", status=422, least=least, problem=problem)
    hashed = await visit.desk.hash(wanted)

    def change(unit_of_work: UnitOfWork) -> SignedIn:
        operations.change_password(unit_of_work, visit.account, hashed)
        return visit.desk.signing_in.goes_on(unit_of_work, visit.present)

    return _under_new_token(visit, await visit.write(change), "/account?done=password")


def _unusable(visit: Visit, before: str, wanted: str, again: str) -> str:
    """Why a new password cannot be used; nothing if it can."""
    if wanted != again:
        return "The new password was not typed the same twice."
    if wanted == before:
        return "The new password has to be another one."
    try:
        visit.desk.passwords.check(wanted, visit.account.login)
    except PasswordTooWeak as weak:
        return f"The new password cannot be used: {weak}."
    return ""


async def _not_owner(visit: Visit, password: str) -> str | Response:
    """What is said if it is not the account's password, else nothing; after too many such the session is over."""
    if await visit.desk.verify(visit.account.password_hash, password):
        return ""
    login, address = visit.account.login, address_of(visit.request)
    refused = await visit.write(lambda uow: visit.desk.signing_in.fails(uow, login, address))
    if refused.wait is None:
        return "The present password is not right."
    await visit.write(lambda uow: visit.desk.signing_in.leaves(uow, visit.present))
    return visit.go("/sign-in")


def _password_is_wanted(visit: Visit) -> bool:
    """Whether a second factor is replaced, for which a session that somebody has left open is not enough.

    Whoever signs in at an OpenID provider has no password, and is asked for no second factor here.
    """
    return visit.account.totp_secret is not None and visit.account.password_hash is not None


async def offer_second_factor(visit: Visit) -> Response:
    """Show a secret to be taken into an authenticator app."""
    secret = visit.present.session.pending_secret
    if secret is None:
        secret = drawn = draw_totp_secret(visit.desk.randbelow)
        digest = visit.present.session.token_sha256
        await visit.write(lambda uow: console_sessions.set_pending_secret(uow.connection, digest, drawn))
    return await _show_secret(visit, secret)


async def _show_secret(visit: Visit, secret: str, *, problem: str = "", status: int = 200) -> Response:
    issuer = f"{ISSUER} {visit.desk.environment_name}"
    return await visit.show(
        "enrol.html",
        status=status,
        password_is_wanted=_password_is_wanted(visit),
        picture=qr_code(totp_uri(secret, visit.account.login, issuer)),
        secret=" ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
        problem=problem,
    )


async def confirm_second_factor(visit: Visit) -> Response:
    """Take the first code from the app: from now on one is wanted; shows the recovery codes, once."""
    secret, clock = visit.present.session.pending_secret, visit.desk.signing_in.clock
    if secret is None:
        return visit.go("/account/second-factor")
    if _password_is_wanted(visit):
        problem = await _not_owner(visit, str(visit.form.get("password", "")))
        if isinstance(problem, Response):
            return problem
        if problem:
            return await _show_secret(visit, secret, problem=problem, status=422)
    step = totp_step(secret, visit.field("code"), clock.now())
    if step is None:
        problem = "That code is not right. Check that the clock of your telephone is, and type the code shown now."
        return await _show_secret(visit, secret, problem=problem, status=422)
    made = NewSecondFactor(secret, draw_recovery_codes(visit.desk.randbelow))

    def confirm(unit_of_work: UnitOfWork) -> SignedIn:
        actor = operations.actor_of(visit.account.login)
        operations.set_second_factor(unit_of_work, visit.account, made, actor=actor)
        use_step(unit_of_work.connection, visit.account.account_id, step)
        console_sessions.end_all(unit_of_work.connection, visit.account.account_id)
        return visit.desk.signing_in.goes_on(unit_of_work, visit.present, second_factor=True)

    signed_in = await visit.write(confirm)
    response = await visit.show("recovery_codes.html", codes=made.recovery_codes)
    set_cookie(visit.request, response, session_cookie(visit.request), signed_in.token)
    return response


def _under_new_token(visit: Visit, signed_in: SignedIn, target: str) -> Response:
    response = RedirectResponse(f"/console{target}", status_code=303)
    set_cookie(visit.request, response, session_cookie(visit.request), signed_in.token)
    return response


def qr_code(content: str) -> str:
    """A QR code as an SVG element without styles, black on white with its quiet zone."""
    out = io.BytesIO()
    segno.make(content, error="m").save(
        out,
        kind="svg",
        xmldecl=False,
        svgns=True,
        nl=False,
        scale=5,
        light="#ffffff",
        dark="#000000",
        svgclass="qr",
        lineclass=None,
        omitsize=True,
        title="QR code for an authenticator app",
    )
    return out.getvalue().decode()
