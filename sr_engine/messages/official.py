"""The official DUIS schema, where an operator has one: published requests are held against it too (section 4)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from lxml import etree

from signing import ParsedDocument
from sr_engine.messages.elements import DUIS
from sr_engine.messages.schema import Schema, SchemaRefused
from sr_engine.messages.schema_files import SchemaUnusable, read_schema

_REQUEST = "{http://www.w3.org/2001/XMLSchema}element[@name='Request']"
_VERSION_IN_COMMENT = re.compile(r"Schema Version\b.*?(\d+(?:\.\d+)+)\s*$", re.MULTILINE)
_VERSION_IN_NAME = re.compile(r"\d+(?:\.\d+)+")
_UNKNOWN = "of unknown version"


@dataclass(frozen=True, slots=True)
class OfficialSchema:
    """The schema at `path`, loaded; safe to use from several threads."""

    path: Path
    version: str
    """As the file says: by its attribute, else by its first comment that names one, else by its name."""
    _schema: Schema = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> OfficialSchema:
        """Read the schema and what it imports from its folder; raises SchemaUnusable, saying what is wrong."""
        root = read_schema(path)
        if root.get("targetNamespace") != DUIS[1:-1] or root.find(_REQUEST) is None:
            raise SchemaUnusable(f"{path} is not the DUIS schema: it has no element Request of namespace {DUIS[1:-1]}")
        # In the parser's own words, since loading the validator that explains takes longer than a client waits.
        schema = Schema(path, roots={"Request"}, signature_apart=True, explained=False)
        return cls(path, _version(root) or _named_version(path), schema)

    def check(self, document: ParsedDocument) -> None:
        """Return if a request is valid, raise SchemaRefused if not; its signature is not looked at."""
        try:
            self._schema.check(document)
        except SchemaRefused as refused:
            raise SchemaRefused(
                f"{refused.reason} (official DUIS schema {self.version})", line=refused.line, path=refused.path
            ) from None


def _version(root: etree._Element) -> str | None:
    if (attribute := root.get("version")) is not None:
        return attribute
    comments = (comment.text or "" for comment in root.iter(etree.Comment))
    return next((found[1] for text in comments if (found := _VERSION_IN_COMMENT.search(text))), None)


def _named_version(path: Path) -> str:
    found = _VERSION_IN_NAME.search(path.stem)
    return _UNKNOWN if found is None else found[0]
