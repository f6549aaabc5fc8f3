"""Signing and verifying: what holds for every document."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import pickle
import threading
from collections import Counter
from datetime import timedelta
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from signing import (
    DocumentRefused,
    NotAuthenticated,
    ProfileRefused,
    SigningError,
    VerifiedDocument,
    parse,
    remove_signatures,
)
from signing.canonical import inclusive
from signing.profile import DS

from .conftest import EUI, World

BODY = '<m:a xmlns:m="urn:m" xmlns:unused="urn:unused"><m:b>text</m:b></m:a>'

_NAMES = st.sampled_from(["a", "b-c", "m:d", "n:e", "_é"])
_TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n\r"),
    max_size=12,
)


def _written(text: str) -> str:
    return escape(text, {"\r": "&#13;"})


def _attribute(text: str) -> str:
    return quoteattr(text, {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})


@st.composite
def _elements(draw: st.DrawFn, depth: int = 0) -> str:
    name = draw(_NAMES)
    attributes = draw(st.dictionaries(st.sampled_from(["x", "y", "m:z", "xml:lang"]), _TEXTS, max_size=2))
    declared = (
        ' xmlns:m="urn:m" xmlns:n="urn:n"'
        if depth == 0
        else draw(st.sampled_from(["", "", ' xmlns="urn:d"', ' xmlns:n="urn:n2"']))
    )
    children = draw(st.lists(_elements(depth + 1), max_size=3)) if depth < 2 else []
    inside = "".join(child + _written(draw(_TEXTS)) for child in children)
    written = "".join(f" {key}={_attribute(value)}" for key, value in attributes.items())
    return f"<{name}{declared}{written}>{_written(draw(_TEXTS))}{inside}</{name}>"


DOCUMENTS = _elements()


@given(DOCUMENTS)
def test_what_is_signed_verifies_and_is_the_same_document(world: World, text: str) -> None:
    root = parse(text.encode()).root
    before = inclusive(root)

    verified = world.verify(world.signer.sign(root))

    assert inclusive(root) == before
    assert inclusive(verified.root) == before
    assert verified.digest == hashlib.sha256(before).digest()
    assert verified.signer.eui == EUI


@given(DOCUMENTS)
def test_signing_bytes_again_gives_the_same_document(world: World, text: str) -> None:
    once = world.signer.sign_bytes(text.encode())
    twice = world.signer.sign_bytes(once)

    assert world.verify(once).digest == world.verify(twice).digest


@settings(max_examples=300)
@given(position=st.integers(0, 10**6), bit=st.integers(1, 255))
def test_changing_any_byte_never_verifies_to_other_content(world: World, position: int, bit: int) -> None:
    signed = bytearray(world.sign(BODY))
    content = inclusive(world.verify(bytes(signed)).root)
    signed[position % len(signed)] ^= bit
    try:
        verified = world.verify(bytes(signed))
    except SigningError:
        return
    assert inclusive(verified.root) == content


def test_every_byte_of_the_content_is_protected(world: World) -> None:
    signed = world.sign(BODY)
    start = signed.index(b"?>") + 2
    accepted = []
    for position in range(start, signed.index(b"<ds:Signature")):
        changed = bytearray(signed)
        changed[position] ^= 0x01
        try:
            world.verify(bytes(changed))
        except SigningError:
            continue
        accepted.append(changed)

    assert accepted == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (' xmlns:unused="urn:unused"', ""),
        ("xmlns:unused", "xmlns:renamed"),
        ("<m:b>", "\n<m:b>"),
        (">text<", "> text<"),
        ("<ds:Signature", " <ds:Signature"),
        ("</m:a>", "\n</m:a>"),
    ],
)
def test_a_namespace_or_white_space_changed_after_signing_breaks_the_digest(world: World, old: str, new: str) -> None:
    data = world.sign(BODY).decode().replace(old, new).encode()

    with pytest.raises(NotAuthenticated, match="changed after it was signed"):
        world.verify(data)


@pytest.mark.parametrize("space", ["", "\n", " \t\r\n ", "&#13;"])
def test_white_space_around_the_signature_is_digested_and_kept(world: World, space: str) -> None:
    document = f"<a>{space}<b/>{space}{space}</a>"
    signed = world.sign(document).decode()
    signature = signed[signed.index("<ds:Signature") : signed.index("</ds:Signature>") + len("</ds:Signature>")]
    moved = f"<a>{space}<b/>{space}{signature}{space}</a>"

    assert inclusive(world.verify(moved.encode()).root) == inclusive(parse(document.encode()).root)


def test_a_root_that_holds_the_signature_alone_keeps_its_text(world: World) -> None:
    signed = world.sign("<a>one two</a>").decode()
    signature = signed[signed.index("<ds:Signature") : signed.index("</a>")]

    assert world.verify(f"<a>one two{signature}</a>".encode()).root.text == "one two"
    assert (
        world.verify(
            world.sign("<a> \n </a>").replace(b"> \n <ds", b"> <ds").replace(b"</ds:Signature>", b"</ds:Signature>\n ")
        ).root.text
        == " \n "
    )


def test_the_signature_itself_may_be_pretty_printed_where_it_is_not_signed(world: World) -> None:
    data = (
        world.sign(BODY)
        .replace(b"<ds:KeyInfo>", b"\n  <ds:KeyInfo>\r\n")
        .replace(b"==</ds:SignatureValue>", b"&#13;\n==</ds:SignatureValue>")
    )

    assert world.verify(data).signer.role == "87"


def test_a_changed_signature_value_is_not_authenticated(world: World) -> None:
    first, second = world.sign(BODY), world.sign(BODY.replace("text", "other"))
    root, other = etree.fromstring(first), etree.fromstring(second)
    next(root.iter(f"{{{DS}}}SignatureValue")).text = next(other.iter(f"{{{DS}}}SignatureValue")).text

    with pytest.raises(NotAuthenticated, match="signature value is not by the key"):
        world.verify(etree.tostring(root))


def test_the_digest_is_judged_before_the_value(world: World) -> None:
    data = world.sign(BODY).replace(b">text<", b">other<").replace(b"<ds:Transforms>", b"<ds:Transforms> ")

    with pytest.raises(NotAuthenticated, match="digest"):
        world.verify(data)


def test_the_certificate_is_judged_before_the_digest(world: World) -> None:
    data = world.sign(BODY).replace(b">text<", b">other<")

    with pytest.raises(NotAuthenticated, match="has role 87; accepted here: 06, 89"):
        world.verifier.verify(parse(data), roles={"89", "06"}, at=world.now)


def test_roles_are_compared_without_case(world: World) -> None:
    assert world.verify(world.sign(BODY), role="87".lower()).signer.role == "87"


def test_a_refused_document_can_be_judged_again_as_it_came(world: World) -> None:
    document = parse(world.sign(BODY).replace(b">text<", b">other<").replace(b"</m:a>", b" </m:a>"))
    before = inclusive(document.root)
    for _ in range(2):
        with pytest.raises(NotAuthenticated, match="digest"):
            world.verifier.verify(document, roles={"87"}, at=world.now)
        assert inclusive(document.root) == before


def test_nothing_but_a_verifier_makes_a_verified_document(world: World) -> None:
    verified = world.verify(world.sign(BODY))

    with pytest.raises(TypeError, match=r"only Verifier\.verify"):
        VerifiedDocument(verified.root, verified.signer, verified.digest, verified.data, object())
    with pytest.raises((TypeError, ValueError)):
        dataclasses.replace(verified, root=etree.fromstring("<a/>"))  # type: ignore[call-arg]  # that it cannot be done
    with pytest.raises(dataclasses.FrozenInstanceError):
        verified.root = etree.fromstring("<a/>")  # type: ignore[misc]  # as above


def test_a_verified_document_holds_no_signature_and_the_bytes_as_received(world: World) -> None:
    data = world.sign(BODY)
    verified = world.verify(data)

    assert list(verified.root.iter(f"{{{DS}}}Signature")) == []
    assert verified.data is data


def test_errors_survive_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(ProfileRefused("why", line=3, path="/a")))
    copied = copy.copy(DocumentRefused("why"))

    assert (error.reason, error.line, error.path, str(error)) == ("why", 3, "/a", "why (line 3, /a)")
    assert str(copied) == "why"
    assert pickle.loads(pickle.dumps(NotAuthenticated("no"))).reason == "no"


def test_what_is_signed_is_compact_and_declared_as_utf_8(world: World) -> None:
    signed = world.sign("<a><b/>é</a>")

    assert signed.startswith('<?xml version="1.0" encoding="UTF-8"?><a><b></b>é<ds:Signature xmlns:ds="'.encode())
    assert signed.endswith(b"</ds:X509IssuerSerial></ds:X509Data></ds:KeyInfo></ds:Signature></a>")


def test_a_part_of_a_tree_is_signed_as_a_document_of_its_own(world: World) -> None:
    whole = parse(b'<w xmlns:m="urn:m"><m:a><m:b/></m:a>tail</w>').root

    assert world.verify(world.signer.sign(whole[0])).root.tag == "{urn:m}a"


def test_a_signed_tree_is_not_signed_again(world: World) -> None:
    with pytest.raises(ProfileRefused, match="signed already"):
        world.signer.sign(parse(world.sign(BODY)).root)


@pytest.mark.parametrize("node", [etree.Comment("x"), etree.ProcessingInstruction("x", "y")])
def test_a_tree_with_a_comment_or_processing_instruction_is_not_signed(world: World, node: etree._Element) -> None:
    root = etree.Element("a")
    root.append(node)

    with pytest.raises(DocumentRefused, match="comment or processing instruction"):
        world.signer.sign(root)


def test_a_tree_without_a_canonical_form_is_not_signed(world: World) -> None:
    with pytest.raises(DocumentRefused, match="canonical form"):
        world.signer.sign(etree.Element("{relative}a"))


PLACEHOLDER = f"""<a>
  <b>1 &lt; 2</b>
  <ds:Signature xmlns:ds="{DS}"><!-- placeholder --><?x?><ds:x><![CDATA[<]]></ds:x></ds:Signature>
