"""Certificate revocation lists: complete ones, signed by the authority whose certificates they are about (RFC 5280)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from .certificates import Authority
from .errors import KeyUnavailable
from .names import DistinguishedName


@dataclass(frozen=True, slots=True)
class RevocationList:
    """The serials an authority has revoked, as known from `this_update` until `next_update`.

    A listed certificate is revoked whatever date the entry bears: a key once compromised is not to be believed about
    when it signed.
    """

    issuer: DistinguishedName
    this_update: datetime
    next_update: datetime
    serials: frozenset[int] = field(repr=False)
    decoded: x509.CertificateRevocationList = field(repr=False, compare=False)

    @classmethod
    def from_bytes(cls, data: bytes) -> RevocationList:
        """Read a list in PEM or DER; raises KeyUnavailable for anything but a complete list with a nextUpdate."""
        try:
            loaded = x509.load_pem_x509_crl(data) if b"-----BEGIN" in data else x509.load_der_x509_crl(data)
            _refuse_critical(loaded)
            return cls(
                issuer=DistinguishedName.of(loaded.issuer),
                this_update=loaded.last_update_utc,
                next_update=_next_update(loaded),
                serials=frozenset(entry.serial_number for entry in loaded),
                decoded=loaded,
            )
        except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
            raise KeyUnavailable(f"the revocation list cannot be used: {error}") from None

    def signed_by(self, authority: Authority) -> bool:
        """Whether the list names the authority as its issuer and bears its signature."""
        return self.decoded.issuer == authority.decoded.subject and self.decoded.is_signature_valid(
            authority.public_key
        )


def _refuse_critical(loaded: x509.CertificateRevocationList) -> None:
    """Critical extensions mark lists that are partial: deltas and indirect ones (RFC 5280 section 5.2)."""
    for extension in loaded.extensions:
        if extension.critical:
            raise ValueError(f"it has a critical extension that is not understood: {extension.oid.dotted_string}")


def _next_update(loaded: x509.CertificateRevocationList) -> datetime:
    if loaded.next_update_utc is None:
        raise ValueError("it does not say when the next one is due (nextUpdate)")
    return loaded.next_update_utc
