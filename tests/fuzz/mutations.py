"""Changes to a message that an attacker could make, on its bytes or on its tree; a stream of choices picks them.

The fuzzer draws the choices from its random seed, the property tests from Hypothesis, which shrinks them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TypeVar

from lxml import etree

Choose = Callable[[int], int]
"""Returns a number from 0 up to but not including its argument."""

_T = TypeVar("_T")

DS = "http://www.w3.org/2000/09/xmldsig#"
SR = "http://www.dccinterface.co.uk/ServiceUserGateway"

_SNIPPETS = (
    b" ",
    b"\n",
    b"&#13;",
    b"&#32;",
    b"&amp;",
    b"&lt;",
    b"&x;",
    b"<!--x-->",
    b"<?x y?>",
    b"<![CDATA[x]]>",
    b"<x/>",
    b"<x></x>",
    b"<sr:Phase>General</sr:Phase>",
    b"<x" + b"\xc3\xa9" * 300 + b"/>",
    b"<ds:Object/>",
    b"<ds:Signature/>",
    b' xmlns=""',
    b' xmlns="urn:x"',
    b' xmlns:sr="urn:x"',
    b' xmlns:ds="urn:x"',
    b' xmlns:q="urn:q"',
    b' Id="x"',
    b' xml:id="x"',
    b' xml:lang="en"',
    b' URI=""',
    b"=",
    b"0",
    b",00-DB-12-34-56-78-90-FF",
    b"\x00",
    b"\xef\xbb\xbf",
    b"\xc2\xa0",
    b"<!DOCTYPE x>",
    b'<?xml version="1.0" encoding="UTF-16"?>',
)
_TEXTS = ("", " ", "\n  ", "0", "1", "x", "11.6", "General", "true", "\u00a0", "00-DB-12-34-56-78-90-FF", "A" * 88)
_NAMES = (
    f"{{{SR}}}Phase",
    f"{{{SR}}}Body",
    f"{{{DS}}}Object",
    f"{{{DS}}}Signature",
    f"{{{DS}}}Reference",
    "x",
    "{urn:x}x",
)
_ATTRIBUTES = (
    "Id",
    "URI",
    "Algorithm",
    "schemaVersion",
    "{http://www.w3.org/XML/1998/namespace}id",
    "{http://www.w3.org/XML/1998/namespace}space",
    "{http://www.w3.org/2001/XMLSchema-instance}nil",
)
_VALUES = ("", "x", "#x", "5.3", "true", "default", "http://www.w3.org/2001/10/xml-exc-c14n#")


def mutate(data: bytes, choose: Choose) -> bytes:
    """Return the message with one to four changes, on its bytes or its tree."""
    for _ in range(1 + choose(4)):
        data = mutate_tree(data, choose) if choose(2) else mutate_bytes(data, choose)
    return data


def mutate_bytes(data: bytes, choose: Choose) -> bytes:
    """Return the bytes with a change anywhere."""
    at = choose(len(data) + 1)
    end = min(len(data), at + 1 + choose(40))
    match choose(6):
        case 0:
            return data[:at] + _one(_SNIPPETS, choose) + data[at:]
        case 1:
            return data[:at] + data[end:]
        case 2:
            return data[:end] + data[at:end] + data[end:]
        case 3:
            return data[:at] + bytes([choose(256)]) + data[at + 1 :]
        case 4:
            to = choose(len(data) + 1)
            rest = data[:at] + data[end:]
            return rest[:to] + data[at:end] + rest[to:]
        case _:
            return data[:at] + _one(_SNIPPETS, choose) + data[end:]


def mutate_tree(data: bytes, choose: Choose) -> bytes:
    """Return the document with a change to an element; what is not well-formed comes back as it is."""
    try:
        root = etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.XMLSyntaxError, ValueError):
        return data
    elements = list(root.iter("*"))
    element = _one(elements, choose)
    change = _one(_CHANGES, choose)
    try:
        change(element, _one(elements, choose), choose)
    except ValueError:  # what lxml does not let stand in a tree
        return data
    return etree.tostring(root.getroottree(), encoding="UTF-8", xml_declaration=bool(choose(2)))


def _delete(element: etree._Element, _other: etree._Element, _choose: Choose) -> None:
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)


def _duplicate(element: etree._Element, _other: etree._Element, _choose: Choose) -> None:
    if element.getparent() is not None:
        element.addnext(copy.deepcopy(element))


def _move(element: etree._Element, other: etree._Element, choose: Choose) -> None:
    if element.getparent() is not None and element is not other and element not in other.iterancestors():
        other.insert(choose(len(other) + 1), element)


def _copy_into(element: etree._Element, other: etree._Element, choose: Choose) -> None:
    other.insert(choose(len(other) + 1), copy.deepcopy(element))


def _wrap(element: etree._Element, _other: etree._Element, choose: Choose) -> None:
    parent = element.getparent()
    if parent is not None:
        wrapper = etree.Element(_one(_NAMES, choose))
        parent.replace(element, wrapper)
        wrapper.append(element)


def _insert(element: etree._Element, _other: etree._Element, choose: Choose) -> None:
    new = etree.Element(_one(_NAMES, choose))
    new.text = _one(_TEXTS, choose)
    element.insert(choose(len(element) + 1), new)


def _rename(element: etree._Element, _other: etree._Element, choose: Choose) -> None:
    element.tag = _one(_NAMES, choose)


def _write(element: etree._Element, _other: etree._Element, choose: Choose) -> None:
    element.text = _one(_TEXTS, choose)


def _add_text(element: etree._Element, _other: etree._Element, choose: Choose) -> None:
    element.text = (element.text or "") + _one(_TEXTS, choose)


def _write_after(element: etree._Element, _other: etree._Element, choose: Choose) -> None:
    if element.getparent() is not None:
        element.tail = _one(_TEXTS, choose)


def _take_text(element: etree._Element, other: etree._Element, _choose: Choose) -> None:
    element.text = other.text


def _set_attribute(element: etree._Element, _other: etree._Element, choose: Choose) -> None:
    element.set(_one(_ATTRIBUTES, choose), _one(_VALUES, choose))


def _drop_attributes(element: etree._Element, _other: etree._Element, _choose: Choose) -> None:
    element.attrib.clear()


def _comment(element: etree._Element, _other: etree._Element, choose: Choose) -> None:
    element.insert(choose(len(element) + 1), etree.Comment("x"))


def _instruct(element: etree._Element, _other: etree._Element, choose: Choose) -> None:
    element.insert(choose(len(element) + 1), etree.ProcessingInstruction("x", "y"))


_CHANGES = (
    _delete,
    _duplicate,
    _move,
    _copy_into,
    _wrap,
    _insert,
    _rename,
    _write,
    _add_text,
    _write_after,
    _take_text,
    _set_attribute,
    _drop_attributes,
    _comment,
    _instruct,
)


def _one(of: Sequence[_T], choose: Choose) -> _T:
    return of[choose(len(of))]
