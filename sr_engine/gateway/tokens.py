"""Bearer tokens: who sends one is let in if its SHA-256 is known; the token itself stands nowhere."""

from __future__ import annotations

import hashlib
import hmac
import re

_BEARER = re.compile(r"[Bb]earer +(\S+) *")


def digest_of(authorization: str | None) -> str | None:
    """The SHA-256 of the token in an Authorization header, 64 hexadecimal digits; None if there is no token."""
    bearer = _BEARER.fullmatch(authorization or "")
    return None if bearer is None else hashlib.sha256(bearer[1].encode()).hexdigest()


def bears(authorization: str | None, token_sha256: str) -> bool:
    """True if an Authorization header holds the token with this SHA-256."""
    given = digest_of(authorization)
    return given is not None and hmac.compare_digest(given, token_sha256)
