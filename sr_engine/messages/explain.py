"""Why a document is not valid, in words its sender can act on.

`xmlschema` finds the first error; the words are written here. What a value should have been is taken from the schema:
our types say it in xs:appinfo source="must-be".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any

import xmlschema
from lxml import etree
from xmlschema.validators import XMLSchemaChildrenValidationError, XMLSchemaDecodeError, XsdType, facets

from sr_engine.messages.elements import local_name
from sr_engine.messages.reasons import Explanation, bounded

_MAX_VALUE = 60
_MAX_CHOICES = 12
_MAX_EXPECTED = 4
_ID_AND_COMMA = re.compile(r"[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){7},")
_ID_LENGTH = 24
"""Characters of an id and its comma."""
_ATTRIBUTE = re.compile(r"attribute ([^=]+)=")
_POSITION = re.compile(r"\[[0-9]+\]")

_BUILT_IN = {
    "boolean": "true or false",
    "dateTime": "a date and time such as 2026-11-22T10:15:00Z",
    "date": "a date such as 2026-11-22",
    "hexBinary": "an even number of hexadecimal digits",
    "base64Binary": "base64",
    "integer": "a whole number",
    "nonNegativeInteger": "a whole number of 0 or more",
    "positiveInteger": "a whole number of 1 or more",
    "unsignedInt": "a whole number of 0 or more",
    "decimal": "a decimal number",
}


class Explainer:
    """Explains refusals by one schema; loads it when first asked, once, whatever the number of threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._schema: xmlschema.XMLSchema10 | None = None

    def explain(self, root: etree._Element) -> Explanation | None:
        """Return what is wrong with a document, None if nothing is found or the explanation itself fails."""
        try:
            schema = self._loaded()
            error = _first_error(schema, root)
            return None if error is None else _explanation(schema, error)
        except Exception:
            # An explanation is a courtesy. The document is refused already, and what it holds is not ours to trust.
            return None

    def _loaded(self) -> xmlschema.XMLSchema10:
        with self._lock:
            if self._schema is None:
                self._schema = xmlschema.XMLSchema10(str(self._path), allow="local")
            return self._schema


def _first_error(schema: xmlschema.XMLSchema10, root: etree._Element) -> xmlschema.XMLSchemaValidationError | None:
    source: Any = root  # an lxml element is what xmlschema wants, but the two packages' type stubs do not agree on it
    try:
        return next(schema.iter_errors(source, validation="strict"), None)
    except xmlschema.XMLSchemaValidationError as error:
        return error


def _explanation(schema: xmlschema.XMLSchema10, error: xmlschema.XMLSchemaValidationError) -> Explanation | None:
    if isinstance(error.validator, xmlschema.XMLSchemaBase):
        return Explanation(bounded(_unknown_root(schema, error)), error.sourceline, None)
    path = error.path
    if isinstance(error, XMLSchemaChildrenValidationError):
        child = error.invalid_child
        if child is None:
            return Explanation(bounded(_incomplete(error)), error.sourceline, path)
        return Explanation(bounded(_unexpected(error)), getattr(child, "sourceline", None), path)
    reason = _wrong_value(schema, error)
    return None if reason is None else Explanation(bounded(reason), error.sourceline, path)


def _unknown_root(schema: xmlschema.XMLSchema10, error: xmlschema.XMLSchemaValidationError) -> str:
    name = etree.QName(error.elem.tag) if error.elem is not None else None
    known = sorted(element.local_name for element in schema.elements.values())
    expected = " or ".join(known)
    if name is not None and name.localname in known:
        return (
            f"{name.localname} is in {f'namespace {_quoted(name.namespace)}' if name.namespace else 'no namespace'}; "
            f"the namespace {_quoted(schema.target_namespace)} is expected"
        )
    found = "" if name is None else f" {_quoted(name.localname)}"
    return f"the document element{found} is not known; {expected} is expected"


def _incomplete(error: XMLSchemaChildrenValidationError) -> str:
    expected = _expected(error)
    parent = _name_of(error.elem)
    return f"{parent} ends too early: {expected} is missing" if expected else f"{parent} ends too early"


def _unexpected(error: XMLSchemaChildrenValidationError) -> str:
    found = etree.QName(error.invalid_tag or "")
    parent = etree.QName(error.elem.tag) if error.elem is not None else None
    name = found.localname
    if parent is not None and found.namespace != parent.namespace:
        name += f" of namespace {_quoted(found.namespace)}" if found.namespace else " without a namespace"
    within = "" if parent is None else f" in {parent.localname}"
    expected = _expected(error)
    if expected:
        return f"{name} is not expected at this place{within}; {expected} is expected"
    return f"{name} is not expected at this place{within}; nothing more may follow"


