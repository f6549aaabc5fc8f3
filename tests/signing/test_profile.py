"""The form of the Signature: every departure from it is refused with reason and place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from signing import DistinguishedName, NotAuthenticated, ProfileRefused, Signer, SigningError, parse
from signing.canonical import exclusive, inclusive
from signing.compact import read_compact
from signing.profile import DS, SIGNATURE, read_signature
from signing.trees import take_out

from .conftest import World

BODY = '<m:a xmlns:m="urn:m"><m:b>text</m:b></m:a>'


def changed(world: World, old: str, new: str) -> bytes:
    signed = world.sign(BODY).decode()
    assert signed.count(old) >= 1, old
    return signed.replace(old, new, 1).encode()


CASES = {
    "attribute on Signature": (
        "<ds:Signature ",
        '<ds:Signature Id="s" ',
        "the attribute Id is not accepted on ds:Signature",
    ),
    "xml attribute": (
        "<ds:SignedInfo>",
        '<ds:SignedInfo xml:lang="en">',
        "namespace}lang is not accepted on ds:SignedInfo",
    ),
    "attribute on SignedInfo": (
        "<ds:SignedInfo>",
        '<ds:SignedInfo Id="i">',
        "the attribute Id is not accepted on ds:SignedInfo",
    ),
    "inclusive SignedInfo": (
        "http://www.w3.org/2001/10/xml-exc-c14n#",
        "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
        'Algorithm of ds:CanonicalizationMethod is "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"; only',
    ),
    "comments form": ("xml-exc-c14n#", "xml-exc-c14n#WithComments", "WithComments"),
    "other signature": ("xmldsig-more#ecdsa-sha256", "xmldsig-more#rsa-sha256", "rsa-sha256"),
    "HMAC": ("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", f"{DS}hmac-sha1", "hmac-sha1"),
    "no algorithm": (
        ' Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"',
        "",
        "ds:DigestMethod lacks the attribute Algorithm",
    ),
    "other digest": ("http://www.w3.org/2001/04/xmlenc#sha256", f"{DS}sha1", "sha1"),
    "inclusive namespaces": (
        "</ds:CanonicalizationMethod>",
        '<e:InclusiveNamespaces xmlns:e="http://www.w3.org/2001/10/xml-exc-c14n#"/></ds:CanonicalizationMethod>',
        "InclusiveNamespaces is not accepted in ds:CanonicalizationMethod",
    ),
    "reference by id": ('URI=""', 'URI="#x"', 'URI of ds:Reference is "#x"'),
    "reference without URI": (' URI=""', "", "ds:Reference lacks the attribute URI"),
    "reference type": ('URI=""', 'URI="" Type="t"', "the attribute Type is not accepted"),
    "no transforms": ("<ds:Transforms>", "<ds:Transforms/><ds:Transforms>", "ds:Transforms lacks ds:Transform"),
    "other transform": ("xmldsig#enveloped-signature", "xmldsig#base64", "base64"),
    "extra transform": (
        "</ds:Transforms>",
        '<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/></ds:Transforms>',
        "ds:Transform is not accepted in ds:Transforms",
    ),
    "XPath in transform": (
        "</ds:Transform>",
        "<ds:XPath>x</ds:XPath></ds:Transform>",
        "ds:XPath is not accepted in ds:Transform",
    ),
    "second reference": (
        "</ds:SignedInfo>",
        '<ds:Reference URI=""/></ds:SignedInfo>',
        "ds:Reference is not accepted in ds:SignedInfo",
    ),
    "object": ("</ds:Signature>", "<ds:Object/></ds:Signature>", "ds:Object is not accepted in ds:Signature"),
    "key value": (
        "<ds:X509Data>",
        "<ds:KeyValue/><ds:X509Data>",
        "ds:X509Data was expected here and ds:KeyValue was found",
    ),
    "key name": (
        "</ds:KeyInfo>",
        "<ds:KeyName>k</ds:KeyName></ds:KeyInfo>",
        "ds:KeyName is not accepted in ds:KeyInfo",
    ),
    "certificate": (
        "</ds:X509Data>",
        "<ds:X509Certificate>x</ds:X509Certificate></ds:X509Data>",
        "ds:X509Certificate is not accepted in ds:X509Data",
    ),
    "foreign element": (
        "<ds:KeyInfo>",
        '<x xmlns="urn:x"/><ds:KeyInfo>',
        "ds:KeyInfo was expected here and {urn:x}x was found",
    ),
    "text in Signature": ("<ds:KeyInfo>", "text<ds:KeyInfo>", "ds:Signature must not hold text"),
    "text first in KeyInfo": ("<ds:X509Data>", "text<ds:X509Data>", "ds:KeyInfo must not hold text"),
    "no-break space": ("<ds:KeyInfo>", "\u00a0<ds:KeyInfo>", "ds:Signature must not hold text"),
    "element in value": (
        "</ds:SignatureValue>",
        "<ds:x/></ds:SignatureValue>",
        "ds:SignatureValue must hold text only",
    ),
    "digest not base64": ("<ds:DigestValue>", "<ds:DigestValue>!", "ds:DigestValue is not base64"),
    "value not ASCII": ("<ds:SignatureValue>", "<ds:SignatureValue>é", "ds:SignatureValue is not base64"),
    "no name": ("<ds:X509IssuerName>", "<ds:X509IssuerName>=", "not an X.509 name"),
    "negative serial": ("<ds:X509SerialNumber>", "<ds:X509SerialNumber>-", "is not a decimal number"),
    "endless serial": ("<ds:X509SerialNumber>", "<ds:X509SerialNumber>" + "1" * 5000, "is not a decimal number"),
}


@pytest.mark.parametrize(("old", "new", "reason"), CASES.values(), ids=CASES)
def test_a_departure_from_the_form_is_refused_with_its_reason_line_and_path(
    world: World, old: str, new: str, reason: str
) -> None:
    with pytest.raises(ProfileRefused) as caught:
        world.verify(changed(world, old, new))

    assert reason in caught.value.reason
    assert caught.value.line == 1
    assert (caught.value.path or "").startswith("/m:a/ds:Signature")
    assert str(caught.value).endswith(f"(line 1, {caught.value.path})")


@pytest.mark.parametrize(
    "name", ["CanonicalizationMethod", "SignatureMethod", "DigestMethod", "DigestValue", "X509SerialNumber"]
)
def test_a_missing_element_is_refused(world: World, name: str) -> None:
    root = etree.fromstring(world.sign(BODY))
    element = next(root.iter(f"{{{DS}}}{name}"))
    parent = element.getparent()
    assert parent is not None
    parent.remove(element)

    with pytest.raises(ProfileRefused, match=f"lacks ds:{name}|ds:{name} was expected"):
        world.verify(etree.tostring(root))


@pytest.mark.parametrize("value", ["", "AAAA", "ZGVmYXVsdA==", "A" * 88 + "AA=="])
def test_a_signature_value_of_another_length_than_64_bytes_is_refused(world: World, value: str) -> None:
    root = etree.fromstring(world.sign(BODY))
    next(root.iter(f"{{{DS}}}SignatureValue")).text = value

    with pytest.raises(ProfileRefused, match=r"ds:SignatureValue holds [0-9]+ bytes; 64 were expected"):
        world.verify(etree.tostring(root))


def test_an_unsigned_document_is_refused(world: World) -> None:
    with pytest.raises(ProfileRefused, match="not signed"):
        world.verify(BODY.encode())


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("</m:a>", "<m:c/></m:a>", "not the last element"),
        ("</m:a>", "text</m:a>", "text after the ds:Signature"),
        ("<m:b>", f'<m:b><x:Signature xmlns:x="{DS}"/>', "holds 2 ds:Signature elements"),
        ("</ds:Signature>", "<ds:Signature/></ds:Signature>", "holds 2 ds:Signature elements"),
        ("</ds:KeyInfo>", "<ds:Object><ds:Signature/></ds:Object></ds:KeyInfo>", "holds 2 ds:Signature elements"),
    ],
)
def test_a_misplaced_or_second_signature_is_refused(world: World, old: str, new: str, reason: str) -> None:
    with pytest.raises(ProfileRefused, match=reason):
        world.verify(changed(world, old, new))


def test_a_signature_that_is_not_a_child_of_the_root_is_refused(world: World) -> None:
    signed = world.sign(BODY).decode()
    wrapped = signed[: signed.index("<m:a")] + "<w>" + signed[signed.index("<m:a") :] + "</w>"

    with pytest.raises(ProfileRefused, match="not a child of the root"):
        world.verify(wrapped.encode())


def test_a_document_that_is_a_signature_only_is_refused(world: World) -> None:
    with pytest.raises(ProfileRefused, match="not a child of the root"):
        world.verify(f'<ds:Signature xmlns:ds="{DS}"/>'.encode())


def test_the_form_is_checked_before_anything_is_believed(world: World) -> None:
    data = changed(world, "text", "other").replace(b"</ds:Signature>", b"<ds:Object/></ds:Signature>")

    with pytest.raises(ProfileRefused, match="ds:Object"):
        world.verify(data, role="99")


_SNIPPETS = st.sampled_from(
    [
        " ",
        "\n",
        "x",
        "&#13;",
        "&amp;",
        "<ds:x/>",
        "<x/>",
        ' Id="i"',
        ' xmlns:q="urn:q"',
        ' xmlns="urn:q"',
        ' q="ds:"',
        "\u00a0",
        "=",
        "0",
    ]
)


@settings(max_examples=400)
@given(snippet=_SNIPPETS, place=st.integers(0, 10**6), in_signature=st.booleans())
def test_the_quick_look_at_a_signature_is_never_more_lenient_than_the_elements(
    world: World, snippet: str, place: int, in_signature: bool
) -> None:
    signed = world.sign(BODY).decode()
    start, end = signed.index("<ds:Signature"), signed.index("</ds:Signature>") + len("</ds:Signature>")
    position = start + place % (end - start + 1) if in_signature else place % len(signed)
    try:
        root = parse((signed[:position] + snippet + signed[position:]).encode()).root
        canonical = inclusive(root)
    except SigningError:
        return
    quick = read_compact(canonical, DistinguishedName.parse)
    if quick is None:
        return

    form = read_signature(root, DistinguishedName.parse)
    assert (quick.digest, quick.value, quick.issuer, quick.serial) == (
        form.digest,
        form.value,
        form.issuer,
        form.serial,
    )
    assert quick.signed_info == form.signed_info == exclusive(form.element[0])
    take_out(root, form.element)
    assert canonical[: quick.start] + canonical[quick.end :] == inclusive(root)


def test_what_a_signer_writes_is_recognised_at_a_glance(world: World) -> None:
    canonical = inclusive(parse(world.sign(BODY)).root)

    assert read_compact(canonical, DistinguishedName.parse) is not None


_PREFIXES = st.sampled_from(["ds:", "", "dsig:", "_.-é:"])
_SPACES = st.text(alphabet=" \t\n", max_size=3) | st.just("&#13;")


@given(
    prefix=_PREFIXES,
    spaces=st.lists(_SPACES, min_size=20, max_size=20),
    noise=st.sampled_from(["", ' xmlns:z="urn:z"']),
)
def test_any_prefix_and_white_space_has_the_form_and_signed_info_is_its_exclusive_form(
    world: World, prefix: str, spaces: list[str], noise: str
) -> None:
    signed = world.sign(BODY).decode()
    for place, space in zip(
        ("<ds:SignedInfo>", "<ds:Reference", "<ds:KeyInfo>", "</ds:SignedInfo>"), spaces, strict=False
    ):
        signed = signed.replace(place, space + place)
    declaration = f' xmlns:{prefix[:-1]}="' if prefix else ' xmlns="'
    signed = (
        signed.replace(' xmlns:ds="', noise + declaration).replace("<ds:", f"<{prefix}").replace("</ds:", f"</{prefix}")
    )
    root = parse(signed.encode()).root

    form = read_signature(root, DistinguishedName.parse)

    assert form.signed_info == exclusive(form.element[0])
    assert form.serial == world.key.serial
    assert (form.element.tag, form.element.getparent()) == (SIGNATURE, root)


def test_what_a_signer_writes_in_signed_info_is_signed_in_its_exclusive_form(world: World) -> None:
    recorded: list[bytes] = []

    class Recorder:
        eui, issuer_name, serial = world.key.eui, "O=R&D <x>,CN=Z1", 2**127 + 1

        def sign(self, data: bytes) -> bytes:
            recorded.append(data)
            return bytes(64)

    root = parse(Signer(Recorder()).sign(parse(BODY.encode()).root)).root

    assert recorded == [exclusive(root[-1][0])]


@pytest.mark.parametrize("value", [bytes(64), bytes(32) + b"\x01" * 32, b"\x01" * 32 + bytes(32), b"\xff" * 64])
def test_r_and_s_out_of_range_are_not_a_signature(world: World, value: bytes) -> None:
    class Zero:
        eui, issuer_name, serial = world.key.eui, world.key.issuer_name, world.key.serial

        def sign(self, data: bytes) -> bytes:
            return value

    with pytest.raises(NotAuthenticated, match="not an ECDSA signature on P-256"):
        world.verify(Signer(Zero()).sign(parse(BODY.encode()).root))
