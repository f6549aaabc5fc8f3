"""Keys in software, and the synthetic PKI they come from."""

from __future__ import annotations

import copy
import os
import pickle
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from signing import KeyUnavailable, Participant, SigningKey, SoftwareKey, make_pki
from signing.pki import ORGANISATION_POLICY, Pki

from .conftest import EUI, NOW, World

SECRET = b"open sesame"


def private_key(world: World) -> ec.EllipticCurvePrivateKey:
    loaded = load_pem_private_key((world.pki.directory / "supplier" / "key.pem").read_bytes(), None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    return loaded


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
@pytest.mark.parametrize("password", [None, SECRET])
def test_a_pkcs8_key_is_loaded_with_its_certificate(
    world: World, tmp_path: Path, encoding: Encoding, password: bytes | None
) -> None:
    protection = NoEncryption() if password is None else BestAvailableEncryption(password)
    path = tmp_path / "key"
    path.write_bytes(private_key(world).private_bytes(encoding, PrivateFormat.PKCS8, protection))
    certificate = tmp_path / "certificate.der"
    certificate.write_bytes(world.key.certificate.der)

    key: SigningKey = SoftwareKey.load(path, certificate, password)

    assert (key.eui, key.issuer_name, key.serial) == (EUI, "CN=SYNTHETIC-1,OU=07", world.key.serial)
    assert len(key.sign(b"data")) == 64
    if password is not None:
        for wrong in (None, b"wrong"):
            with pytest.raises(KeyUnavailable, match="password"):
                SoftwareKey.load(path, certificate, wrong)


@pytest.mark.parametrize("suffix", [".p12", ".pfx"])
def test_a_pkcs12_file_brings_key_and_certificate(world: World, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"key{suffix}"
    stored = world.key.certificate.decoded
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(b"x", private_key(world), stored, None, BestAvailableEncryption(SECRET))
    )

    assert SoftwareKey.load(path, password=SECRET).certificate == world.key.certificate
    with pytest.raises(KeyUnavailable, match="password is wrong"):
        SoftwareKey.load(path, password=b"wrong")


def test_a_key_without_a_certificate_is_not_usable(world: World, tmp_path: Path) -> None:
    path = tmp_path / "key.p12"
    path.write_bytes(pkcs12.serialize_key_and_certificates(b"x", private_key(world), None, None, NoEncryption()))

    for key_path in (path, world.pki.directory / "supplier" / "key.pem"):
        with pytest.raises(KeyUnavailable, match="no certificate for the key"):
            SoftwareKey.load(key_path)
    assert SoftwareKey.load(path, world.pki.directory / "supplier" / "certificate.pem").eui == EUI


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "does not belong to certificate"),
        (ec.generate_private_key(ec.SECP384R1()), "on secp384r1; the profile needs P-256"),
        (ed25519.Ed25519PrivateKey.generate(), "no elliptic-curve private key"),
    ],
)
def test_a_key_off_the_profile_is_refused(
    world: World, tmp_path: Path, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, reason: str
) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    with pytest.raises(KeyUnavailable, match=reason):
        SoftwareKey.load(path, world.pki.directory / "supplier" / "certificate.pem")


def test_missing_and_broken_files_are_named(world: World, tmp_path: Path) -> None:
    good = world.pki.directory / "supplier"
    broken = tmp_path / "broken"
    broken.write_text("nothing")

    with pytest.raises(KeyUnavailable, match="absent cannot be read: No such file"):
        SoftwareKey.load(tmp_path / "absent", good / "certificate.pem")
    with pytest.raises(KeyUnavailable, match="broken is not a private key"):
        SoftwareKey.load(broken, good / "certificate.pem")
    with pytest.raises(KeyUnavailable, match="broken: this is not a certificate"):
        SoftwareKey.load(good / "key.pem", broken)
    with pytest.raises(KeyUnavailable, match="is not a PKCS#12 file"):
        SoftwareKey.load(broken.rename(tmp_path / "broken.p12"))


def test_no_text_pickle_or_copy_shows_the_key(world: World) -> None:
    secret = private_key(world).private_numbers().private_value
    text = f"{world.key!r} {world.key} {world.signer!r}"

    assert EUI in text
    assert str(secret) not in text
    assert f"{secret:x}" not in text
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled or copied"):
            attempt(world.key)


def test_the_errors_of_a_key_do_not_quote_it(world: World, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    lines = (world.pki.directory / "supplier" / "key.pem").read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1], *lines[3:]]))

    with pytest.raises(KeyUnavailable) as caught:
        SoftwareKey.load(path)

    assert lines[1] not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_pki_is_in_the_shape_of_smki(world: World) -> None:
    certificate = world.key.certificate.decoded
    by_name = {extension.oid._name: extension for extension in certificate.extensions}
    policies = by_name["certificatePolicies"].value
    usage = by_name["keyUsage"].value

    assert certificate.subject.rfc4514_string() == "2.5.4.45=#0090b3d51f30010000,OU=87"
    assert bytes.fromhex("0603" + "55042d" + "03090090b3d51f30010000") in certificate.public_bytes(Encoding.DER)
    assert 2**120 <= certificate.serial_number < 2**127
    assert set(by_name) == {"keyUsage", "certificatePolicies", "subjectKeyIdentifier", "authorityKeyIdentifier"}
    assert {name for name, extension in by_name.items() if extension.critical} == {"keyUsage", "certificatePolicies"}
    assert isinstance(policies, x509.CertificatePolicies)
    assert [policy.policy_identifier.dotted_string for policy in policies] == [ORGANISATION_POLICY]
    assert isinstance(usage, x509.KeyUsage)
    assert (usage.digital_signature, usage.key_cert_sign, usage.key_agreement) == (True, False, False)
    for name, attribute in (("subjectKeyIdentifier", "digest"), ("authorityKeyIdentifier", "key_identifier")):
        identifier = getattr(by_name[name].value, attribute)
        assert (len(identifier), identifier[0] >> 4) == (8, 4)


def test_a_private_key_is_readable_by_its_owner_only(fresh_pki: Callable[..., Pki]) -> None:
    before = os.umask(0)
    try:
        pki = fresh_pki(Participant("a", EUI, "87"))
    finally:
        os.umask(before)

    assert stat.S_IMODE((pki.directory / "a" / "key.pem").stat().st_mode) == 0o600


def test_a_pki_is_not_written_over_another(world: World) -> None:
    with pytest.raises(KeyUnavailable, match="holds a PKI already"):
        make_pki(world.pki.directory, [], now=NOW)


@pytest.mark.parametrize(
    ("name", "eui"), [("../x", EUI), ("", EUI), ("trust", EUI), ("x", "90-B3"), ("x", EUI + "-00")]
)
def test_a_participant_that_cannot_be_certified_is_refused(fresh_pki: Callable[..., Pki], name: str, eui: str) -> None:
    with pytest.raises(ValueError, match=r"not a name for a folder|not an EUI-64"):
        fresh_pki(Participant(name, eui, "87"))
