"""A message as people read it: indented, cut where it is long; text, never markup, for whoever puts it on a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from signing import DocumentRefused, parse

_LONGEST_VALUE = 400
"""Characters of one text that are shown; a list of 50,000 ids is one text of 1.2 million."""
_INDENT = "  "


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of a message."""

    text: str
    cut: bool
    """Something is left out, and says so."""


def shown(data: bytes, most: int) -> Shown:
    """The elements of a message, each on a line of its own, in some `most` characters.

    What is no document is shown as it is, with marks for bytes that are no text.
    """
    try:
        root = parse(data, max_bytes=max(len(data), 1)).root
    except DocumentRefused:
        text = data[:most].decode("utf-8", errors="replace")
        return Shown(text, len(data) > most)
    lines = list[str]()
    length, cut = 0, False
    for line, shortened in _lines(root, 0):
        cut |= shortened
        length += len(line) + 1
        if length > most:
            lines.append("… the rest is left out here")
            cut = True
            break
        lines.append(line)
    return Shown("\n".join(lines), cut)


def _lines(element: etree._Element, depth: int) -> Iterator[tuple[str, bool]]:
    """The lines of an element, and whether a value on each is cut."""
    name, margin = _name(element), _INDENT * depth
    start = f"{margin}<{name}{_attributes(element)}"
    text, shortened = _value(element.text)
    if not len(element):
        yield (f"{start}>{text}</{name}>" if text else f"{start}/>"), shortened
        return
    yield f"{start}>{text.strip()}", shortened
    for child in element:
        yield from _lines(child, depth + 1)
        tail, shortened = _value(child.tail)
        if tail:
            yield f"{margin}{_INDENT}{tail.strip()}", shortened
    yield f"{margin}</{name}>", False


def _value(text: str | None) -> tuple[str, bool]:
    """What is shown of a text; white space alone is how the document was written."""
    if text is None or not text.strip():
        return "", False
    if len(text) <= _LONGEST_VALUE:
        return escape(text), False
    left = len(text) - _LONGEST_VALUE
    return f"{escape(text[:_LONGEST_VALUE])} … and {left:,} more characters", True


def _name(element: etree._Element) -> str:
    local = str(element.tag).rpartition("}")[2]
    return local if element.prefix is None else f"{element.prefix}:{local}"


def _attributes(element: etree._Element) -> str:
    """The namespaces that are declared here, and then the attributes."""
    parent = element.getparent()
    known = {} if parent is None else parent.nsmap
    declared = [
        (f"xmlns:{prefix}" if prefix else "xmlns", uri)
        for prefix, uri in element.nsmap.items()
        if known.get(prefix) != uri
    ]
    prefixes = {uri: prefix for prefix, uri in element.nsmap.items() if prefix}
    own = []
    for key, value in element.attrib.items():
        uri, _, local = str(key).rpartition("}")
        prefix = prefixes.get(uri[1:])
        own.append((local if prefix is None else f"{prefix}:{local}", str(value)))
    return "".join(f" {name}={quoteattr(value)}" for name, value in (*declared, *own))
