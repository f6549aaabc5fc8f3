"""Signing in at an OpenID provider: a real little one, over HTTP."""

from __future__ import annotations

import base64
import hashlib
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import uvicorn
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sr_engine.configuration.console import ConsoleRole
from sr_engine.operations import accounts as operations
from sr_engine.operations.passwords import Passwords
from tests.console.desk import Front, Somebody
from tests.world import A, edit

CLIENT, SECRET = "console", "known to both"


@dataclass
class Provider:
    """Signs in whoever comes, as `subject`; `claims` are put over those of an honest token."""

    port: int = 0
    subject: str = "7f3a"
    claims: dict[str, Any] = field(default_factory=dict)
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "1", "use": "sig", "alg": "ES256"}))
    asked: dict[str, dict[str, str]] = field(default_factory=dict)
    forger: ECKey | None = None
    says: object = None
    """Of itself, if it is not what it should say."""

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._metadata),
                Route("/keys", self._keys),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
            ]
        )

    async def _metadata(self, _request: Request) -> Response:
        if self.says is not None:
            return JSONResponse(self.says)
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            }
        )

    async def _keys(self, _request: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    async def _authorize(self, request: Request) -> Response:
        code = secrets.token_hex(8)
        self.asked[code] = dict(request.query_params)
        back = self.asked[code]["redirect_uri"]
        return RedirectResponse(f"{back}?code={code}&state={self.asked[code]['state']}", 303)

    async def _token(self, request: Request) -> Response:
        form = await request.form()
        asked = self.asked.pop(str(form["code"]), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(str(form["code_verifier"]).encode()).digest())
        if (
            asked is None
            or challenge.rstrip(b"=").decode() != asked["code_challenge"]
            or form["client_secret"] != SECRET
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": self.subject,
            "nonce": asked["nonce"],
            "exp": int(time.time()) + 10**9,
        }
        key = self.forger or self.key
        token = jwt.encode({"alg": "ES256", "kid": "1"}, {**claims, **self.claims}, key, algorithms=["ES256"])
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": token})


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        provider.port = listener.getsockname()[1]
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(provider.app(), log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield provider
        server.should_exit = True
        thread.join(30)


@pytest.fixture
def front(fronts: Callable[..., Front], provider: Provider) -> Front:
    def configure(directory: Path) -> None:
        (directory / "secret").write_text(f"{SECRET}\n", encoding="utf-8")
        edit(
            directory / "sr-engine.toml",
            "[console]\n",
            f'[console.openid]\nname = "Example ID"\nissuer = "{provider.issuer}"\nclient_id = "{CLIENT}"\n'
            'client_secret_file = "secret"\n',
        )

    front = fronts(configure)
    instance = front.world.instance
    front.world.run(
        lambda uow: operations.add(
            uow,
            instance.users,
            Passwords(front.rules.sign_in),
            instance.randbelow,
            login="ann",
            organisation=A.name,
            roles=[ConsoleRole.ACT],
            oidc_subject="7f3a",
        )
    )
    return front


def through(browser: Somebody, path: str = "/sign-in") -> None:
    """Go to the provider and come back, as a browser does: the provider is elsewhere."""
    browser.open(path)
    (link,) = [one for one in browser.tree.xpath("//a") if "Sign in with Example ID" in one.text_content()]
    sent = browser.client.get(link.get("href"), follow_redirects=False)
    there = browser.client.elsewhere(sent.headers["location"])
    browser.page = browser.client.get(there.headers["location"])


def test_whoever_has_an_account_gets_in_and_to_where_they_wanted_to_go(front: Front, provider: Provider) -> None:
    browser = front.somebody()
    through(browser, "/account?x=1")
    assert "You are signed in" in browser.text
    target = browser.tree.xpath("//main//a")[0].get("href")
    assert target == "/console/account?x=1"
    assert "ann" in (browser.open("/account"), browser.text)[1]
    assert provider.asked == {}, "the code was used"


def test_a_secret_and_a_challenge_are_asked_of_the_provider(front: Front, provider: Provider) -> None:
    browser = front.somebody()
    sent = browser.client.get("/console/oidc", follow_redirects=False)
    query = parse_qs(urlsplit(sent.headers["location"]).query)
    assert query["code_challenge_method"] == ["S256"]
    assert query["scope"] == ["openid"]
    assert "SameSite=lax" in sent.headers["set-cookie"]
    assert "HttpOnly" in sent.headers["set-cookie"]


def test_whoever_has_no_account_does_not_get_in(front: Front, provider: Provider) -> None:
    provider.subject = "somebody else"
    browser = front.somebody()
    through(browser)
    assert browser.page.status_code == 403
    assert "no account here" in browser.text
    front.world.run(lambda uow: operations.set_disabled(uow, "ann", disabled=True))
    provider.subject = "7f3a"
    through(browser)
    assert browser.page.status_code == 403


@pytest.mark.parametrize(
    "claims", [{"iss": "http://evil.example"}, {"aud": "another"}, {"exp": 1}, {"nonce": "of another"}, {"sub": ""}]
)
def test_a_token_that_is_not_for_us_and_now_is_not_believed(
    front: Front, provider: Provider, claims: dict[str, Any]
) -> None:
    provider.claims = claims
    browser = front.somebody()
    through(browser)
    assert browser.page.status_code == 403
    assert browser.open("/account").url.path == "/console/sign-in"


def test_a_token_signed_by_another_is_not_believed(front: Front, provider: Provider) -> None:
    provider.forger = ECKey.generate_key("P-256", {"kid": "1"})
    browser = front.somebody()
    through(browser)
    assert browser.page.status_code == 403


def test_an_answer_that_nobody_asked_for_is_refused(front: Front) -> None:
    assert front.somebody().open("/oidc/callback?code=x&state=y").status_code == 400
    begun = front.somebody()
    begun.client.get("/console/oidc", follow_redirects=False)
    assert begun.open("/oidc/callback?code=x&state=%C3%A9").status_code == 400


def test_whoever_wanted_to_go_to_an_address_with_other_letters_is_sent_there(front: Front, provider: Provider) -> None:
    browser = front.somebody()
    sent = browser.client.get("/console/oidc?next=/console/hubs%3Fid%3D%E4%B8%AD%2526", follow_redirects=False)
    browser.page = browser.client.get(browser.client.elsewhere(sent.headers["location"]).headers["location"])
    assert browser.tree.xpath("//main//a")[0].get("href") == "/console/hubs?id=\u4e2d%26"


@pytest.mark.parametrize("says", [[], {}, "issuer", "whole"])
def test_a_provider_that_says_something_else_of_itself_is_not_used(
    front: Front, provider: Provider, says: object
) -> None:
    provider.says = {"issuer": provider.issuer} if says == "whole" else says
    browser = front.somebody()
    assert browser.open("/oidc").status_code == 502
    assert "cannot be reached" in browser.text


def test_an_account_of_the_provider_has_no_password_here(front: Front) -> None:
    assert front.somebody().sign_in("ann", "").status_code == 403
