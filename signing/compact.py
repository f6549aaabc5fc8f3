"""The ds:Signature as signers write it: compact, with the prefix ds declared on itself.

Such a Signature is recognised in the canonical form of the document it stands in, without going through the tree: one
canonicalisation then yields what was digested and what was signed. Whatever looks different in any way is left to
`profile`, which goes through it element by element and says what is wrong and where.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass

from .names import DistinguishedName
from .profile import DIGEST_BYTES, DS, SERIAL, SIGNATURE_FORM, VALUE_BYTES, WHITE_BYTES, Form

_NAMESPACE = f' xmlns:ds="{DS}"'
_DECLARED = f'"{DS}"'.encode()
_LINE_END = b"&#xD;"


def _written(form: Form, text: str) -> str:
    """The canonical text of an element of the form, with `text` wherever it holds text."""
    attributes = "".join(f' {name}="{value}"' for name, value in form.attributes.items())
    inside = text if form.holds_text else "".join(_written(child, text) for child in form.children)
    return f"<ds:{form.name}{attributes}>{inside}</ds:{form.name}>"


_WHOLE = _written(SIGNATURE_FORM, "\0").replace("<ds:Signature>", f"<ds:Signature{_NAMESPACE}>", 1).encode()
_TO_DIGEST, _TO_VALUE, _TO_ISSUER, _TO_SERIAL, _TO_END = _WHOLE.split(b"\0")
_SIGNED_INFO = _written(SIGNATURE_FORM.children[0], "\0").encode()
_INFO_TO_DIGEST, _INFO_TO_END = _SIGNED_INFO.split(b"\0")
_ALONE_TO_DIGEST = _INFO_TO_DIGEST.replace(b"<ds:SignedInfo>", f"<ds:SignedInfo{_NAMESPACE}>".encode(), 1)
_BEGINS = b"<ds:SignedInfo><ds:CanonicalizationMethod "
_TEXT = b"([^<]*)"
_COMPACT = re.compile(
    b"(?P<whole>"
    + re.escape(_TO_DIGEST)
    + _TEXT
    + re.escape(_TO_VALUE)
    + _TEXT
    + re.escape(_TO_ISSUER)
    + b"([^<&]*)"
    + re.escape(_TO_SERIAL)
    + b"("
    + SERIAL.pattern.encode()
    + b")"
    + re.escape(_TO_END)
    + b")["
    + WHITE_BYTES
    + b"]*</[^<]*"
)
"""The Signature from its first byte to the end of the document, with the texts it holds."""


@dataclass(frozen=True, slots=True)
class CompactSignature:
    """What a Signature says that stands at `start` to `end` of a canonical document; nothing of it is verified.

    `signed_info` is the exclusive C14N of ds:SignedInfo.
    """

    start: int
    end: int
    signed_info: bytes
    digest: bytes
    value: bytes
    issuer: DistinguishedName
    serial: int


def signed_info_of(digest: bytes) -> bytes:
    """The exclusive C14N of the ds:SignedInfo that holds this digest, in base64."""
    return _ALONE_TO_DIGEST + digest + _INFO_TO_END


def signature_around(issuer: bytes, serial: bytes) -> tuple[bytes, bytes, bytes]:
    """The Signature of one signer but for digest and value, which stand between these, in base64.

    The issuer's name is escaped as XML needs it.
    """
    return _TO_DIGEST, _TO_VALUE, b"".join((_TO_ISSUER, issuer, _TO_SERIAL, serial, _TO_END))


def may_be_compact(data: bytes) -> bool:
    """Whether it is worth looking for a compact Signature in the canonical form of a document."""
    return _BEGINS in data


def read_compact(document: bytes, name: Callable[[str], DistinguishedName]) -> CompactSignature | None:
    """Find the one compact Signature of a document in inclusive C14N, as last child of the root; None if unsure.

    Sound, because in canonical XML every '<' is markup, every element stands written out, and a namespace can be used
    only where it is declared: if the namespace of ds:Signature is declared once, on this Signature, there is no other
    element of it outside, and inside there is what is compared here, byte by byte.
    """
    if document.count(_DECLARED) != 1:
        return None
    found = _COMPACT.fullmatch(document, max(document.rfind(_TO_DIGEST), 0))
    if found is None:
        return None
    _, digest_text, value_text, issuer, serial = found.groups()
    try:
        digest, value = _decoded(digest_text, DIGEST_BYTES), _decoded(value_text, VALUE_BYTES)
        signed_info = signed_info_of(digest_text)
        return CompactSignature(*found.span("whole"), signed_info, digest, value, name(issuer.decode()), int(serial))
    except ValueError:
        return None


def _decoded(text: bytes, length: int) -> bytes:
    """Bytes of canonical base64 with white space in it; raises ValueError for anything else."""
    bare = text.replace(_LINE_END, b"").translate(None, WHITE_BYTES)
    decoded = binascii.a2b_base64(bare, strict_mode=True)
    if len(decoded) != length or binascii.b2a_base64(decoded, newline=False) != bare:
        raise ValueError("not canonical base64 of this length")
    return decoded
