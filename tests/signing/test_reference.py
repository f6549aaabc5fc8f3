"""Genuine messages and certificates, where they are at hand."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from signing import (
    Certificate,
    DocumentRefused,
    NotAuthenticated,
    ProfileRefused,
    SigningError,
    Trust,
    Verifier,
    parse,
)

from .conftest import World

pytestmark = pytest.mark.reference

SIGNER = "90-B3-D5-1F-30-00-00-02"
ROLES = {"89", "04", "137"}
GENUINE = {
    "readfw-response.xml": "137",
    "readfw-response-2022.xml": "04",
    "readfw-response-resigned.xml": "89",
    "read-inventory-response-4g.xml": "89",
    "read-inventory-response-5.4.xml": "89",
}


def signed(reference: Path, name: str) -> bytes:
    return (reference / "messages" / "signed" / name).read_bytes()


def sent(data: bytes) -> datetime:
    found = re.search(rb"ResponseDateTime>([^<]+)<", data)
    return datetime.fromisoformat(found[1].decode()) if found else datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def pinned(duis_reference: Path) -> Verifier:
    files = sorted((duis_reference / "certificates").glob("*.pem"))
    return Verifier(Trust(pinned=[Certificate.from_pem(path.read_bytes()) for path in files]))


def test_every_certificate_is_read(duis_reference: Path) -> None:
    files = sorted((duis_reference / "certificates").glob("*.pem"))
    certificates = [Certificate.from_pem(path.read_bytes()) for path in files]

    assert sorted(certificate.role for certificate in certificates) == ["02", "04", "06", "137", "87", "87", "89", "89"]
    assert {certificate.issuer.text for certificate in certificates} == {"CN=Z1,OU=07"}
    assert all(certificate.may_sign for certificate in certificates)
    assert min(certificate.serial for certificate in certificates) > 2**64


@pytest.mark.parametrize(("name", "role"), GENUINE.items())
def test_a_genuine_message_verifies_at_its_own_time(
    duis_reference: Path, pinned: Verifier, name: str, role: str
) -> None:
    data = signed(duis_reference, name)

    verified = pinned.verify(parse(data), roles=ROLES, at=sent(data))

    assert (verified.signer.eui, verified.signer.role) == (SIGNER, role)


@pytest.mark.parametrize(("name", "role"), GENUINE.items())
def test_a_genuine_message_not_signed_in_the_xml_signing_role_is_refused(
    duis_reference: Path, pinned: Verifier, name: str, role: str
) -> None:
    data = signed(duis_reference, name)
    if role == "89":
        assert pinned.verify(parse(data), roles={"89"}, at=sent(data)).signer.role == "89"
    else:
        with pytest.raises(NotAuthenticated, match=f"has role {role}; accepted here: 89"):
            pinned.verify(parse(data), roles={"89"}, at=sent(data))


def test_a_genuine_message_does_not_verify_once_its_certificate_has_expired(
    duis_reference: Path, pinned: Verifier
) -> None:
    data = signed(duis_reference, "readfw-response-2022.xml")

    with pytest.raises(NotAuthenticated, match="expired at 2025-10-29T23:59:59Z"):
        pinned.verify(parse(data), roles=ROLES, at=datetime(2025, 10, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("readfw-response-badsignature.xml", NotAuthenticated, "signature value is not by the key"),
        ("readfw-response-no-signature.xml", ProfileRefused, "not signed"),
        ("ECS17b_4.1.1_SINGLE_SUCCESS_REQUEST_DUIS-signed.XML", DocumentRefused, "a comment"),
        ("acknowledgement-error.xml", ProfileRefused, "not signed"),
        ("message2.xml", ProfileRefused, "not signed"),
        ("duis-xxe.xml", DocumentRefused, "a DOCTYPE"),
    ],
)
def test_a_message_that_is_not_genuinely_signed_never_verifies(
    duis_reference: Path, pinned: Verifier, name: str, kind: type[SigningError], reason: str
) -> None:
    data = signed(duis_reference, name)

    with pytest.raises(kind, match=reason):
        pinned.verify(parse(data), roles=ROLES, at=sent(data))


def test_a_placeholder_signature_without_its_comment_is_off_the_profile(duis_reference: Path, pinned: Verifier) -> None:
    data = signed(duis_reference, "ECS17b_4.1.1_SINGLE_SUCCESS_REQUEST_DUIS-signed.XML")
    data = re.sub(rb"<!--.*?-->", b"", data, flags=re.DOTALL)

    with pytest.raises(ProfileRefused, match="ds:DigestValue holds 7 bytes; 32 were expected"):
        pinned.verify(parse(data), roles=ROLES, at=sent(data))


@pytest.mark.parametrize(
    "change",
    [
        (b' xmlns:ns3="http://www.w3.org/2000/09/xmldsig#"', b""),
        (b"xmlns:ns3", b"xmlns:ns4"),
        (b"</sr:Header>", b"</sr:Header>\n"),
    ],
)
def test_namespaces_and_white_space_of_a_genuine_message_are_signed(
    duis_reference: Path, pinned: Verifier, change: tuple[bytes, bytes]
) -> None:
    data = signed(duis_reference, "readfw-response.xml")
    assert change[0] in data

    with pytest.raises(NotAuthenticated, match="changed after it was signed"):
        pinned.verify(parse(data.replace(*change)), roles=ROLES, at=sent(data))


COMMENTED = {"CS03CCritical_8.7.1_SUCCESS_REQUEST_DUIS.XML", "CS07_8.9_SUCCESS_REQUEST_DUIS.XML"}
"""Two published requests hold a comment in their Header too, which stays where it is and is refused."""


def test_a_published_request_can_be_signed_in_place_of_its_placeholder_unless_it_holds_a_comment_elsewhere(
    duis_reference: Path, world: World
) -> None:
    files = sorted((duis_reference / "messages" / "published").glob("*.XML"))
    for path in files:
        if path.name in COMMENTED:
            with pytest.raises(DocumentRefused, match="a comment") as caught:
                world.signer.sign_bytes(path.read_bytes())
            assert caught.value.line == 4
        else:
            data = world.signer.sign_bytes(path.read_bytes())
            assert world.verify(data).signer == world.key.certificate

    assert len(files) > 20
