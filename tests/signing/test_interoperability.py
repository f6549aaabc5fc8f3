"""Other implementations of XML signatures, which know nothing of ours, agree with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from lxml import etree

from signing import NotAuthenticated, ProfileRefused, parse
from signing.canonical import inclusive
from signing.profile import DS

from .conftest import World

DOCUMENTS = [
    "<a/>",
    '<m:a xmlns:m="urn:m" xmlns:unused="urn:unused" z="1" b="2">\n  <m:b>1 &lt; 2 &amp; é \U0001f4a1</m:b>\n</m:a>',
    '<a xmlns="urn:d" xml:lang="en"><b xmlns="" x="&#13;&#10;&#9;&quot;">a&#13;b</b><c xmlns:m="urn:m" m:q="1"/> </a>',
    f'<a xmlns:ds="urn:another" xmlns:s="{DS}"><ds:b/></a>',
]

TEMPLATE = f"""<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo>
<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>
<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"/>
<ds:Reference URI=""><ds:Transforms><ds:Transform Algorithm="{DS}enveloped-signature"/></ds:Transforms>
<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue/></ds:Reference></ds:SignedInfo>
<ds:SignatureValue/><ds:KeyInfo><ds:X509Data><ds:X509IssuerSerial><ds:X509IssuerName>%s</ds:X509IssuerName>
<ds:X509SerialNumber>%d</ds:X509SerialNumber></ds:X509IssuerSerial></ds:X509Data></ds:KeyInfo></ds:Signature>"""


def tampered(data: bytes) -> bytes:
    """Return the signed document with another attribute on its root."""
    root = etree.fromstring(data)
    root.set("tampered", "yes")
    return etree.tostring(root)


@pytest.mark.parametrize("text", DOCUMENTS)
def test_xmlsec_accepts_our_signature_and_we_accept_its(world: World, text: str) -> None:
    xmlsec = pytest.importorskip("xmlsec", reason="python-xmlsec is not installed here")

    def judge(data: bytes) -> None:
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_memory(world.key.certificate.pem, xmlsec.constants.KeyDataFormatCertPem)
        context.verify(xmlsec.tree.find_node(etree.fromstring(data), "Signature"))

    ours = world.sign(text)
    judge(ours)
    with pytest.raises(xmlsec.Error):
        judge(tampered(ours))

    root = etree.fromstring(text)
    signature = etree.fromstring(TEMPLATE % (world.key.issuer_name, world.key.serial))
    root.append(signature)
    context = xmlsec.SignatureContext()
    key_path = world.pki.directory / "supplier" / "key.pem"
    context.key = xmlsec.Key.from_memory(key_path.read_bytes(), xmlsec.constants.KeyDataFormatPem)
    context.sign(signature)
    theirs = etree.tostring(root)
    assert inclusive(world.verify(theirs).root) == inclusive(parse(text.encode()).root)
    with pytest.raises(NotAuthenticated):
        world.verify(tampered(theirs))


@pytest.mark.parametrize("text", DOCUMENTS)
def test_signxml_accepts_our_signature_and_cannot_express_the_profile_itself(world: World, text: str) -> None:
    signxml = pytest.importorskip("signxml", reason="signxml is not installed here")
    certificate = world.key.certificate.pem.decode()
    expected = signxml.SignatureConfiguration(require_x509=True)
    ours = world.sign(text)

    verified = signxml.XMLVerifier().verify(ours, x509_cert=certificate, expect_config=expected)

    assert inclusive(verified.signed_xml) == inclusive(parse(text.encode()).root)
    with pytest.raises(signxml.exceptions.InvalidSignature):
        signxml.XMLVerifier().verify(tampered(ours), x509_cert=certificate, expect_config=expected)
    signer = signxml.XMLSigner(
        signature_algorithm="ecdsa-sha256",
        digest_algorithm="sha256",
        c14n_algorithm="http://www.w3.org/2001/10/xml-exc-c14n#",
    )
    key = (world.pki.directory / "supplier" / "key.pem").read_bytes()
    theirs = etree.tostring(signer.sign(etree.fromstring(text), key=key, cert=certificate))
    # It always lists a canonicalisation as a second Transform, which DUIS does not.
    with pytest.raises(ProfileRefused, match="ds:Transform is not accepted in ds:Transforms"):
        world.verify(theirs)


def test_the_jdk_accepts_our_signatures_and_sees_what_was_tampered_with(
    world: World, jdk: Callable[..., list[str]], tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}.xml" for number in range(len(DOCUMENTS) + 1)]
    for path, text in zip(paths, DOCUMENTS, strict=False):
        path.write_bytes(world.sign(text))
    paths[-1].write_bytes(tampered(world.sign(DOCUMENTS[1])))

    answers = jdk("verify", world.pki.directory / "supplier" / "certificate.pem", *paths)

    assert answers == ["valid"] * len(DOCUMENTS) + ["invalid digest"]


def test_we_accept_a_signature_of_the_jdk(world: World, jdk: Callable[..., list[str]], tmp_path: Path) -> None:
    loaded = load_pem_private_key((world.pki.directory / "supplier" / "key.pem").read_bytes(), None)
    key, document, signed = tmp_path / "key.der", tmp_path / "document.xml", tmp_path / "signed.xml"
    key.write_bytes(loaded.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    document.write_bytes(DOCUMENTS[1].encode())

    jdk("sign", key, world.key.issuer_name, world.key.serial, document, signed)

    data = signed.read_bytes()
    assert b"&#13;" in data  # the JDK breaks the value into lines (FACTS SG4)
    assert inclusive(world.verify(data).root) == inclusive(parse(DOCUMENTS[1].encode()).root)
    with pytest.raises(NotAuthenticated, match="changed after it was signed"):
        world.verify(tampered(data))
