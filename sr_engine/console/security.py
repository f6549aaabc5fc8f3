"""What keeps a session its owner's: cookies, tokens in forms, and what a browser is told about a page."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress

from starlette.requests import Request
from starlette.responses import Response

PATH = "/console"
CSRF_FIELD = "csrf"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
"""Of every page; nothing inline is run or heeded, and nothing comes from elsewhere."""

_LOCAL_NAMES = frozenset({"localhost"})


def is_secured(request: Request) -> bool:
    """Whether cookies can be kept to HTTPS: always, but for a browser on this computer that came without it."""
    if request.url.scheme == "https":
        return True
    host = request.url.hostname or ""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host not in _LOCAL_NAMES


def session_cookie(request: Request) -> str:
    """The name of the cookie that holds the session's token; with its prefix no other site can set it."""
    return "__Host-sr-console" if is_secured(request) else "sr-console"


def form_cookie(request: Request) -> str:
    """The name of the cookie by which the form to sign in is known as ours."""
    return "__Host-sr-console-form" if is_secured(request) else "sr-console-form"


def set_cookie(request: Request, response: Response, name: str, value: str, *, same_site: str = "strict") -> None:
    """Set a cookie that ends with the browser and that scripts cannot read."""
    response.set_cookie(
        name,
        value,
        path="/",
        secure=is_secured(request),
        httponly=True,
        samesite="lax" if same_site == "lax" else "strict",
    )


def drop_cookie(request: Request, response: Response, name: str) -> None:
    """Have the browser forget a cookie."""
    response.delete_cookie(name, path="/", secure=is_secured(request), httponly=True, samesite="strict")


def csrf_token(secret: str) -> str:
    """What forms hold so that they are known as ours; `secret` is the token in a cookie."""
    return hmac.new(secret.encode(), b"csrf", hashlib.sha256).hexdigest()


def is_ours(secret: str, given: object) -> bool:
    """Whether a form was made for whoever has the cookie."""
    return isinstance(given, str) and are_alike(csrf_token(secret), given)


def are_alike(one: str, other: str) -> bool:
    """Whether two texts are the same, whatever is in them, found out in a time that tells nothing."""
    return hmac.compare_digest(*(text.encode("utf-8", "surrogatepass") for text in (one, other)))


def comes_from_here(request: Request) -> bool:
    """Whether a browser says that a form was sent by a page of ours; one that says nothing is believed."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("origin")
    return origin is None or origin == f"{request.url.scheme}://{request.url.netloc}"


def holds_nul(*texts: str) -> bool:
    """Whether a text cannot be looked for: no database has it, and PostgreSQL takes it for an error to ask."""
    return any("\0" in one for one in texts)


def is_own_path(target: object) -> bool:
    """Whether somebody may be sent there after signing in: to a page of the console and nowhere else."""
    return (
        isinstance(target, str)
        and (target == f"{PATH}/" or target.startswith(f"{PATH}/"))
        and not any(one in target for one in ("\\", "\r", "\n", "//"))
    )
