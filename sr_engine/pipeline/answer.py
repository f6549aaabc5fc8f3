"""What goes back to whoever sent a message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

XML = "application/xml"
PROBLEM = "application/problem+xml"
DETAIL_LIMIT = 1000
"""Characters of detail in a header; the audit trail has all of it."""


class Draft:
    """A document that is signed when it is first asked for; asking raises what signing it does."""

    __slots__ = ("_sign", "_signed")

    def __init__(self, sign: Callable[[], bytes]) -> None:
        self._sign = sign
        self._signed: bytes | None = None

    def __call__(self) -> bytes:
        if self._signed is None:
            self._signed = self._sign()
        return self._signed


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: `code` is the ResponseCode where there is one, `detail` says why in words."""

    status: int
    document: bytes | Draft
    detail: str
    content_type: str = XML
    code: str | None = None
    retry_after: int | None = None
    held: tuple[str, int] | None = None
    """RequestID and Command Variant of a request of which a Response follows, once this has left."""
    follows: bool = False
    """A Response follows, or has followed: the I99 says only that the request is held."""
    frees: bool = False
    """A request that waited for this one can be carried out now."""

    @property
    def body(self) -> bytes:
        """The bytes that are sent."""
        return self.document() if isinstance(self.document, Draft) else self.document

    @property
    def detail_header(self) -> str:
        """The detail as a header can carry it: one line of ASCII."""
        one_line = " ".join(self.detail.split())[:DETAIL_LIMIT]
        if one_line.isascii() and one_line.isprintable():
            return one_line
        return "".join(character if " " <= character <= "~" else "?" for character in one_line)
