"""Signing: a tree or a document in, the signed document in compact XML out (FACTS SG1 to SG6)."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from xml.sax.saxutils import escape

from lxml import etree

from .canonical import inclusive
from .document import DEFAULT_MAX_BYTES, line_of, parse, path_of, read_tree, utf8_text
from .errors import DocumentRefused, ProfileRefused
from .keys import SigningKey
from .profile import DS, ECDSA_SHA256, ENVELOPED, EXCLUSIVE_C14N, SHA256, SIGNATURE
from .trees import take_out

_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>'
_NAMESPACE = f' xmlns:ds="{DS}"'.encode()
_SIGNED_INFO = (
    b"<ds:SignedInfo%s>"
    + (
        f'<ds:CanonicalizationMethod Algorithm="{EXCLUSIVE_C14N}"></ds:CanonicalizationMethod>'
        f'<ds:SignatureMethod Algorithm="{ECDSA_SHA256}"></ds:SignatureMethod>'
        '<ds:Reference URI=""><ds:Transforms>'
        f'<ds:Transform Algorithm="{ENVELOPED}"></ds:Transform>'
        f'</ds:Transforms><ds:DigestMethod Algorithm="{SHA256}"></ds:DigestMethod>'
    ).encode()
    + b"<ds:DigestValue>%s</ds:DigestValue></ds:Reference></ds:SignedInfo>"
)
"""SignedInfo with a place for the namespace and the digest. With the namespace it is its own exclusive C14N."""


class Signer:
    """Signs documents with one key; safe to use from several threads if the key is."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self._key_info = (
            f"<ds:KeyInfo><ds:X509Data><ds:X509IssuerSerial><ds:X509IssuerName>{escape(key.issuer_name)}"
            f"</ds:X509IssuerName><ds:X509SerialNumber>{key.serial}</ds:X509SerialNumber>"
            "</ds:X509IssuerSerial></ds:X509Data></ds:KeyInfo>"
        ).encode()

    def sign(self, root: etree._Element) -> bytes:
        """Return the document below `root` with a ds:Signature as its last child, in UTF-8; `root` stays as it is.

        The document is written in its canonical form, which is compact and which a receiver digests unchanged, so
        writing and digesting are one pass. Raises ProfileRefused if it holds a ds:Signature already, DocumentRefused
        if it holds a comment or processing instruction or has no canonical form.
        """
        signed = next(root.iter(SIGNATURE), None)
        if signed is not None:
            raise ProfileRefused(
                "the document is signed already; remove that ds:Signature first",
                line=line_of(signed),
                path=path_of(signed),
            )
        document = inclusive(root)
        # Canonical XML escapes every '<' that is not markup, and knows no DOCTYPE or CDATA section.
        if b"<!" in document or b"<?" in document:
            raise DocumentRefused("the document holds a comment or processing instruction; the profile knows none")
        digest = b64encode(hashlib.sha256(document).digest())
        value = b64encode(self._key.sign(_SIGNED_INFO % (_NAMESPACE, digest)))
        # Canonical XML never abbreviates an empty element, so the root's end tag is always there.
        end = document.rindex(b"</")
        return b"".join(
            (
                _DECLARATION,
                document[:end],
                b"<ds:Signature%s>" % _NAMESPACE,
                _SIGNED_INFO % (b"", digest),
                b"<ds:SignatureValue>%s</ds:SignatureValue>" % value,
                self._key_info,
                b"</ds:Signature>",
                document[end:],
            )
        )

    def sign_bytes(self, data: bytes, *, max_bytes: int = DEFAULT_MAX_BYTES) -> bytes:
        """Return an XML document signed anew: an existing ds:Signature is removed, white space is kept.

        Raises DocumentRefused as `parse` does, once the ds:Signature has been removed.
        """
        return self.sign(parse(remove_signatures(data, max_bytes=max_bytes), max_bytes=max_bytes).root)


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
    for signature in list(root.iter(SIGNATURE)):
        parent = signature.getparent()
        if parent is not None:
            take_out(parent, signature)
    return etree.tostring(root.getroottree(), encoding="UTF-8", xml_declaration=True)
