"""Messages as people read them."""

from __future__ import annotations

import pytest

from sr_engine.messages.shown import shown


def test_each_element_stands_on_a_line_of_its_own() -> None:
    data = b'<s:Request xmlns:s="urn:s" schemaVersion="5.4"><s:Header><s:ID>1</s:ID><s:None/></s:Header></s:Request>'

    found = shown(data, 10_000)

    assert found.text.splitlines() == [
        '<s:Request xmlns:s="urn:s" schemaVersion="5.4">',
        "  <s:Header>",
        "    <s:ID>1</s:ID>",
        "    <s:None/>",
        "  </s:Header>",
        "</s:Request>",
    ]
    assert not found.cut


def test_white_space_of_the_sender_is_not_kept_and_text_between_elements_is() -> None:
    assert shown(b"<a>\n   <b>x</b>\n  tail <c/> </a>", 1000).text.splitlines() == [
        "<a>",
        "  <b>x</b>",
        "  tail",
        "  <c/>",
        "</a>",
    ]


def test_what_looks_like_markup_in_a_value_is_written_as_in_xml() -> None:
    text = shown(b'<a b="&quot;&lt;">&lt;script&gt;alert(1)&lt;/script&gt; &amp;amp;</a>', 1000).text

    assert text == "<a b='\"&lt;'>&lt;script&gt;alert(1)&lt;/script&gt; &amp;amp;</a>"


def test_a_long_value_is_cut_and_says_by_how_much() -> None:
    found = shown(b"<a><ids>" + b"0" * 1_200_000 + b"</ids><end>1</end></a>", 10_000)

    assert found.cut
    assert " … and 1,199,600 more characters</ids>" in found.text
    assert "<end>1</end>" in found.text


def test_many_elements_are_cut_where_there_is_room_for_no_more() -> None:
    found = shown(b"<a>" + b"<b>1</b>" * 50_000 + b"</a>", 500)

    assert found.cut
    assert len(found.text) < 600
    assert found.text.endswith("… the rest is left out here")


@pytest.mark.parametrize("data", [b"not <xml", b"\xff\xfe\x00", b"", b"<!DOCTYPE a><a/>"])
def test_what_is_no_document_is_shown_as_it_is(data: bytes) -> None:
    assert shown(data, 100).text == data.decode("utf-8", errors="replace")


def test_attributes_with_a_namespace_keep_their_prefix() -> None:
    assert shown(b'<a xmlns="urn:a" xmlns:x="urn:x" x:b="1"/>', 100).text == (
        '<a xmlns="urn:a" xmlns:x="urn:x" x:b="1"/>'
    )
