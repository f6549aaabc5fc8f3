"""Reads a schema and what it includes or imports, from files beside it and from nowhere else (FACTS Trap 32)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lxml import etree

_XS = "{http://www.w3.org/2001/XMLSchema}"
_REFERENCES = (_XS + "include", _XS + "import", _XS + "redefine")
_SEPARATORS = re.compile(r"[ _-]+|%20")


class SchemaUnusable(Exception):
    """A schema file cannot be read or is no XML Schema."""


def read_schema(path: Path) -> etree._Element:
    """Return the root of a schema whose includes and imports will be found, ready for `etree.XMLSchema`.

    A file is taken from the folder of the one that names it, whatever folder or network address is named; if none has
    exactly that name, one whose name differs in case, spaces, underscores or hyphens only: libxml2 follows no location
    with a space, and people rename such files. No DTD is loaded. Raises SchemaUnusable.
    """
    documents: dict[str, bytes] = {}
    parser = _parser()
    parser.resolvers.add(_Beside(documents))
    names: dict[Path, str] = {path.resolve(): path.name}
    root = _read(path, parser)
    waiting = [(path, root)]
    while waiting:
        file, document = waiting.pop()
        for reference in document.iterchildren(*_REFERENCES):
            location = reference.get("schemaLocation")
            if location is None:
                continue
            beside = _beside(file, location)
            key = beside.resolve()
            if key not in names:
                names[key] = f"schema-{len(names)}.xsd"
                waiting.append((beside, _read(beside, _parser())))
            reference.set("schemaLocation", names[key])
        documents[names[file.resolve()]] = etree.tostring(document, encoding="UTF-8")
    return root


class _Beside(etree.Resolver):
    """Hands libxml2 the documents that were read; asked for another, it gets nothing."""

    def __init__(self, documents: dict[str, bytes]) -> None:
        super().__init__()
        self._documents = documents

    def resolve(self, system_url: str | None, public_id: str | None, context: Any) -> Any:  # noqa: ARG002 - the signature is lxml's
        data = self._documents.get((system_url or "").rpartition("/")[2])
        return self.resolve_empty(context) if data is None else self.resolve_string(data, context)


def _parser() -> etree.XMLParser:
    return etree.XMLParser(no_network=True, load_dtd=False, resolve_entities="internal")


def _read(path: Path, parser: etree.XMLParser) -> etree._Element:
    try:
        return etree.fromstring(path.read_bytes(), parser)
    except OSError as error:
        raise SchemaUnusable(f"{path} is not a usable XML Schema: {error.strerror}") from None
    except etree.XMLSyntaxError as error:
        raise SchemaUnusable(f"{path} is not a usable XML Schema: {error}") from None


def _beside(file: Path, location: str) -> Path:
    """The file that a location in `file` means."""
    name = location.replace("\\", "/").rpartition("/")[2]
    exact = file.parent / name
    if exact.is_file():
        return exact
    alike = sorted(each for each in file.parent.iterdir() if _bare(each.name) == _bare(name) and each.is_file())
    match alike:
        case [one]:
            return one
        case []:
            raise SchemaUnusable(f"{file} names {name}, which is not beside it: put it into {file.parent}")
        case _:
            found = " and ".join(each.name for each in alike)
            raise SchemaUnusable(f"{file} names {name}, which may be {found}: keep one of them in {file.parent}")


def _bare(name: str) -> str:
    return _SEPARATORS.sub("", name.casefold())
