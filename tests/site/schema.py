"""What the schemas say: every element and attribute with its type, how often it stands there, and its meaning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import xmlschema
from xmlschema.validators import XsdComplexType, XsdElement, XsdGroup, XsdSimpleType

from sr_engine.resources import data_directory
from tests.site.markdown import quoted, table

_XS = "http://www.w3.org/2001/XMLSchema"
_OPEN = "Open"
"""The type of published content of which only the name is checked."""
OPEN = "any content"
"""What is said of it."""
_FEW = 12
"""So many values of an anonymous list stand in its row."""


@dataclass(frozen=True, slots=True)
class Part:
    """One row: an element, or an attribute, of a message."""

    path: str
    type: str
    occurs: str
    says: str


@dataclass(frozen=True, slots=True)
class SimpleType:
    """What a value has to be."""

    name: str
    says: str
    values: tuple[str, ...]


@lru_cache(maxsize=4)
def schema_of(name: str) -> xmlschema.XMLSchema10:
    """One of `duis.xsd`, `csp.xsd` and `signature.xsd`, compiled."""
    return xmlschema.XMLSchema10(str(data_directory("xsd") / name))


def parts(element: XsdElement, *, inside: frozenset[str] = frozenset()) -> Iterator[Part]:
    """Every part of an element, outermost first; parts of the types in `inside` are left to other pages."""
    yield from _attributes(element, "")
    yield from _content(element, "", inside)


def member(schema: xmlschema.XMLSchema10, type_name: str, element: str) -> XsdElement:
    """An element of a named type."""
    for one, _ in _particles(_content_of(schema, type_name), ""):
        if one.local_name == element:
            return one
    raise LookupError(f"{type_name} has no {element}")


def members(schema: xmlschema.XMLSchema10, type_name: str) -> Iterator[tuple[str, bool]]:
    """The elements of a named type, and whether the content of each is open."""
    for one, _ in _particles(_content_of(schema, type_name), ""):
        yield str(one.local_name), _is_open(one)


def simple_types(schema: xmlschema.XMLSchema10) -> Iterator[SimpleType]:
    """Every simple type that has a name, in the order of the alphabet."""
    for _, found in sorted(schema.types.items()):
        if isinstance(found, XsdSimpleType):
            yield SimpleType(str(found.local_name), "; ".join(_facts(found)), tuple(map(str, found.enumeration or ())))


def as_table(found: Iterator[Part]) -> str:
    """Rows of a page."""
    return table(
        ("Part", "Is", "How often", "Meaning"), ((quoted(one.path), one.type, one.occurs, one.says) for one in found)
    )


def says(one: Any) -> str:
    """The documentation of an element or attribute, in one line."""
    if one.annotation is None:
        return ""
    return " ".join(" ".join(text.text or "" for text in one.annotation.documentation).split())


def _attributes(element: XsdElement, prefix: str) -> Iterator[Part]:
    for name, attribute in element.attributes.items():
        if name is not None:
            how_often = "1" if attribute.use == "required" else "0 or 1"
            yield Part(f"{prefix}@{name}", _type(attribute.type), how_often, says(attribute))


def _content(element: XsdElement, prefix: str, inside: frozenset[str]) -> Iterator[Part]:
    content = getattr(element.type, "content", None)
    if not isinstance(content, XsdGroup) or _is_open(element) or element.type.local_name in inside:
        return
    for one, choice in _particles(content, ""):
        path = f"{prefix}{one.local_name}"
        declared = one.ref if one.ref is not None else one
        meaning = says(declared) or ("Published; only its name is checked." if _is_open(one) else "")
        yield Part(path, _type(one.type), choice or _occurs(one), meaning)
        # The signature has a place of its own.
        if one.ref is None:
            yield from _attributes(one, f"{path}/")
            yield from _content(one, f"{path}/", inside)


def _content_of(schema: xmlschema.XMLSchema10, type_name: str) -> Any:
    found = schema.types[type_name]
    assert isinstance(found, XsdComplexType)
    return found.content


def _particles(group: Any, choice: str) -> Iterator[tuple[XsdElement, str]]:
    """The elements of a content model; of a choice with the word for it."""
    if group.model == "choice":
        choice = "one of these" if group.min_occurs else "one of these, or none"
    for one in group:
        if isinstance(one, XsdElement):
            yield one, choice
        elif isinstance(one, XsdGroup):
            yield from _particles(one, choice)


def _occurs(one: XsdElement) -> str:
    if one.max_occurs == one.min_occurs:
        return str(one.min_occurs)
    if (one.min_occurs, one.max_occurs) == (0, 1):
        return "0 or 1"
    return f"{one.min_occurs} to {one.max_occurs or 'any number'}"


def _is_open(one: XsdElement) -> bool:
    return one.type.local_name == _OPEN


def _type(found: Any) -> str:
    """What stands there: a link to a type, a type of XML Schema, or a few words."""
    if found.local_name == _OPEN:
        return OPEN
    if not found.is_simple():
        return "parts below" if found.content is not None and len(found.content) else "nothing but its attribute"
    if found.target_namespace == _XS and found.name is not None:
        return f"xs:{found.local_name}"
    if found.name is None:
        return _anonymous(found)
    return f"[{found.local_name}](types.md#{found.local_name})"


def _anonymous(found: Any) -> str:
    values = found.enumeration or ()
    if 0 < len(values) <= _FEW:
        return ", ".join(quoted(str(value)) for value in values)
    return "; ".join(_facts(found))


def _facts(found: Any) -> Iterator[str]:
    """What is known of a simple type: in its own words, and by its limits."""
    told = [
        " ".join(one.text.split())
        for one in (found.annotation.appinfo if found.annotation is not None else ())
        if one.get("source") == "must-be" and one.text
    ]
    yield from told
    base = found.base_type
    if base is not None and base.name is not None:
        inherited = base.target_namespace != _XS
        yield f"restricts {base.local_name}" if inherited else f"xs:{base.local_name}"
    names = {
        "length": "{} characters",
        "minLength": "at least {} characters",
        "maxLength": "at most {} characters",
        "minInclusive": "from {}",
        "maxInclusive": "up to {}",
        "totalDigits": "at most {} digits",
    }
    limits = {facet: limit.value for facet in names if (limit := found.facets.get(f"{{{_XS}}}{facet}")) is not None}
    if {"minLength", "maxLength"} <= limits.keys():
        yield f"{limits.pop('minLength')} to {limits.pop('maxLength')} {_unit(found)}"
    for facet, limit in limits.items():
        yield names[facet].format(limit).replace("characters", _unit(found))
    patterns = found.facets.get(f"{{{_XS}}}pattern")
    if patterns is not None and not told:
        yield f"pattern {quoted(patterns.regexps[0])}"


def _unit(found: Any) -> str:
    return "bytes" if found.primitive_type.local_name in {"base64Binary", "hexBinary"} else "characters"