def _expected(error: XMLSchemaChildrenValidationError) -> str:
    names: list[str] = []
    for particle in error.expected or ():
        names.append(getattr(particle, "local_name", None) or "another element")
        group = getattr(particle, "parent", None)
        if getattr(group, "model", None) == "sequence" and particle.min_occurs > 0:
            break
    if len(names) > _MAX_EXPECTED + 1:
        names = [*names[:_MAX_EXPECTED], f"one of {len(names) - _MAX_EXPECTED} other elements"]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1] if names else ""


def _wrong_value(schema: xmlschema.XMLSchema10, error: xmlschema.XMLSchemaValidationError) -> str | None:
    found = _ATTRIBUTE.match(error.reason or "")
    name = f"attribute {found[1]}" if found else _name_of(error.elem)
    value = error.obj if isinstance(error.obj, str) else str(error.obj)
    match error.validator:
        case facets.XsdMaxLengthFacet(value=int(limit)):
            return _too_long(name, value, limit)
        case facets.XsdFacet():
            return _off_type(name, value, _must_be(error.validator.parent), error)
        case _ if isinstance(error, XMLSchemaDecodeError):
            return _off_type(name, value, _must_be(_declared_type(schema, error)), error)
        case _:
            # A reason that speaks of Xsd... objects is for xmlschema's own developers.
            return None if error.reason is None or "Xsd" in error.reason else f"{name}: {error.reason}"


def _too_long(name: str, value: str, limit: int) -> str:
    if _ID_AND_COMMA.match(value):
        count, most = value.count(",") + 1, (limit + 1) // _ID_LENGTH
        return f"{name} holds {count} ids, at most {most} are allowed"
    return f"{name} holds {len(value)} characters, at most {limit} are allowed"


def _off_type(name: str, value: str, must_be: str | None, error: xmlschema.XMLSchemaValidationError) -> str:
    if must_be is not None:
        return f"{name} {_quoted(value)} is not {must_be}{_detail(error)}"
    match error.validator:
        case facets.XsdEnumerationFacets(enumeration=list(values)) if len(values) <= _MAX_CHOICES:
            return f"{name} {_quoted(value)} is not one of {', '.join(str(each) or _quoted('') for each in values)}"
        case facets.XsdMinLengthFacet(value=int(least)):
            return f"{name} holds {len(value)} characters, at least {least} are needed"
        case facets.XsdLengthFacet(value=int(length)):
            return f"{name} holds {len(value)} characters, {length} are needed"
        case facets.XsdPatternFacets() | facets.XsdEnumerationFacets():
            return f"{name} {_quoted(value)} is not of the form that the schema asks for"
        case _:
            return f"{name} {_quoted(value)} is not accepted: {error.reason}"


def _detail(error: xmlschema.XMLSchemaValidationError) -> str:
    """What is wrong with a date of the right form, such as 'month must be in 1..12'."""
    is_date = getattr(error.validator, "local_name", None) in ("date", "dateTime")
    return f" ({error.reason})" if is_date and "must be in" in (error.reason or "") else ""


def _declared_type(schema: xmlschema.XMLSchema10, error: xmlschema.XMLSchemaValidationError) -> object:
    """The type of the element itself: the error names only the built-in type that its text failed."""
    declared = schema.find(_POSITION.sub("", error.path or ""), namespaces=schema.namespaces)
    return getattr(declared, "type", None) or error.validator


def _must_be(xsd_type: object) -> str | None:
    """What a value of the type has to be, in the schema's words or, for XML Schema's own types, in ours."""
    for ancestor in _lineage(xsd_type):
        for appinfo in ancestor.annotation.appinfo if ancestor.annotation is not None else ():
            if appinfo.get("source") == "must-be" and appinfo.text:
                return " ".join(appinfo.text.split())
        if ancestor.target_namespace == "http://www.w3.org/2001/XMLSchema":
            return _BUILT_IN.get(ancestor.local_name or "")
    return None


def _lineage(xsd_type: object) -> Iterator[XsdType]:
    while isinstance(xsd_type, XsdType):
        yield xsd_type
        xsd_type = xsd_type.base_type


def _name_of(element: object) -> str:
    return local_name(element) if isinstance(element, etree._Element) else "the document"


def _quoted(value: str) -> str:
    """The value itself if it is short, else its beginning."""
    return repr(value if len(value) <= _MAX_VALUE else value[:_MAX_VALUE] + "…")
