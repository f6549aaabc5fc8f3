"""Documents that are alike but for some texts: signed as each would be alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from signing import Blank, DocumentRefused, ProfileRefused, Signer, parse
from tests.signing.conftest import EUI, World

GAP = "\ue000"
PLAIN = st.text("0123456789ABCDEFabcdef-:.", min_size=1, max_size=40)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Co")), max_size=30)


@dataclass(frozen=True, slots=True)
class PredictableKey:
    """Signs the same always with the same: what chance decides is then equal too."""

    eui: str = EUI
    issuer_name: str = "CN=a & b <c>"
    serial: int = 7

    def sign(self, data: bytes) -> bytes:
        return hashlib.sha512(data).digest()


@st.composite
def documents(draw: st.DrawFn) -> etree._Element:
    """A document of some elements, one of which holds the gap, as its text or as an attribute."""
    root = etree.Element("{urn:x}a", nsmap={"x": "urn:x"})
    for place in range(draw(st.integers(1, 4))):
        child = etree.SubElement(root, draw(st.sampled_from(["b", "{urn:x}c", "{urn:y}d"])))
        child.text, child.tail = draw(TEXTS), draw(TEXTS)
        child.set("k", draw(TEXTS))
        if place == 0:
            if draw(st.booleans()):
                child.text = GAP
            else:
                child.set("of", GAP)
    return root


def filled(root: etree._Element, text: str) -> etree._Element:
    made = etree.fromstring(etree.tostring(root))
    for element in made.iter():
        if element.text == GAP:
            element.text = text
        if element.get("of") == GAP:
            element.set("of", text)
    return made


@settings(deadline=None)
@given(root=documents(), texts=st.lists(PLAIN, min_size=1, max_size=3))
def test_each_of_a_series_has_the_bytes_that_it_would_have_alone(root: etree._Element, texts: list[str]) -> None:
    signer = Signer(PredictableKey())
    series = signer.series(root, GAP)

    assert [series.sign(text) for text in texts] == [signer.sign(filled(root, text)) for text in texts]


def test_each_of_a_series_verifies_with_a_signature_of_its_own(world: World) -> None:
    series = world.signer.series(etree.fromstring(f"<a><b>{GAP}</b></a>"), GAP)

    signed = [series.sign(text) for text in ("00-11", "00-22")]

    assert [world.verify(one).root.findtext("b") for one in signed] == ["00-11", "00-22"]


@pytest.mark.parametrize("text", ["", "a b", "a&b", "<", "é", "a\n", GAP, "&amp;"])
def test_a_text_that_canonical_xml_might_write_in_another_way_is_refused(text: str) -> None:
    series = Signer(PredictableKey()).series(etree.fromstring(f"<a>{GAP}</a>"), GAP)

    with pytest.raises(ValueError, match="not a plain text"):
        series.sign(text)


@pytest.mark.parametrize(("document", "times"), [("<a/>", 0), (f"<a><b>{GAP}</b>{GAP}</a>", 2)])
def test_a_gap_that_is_not_there_once_is_refused(document: str, times: int) -> None:
    with pytest.raises(ValueError, match=f"stands in the document {times} times"):
        Signer(PredictableKey()).series(etree.fromstring(document), GAP)


def test_what_is_no_document_to_be_signed_makes_no_series(world: World) -> None:
    with pytest.raises(DocumentRefused, match="a comment"):
        world.signer.series(etree.fromstring(f"<a>{GAP}<!-- x --></a>"), GAP)
    signed = parse(world.sign("<a>x</a>")).root
    with pytest.raises(ProfileRefused, match="signed already"):
        world.signer.series(signed, "x")


GAPS = ("\ue001", "\ue002")


@settings(deadline=None)
@given(inside=TEXTS, after=TEXTS, texts=st.tuples(PLAIN, PLAIN))
def test_a_blank_with_texts_in_it_is_signed_as_the_document_that_it_is(
    inside: str, after: str, texts: tuple[str, str]
) -> None:
    def document(first: str, second: str) -> etree._Element:
        root = etree.Element("{urn:x}a", {"k": first}, {"x": "urn:x"})
        child = etree.SubElement(root, "b", {"percent": inside})
        child.text, child.tail = second + inside, after
        return root

    signer = Signer(PredictableKey())

    assert signer.sign_filled(Blank(document(*GAPS), GAPS), texts) == signer.sign(document(*texts))


@pytest.mark.parametrize("text", ["a b", "a&b", "<", "é", "a\n", GAPS[0], "&amp;", "%s", '"'])
def test_a_blank_takes_no_text_that_canonical_xml_might_write_in_another_way(text: str) -> None:
    blank = Blank(etree.fromstring(f"<a k='{GAPS[0]}'>{GAPS[1]}</a>"), GAPS)

    assert blank.filled(("a", text)) is None
    assert blank.filled((text, "a")) is None


@pytest.mark.parametrize(
    "document", [f"<a>{GAPS[0]}</a>", f"<a>{GAPS[1]}{GAPS[0]}</a>", f"<a>{''.join(GAPS)}{GAPS[1]}</a>"]
)
def test_a_blank_whose_gaps_are_not_there_once_in_their_order_is_refused(document: str) -> None:
    with pytest.raises(ValueError, match="not once"):
        Blank(etree.fromstring(document), GAPS)


def test_a_blank_is_filled_with_as_many_texts_as_it_has_gaps() -> None:
    with pytest.raises(ValueError, match="1 texts for 2 gaps"):
        Blank(etree.fromstring(f"<a k='{GAPS[0]}'>{GAPS[1]}</a>"), GAPS).filled(("a",))
