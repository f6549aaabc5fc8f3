"""SMKI organisation certificates and the authorities that issue them (FACTS SG8 to SG11; RFC 5280)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID, SignatureAlgorithmOID

from .errors import KeyUnavailable
from .names import DistinguishedName

_EUI_BYTES = 8
_UNDERSTOOD = frozenset({ExtensionOID.KEY_USAGE, ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.CERTIFICATE_POLICIES})
_ECDSA_SHA256 = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """An organisation's certificate: whose it is, in which remote-party role, and until when.

    `eui` is the EUI-64 in upper case with hyphens, `role` the OU as found (two hexadecimal digits, FACTS SG9 and SG12),
    `serial` has up to 160 bits. Two are equal when their encodings are.
    """

    eui: str
    role: str
    serial: int
    issuer: DistinguishedName
    subject: DistinguishedName
    not_before: datetime
    not_after: datetime
    may_sign: bool
    public_key: ec.EllipticCurvePublicKey = field(repr=False)
    der: bytes = field(repr=False)
    decoded: x509.Certificate = field(repr=False)

    @classmethod
    def from_pem(cls, data: bytes) -> Certificate:
        """Read the one certificate in PEM; raises KeyUnavailable if there is none or it is not of the profile."""
        return cls._of(_one_from_pem(data))

    @classmethod
    def from_der(cls, data: bytes) -> Certificate:
        """Read a certificate in DER; raises KeyUnavailable if it is none or not of the profile."""
        return cls._of(_from_der(data))

    @classmethod
    def from_bytes(cls, data: bytes) -> Certificate:
        """Read a certificate in PEM or DER, whichever it is; raises KeyUnavailable as above."""
        return cls._of(_from_either(data))

    @classmethod
    def from_file(cls, path: Path) -> Certificate:
        """Read a file with a certificate in PEM or DER; raises KeyUnavailable naming it."""
        try:
            return cls.from_bytes(path.read_bytes())
        except OSError as error:
            raise KeyUnavailable(f"{path} cannot be read: {error.strerror}") from None
        except KeyUnavailable as error:
            raise KeyUnavailable(f"{path}: {error}") from None

    @classmethod
    def _of(cls, certificate: x509.Certificate) -> Certificate:
        try:
            usage = _key_usage(certificate)
            constraints = _basic_constraints(certificate)
            _refuse_unknown_critical(certificate)
            return cls(
                eui=_eui(certificate.subject),
                role=_only(certificate.subject, NameOID.ORGANIZATIONAL_UNIT_NAME, "OU (the remote-party role)"),
                serial=certificate.serial_number,
                issuer=DistinguishedName.of(certificate.issuer),
                subject=DistinguishedName.of(certificate.subject),
                not_before=certificate.not_valid_before_utc,
                not_after=certificate.not_valid_after_utc,
                may_sign=usage is not None and usage.digital_signature and not (constraints and constraints.ca),
                public_key=_p256(certificate),
                der=certificate.public_bytes(Encoding.DER),
                decoded=certificate,
            )
        except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
            raise KeyUnavailable(f"the certificate is not of the profile: {error}") from None

    def __str__(self) -> str:
        return f"certificate {self.serial} of {self.eui}"

    def is_valid(self, at: datetime) -> bool:
        """Whether `at` lies in its validity, both ends included."""
        return self.not_before <= at <= self.not_after

    @property
    def pem(self) -> bytes:
        """The certificate in PEM."""
        return self.decoded.public_bytes(Encoding.PEM)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.der)


@dataclass(frozen=True, slots=True, eq=False)
class Authority:
    """The certificate of an issuing authority or root, fit to sign certificates and revocation lists."""

    subject: DistinguishedName
    serial: int
    not_before: datetime
    not_after: datetime
    path_length: int | None
    public_key: ec.EllipticCurvePublicKey = field(repr=False)
    der: bytes = field(repr=False)
    decoded: x509.Certificate = field(repr=False)

    @classmethod
    def from_bytes(cls, data: bytes) -> Authority:
        """Read an authority's certificate in PEM or DER; raises KeyUnavailable if it may not issue certificates."""
        certificate = _from_either(data)
        try:
            _refuse_unknown_critical(certificate)
            return cls(
                subject=DistinguishedName.of(certificate.subject),
                serial=certificate.serial_number,
                not_before=certificate.not_valid_before_utc,
                not_after=certificate.not_valid_after_utc,
                path_length=_issuing_path_length(certificate),
                public_key=_p256(certificate),
                der=certificate.public_bytes(Encoding.DER),
                decoded=certificate,
            )
        except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
            raise KeyUnavailable(f"the issuing authority's certificate cannot be used: {error}") from None

    def __str__(self) -> str:
        return f"the issuing authority {self.subject}"

    @property
    def self_signed(self) -> bool:
        """Whether this is a root."""
        return self.decoded.issuer == self.decoded.subject

    def issued(self, certificate: x509.Certificate) -> bool:
        """Whether the certificate names this authority as its issuer and bears its ECDSA-with-SHA-256 signature."""
        if certificate.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA256:
            return False
        if certificate.issuer != self.decoded.subject:
            return False
        try:
            self.public_key.verify(certificate.signature, certificate.tbs_certificate_bytes, _ECDSA_SHA256)
        except InvalidSignature:
            return False
        return True

    def may_stand_above(self, below: int, authority: Authority) -> bool:
        """Whether this authority issued the other and its path length allows `below` authorities under it."""
        return (self.path_length is None or self.path_length >= below) and self.issued(authority.decoded)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Authority) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.der)


