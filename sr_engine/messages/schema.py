"""Whether a document is valid by one of the schemas in `xsd/` or by the official one (section 3, Check order)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from lxml import etree

from signing import ParsedDocument
from sr_engine.messages.elements import local_name
from sr_engine.messages.reasons import Explanation, bounded
from sr_engine.messages.schema_files import SchemaUnusable, read_schema

if TYPE_CHECKING:
    from sr_engine.messages.explain import Explainer

MAX_ATTRIBUTES = 4
"""The most attributes an element may carry; published elements have one or two. libxml2 records each wrong one, so
millions would cost gigabytes."""
_FEW_EQUALS_SIGNS = 100
"""In a document with no more of them no element can have attributes by the million, and the schema sees to the rest."""

_XS = "http://www.w3.org/2001/XMLSchema"
_DS = "{http://www.w3.org/2000/09/xmldsig#}"
_SIGNATURE = f"{_DS}Signature"
_SIGNATURE_REFERENCE = f".//{{{_XS}}}element[@ref='ds:Signature']"

_CROWDED = etree.XPath(f"//*[count(@*) > {MAX_ATTRIBUTES}]")

_MAX_TAGS_TO_EXPLAIN = 20_000
_MAX_BYTES_TO_EXPLAIN = 2 * 1024 * 1024
"""Over more tags or bytes the validator that explains would take seconds, and hundreds of megabytes for an endless list
of ids; lxml's own message is given then. A list of 50,001 ids is explained."""


class SchemaRefused(Exception):
    """A document is not valid: `reason` says what is wrong and what was expected, `line` and `path` say where."""

    def __init__(self, reason: str, *, line: int | None = None, path: str | None = None) -> None:
        super().__init__(reason, line, path)
        self.reason = reason
        self.line = line
        self.path = path

    def __str__(self) -> str:
        places = [f"line {self.line}" if self.line is not None else "", self.path or ""]
        place = ", ".join(part for part in places if part)
        return f"{self.reason} ({place})" if place else self.reason


class Schema:
    """One XML Schema; safe to use from several threads.

    lxml decides, with one compiled schema that validation only reads. It also writes to a log that its threads share,
    so that log is never read here: what is wrong is found by validating a refused document again.
    """

    def __init__(
        self, path: Path, *, roots: Collection[str] = (), signature_apart: bool = False, explained: bool = True
    ) -> None:
        """Load the schema; `roots` names the document elements accepted here, all the schema knows if empty.

        With `signature_apart` what is inside a ds:Signature is not looked at: for documents whose signature is checked
        next, element by element, so that this is not done twice. Refusals that are not `explained` are in lxml's own
        words. Raises SchemaUnusable.
        """
        self._explained = explained
        self._roots = frozenset(roots)
        self._signature_apart = signature_apart
        self._validator = _load(path, signature_apart=signature_apart)
        self._path = path
        self._explainer: Explainer | None = None
        self._last_word = _load(path)
        self._last_word_lock = Lock()

    def check(self, document: ParsedDocument) -> None:
        """Return if the document is valid, raise SchemaRefused if not."""
        root = document.root
        _refuse_crowded(document)
        try:
            valid = self._validator(root)
        except etree.XMLSchemaValidateError:
            raise SchemaRefused("the document cannot be checked against the schema", line=1) from None
        if not valid:
            raise self._refusal(document)
        if self._signature_apart:
            _refuse_other_than_signature(root)
        if self._roots and (name := local_name(root)) not in self._roots:
            expected = " or ".join(sorted(self._roots))
            raise SchemaRefused(f"the document is a {name}; {expected} is expected here", line=root.sourceline)

    def explainer(self) -> Explainer:
        """What explains refusals; made when first needed, for it brings a second, slower validator with it."""
        # Most commands never refuse anything, and the import takes a third of a second.
        from sr_engine.messages.explain import Explainer  # noqa: PLC0415 - see above

        with self._last_word_lock:
            if self._explainer is None:
                self._explainer = Explainer(self._path)
            return self._explainer

    def _refusal(self, document: ParsedDocument) -> SchemaRefused:
        explanation = None
        small = len(document.data) <= _MAX_BYTES_TO_EXPLAIN and document.data.count(b"<") <= _MAX_TAGS_TO_EXPLAIN
        if self._explained and small:
            explanation = self.explainer().explain(document.root)
        if explanation is None:
            explanation = self._lxml_explanation(document.root)
        return SchemaRefused(explanation.reason, line=explanation.line, path=explanation.path)

    def _lxml_explanation(self, root: etree._Element) -> Explanation:
        with self._last_word_lock:
            self._last_word(root)
            error = self._last_word.error_log[0]
            return Explanation(bounded(_without_namespaces(error.message)), error.line or None, error.path)


def _load(path: Path, *, signature_apart: bool = False) -> etree.XMLSchema:
    try:
        schema = read_schema(path)
        if signature_apart:
            for reference in schema.findall(_SIGNATURE_REFERENCE):
                parent = reference.getparent()
                if parent is not None:
                    parent.replace(reference, _any_signature(reference.get("minOccurs", "1")))
        return etree.XMLSchema(schema)
    except etree.XMLSchemaParseError as error:
        raise SchemaUnusable(f"{path} is not a usable XML Schema: {bounded(str(error))}") from None


def _any_signature(min_occurs: str) -> etree._Element:
    """Instead of a reference to ds:Signature: one element of its namespace, whatever is in it."""
    return etree.Element(
        f"{{{_XS}}}any", namespace="http://www.w3.org/2000/09/xmldsig#", processContents="skip", minOccurs=min_occurs
    )


def _refuse_other_than_signature(root: etree._Element) -> None:
    """Of the namespace of ds:Signature nothing else may stand in its place, the last child of the root."""
    last = root[-1] if len(root) else None
    if last is not None and last.tag != _SIGNATURE and str(last.tag).startswith(_DS):
        raise SchemaRefused(f"{local_name(last)} is not expected; ds:Signature is", line=last.sourceline)


def _refuse_crowded(document: ParsedDocument) -> None:
    if document.data.count(b"=") <= _FEW_EQUALS_SIGNS:
        return
    for element in _CROWDED(document.root):
        raise SchemaRefused(f"{local_name(element)} has more than {MAX_ATTRIBUTES} attributes", line=element.sourceline)


def _without_namespaces(message: str) -> str:
    """lxml's message with plain names: '{http://...}Header' is Header to a reader."""
    return "".join(part.rpartition("}")[2] for part in message.replace("{", "\0{").split("\0"))
