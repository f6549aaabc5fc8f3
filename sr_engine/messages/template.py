"""Messages with places left open, such as `{hubs}`, which are filled in when they are sent.

`{name}` stands for a value, `{name=default}` for one that may be left out, and an element that holds nothing but
`{name?}` stands only where there is a value. What is filled in is text: it cannot become markup.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from xml.sax.saxutils import escape

from lxml import etree

from sr_engine.messages.elements import DUIS, local_name

OPEN = re.compile(r"\{([^{}]*)\}")
_LEFT_OUT = "\ue000"
"""Marks an element without a value, until it is taken out; no message has a use for this character."""

ValueOf = Callable[[str], str | None]
"""What stands for a name; None where there is nothing."""


class TemplateRefused(Exception):
    """A template cannot be filled; the text says why."""


@dataclass(frozen=True, slots=True)
class Filled:
    """An unsigned Service Request, and of its header what has to be known to send it."""

    root: etree._Element
    request_id: str
    command_variant: int


def fill(template: str, value_of: ValueOf) -> etree._Element:
    """Return the document; raises TemplateRefused if it has no value for a name, or is not well-formed."""

    def put(found: re.Match[str]) -> str:
        name, has_default, default = found[1].partition("=")
        may_lack = name.endswith("?") and not has_default
        value = value_of(name.removesuffix("?") if may_lack else name)
        if value is None and has_default:
            value = default
        if value is None and may_lack:
            return _LEFT_OUT
        if value is None:
            raise TemplateRefused(f"there is no value for {{{found[1]}}}")
        return escape(value, {'"': "&quot;"})

    try:
        # Comments would be refused where the message goes, and help whoever reads the template.
        parser = etree.XMLParser(
            resolve_entities=False, no_network=True, remove_comments=True, remove_blank_text=True, huge_tree=True
        )
        root = etree.fromstring(OPEN.sub(put, template).encode(), parser)
    except etree.XMLSyntaxError as error:
        raise TemplateRefused(f"it is not well-formed XML: {error.msg}") from None
    for element in [one for one in root.iter() if (one.text or "").strip() == _LEFT_OUT]:
        parent = element.getparent()
        if parent is not None:
            parent.remove(element)
    return root


def filled_request(template: str, value_of: ValueOf) -> Filled:
    """Return a Service Request; raises TemplateRefused as `fill` does, and for a document that is none."""
    root = fill(template, value_of)
    request_id = root.findtext(f"{DUIS}Header/{DUIS}RequestID")
    command_variant = root.findtext(f"{DUIS}Header/{DUIS}CommandVariant") or ""
    if root.tag != f"{DUIS}Request" or request_id is None or not command_variant.strip().isdecimal():
        raise TemplateRefused(
            f"it is no Service Request with RequestID and CommandVariant: its root is {local_name(root)}"
        )
    return Filled(root, request_id.strip(), int(command_variant))