def _one_from_pem(data: bytes) -> x509.Certificate:
    try:
        certificates = x509.load_pem_x509_certificates(data)
    except ValueError:
        raise KeyUnavailable("this is not a certificate in PEM") from None
    if len(certificates) != 1:
        raise KeyUnavailable(f"one certificate was expected and {len(certificates)} were found")
    return certificates[0]


def _from_der(data: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(data)
    except ValueError:
        raise KeyUnavailable("this is not a certificate in DER") from None


def _from_either(data: bytes) -> x509.Certificate:
    return _one_from_pem(data) if b"-----BEGIN" in data else _from_der(data)


def _p256(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("its key is not an elliptic-curve key on P-256")  # noqa: TRY004  # the value, not the type
    return key


def _only(name: x509.Name, oid: x509.ObjectIdentifier, what: str) -> str:
    values = [attribute.value for attribute in name.get_attributes_for_oid(oid)]
    if len(values) != 1 or not isinstance(values[0], str):
        raise ValueError(f"its subject holds {len(values)} values of {what} where one was expected")
    return values[0]


def _eui(subject: x509.Name) -> str:
    """Return the EUI-64 that x500UniqueIdentifier holds as a BIT STRING of 64 bits (FACTS SG9)."""
    values = [attribute.value for attribute in subject.get_attributes_for_oid(NameOID.X500_UNIQUE_IDENTIFIER)]
    if len(values) != 1:
        raise ValueError(f"its subject holds {len(values)} values of x500UniqueIdentifier where one was expected")
    value = values[0]
    # The first octet counts the unused bits.
    if not isinstance(value, bytes) or len(value) != _EUI_BYTES + 1 or value[0] != 0:
        raise ValueError("the x500UniqueIdentifier in its subject is not a BIT STRING of 64 bits")
    return value[1:].hex("-").upper()


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _basic_constraints(certificate: x509.Certificate) -> x509.BasicConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return None


def _issuing_path_length(certificate: x509.Certificate) -> int | None:
    usage = _key_usage(certificate)
    constraints = _basic_constraints(certificate)
    if constraints is None or not constraints.ca or usage is None or not usage.key_cert_sign:
        raise ValueError("it is not one of an authority (basicConstraints CA and keyUsage keyCertSign)")
    return constraints.path_length


def _refuse_unknown_critical(certificate: x509.Certificate) -> None:
    """A critical extension that is not understood refuses the certificate (RFC 5280 section 4.2)."""
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise ValueError(f"it has a critical extension that is not understood: {extension.oid.dotted_string}")
