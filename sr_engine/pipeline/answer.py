"""What goes back to whoever sent a message."""

from __future__ import annotations

from collections.abc import Callable

from sr_engine.value_objects import value_object

XML = "application/xml"
PROBLEM = "application/problem+xml"
DETAIL_LIMIT = 1000
"""Characters of detail in a header; the audit trail has all of it."""


class Once:
    """Bytes that are made when they are first asked for, and then kept."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._made: bytes | None = None

    def __call__(self) -> bytes:
        made = self._made
        if made is None:
            made = self._made = self._make()
        return made


@value_object
class Answer:
    """An HTTP answer: `code` is the ResponseCode where there is one, `detail` says why in words."""

    status: int
    document: bytes | Callable[[], bytes]
    """Or what signs it when it is first asked for it."""
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
        return self.document if isinstance(self.document, bytes) else self.document()

    @property
    def detail_header(self) -> str:
        """The detail as a header can carry it: one line of ASCII."""
        one_line = " ".join(self.detail.split())[:DETAIL_LIMIT]
        if one_line.isascii() and one_line.isprintable():
            return one_line
        return "".join(character if " " <= character <= "~" else "?" for character in one_line)
