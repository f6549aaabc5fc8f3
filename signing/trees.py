"""Taking an element out of a tree without touching the text around it.

lxml removes an element's tail with it. White space after a Signature is part of what was digested, so it is joined to
the text before.
"""

from __future__ import annotations

from lxml import etree


def take_out(parent: etree._Element, element: etree._Element) -> str | None:
    """Remove a child and leave all text around it; returns the text that stood before it, for `put_back`."""
    previous = element.getprevious()
    before = parent.text if previous is None else previous.tail
    if element.tail:
        _set_text_before(parent, previous, (before or "") + element.tail)
    parent.remove(element)
    return before


def put_back(parent: etree._Element, element: etree._Element, before: str | None) -> None:
    """Undo `take_out` of what was the last child."""
    _set_text_before(parent, parent[-1] if len(parent) else None, before)
    parent.append(element)


def _set_text_before(parent: etree._Element, previous: etree._Element | None, text: str | None) -> None:
    if previous is None:
        parent.text = text
    else:
        previous.tail = text
