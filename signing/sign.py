"""Signing: a tree or a document in, the signed document in compact XML out (FACTS SG1 to SG6)."""

from __future__ import annotations

import hashlib
import re
from binascii import b2a_base64
from collections.abc import Callable, Sequence
from itertools import islice
from xml.sax.saxutils import escape

from lxml import etree

from .canonical import inclusive
from .compact import signature_around, signed_info_of
from .document import DEFAULT_MAX_BYTES, line_of, parse, path_of, read_tree, utf8_text
from .errors import DocumentRefused, ProfileRefused
from .keys import SigningKey
from .profile import DS, SIGNATURE
from .trees import take_out

_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>'
_DS = DS.encode()
_PLAIN = re.compile(r"[0-9A-Za-z:.-]+")
"""Identifiers: XML has no other way of writing these characters that its canonical form would keep."""

MOST_SIGNATURES = 16
"""That are removed from one document; it needs no more than one."""


class Signer:
    """Signs documents with one key; safe to use from several threads if the key is."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self._around = signature_around(escape(key.issuer_name).encode(), str(key.serial).encode())

    def sign(self, root: etree._Element) -> bytes:
        """Return the document below `root` with a ds:Signature as its last child, in UTF-8; `root` stays as it is.

        The document is written in its canonical form, which is compact and which a receiver digests unchanged, so
        writing and digesting are one pass. Raises ProfileRefused if it holds a ds:Signature already, DocumentRefused
        if it holds a comment or processing instruction or has no canonical form.
        """
        return self._signed(_canonical(root))

    def sign_filled(self, blank: Blank, texts: Sequence[str]) -> bytes | None:
        """Return the document that a blank with these texts is, as `sign` would; None if a text is not plain.

        Saves building the tree and canonicalising it, which together take longer than the signature.
        """
        document = blank.filled(texts)
        return None if document is None else self._signed(document)

    def series(self, root: etree._Element, gap: str) -> Series:
        """What signs documents that are alike but for one text: `root` with something else instead of `gap` each time.

        Raises ValueError if `gap` does not stand in the document once, else as `sign` does.
        """
        document = _canonical(root)
        before, *others = document.split(gap.encode())
        if len(others) != 1:
            raise ValueError(f"the text to be replaced stands in the document {len(others)} times, not once")
        return Series(before, others[0], self._around, self._texts)

    def _signed(self, document: bytes) -> bytes:
        """A document in its canonical form, with its Signature."""
        # Canonical XML never abbreviates an empty element, so the root's end tag is always there.
        end = document.rindex(b"</")
        signature = self._signature(hashlib.sha256(document).digest())
        return b"".join((_DECLARATION, document[:end], signature, document[end:]))

    def _signature(self, document_digest: bytes) -> bytes:
        to_digest, to_value, to_end = self._around
        digest, value = self._texts(document_digest)
        return b"".join((to_digest, digest, to_value, value, to_end))

    def _texts(self, document_digest: bytes) -> tuple[bytes, bytes]:
        """Digest and value of a Signature, as they stand in it."""
        digest = b2a_base64(document_digest, newline=False)
        return digest, b2a_base64(self._key.sign(signed_info_of(digest)), newline=False)

    def sign_bytes(self, data: bytes, *, max_bytes: int = DEFAULT_MAX_BYTES) -> bytes:
        """Return an XML document signed anew: an existing ds:Signature is removed, white space is kept.

        Raises DocumentRefused as `parse` does, once the ds:Signature has been removed.
        """
        return self.sign(parse(remove_signatures(data, max_bytes=max_bytes), max_bytes=max_bytes).root)


def is_signed_form_of(data: bytes, root: etree._Element) -> bool:
    """Whether a document, its Signature apart, is the one below `root`; whether the Signature is good is not asked."""
    try:
        return inclusive(parse(remove_signatures(data)).root) == inclusive(root)
    except DocumentRefused:
        return False


class Series:
    """Documents that differ in one text, each signed for little more than its signature; made by `Signer.series`.

    Each is `parts`, which all share, with three texts between them.
    """

    __slots__ = ("_after", "_hashed", "_texts", "parts")

    def __init__(
        self,
        before: bytes,
        after: bytes,
        around: tuple[bytes, bytes, bytes],
        texts: Callable[[bytes], tuple[bytes, bytes]],
    ) -> None:
        """`before` and `after` are what stands around the text in the canonical form of each document.

        `around` is the Signature but for digest and value, which `texts` gives for the digest of a document.
        """
        end = after.rindex(b"</")
        to_digest, to_value, to_end = around
        self.parts = (_DECLARATION + before, after[:end] + to_digest, to_value, to_end + after[end:])
        self._hashed = hashlib.sha256(before)
        self._after = after
        self._texts = texts

    def sign(self, text: str) -> bytes:
        """Return the document with this text, as `Signer.sign` would, byte for byte but for what chance decides.

        Raises ValueError for a text that might not stand in canonical XML as it is.
        """
        return self.filled(self.texts(text))

    def texts(self, text: str) -> tuple[bytes, bytes, bytes]:
        """Sign the document with this text: return what stands between the parts. Raises as `sign` does."""
        if _PLAIN.fullmatch(text) is None:
            raise ValueError(f"not a plain text: {text[:200]!r}")
        written = text.encode("ascii")
        hashed = self._hashed.copy()
        hashed.update(written + self._after)
        return written, *self._texts(hashed.digest())

    def filled(self, texts: tuple[bytes, bytes, bytes]) -> bytes:
        """The document with these texts."""
        (begin, to_digest, to_value, to_end), (written, digest, value) = self.parts, texts
        return b"".join((begin, written, to_digest, digest, to_value, value, to_end))


class Blank:
    """A document with gaps for plain texts, whose canonical form with texts in them needs no tree."""

    __slots__ = ("_gaps", "_written")

    def __init__(self, root: etree._Element, gaps: Sequence[str]) -> None:
        """`gaps` are the texts to be replaced, each of which stands in the document once, in this order.

        Raises ValueError if one does not, else as `Signer.sign` does.
        """
        rest, parts = _canonical(root), []
        for gap in gaps:
            before, *after = rest.split(gap.encode())
            if len(after) != 1:
                raise ValueError(f"a text to be replaced stands {len(after)} times after the one before it, not once")
            parts.append(before)
            rest = after[0]
        self._gaps = len(gaps)
        self._written = "%s".join(part.decode().replace("%", "%%") for part in (*parts, rest))

    def filled(self, texts: Sequence[str]) -> bytes | None:
        """Return the canonical form with these texts; None if one might not stand there as it is written.

        Raises ValueError if there are not as many texts as gaps.
        """
        if len(texts) != self._gaps:
            raise ValueError(f"{len(texts)} texts for {self._gaps} gaps")
        if _PLAIN.fullmatch("".join(texts)) is None:
            return None
        return (self._written % tuple(texts)).encode()


def _canonical(root: etree._Element) -> bytes:
    """What of a document is digested; raises as `Signer.sign` does."""
    document = inclusive(root)
    if _DS in document:
        _refuse_signed(root)
    # Canonical XML escapes every '<' that is not markup, and knows no DOCTYPE or CDATA section.
    if (b"!" in document and b"<!" in document) or (b"?" in document and b"<?" in document):
        raise DocumentRefused("the document holds a comment or processing instruction; the profile knows none")
    return document


def _refuse_signed(root: etree._Element) -> None:
    signed = next(root.iter(SIGNATURE), None)
    if signed is not None:
        raise ProfileRefused(
            "the document is signed already; remove that ds:Signature first", line=line_of(signed), path=path_of(signed)
        )


def take_out_signatures(root: etree._Element) -> None:
    """Take every ds:Signature below the root out of its tree; raises DocumentRefused if there are very many."""
    signatures = list(islice(root.iter(SIGNATURE), MOST_SIGNATURES + 1))
    if len(signatures) > MOST_SIGNATURES:
        # Each removal copies the text before it.
        raise DocumentRefused(f"the document holds more than {MOST_SIGNATURES} ds:Signature elements")
    for signature in signatures:
        parent = signature.getparent()
        if parent is not None:
            take_out(parent, signature)


def remove_signatures(data: bytes, *, max_bytes: int = DEFAULT_MAX_BYTES) -> bytes:
    """Return the document without any ds:Signature, whatever is in it, and otherwise as it was but for its writing.

    Published samples carry placeholder signatures with comments, so comments, CDATA sections and processing
    instructions are let through here; outside the ds:Signature they remain, and `parse` refuses them. Raises
    DocumentRefused if the document is too large, not UTF-8, not well-formed or holds a DOCTYPE.
    """
    if len(data) > max_bytes:
        raise DocumentRefused(f"the document has {len(data)} bytes; at most {max_bytes} are accepted")
    text = utf8_text(data)
    if b"<!DOCTYPE" in text:
        raise DocumentRefused("the document holds a DOCTYPE, which is not accepted")
    root = read_tree(text, strip_cdata=False)
    if root.tag == SIGNATURE:
        raise DocumentRefused("the document is a ds:Signature and nothing else")
    take_out_signatures(root)
    return etree.tostring(root.getroottree(), encoding="UTF-8", xml_declaration=True)
