"""Bytes to tree: what is accepted as a document at all (section 3 of the domain description; FACTS SG17, Trap 33)."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field

from lxml import etree

from .errors import DocumentRefused

DEFAULT_MAX_BYTES = 16 * 1024 * 1024
"""The largest document accepted, in bytes; a legal 11.1 is 14.9 MB."""

MAX_TAGS = 1_000_000
"""A tree costs some 150 bytes for each; a report on 50,000 hubs has about 600,000."""

MAX_NAMESPACE_STEPS = 100_000_000
"""Inclusive C14N takes the square of the namespaces in scope for every element: this many steps are half a second."""

MAX_ATTRIBUTES = 256
"""C14N sorts the attributes of an element in quadratic time; DUIS has at most one where it has any."""

_MANY_EQUALS_SIGNS = 2_000

SMALL = 4096
"""Bytes of a document too short to be costly: it has room for 17 million namespace steps and 800 attributes at most."""

_BOM = b"\xef\xbb\xbf"
_OTHER_BOMS = (b"\xff\xfe", b"\xfe\xff")
_USUAL_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>'
_DECLARATION = re.compile(
    rb"""<\?xml [ \t\r\n]+ version [ \t\r\n]*=[ \t\r\n]* (?P<v>["']) (?P<version>[0-9.]{1,8}) (?P=v)
    (?: [ \t\r\n]+ encoding [ \t\r\n]*=[ \t\r\n]* (?P<e>["']) (?P<encoding>[A-Za-z][A-Za-z0-9._-]{0,40}) (?P=e) )?
    (?: [ \t\r\n]+ standalone [ \t\r\n]*=[ \t\r\n]* (?P<s>["']) (?:yes|no) (?P=s) )?
    [ \t\r\n]* \?>""",
    re.VERBOSE,
)
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SEEMINGLY_RELATIVE = re.compile(
    rb"""xmlns(?::[^\s=]{1,200})?\s*=\s*(?:"(?![A-Za-z][A-Za-z0-9+.-]*:|")|'(?![A-Za-z][A-Za-z0-9+.-]*:|'))"""
    rb"""|xmlns:[^\s=]{201}"""
)
_CONSTRUCTS = (
    (b"<!--", "a comment"),
    (b"<![CDATA[", "a CDATA section"),
    (b"<!DOCTYPE", "a DOCTYPE"),
    (b"<?", "a processing instruction"),
)


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A well-formed document of elements, attributes and text only; nothing in it is authenticated.

    `data` is the document exactly as received, `root` its tree. Verifier.verify takes the tree over.
    """

    data: bytes = field(repr=False)
    root: etree._Element


def parse(data: bytes, *, max_bytes: int = DEFAULT_MAX_BYTES) -> ParsedDocument:
    """Return the document, or raise DocumentRefused and nothing else, whatever the bytes are.

    Refused is what is empty, larger than `max_bytes`, not UTF-8 or not well-formed, what holds a DOCTYPE, comment,
    processing instruction or CDATA section, and what cannot be canonicalised (section 3 of the domain description).
    """
    if len(data) > max_bytes:
        raise DocumentRefused(f"the document has {len(data)} bytes; at most {max_bytes} are accepted")
    text = utf8_text(data)
    _refuse_constructs(text)
    small = len(text) <= SMALL
    if not small:
        _refuse_costly_namespaces(text)
    root = read_tree(text)
    if not small:
        _refuse_costly_attributes(text, root)
    _refuse_relative_namespaces(text, root)
    return ParsedDocument(data, root)


def utf8_text(data: bytes) -> bytes:
    """Return the document without its byte order mark; raises DocumentRefused if it is not XML 1.0 text in UTF-8."""
    if not data:
        raise DocumentRefused("the document is empty; an XML document was expected")
    if data.startswith(_OTHER_BOMS):
        raise DocumentRefused("the document is in UTF-16 or UTF-32; send it in UTF-8", line=1)
    text = data.removeprefix(_BOM)
    if text.startswith(_BOM):
        # The parser would drop this one as well, though what comes after the first is a character of the document.
        raise DocumentRefused("the document begins with two byte order marks", line=1)
    if not text.isascii():
        try:
            text.decode("utf-8")
        except UnicodeDecodeError as error:
            line = line_at(text, error.start)
            raise DocumentRefused("the document is not valid UTF-8; send it in UTF-8", line=line) from None
    if b"\x00" in text:
        line = line_at(text, text.index(b"\x00"))
        raise DocumentRefused("the document holds a NUL, so it is not XML in UTF-8", line=line)
    _refuse_declaration(text)
    return text


def _refuse_declaration(text: bytes) -> None:
    """The tree is read as UTF-8 whatever the declaration says, so a declaration that says otherwise is refused."""
    if text.startswith(_USUAL_DECLARATION) or not _begins_with_declaration(text):
        return
    found = _DECLARATION.match(text)
    if found is None:
        raise DocumentRefused("the XML declaration is malformed", line=1)
    if found["version"] != b"1.0":
        raise DocumentRefused(f"XML version {found['version'].decode()} is not accepted; send version 1.0", line=1)
    encoding = (found["encoding"] or b"UTF-8").decode().upper()
    if encoding not in {"UTF-8", "UTF8", "US-ASCII", "ASCII"}:
        raise DocumentRefused(f"the declared encoding {encoding} is not accepted; send the document in UTF-8", line=1)
    if encoding.endswith("ASCII") and not text.isascii():
        raise DocumentRefused("the document is declared US-ASCII and holds other characters", line=1)


def _begins_with_declaration(text: bytes, start: int = 0) -> bool:
    return text.startswith(b"<?xml", start) and text[start + 5 : start + 6] in {b" ", b"\t", b"\r", b"\n"}


def _refuse_constructs(text: bytes) -> None:
    """Refuse DOCTYPE, comments, CDATA sections and processing instructions before anything is parsed.

    The scan is sound. In UTF-8 the bytes of '<', '!' and '?' never occur inside another character, and the parser is
    forced to read UTF-8. In well-formed XML a raw '<' is markup unless it stands inside one of the four constructs
    (in text and attribute values it must be escaped), so the first of them in a document is found by its opening
    bytes; and a raw '<!' or '<?' that opens none of them makes a document ill-formed, so nothing legal is refused.
    """
    if text.startswith(_USUAL_DECLARATION):
        start = len(_USUAL_DECLARATION)
    else:
        start = text.find(b"?>") + 2 if _begins_with_declaration(text) else 0
    if text.find(b"!", start) < 0 and text.find(b"?", start) < 0:
        return  # by far the most documents, and looking for a rare byte is faster than for a frequent one
    positions = [at for at in (text.find(b"<!", start), text.find(b"<?", start)) if at >= 0]
    if not positions:
        return
    position = min(positions)
    if _begins_with_declaration(text, position):
        name = "an XML declaration that is not at the very beginning"
    else:
        name = next((name for opening, name in _CONSTRUCTS if text.startswith(opening, position)), "'<!'")
    raise DocumentRefused(
        f"the document holds {name}; only elements, attributes and text are accepted", line=line_at(text, position)
    )


def _parser(*, strip_cdata: bool = True) -> etree.XMLParser:
    return etree.XMLParser(
        huge_tree=True,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        strip_cdata=strip_cdata,
        encoding="utf-8",
    )


class _SmallDocuments(threading.local):
    """The parser of small documents, one a thread, for making one costs as much as parsing half a kilobyte.

    A parser holds a lock while it parses, and the errors of its last document until the next, so threads share none
    and large documents, which can have errors by the million, are each read by a parser of their own.
    """

    def __init__(self) -> None:
        self.parser = _parser()


_small_documents = _SmallDocuments()


def read_tree(text: bytes, *, strip_cdata: bool = True) -> etree._Element:
    """Return the tree of UTF-8 text, looking nothing up elsewhere; raises DocumentRefused if it is not well-formed."""
    parser = _small_documents.parser if strip_cdata and len(text) <= SMALL else _parser(strip_cdata=strip_cdata)
    try:
        root = etree.fromstring(text, parser)
    except etree.XMLSyntaxError as error:
        # The error's text would add a file name, which there is none of.
        raise _ill_formed(error.msg, error.lineno) from None
    except (etree.LxmlError, ValueError, AssertionError, MemoryError) as error:
        # libxml2 can fail inside instead of answering; what it cannot read is refused like the rest.
        raise DocumentRefused(f"the XML parser could not read the document: {_first_words(error)}") from None
    for found in parser.error_log:
        # lxml goes by the last thing said of a document: a mere warning after it hides an undeclared prefix.
        if found.level >= etree.ErrorLevels.ERROR:
            raise _ill_formed(found.message, found.line)
    return root


def _ill_formed(message: str | None, line: int | None) -> DocumentRefused:
    reason = (message or "it cannot be read").splitlines()[0][:200]
    # Line 0 is what libxml2 gives where it knows none.
    return DocumentRefused(f"not well-formed XML: {reason}", line=line or None)


def _refuse_costly_namespaces(text: bytes) -> None:
    """Refuse a document whose tree or canonical form would cost far more than its bytes do."""
    tags, declarations = text.count(b"<"), text.count(b"xmlns")
    if tags > MAX_TAGS:
        raise DocumentRefused(f"the document has {tags} tags; at most {MAX_TAGS} are accepted")
    if tags * declarations * declarations > MAX_NAMESPACE_STEPS:
        raise DocumentRefused(f"the document declares {declarations} namespaces over {tags} tags, which is too many")


def _refuse_costly_attributes(text: bytes, root: etree._Element) -> None:
    """Refuse an element with very many attributes; where there are few equals signs, there is none."""
    if text.count(b"=") <= _MANY_EQUALS_SIGNS:
        return
    for element in root.iter("*"):
        if len(element.attrib) > MAX_ATTRIBUTES:
            raise DocumentRefused(
                f"an element has {len(element.attrib)} attributes; at most {MAX_ATTRIBUTES} are accepted",
                line=line_of(element),
                path=path_of(element),
            )


def _refuse_relative_namespaces(text: bytes, root: etree._Element) -> None:
    """Refuse namespaces that canonical XML cannot express: those with relative URIs (Canonical XML 1.0 section 1.3).

    The text is searched first: every declaration stands there as `xmlns`, for names cannot be escaped. What looks
    relative may be escaped or mere text, so then the tree decides.
    """
    if _SEEMINGLY_RELATIVE.search(text) is None:
        return
    relative: str | None = None
    for _, found in etree.iterwalk(root, events=("start-ns", "start")):
        if isinstance(found, tuple):  # a declaration, which comes before the start of its element
            if found[1] and _ABSOLUTE.match(found[1]) is None:
                relative = found[1]
        elif found is not None and relative is not None:
            raise DocumentRefused(
                f"the namespace {relative[:200]!r} is relative; canonical XML knows absolute namespace URIs only",
                line=line_of(found),
                path=path_of(found),
            )


def line_at(text: bytes, position: int) -> int:
    """Return the line, counted from 1, of the byte at `position`."""
    return text.count(b"\n", 0, position) + 1


def line_of(element: etree._Element) -> int | None:
    """Return the line the parser noted for the element, or None for an element that was built."""
    return element.sourceline


def path_of(element: etree._Element) -> str | None:
    """Return the element's place as a path that people can follow, None if a name in it is too long for one."""
    try:
        return element.getroottree().getpath(element)
    except UnicodeDecodeError:
        # libxml2 cuts names at 500 bytes, and does so in the middle of a character.
        return None


def _first_words(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