</a>"""


def test_a_placeholder_signature_is_removed_whatever_is_in_it_and_white_space_is_kept(world: World) -> None:
    verified = world.verify(world.signer.sign_bytes(PLACEHOLDER.encode()))

    assert inclusive(verified.root) == b"<a>\n  <b>1 &lt; 2</b>\n  \n</a>"
    assert parse(remove_signatures(f'<a>x<s:Signature xmlns:s="{DS}"/>y</a>'.encode())).root.text == "xy"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<a><!-- outside --></a>", "a comment"),
        (b"<a><![CDATA[x]]></a>", "a CDATA section"),
        (b"<a><?x y?></a>", "a processing instruction"),
        (b"<!-- before --><a/>", "a comment"),
        (b"<!DOCTYPE a><a/>", "a DOCTYPE"),
        (b"<a>", "not well-formed"),
        (b"", "empty"),
        (f'<Signature xmlns="{DS}"/>'.encode(), "nothing else"),
        (b"<a>" + b"x" * 2000 + b"</a>", "at most 1000"),
    ],
)
def test_what_is_not_in_the_placeholder_signature_is_judged_as_usual(world: World, data: bytes, reason: str) -> None:
    with pytest.raises(DocumentRefused, match=reason):
        world.signer.sign_bytes(data, max_bytes=1000)


def test_validity_is_judged_at_the_time_given(world: World) -> None:
    data = world.sign(BODY)
    certificate = world.key.certificate

    assert world.verify(data, at=certificate.not_before)
    assert world.verify(data, at=certificate.not_after)
    with pytest.raises(NotAuthenticated, match="not valid before"):
        world.verify(data, at=certificate.not_before - timedelta(seconds=1))
    with pytest.raises(NotAuthenticated, match="expired"):
        world.verify(data, at=certificate.not_after + timedelta(seconds=1))


def test_threads_verify_and_sign_at_the_same_time(world: World) -> None:
    contents: list[bytes] = []

    def work(number: int) -> None:
        contents.extend(inclusive(world.verify(world.sign(f"<a>{number}</a>")).root) for _ in range(50))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Counter(contents) == {f"<a>{number}</a>".encode(): 50 for number in range(4)}
