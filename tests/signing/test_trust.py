"""Which certificates are believed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from signing import (
    Authority,
    Certificate,
    DistinguishedName,
    KeyUnavailable,
    NotAuthenticated,
    Participant,
    RevocationList,
    Signer,
    Trust,
    Verifier,
    parse,
)
from signing.pki import Pki

from .conftest import EUI, NOW, World

A = Participant("a", EUI, "87")
B = Participant("b", EUI, "02")
HOUR = timedelta(hours=1)


def why_not(trust: Trust, certificate: Certificate, *, roles: tuple[str, ...] = ("87",), at: datetime = NOW) -> str:
    with pytest.raises(NotAuthenticated) as caught:
        trust.accept(certificate.serial, certificate.issuer, roles=roles, at=at)
    return caught.value.reason


def certificate_of(pki: Pki, name: str) -> Certificate:
    return Certificate.from_pem((pki.directory / name / "certificate.pem").read_bytes())


def authority(pki: Pki, name: str = "issuing") -> Authority:
    return Authority.from_bytes((pki.trust_directory / "issuing" / f"{name}.pem").read_bytes())


def test_one_eui_may_have_many_certificates_and_the_serial_tells_them_apart(fresh_pki: Callable[..., Pki]) -> None:
    pki = fresh_pki(A, B)
    trust = Trust.from_directory(pki.trust_directory)
    a, b = certificate_of(pki, "a"), certificate_of(pki, "b")

    assert trust.accept(a.serial, a.issuer, roles=["87"], at=NOW) == a
    assert trust.accept(b.serial, b.issuer, roles=["02"], at=NOW) == b
    assert why_not(trust, b).endswith("has role 02; accepted here: 87")
    assert set(trust.certificates) == {a, b}


def test_roles_compare_without_case(fresh_pki: Callable[..., Pki]) -> None:
    pki = fresh_pki(Participant("x", EUI, "8a"))
    certificate = certificate_of(pki, "x")

    accepted = Trust.from_directory(pki.trust_directory).accept(
        certificate.serial, certificate.issuer, roles=["8A"], at=NOW
    )

    assert accepted.role == "8a"


def test_an_unknown_serial_or_another_issuer_is_not_believed(world: World) -> None:
    trust = Trust.from_directory(world.pki.trust_directory)
    certificate = world.key.certificate
    other = DistinguishedName.parse("CN=Z1,OU=07")

    assert trust.find(certificate.serial, DistinguishedName.parse("OU=07, CN=SYNTHETIC-1")) == certificate
    assert trust.find(certificate.serial, other) is None
    with pytest.raises(NotAuthenticated, match="no certificate with serial 1 of issuer CN=Z1,OU=07 is known here"):
        trust.accept(1, other, roles=["87"], at=NOW)


def test_a_certificate_needs_a_configured_authority_unless_it_is_pinned(world: World) -> None:
    certificate = world.key.certificate

    assert "not issued by any authority configured here" in why_not(Trust(certificates=[certificate]), certificate)
    for trust in (Trust(pinned=[certificate]), Trust(pinned=[certificate], certificates=[certificate])):
        assert trust.accept(certificate.serial, certificate.issuer, roles=["87"], at=NOW) == certificate


def test_an_authority_of_the_same_name_and_another_key_does_not_vouch(
    world: World, fresh_pki: Callable[..., Pki]
) -> None:
    certificate, other = world.key.certificate, fresh_pki()

    assert authority(other).subject == certificate.issuer
    assert "not issued" in why_not(Trust(certificates=[certificate], issuing=[authority(other)]), certificate)
    both = Trust(certificates=[certificate], issuing=[authority(other), authority(world.pki)])
    assert both.accept(certificate.serial, certificate.issuer, roles=["87"], at=NOW) == certificate


def test_the_root_alone_does_not_vouch_for_a_certificate_of_the_issuing_authority(world: World) -> None:
    certificate = world.key.certificate

    assert "not issued" in why_not(
        Trust(certificates=[certificate], issuing=[authority(world.pki, "root")]), certificate
    )


def test_validity_is_judged_for_every_message_and_for_the_authority_too(fresh_pki: Callable[..., Pki]) -> None:
    early = Participant("early", EUI, "87", not_before=NOW + HOUR, not_after=NOW + 2 * HOUR)
    late = Participant("late", EUI, "87", not_before=NOW - 2 * HOUR, not_after=NOW - HOUR)
    longer = Participant("longer", EUI, "87", not_after=NOW + timedelta(days=365 * 100))
    pki = fresh_pki(early, late, longer)
    trust = Trust.from_directory(pki.trust_directory)

    assert "is not valid before 2026-03-01T13:00:00Z" in why_not(trust, certificate_of(pki, "early"))
    assert "expired at 2026-03-01T11:00:00Z" in why_not(trust, certificate_of(pki, "late"))
    certificate = certificate_of(pki, "longer")
    assert trust.accept(certificate.serial, certificate.issuer, roles=["87"], at=NOW) == certificate
    after = why_not(trust, certificate, at=NOW + timedelta(days=365 * 60))
    assert after.startswith("the issuing authority CN=SYNTHETIC-1,OU=07 expired")


def test_a_revoked_certificate_is_refused_pinned_or_not_and_others_are_not(fresh_pki: Callable[..., Pki]) -> None:
    pki = fresh_pki(A, B)
    a, b = certificate_of(pki, "a"), certificate_of(pki, "b")
    pki.write_crl([a.serial], this_update=NOW - HOUR, next_update=NOW + HOUR)
    trust = Trust.from_directory(pki.trust_directory)
    crl = RevocationList.from_bytes((pki.trust_directory / "crls" / "issuing.crl").read_bytes())

    assert why_not(trust, a) == f"certificate {a.serial} of {EUI} is revoked"
    assert "is revoked" in why_not(Trust(pinned=[a], issuing=[authority(pki)], crls=[crl]), a)
    assert trust.accept(b.serial, b.issuer, roles=["02"], at=NOW) == b


def test_a_revocation_list_is_believed_until_the_grace_period_ends_and_is_overdue_at_once(
    fresh_pki: Callable[..., Pki],
) -> None:
    pki = fresh_pki(A)
    a = certificate_of(pki, "a")
    pki.write_crl([], this_update=NOW - HOUR, next_update=NOW)
    trust = Trust.from_directory(pki.trust_directory)
    strict = Trust.from_directory(pki.trust_directory, crl_grace=timedelta(0))
    second = timedelta(seconds=1)

    assert trust.overdue(NOW) == ()
    assert [crl.issuer for crl in trust.overdue(NOW + second)] == [a.issuer]
    assert trust.accept(a.serial, a.issuer, roles=["87"], at=NOW + timedelta(hours=24)) == a
    assert "cannot be checked: the revocation list" in why_not(trust, a, at=NOW + timedelta(hours=24) + second)
    assert "cannot be checked" in why_not(strict, a, at=NOW + second)


def test_the_newest_revocation_list_counts(fresh_pki: Callable[..., Pki]) -> None:
    pki = fresh_pki(A)
    a = certificate_of(pki, "a")
    old = RevocationList.from_bytes(pki.write_crl([], this_update=NOW - 2 * HOUR, next_update=NOW + HOUR).read_bytes())
    new = RevocationList.from_bytes(
        pki.write_crl([a.serial], this_update=NOW - HOUR, next_update=NOW + HOUR).read_bytes()
    )

    for crls in ([old, new], [new, old]):
        assert "revoked" in why_not(Trust(issuing=[authority(pki)], certificates=[a], crls=crls), a)


def test_a_revocation_list_of_someone_unknown_is_refused_when_loaded(
    world: World, fresh_pki: Callable[..., Pki]
) -> None:
    pki = fresh_pki()
    crl = RevocationList.from_bytes(pki.write_crl([1], this_update=NOW, next_update=NOW + HOUR).read_bytes())

    with pytest.raises(KeyUnavailable, match="not signed by an issuing authority known here"):
        Trust(issuing=[authority(world.pki)], crls=[crl])


def test_a_reload_picks_up_what_has_changed_and_keeps_what_was_if_a_file_is_broken(
    fresh_pki: Callable[..., Pki],
) -> None:
    pki = fresh_pki(A)
    trust = Trust.from_directory(pki.trust_directory)
    verifier = Verifier(trust)
    signed = Signer(pki.issue(B)).sign(parse(b"<a/>").root)

    with pytest.raises(NotAuthenticated, match="no certificate"):
        verifier.verify(parse(signed), roles={"02"}, at=NOW)
    trust.reload()
    assert verifier.verify(parse(signed), roles={"02"}, at=NOW).signer.role == "02"
    (pki.trust_directory / "certificates" / "broken.pem").write_text("nothing")
    with pytest.raises(KeyUnavailable, match=r"broken\.pem: this is not a certificate"):
        trust.reload()
    assert verifier.verify(parse(signed), roles={"02"}, at=NOW).signer.role == "02"
    (pki.trust_directory / "certificates" / "broken.pem").unlink()
    pki.write_crl([certificate_of(pki, "b").serial], this_update=NOW, next_update=NOW + HOUR)
    trust.reload()
    with pytest.raises(NotAuthenticated, match="revoked"):
        verifier.verify(parse(signed), roles={"02"}, at=NOW)


def test_reloading_a_trust_made_from_lists_leaves_it_as_it_is(world: World) -> None:
    trust = Trust(pinned=[world.key.certificate])
    trust.reload()

    assert trust.certificates == (world.key.certificate,)


def test_certificates_are_read_in_pem_and_der_and_other_files_are_left_alone(world: World, tmp_path: Path) -> None:
    certificate = world.key.certificate
    (tmp_path / "pinned").mkdir()
    (tmp_path / "pinned" / "one.CER").write_bytes(certificate.der)
    (tmp_path / "pinned" / "README").write_text("not a certificate")

    assert Trust.from_directory(tmp_path).certificates == (Certificate.from_pem(certificate.pem),)


def test_a_missing_trust_directory_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(KeyUnavailable, match="there is no trust directory"):
        Trust.from_directory(tmp_path / "absent")


KEY = ec.generate_private_key(ec.SECP256R1())
OU = x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "87")
ID = x509.NameAttribute(NameOID.X500_UNIQUE_IDENTIFIER, bytes(9), _ASN1Type.BitString)
SIGNS = {"digital_signature": True}


def made(
    *subject: x509.NameAttribute[str] | x509.NameAttribute[bytes],
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey = KEY.public_key(),  # noqa: B008  # a constant
    usage: dict[str, bool] | None = None,
    ca: bool | None = None,
    extra: x509.ExtensionType | None = None,
    serial: int = 2**127,
) -> bytes:
    """Return a certificate by the authority X."""
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "X")])
    builder = (
        x509.CertificateBuilder().subject_name(x509.Name(subject)).issuer_name(issuer).public_key(key)
        .serial_number(serial).not_valid_before(NOW - HOUR).not_valid_after(NOW + HOUR)
    )  # fmt: skip
    if usage is not None:
        builder = builder.add_extension(
            x509.KeyUsage(**{name: usage.get(name, False) for name in names}), critical=True
        )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if extra is not None:
        builder = builder.add_extension(extra, critical=True)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)


RSA = rsa.generate_private_key(65537, 2048).public_key()
P384 = ec.generate_private_key(ec.SECP384R1()).public_key()
SHORT = x509.NameAttribute(NameOID.X500_UNIQUE_IDENTIFIER, bytes(8), _ASN1Type.BitString)
BITS = x509.NameAttribute(NameOID.X500_UNIQUE_IDENTIFIER, b"\x01" + bytes(8), _ASN1Type.BitString)


@pytest.mark.parametrize(
    ("der", "reason"),
    [
        (made(OU), "0 values of x500UniqueIdentifier"),
        (made(OU, ID, ID), "2 values of x500UniqueIdentifier"),
        (made(ID), "0 values of OU"),
        (made(OU, OU, ID), "2 values of OU"),
        (made(OU, SHORT), "not a BIT STRING of 64 bits"),
        (made(OU, BITS), "not a BIT STRING of 64 bits"),
        (made(OU, ID, key=RSA), "not an elliptic-curve key on P-256"),
        (made(OU, ID, key=P384), "not an elliptic-curve key on P-256"),
        (made(OU, ID, extra=x509.InhibitAnyPolicy(0)), "critical extension that is not understood: 2.5.29.54"),
        (b"\x30\x00", "not a certificate in DER"),
    ],
)
def test_a_certificate_off_the_profile_is_refused_with_its_reason(der: bytes, reason: str) -> None:
    with pytest.raises(KeyUnavailable) as caught:
        Certificate.from_der(der)

    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "der",
    [made(OU, ID), made(OU, ID, usage={"key_agreement": True}), made(OU, ID, usage=SIGNS, ca=True)],
    ids=["no key usage", "key agreement", "authority"],
)
def test_a_certificate_that_is_not_for_signatures_is_not_believed(der: bytes) -> None:
    certificate = Certificate.from_der(der)

    assert "not for digital signatures" in why_not(Trust(pinned=[certificate]), certificate)


def test_a_certificate_is_read_whole() -> None:
    certificate = Certificate.from_bytes(made(OU, ID, usage=SIGNS, ca=False, serial=2**150 + 3))

    assert (certificate.eui, certificate.role, certificate.serial) == ("00-00-00-00-00-00-00-00", "87", 2**150 + 3)
    assert (certificate.issuer.text, certificate.may_sign) == ("CN=X", True)
    assert (certificate.not_before, certificate.not_after) == (NOW - HOUR, NOW + HOUR)
    assert certificate == Certificate.from_pem(certificate.pem)
    assert certificate != made(OU, ID)


@pytest.mark.parametrize("usage", [None, SIGNS, {"crl_sign": True}])
def test_only_a_certificate_of_an_authority_may_issue(usage: dict[str, bool] | None) -> None:
    for ca in (None, False, True):
        with pytest.raises(KeyUnavailable, match="not one of an authority"):
            Authority.from_bytes(made(OU, usage=usage, ca=ca))


def test_two_different_certificates_with_one_issuer_and_serial_are_refused() -> None:
    one, two = (
        Certificate.from_der(made(OU, ID, usage=SIGNS)),
        Certificate.from_der(made(OU, ID, usage=SIGNS, ca=False)),
    )

    with pytest.raises(KeyUnavailable, match="two different certificates"):
        Trust(pinned=[one], certificates=[two])


@pytest.mark.parametrize("data", [b"", b"-----BEGIN X509 CRL-----\nx\n-----END X509 CRL-----", b"\x30\x03\x02\x01\x01"])
def test_what_is_no_revocation_list_is_refused(data: bytes) -> None:
    with pytest.raises(KeyUnavailable, match="revocation list cannot be used"):
        RevocationList.from_bytes(data)


def test_a_partial_revocation_list_is_refused() -> None:
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "X")])
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer).last_update(NOW).next_update(NOW + HOUR)
    delta = builder.add_extension(x509.DeltaCRLIndicator(1), critical=True).sign(KEY, hashes.SHA256())

    with pytest.raises(KeyUnavailable, match=r"critical extension that is not understood: 2\.5\.29\.27"):
        RevocationList.from_bytes(delta.public_bytes(Encoding.DER))


@pytest.mark.parametrize("data", [b"-----BEGIN CERTIFICATE-----", b"\x30"])
def test_a_pem_file_holds_one_certificate(world: World, data: bytes) -> None:
    with pytest.raises(KeyUnavailable):
        Certificate.from_bytes(data)
    with pytest.raises(KeyUnavailable, match="2 were found"):
        Certificate.from_pem(world.key.certificate.pem * 2)
