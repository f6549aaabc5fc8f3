"""A synthetic public-key infrastructure in the shape of SMKI, for tests and demonstrations (FACTS SG8, SG9).

It protects nothing: it exists so that every example runs with keys and certificates like the real ones.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from .errors import KeyUnavailable
from .keys import SoftwareKey

ORGANISATION_POLICY = "1.2.826.0.1.8641679.1.2.1.4"
"""The certificate policy of SMKI organisation certificates (FACTS SG8)."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EUI = re.compile(r"[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){7}")
_YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Participant:
    """Someone to be given a key and certificate: a folder name, an EUI-64 and a remote-party role in hexadecimal.

    The certificate runs from `not_before` to `not_after`; where these are None, from a day before `now` for the years
    `make_pki` was told.
    """

    name: str
    eui: str
    role: str
    not_before: datetime | None = None
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Issuer:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


class Pki:
    """What `make_pki` made: folders of keys and certificates, and authorities that live as long as this object."""

    def __init__(self, directory: Path, *, now: datetime, years: int) -> None:
        self.directory = directory
        self._now = now
        self._years = years
        start, end = now - timedelta(days=1), now + years * 2 * _YEAR
        root_key = ec.generate_private_key(ec.SECP256R1())
        root = _authority(_name(cn="SYNTHETIC-ROOT", ou="00"), root_key, None, start, end)
        key = ec.generate_private_key(ec.SECP256R1())
        self._issuing = _Issuer(
            key, _authority(_name(cn="SYNTHETIC-1", ou="07"), key, _Issuer(root_key, root), start, end)
        )
        folder = self.trust_directory / "issuing"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
        (folder / "issuing.pem").write_bytes(self._issuing.certificate.public_bytes(Encoding.PEM))

    @property
    def trust_directory(self) -> Path:
        """The folder for Trust.from_directory."""
        return self.directory / "trust"

    def issue(self, participant: Participant) -> SoftwareKey:
        """Write the participant's `key.pem` and `certificate.pem`, make the certificate known, and return its key.

        Raises ValueError if the name is not one for a folder or the EUI not an EUI-64.
        """
        if _NAME.fullmatch(participant.name) is None or participant.name == "trust":
            raise ValueError(f"not a name for a folder: {participant.name!r}")
        if _EUI.fullmatch(participant.eui) is None:
            raise ValueError(f"not an EUI-64: {participant.eui!r}")
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certificate(participant, key.public_key())
        pem = certificate.public_bytes(Encoding.PEM)
        folder = self.directory / participant.name
        folder.mkdir(parents=True, exist_ok=True)
        key_path = folder / "key.pem"
        key_path.touch(mode=0o600)
        key_path.chmod(0o600)  # where the file was there already
        key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (folder / "certificate.pem").write_bytes(pem)
        known = self.trust_directory / "certificates"
        known.mkdir(exist_ok=True)
        (known / f"{participant.name}-{certificate.serial_number:032x}.pem").write_bytes(pem)
        return SoftwareKey.load(key_path, folder / "certificate.pem")

    def write_crl(self, serials: Iterable[int], *, this_update: datetime, next_update: datetime) -> Path:
        """Write the issuing authority's revocation list, in place of an earlier one, and return its path."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._issuing.certificate.subject)
            .last_update(this_update)
            .next_update(next_update)
        )
        for serial in serials:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(this_update).build()
            )
        crl = builder.sign(self._issuing.key, hashes.SHA256())
        folder = self.trust_directory / "crls"
        folder.mkdir(exist_ok=True)
        path = folder / "issuing.crl"
        path.write_bytes(crl.public_bytes(Encoding.PEM))
        return path

    def _certificate(self, participant: Participant, public_key: ec.EllipticCurvePublicKey) -> x509.Certificate:
        eui = bytes.fromhex(participant.eui.replace("-", ""))
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, participant.role),
                # The first octet of the BIT STRING says that no bits are unused (FACTS SG9).
                x509.NameAttribute(NameOID.X500_UNIQUE_IDENTIFIER, b"\x00" + eui, _ASN1Type.BitString),
            ]
        )
        start = participant.not_before or self._now - timedelta(days=1)
        end = participant.not_after or self._now + self._years * _YEAR
        builder = _builder(subject, public_key, self._issuing.certificate.subject, start, end)
        policy = x509.PolicyInformation(x509.ObjectIdentifier(ORGANISATION_POLICY), None)
        return (
            builder.add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.CertificatePolicies([policy]), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier(_key_id(self._issuing.key.public_key()), None, None), critical=False
            )
            .sign(self._issuing.key, hashes.SHA256())
        )


def make_pki(directory: Path, participants: Iterable[Participant], *, now: datetime, years: int = 10) -> Pki:
    """Write a root, an issuing authority and, for each participant, `<name>/key.pem` and `<name>/certificate.pem`.

    `<directory>/trust` has the layout of Trust.from_directory. Keys are new each time, in PKCS#8 with mode 0600. Raises
    KeyUnavailable if the folder holds a PKI already, ValueError for a participant that cannot be certified.
    """
    if (directory / "trust").exists():
        raise KeyUnavailable(f"{directory} holds a PKI already; choose an empty folder")
    pki = Pki(directory, now=now, years=years)
    for participant in participants:
        pki.issue(participant)
    return pki


def _authority(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, issuer: _Issuer | None, start: datetime, end: datetime
) -> x509.Certificate:
    """Certify an authority; without an issuer it is a root."""
    issuer_name = subject if issuer is None else issuer.certificate.subject
    issuer_key = key if issuer is None else issuer.key
    return (
        _builder(subject, key.public_key(), issuer_name, start, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1 if issuer is None else 0), critical=True)
        .add_extension(_usage(digital_signature=False), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier(_key_id(issuer_key.public_key()), None, None), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, public_key: ec.EllipticCurvePublicKey, issuer: x509.Name, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(_serial())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier(_key_id(public_key)), critical=False)
    )


def _serial() -> int:
    """Return a random serial of 128 bits whose first bit is not set, as SMKI's are."""
    return int.from_bytes(secrets.token_bytes(16)) >> 1 | 1 << 120


def _key_id(public_key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the 8-byte key identifier of SMKI: 0100 and the last 60 bits of SHA-1 (RFC 5280 section 4.2.1.2)."""
    last = x509.SubjectKeyIdentifier.from_public_key(public_key).digest[-8:]
    return bytes([0x40 | last[0] & 0x0F]) + last[1:]


def _name(*, cn: str, ou: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, ou),
            x509.NameAttribute(NameOID.COMMON_NAME, cn),
        ]
    )


def _usage(*, digital_signature: bool) -> x509.KeyUsage:
    """Key usage of an organisation (digital signatures only) or of an authority (certificates and lists only)."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=not digital_signature,
        crl_sign=not digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
