"""The header by which a User is let in (RFC 6750)."""

from __future__ import annotations


def bearer(token: str) -> str:
    """Return the value of Authorization; raises ValueError for what no header can hold, and does not repeat it."""
    if not token or not token.isascii() or not token.isprintable():
        raise ValueError("the token is empty, or holds what no header can: the end of the line it was read from?")
    return f"Bearer {token}"
