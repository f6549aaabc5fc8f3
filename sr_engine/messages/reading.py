"""What a Response says below its Service Reference, element by element, for those who compare two of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from xml.sax.saxutils import escape

from lxml import etree

from sr_engine.messages.elements import DUIS, local_name
from sr_engine.messages.template import ValueOf, fill

_REFERENCES = frozenset({"ServiceReference", "ServiceReferenceVariant"})
_SIGNATURE = "Signature"


def body_of(data: bytes) -> dict[str, str]:
    """The text of every element of a Response's body that has no children, by its path; none in one without a body."""
    found: dict[str, str] = {}
    _flatten(_contents(data), "", found)
    return found


def whole_of(data: bytes) -> dict[str, str]:
    """The same of a whole message but for its Signature, root and attributes included."""
    root = etree.fromstring(data)
    found: dict[str, str] = {"": local_name(root)}
    found |= {f"@{name}": value for name, value in sorted(root.items())}
    _flatten([one for one in root if local_name(one) != _SIGNATURE], "", found)
    return found


def expected_body(fragment: str, value_of: ValueOf) -> dict[str, str]:
    """The same of elements that a person has written down, without prefixes; raises TemplateRefused."""
    namespace = DUIS[1:-1]
    root = fill(f'<Body xmlns="{namespace}">{fragment}</Body>', value_of)
    found: dict[str, str] = {}
    _flatten(list(root), "", found)
    return found


def written_body(data: bytes, in_words: Callable[[str, str], str]) -> str:
    """The body of a Response as `expected_body` takes it, a line an element; empty if there is none.

    `in_words` says what is written for the text of an element, by its name.
    """
    lines: list[str] = []
    for element in _contents(data):
        _write(element, "", in_words, lines)
    return "\n".join(lines)


def code_of(data: bytes) -> str | None:
    """The ResponseCode of a Response, None of anything else."""
    try:
        return etree.fromstring(data).findtext(f"{DUIS}Header/{DUIS}ResponseCode")
    except etree.XMLSyntaxError:
        return None


def schedule_of(data: bytes) -> int | None:
    """The CommsHubFirmwareScheduleID that a Response gives out, if it does."""
    found = etree.fromstring(data).findtext(f".//{DUIS}CommsHubFirmwareResult/{DUIS}CommsHubFirmwareScheduleID")
    return None if found is None else int(found)


def _contents(data: bytes) -> list[etree._Element]:
    message = etree.fromstring(data).find(f"{DUIS}Body/{DUIS}ResponseMessage")
    return [] if message is None else [one for one in message if local_name(one) not in _REFERENCES]


def _flatten(elements: list[etree._Element], path: str, found: dict[str, str]) -> None:
    how_many = Counter(local_name(one) for one in elements)
    seen: Counter[str] = Counter()
    for element in elements:
        name = local_name(element)
        seen[name] += 1
        here = f"{path}{name}" if how_many[name] == 1 else f"{path}{name}[{seen[name]}]"
        found.update({f"{here}/@{attribute}": value for attribute, value in sorted(element.items())})
        if len(element):
            _flatten(list(element), f"{here}/", found)
        else:
            found[here] = element.text or ""


def _write(element: etree._Element, indent: str, in_words: Callable[[str, str], str], lines: list[str]) -> None:
    name = local_name(element)
    if len(element):
        lines.append(f"{indent}<{name}>")
        for child in element:
            _write(child, f"{indent}  ", in_words, lines)
        lines.append(f"{indent}</{name}>")
    else:
        lines.append(f"{indent}<{name}>{escape(in_words(name, element.text or ''))}</{name}>")
