"""Signing in at an OpenID provider: discovery, authorisation code with PKCE, and the subject mapped to an account.

Only whoever has an account here gets in: the provider says who somebody is, and nothing about what they may do.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sr_engine.configuration.settings import OpenIdSettings
from sr_engine.console.desk import Desk
from sr_engine.console.pages import url
from sr_engine.console.security import (
    PATH,
    are_alike,
    drop_cookie,
    is_own_path,
    is_secured,
    session_cookie,
    set_cookie,
)
from sr_engine.console.sign_in_pages import address_of
from sr_engine.operations.accounts import audit
from sr_engine.operations.signing_in import SignedIn
from sr_engine.store import accounts
from sr_engine.store.units_of_work import UnitOfWork

log = logging.getLogger(__name__)

CALLBACK = "/oidc/callback"
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_ALGORITHMS = ["RS256", "ES256", "PS256", "EdDSA"]
_LEEWAY_SECONDS = 60
_REFUSED = "The provider did not sign you in, or this page was left open for too long. Please try again."
_NOBODY = "You are known to the provider, and have no account here. Ask the operator to add one for you."


class NotSignedIn(Exception):
    """The provider did not say who somebody is."""


@dataclass(slots=True)
class Provider:
    """An OpenID provider, discovered when it is first needed and again when its keys are not known."""

    settings: OpenIdSettings
    client: Callable[[], httpx.AsyncClient]
    _metadata: Mapping[str, str] | None = field(default=None)
    _keys: KeySet | None = field(default=None)

    async def metadata(self) -> Mapping[str, str]:
        """What it says of itself; raises NotSignedIn if it is not the issuer that is configured."""
        if self._metadata is None:
            async with self.client() as client:
                answer = await client.get(f"{self.settings.issuer}/.well-known/openid-configuration")
                found = answer.raise_for_status().json()
            known = found if isinstance(found, dict) else {}
            if str(known.get("issuer", "")).rstrip("/") != self.settings.issuer:
                raise NotSignedIn(f"the provider calls itself {known.get('issuer')}")
            lacking = [name for name in _ENDPOINTS if not isinstance(known.get(name), str)]
            if lacking:
                raise NotSignedIn(f"the provider does not say its {lacking[0]}")
            self._metadata = found
        return self._metadata

    async def keys(self, *, anew: bool = False) -> KeySet:
        """The keys that it signs with."""
        if self._keys is None or anew:
            metadata = await self.metadata()
            async with self.client() as client:
                self._keys = KeySet.import_key_set((await client.get(metadata["jwks_uri"])).raise_for_status().json())
        return self._keys

    async def subject(self, code: str, verifier: str, nonce: str, redirect_uri: str, now: float) -> str:
        """Exchange a code for a token and return whose it is; raises NotSignedIn, httpx.HTTPError."""
        metadata, settings = await self.metadata(), self.settings
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": settings.client_id,
            "code_verifier": verifier,
        }
        if settings.client_secret_file is not None:
            form["client_secret"] = settings.client_secret_file.read_text("utf-8").strip()
        async with self.client() as client:
            answer = (await client.post(metadata["token_endpoint"], data=form)).raise_for_status().json()
        if not isinstance(answer, dict):
            raise NotSignedIn("the provider gave no token")
        claims = await self._claims(str(answer.get("id_token", "")))
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if claims.get("iss") != metadata["issuer"] or settings.client_id not in audiences:
            raise NotSignedIn("the token is not from this provider for us")
        if len(audiences) > 1 and claims.get("azp") != settings.client_id:
            raise NotSignedIn("the token is for several, and not by us")
        expires = claims.get("exp")
        if not isinstance(expires, int | float) or expires + _LEEWAY_SECONDS < now:
            raise NotSignedIn("the token is over")
        if not are_alike(str(claims.get("nonce", "")), nonce):
            raise NotSignedIn("the token is not of this sign-in")
        subject = claims.get("sub")
        if not isinstance(subject, str) or not subject:
            raise NotSignedIn("the token names nobody")
        return subject

    async def _claims(self, token: str) -> Mapping[str, object]:
        try:
            try:
                return jwt.decode(token, await self.keys(), algorithms=_ALGORITHMS).claims
            except (JoseError, ValueError):
                # It may sign with a new key by now.
                return jwt.decode(token, await self.keys(anew=True), algorithms=_ALGORITHMS).claims
        except (JoseError, ValueError) as error:
            raise NotSignedIn(f"the token cannot be believed: {error}") from None


class OpenIdPages:
    """The way to the provider and back."""

    def __init__(self, desk: Desk, provider: Provider) -> None:
        self._desk = desk
        self._provider = provider

    def routes(self) -> list[Route]:
        """What needs no session."""
        return [Route("/oidc", self.begin, methods=["GET"]), Route(CALLBACK, self.come_back, methods=["GET"])]

    async def begin(self, request: Request) -> Response:
        """Send somebody to the provider."""
        try:
            metadata = await self._provider.metadata()
        except (NotSignedIn, httpx.HTTPError, ValueError) as error:
            log.warning("the OpenID provider cannot be used: %s", error)
            return await self._refuse(request, "The provider cannot be reached. Try again later.", 502)
        state, nonce, verifier = (f"{self._desk.randbelow(1 << 256):064x}" for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self._provider.settings.client_id,
            "redirect_uri": self._redirect_uri(request),
            "scope": "openid",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = metadata["authorization_endpoint"]
        response = RedirectResponse(f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}", 303)
        wanted = request.query_params.get("next", "")
        # A cookie holds no letter that is not of ASCII.
        kept = "|".join((state, nonce, verifier, quote(wanted) if is_own_path(wanted) else ""))
        # It has to come along when the provider sends the browser back.
        set_cookie(request, response, _cookie(request), kept, same_site="lax")
        return response

    async def come_back(self, request: Request) -> Response:
        """Take what the provider says, and begin a session for the account it is about."""
        state, nonce, verifier, wanted = (*request.cookies.get(_cookie(request), "").split("|", 3), "", "", "", "")[:4]
        given, code = request.query_params.get("state", ""), request.query_params.get("code", "")
        if not state or not code or not are_alike(state, given):
            return await self._refuse(request, _REFUSED, 400)
        try:
            now = self._desk.signing_in.clock.now().timestamp()
            subject = await self._provider.subject(code, verifier, nonce, self._redirect_uri(request), now)
        except (NotSignedIn, httpx.HTTPError, ValueError, KeyError, OSError) as error:
            log.warning("nobody was signed in by the OpenID provider: %s", error)
            return await self._refuse(request, _REFUSED, 403)
        signed_in = await self._desk.transactions.run(lambda uow: self._begin(uow, subject, address_of(request)))
        if signed_in is None:
            return await self._refuse(request, _NOBODY, 403)
        # Not a redirect: the browser would not send the new cookie along on the way from the provider.
        target = unquote(wanted) if is_own_path(unquote(wanted)) else url("/")
        response = await self._desk.show(request, "signed_in.html", target=target)
        set_cookie(request, response, session_cookie(request), signed_in.token)
        drop_cookie(request, response, _cookie(request))
        return response

    def _begin(self, unit_of_work: UnitOfWork, subject: str, address: str) -> SignedIn | None:
        account = accounts.by_subject(unit_of_work.connection, subject)
        if account is None or account.disabled_at is not None:
            audit(unit_of_work, "processor", "sign-in refused", "OpenID subject without an account")
            return None
        return self._desk.signing_in.begins(unit_of_work, account, address, second_factor=True, how="OpenID")

    def _redirect_uri(self, request: Request) -> str:
        base = self._provider.settings.redirect_base or f"{request.url.scheme}://{request.url.netloc}"
        return f"{base}{PATH}{CALLBACK}"

    async def _refuse(self, request: Request, words: str, status: int) -> Response:
        response = await self._desk.show(
            request, "error.html", status=status, heading="You are not signed in", words=words
        )
        drop_cookie(request, response, _cookie(request))
        return response


def _cookie(request: Request) -> str:
    return "__Host-sr-console-oidc" if is_secured(request) else "sr-console-oidc"
