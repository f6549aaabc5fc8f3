"""Verification of a signed document (section 3 of the domain description; FACTS SG1 to SG6, Traps 1 and 2)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import InitVar, dataclass, field
from datetime import datetime
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from lxml import etree

from .canonical import inclusive
from .certificates import Certificate
from .compact import may_be_compact, read_compact
from .document import ParsedDocument
from .errors import NotAuthenticated
from .names import DistinguishedName
from .profile import read_signature
from .trees import put_back, take_out
from .trust import Trust

_ECDSA_SHA256 = ec.ECDSA(hashes.SHA256())
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order n of P-256 (FIPS 186-5): r and s lie in 1 to n - 1."""

_SEAL = object()


@dataclass(frozen=True, slots=True)
class VerifiedDocument:
    """A document whose Signature a Verifier accepted; nothing but a Verifier can make one.

    `root` is the very tree that was digested, without its Signature; `digest` is the SHA-256 of its inclusive C14N;
    `data` is what was received; `signer` is the certificate that was accepted.
    """

    root: etree._Element
    signer: Certificate
    digest: bytes
    data: bytes = field(repr=False)
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        """Raises TypeError for everyone but the Verifier."""
        if seal is not _SEAL:
            raise TypeError("only Verifier.verify makes a VerifiedDocument")


class Verifier:
    """Decides whether a document is signed by someone who is trusted; safe to use from several threads."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        # A handful of issuers is named in millions of messages.
        self._name = lru_cache(maxsize=256)(DistinguishedName.parse)

    def verify(
        self, document: ParsedDocument, *, roles: Collection[str], at: datetime, carrier: str | None = None
    ) -> VerifiedDocument:
        """Return the document without its Signature if it was signed at `at` by a certificate in one of `roles`.

        `carrier` names an element, {namespace}name, in which documents of others stand as they signed them: their
        Signatures are content, which is digested and not looked at.
        Raises ProfileRefused, then NotAuthenticated for the certificate, the digest and the value, in that order. On
        success the tree of `document` has lost its Signature and belongs to the result; on refusal it is as it was.
        """
        root = document.root
        if may_be_compact(document.data):
            canonical = inclusive(root)
            compact = read_compact(canonical, self._name)
            if compact is not None:
                signer = self._trust.accept(compact.serial, compact.issuer, roles=roles, at=at)
                hashed = hashlib.sha256(memoryview(canonical)[: compact.start])
                hashed.update(canonical[compact.end :])
                digest = _require_digest(hashed.digest(), compact.digest)
                verify_value(signer, compact.value, compact.signed_info)
                take_out(root, root[-1])
                return VerifiedDocument(root, signer, digest, document.data, _SEAL)
        return self._verify_by_element(document, roles=roles, at=at, carrier=carrier)

    def _verify_by_element(
        self, document: ParsedDocument, *, roles: Collection[str], at: datetime, carrier: str | None
    ) -> VerifiedDocument:
        """The same for a Signature that is written in another way: with white space, or with another prefix."""
        root = document.root
        signature = read_signature(root, self._name, carrier)
        signer = self._trust.accept(signature.serial, signature.issuer, roles=roles, at=at)
        before = take_out(root, signature.element)
        try:
            digest = _require_digest(hashlib.sha256(inclusive(root)).digest(), signature.digest)
            verify_value(signer, signature.value, signature.signed_info)
        except BaseException:
            put_back(root, signature.element, before)
            raise
        return VerifiedDocument(root, signer, digest, document.data, _SEAL)


def _require_digest(digest: bytes, signed: bytes) -> bytes:
    if digest != signed:
        raise NotAuthenticated("the document was changed after it was signed: its digest is not the signed one")
    return digest


def verify_value(signer: Certificate, value: bytes, data: bytes) -> None:
    """Raises NotAuthenticated unless `value`, r then s, is what the key of the certificate signed `data` with."""
    r, s = int.from_bytes(value[:32]), int.from_bytes(value[32:])
    if not (0 < r < _ORDER and 0 < s < _ORDER):
        raise NotAuthenticated("the signature value is not an ECDSA signature on P-256")
    try:
        signer.public_key.verify(encode_dss_signature(r, s), data, _ECDSA_SHA256)
    except InvalidSignature:
        raise NotAuthenticated(f"the signature value is not by the key of certificate {signer.serial}") from None
