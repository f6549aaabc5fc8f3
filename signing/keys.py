"""Signing keys: the one thing a Signer needs of them, and keys kept in software (FACTS SG8)."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key, load_pem_private_key, pkcs12

from .certificates import Certificate
from .errors import KeyUnavailable

_ECDSA_SHA256 = ec.ECDSA(hashes.SHA256())
_PKCS12_SUFFIXES = frozenset({".p12", ".pfx"})


class SigningKey(Protocol):
    """A P-256 key that signs for one certificate; it may live in software, a token or another process."""

    @property
    def eui(self) -> str:
        """The EUI-64 of the certificate, in upper case with hyphens."""
        ...

    @property
    def issuer_name(self) -> str:
        """The issuer of the certificate in the text form of RFC 4514, e.g. `CN=Z1,OU=07`."""
        ...

    @property
    def serial(self) -> int:
        """The serial number of the certificate."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return the ECDSA signature over SHA-256 of `data` as 64 bytes, r then s."""
        ...


class SoftwareKey:
    """A private key in memory with its certificate; no text or pickle of it, and no error, shows the key."""

    __slots__ = ("_private_key", "certificate")

    def __init__(self, private_key: ec.EllipticCurvePrivateKey, certificate: Certificate) -> None:
        """Raises KeyUnavailable if the key is not on P-256 or not the certificate's."""
        if not isinstance(private_key.curve, ec.SECP256R1):
            raise KeyUnavailable(f"the private key is on {private_key.curve.name}; the profile needs P-256 (secp256r1)")
        if private_key.public_key() != certificate.public_key:
            raise KeyUnavailable(f"the private key does not belong to certificate {certificate.serial}")
        self._private_key = private_key
        self.certificate = certificate

    @classmethod
    def load(cls, key_path: Path, certificate_path: Path | None = None, password: bytes | None = None) -> SoftwareKey:
        """Read a PKCS#8 key (PEM or DER, encrypted or not) and its certificate, or a PKCS#12 file (.p12, .pfx).

        A PKCS#12 file brings its certificate unless `certificate_path` names another. Raises KeyUnavailable if a file
        is missing, unreadable or not of the profile, or the password is wrong.
        """
        data = _read(key_path)
        enclosed: Certificate | None = None
        if key_path.suffix.lower() in _PKCS12_SUFFIXES:
            private_key, enclosed = _from_pkcs12(key_path, data, password)
        else:
            private_key = _from_pkcs8(key_path, data, password)
        if certificate_path is not None:
            enclosed = Certificate.from_file(certificate_path)
        if enclosed is None:
            raise KeyUnavailable(f"no certificate for the key in {key_path}: name its file")
        return cls(private_key, enclosed)

    @property
    def eui(self) -> str:
        """The EUI-64 of the certificate."""
        return self.certificate.eui

    @property
    def issuer_name(self) -> str:
        """The issuer of the certificate in the text form of RFC 4514."""
        return self.certificate.issuer.text

    @property
    def serial(self) -> int:
        """The serial number of the certificate."""
        return self.certificate.serial

    def sign(self, data: bytes) -> bytes:
        """Return the ECDSA signature over SHA-256 of `data` as 64 bytes, r then s."""
        r, s = decode_dss_signature(self._private_key.sign(data, _ECDSA_SHA256))
        return r.to_bytes(32) + s.to_bytes(32)

    def __repr__(self) -> str:
        return f"SoftwareKey(eui={self.eui!r}, role={self.certificate.role!r}, serial={self.serial})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SoftwareKey is not pickled or copied: it holds a private key")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyUnavailable(f"{path} cannot be read: {error.strerror}") from None


# The errors of the libraries below are not chained or quoted: what they may say about a key is not for logs.


def _from_pkcs8(path: Path, data: bytes, password: bytes | None) -> ec.EllipticCurvePrivateKey:
    load = load_pem_private_key if b"-----BEGIN" in data else load_der_private_key
    try:
        key = load(data, password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyUnavailable(f"{path} is not a private key in PKCS#8, or {_password_hint(password)}") from None
    return _elliptic(path, key)


def _from_pkcs12(
    path: Path, data: bytes, password: bytes | None
) -> tuple[ec.EllipticCurvePrivateKey, Certificate | None]:
    try:
        key, certificate, _ = pkcs12.load_key_and_certificates(data, password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyUnavailable(f"{path} is not a PKCS#12 file, or {_password_hint(password)}") from None
    if certificate is None:
        return _elliptic(path, key), None
    return _elliptic(path, key), Certificate.from_der(certificate.public_bytes(Encoding.DER))


def _elliptic(path: Path, key: object) -> ec.EllipticCurvePrivateKey:
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyUnavailable(f"{path} holds no elliptic-curve private key")
    return key


def _password_hint(password: bytes | None) -> str:
    return "it needs a password" if password is None else "the password is wrong"
