"""What the service reads and changes in the tree of a message before it is signed or handed back."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from lxml import etree

from signing import DocumentRefused, ParsedDocument, parse, remove_signatures, take_out_signatures
from sr_engine.counters import CounterSource
from sr_engine.messages.elements import DUIS
from sr_engine.messages.identifiers import canonical_eui
from sr_engine.messages.schema import SchemaRefused

REQUEST = DUIS + "Request"
RESPONSE = DUIS + "Response"

_REQUEST_ID = DUIS + "RequestID"
_EUI = "[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){7}"
_ID = re.compile(rf"\s*((?P<originator>{_EUI}):{_EUI}:)[0-9]*\s*")
_WHITE_SPACE = " \t\r\n"
_NAMESPACE = b"http://www.w3.org/2000/09/xmldsig#"
_REFERENCE = b"&#"
_BETWEEN_TAGS = re.compile(rb">[ \t\r\n]+<")


def parse_unsigned(message: bytes) -> ParsedDocument:
    """Parse a message and take every ds:Signature out of its tree, whatever is in it; raises DocumentRefused."""
    try:
        document = parse(message)
    except DocumentRefused:
        # A placeholder may hold what a message must not, such as a comment: it is cut out before anything is judged.
        return parse(remove_signatures(message))
    # Without its namespace there is no Signature to look for.
    if _NAMESPACE in message or _REFERENCE in message:
        take_out_signatures(document.root)
    return document


@dataclass(frozen=True, slots=True)
class RequestIdElement:
    """The RequestID of a Request that need not be valid yet: its counter may be missing."""

    element: etree._Element
    originator: str
    """Its first part as a canonical EUI."""
    before_counter: str

    @classmethod
    def of(cls, root: etree._Element) -> RequestIdElement | None:
        """None if there is no RequestID that begins with two EUIs."""
        # In a message that is valid, as will be checked, the first element of this name is the one in the Header.
        element = next(root.iter(_REQUEST_ID), None)
        found = None if element is None else _ID.fullmatch(element.text or "")
        if element is None or found is None:
            return None
        return cls(element, canonical_eui(found["originator"]), found[1])

    @classmethod
    def required(cls, document: ParsedDocument, check: Callable[[ParsedDocument], None]) -> RequestIdElement:
        """As `of`, but raises SchemaRefused if there is none: with what `check`, against a schema, has to say."""
        found = cls.of(document.root)
        if found is None:
            check(document)
            raise SchemaRefused("the document has no RequestID of the form originator:target:counter", line=1)
        return found

    def renew_counter(self, counters: CounterSource, now: datetime) -> None:
        """Put a new counter in the place of the one it has; raises OSError if it cannot be kept."""
        counter = counters.draw(self.originator, int(now.timestamp() * 1000))
        self.element.text = f"{self.before_counter}{counter}"


def drop_white_space(document: ParsedDocument) -> None:
    """Remove white space that stands between elements and nowhere else.

    A known verifier drops it before it digests, and so refuses a correctly signed message that has some (section 3 of
    the domain description). An element that holds text as well as elements stays as it is.
    """
    # White space between elements stands there as it is, or is written as a reference to a character.
    if _BETWEEN_TAGS.search(document.data) is None and _REFERENCE not in document.data:
        return
    for parent in document.root.iter("*"):
        children = list(parent)
        if children and _is_white(parent.text) and all(_is_white(child.tail) for child in children):
            parent.text = None
            for child in children:
                child.tail = None


def as_digested(root: etree._Element) -> bytes:
    """Return a verified tree in the form that was digested (inclusive Canonical XML), so that nothing else comes along.

    It is UTF-8 without an XML declaration.
    """
    return etree.tostring(root, method="c14n", exclusive=False, with_comments=True)


def _is_white(text: str | None) -> bool:
    return not text or not text.strip(_WHITE_SPACE)
