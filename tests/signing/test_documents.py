"""What is accepted as a document."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from signing import DocumentRefused, parse, remove_signatures
from signing.document import MAX_ATTRIBUTES, MAX_TAGS


def refusal(data: bytes) -> DocumentRefused:
    with pytest.raises(DocumentRefused) as caught:
        parse(data)
    return caught.value


@pytest.mark.parametrize(
    ("data", "reason", "line"),
    [
        (b"", "empty", None),
        (b"<a><!-- x --></a>", "a comment", 1),
        (b"<!-- x --><a/>", "a comment", 1),
        (b"<a/>\n<!-- x -->", "a comment", 2),
        (b"<a>\n<![CDATA[x]]></a>", "a CDATA section", 2),
        (b"<!DOCTYPE a><a/>", "a DOCTYPE", 1),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "a DOCTYPE", 1),
        (b"<a>\n\n<?do it?></a>", "a processing instruction", 3),
        (b"<?do it?><a/>", "a processing instruction", 1),
        (b"<?xml-stylesheet href='x'?><a/>", "a processing instruction", 1),
        (b'<?xml version="1.0"?>\n<?xml-stylesheet href="x"?><a/>', "a processing instruction", 2),
        (b'\n<?xml version="1.0"?><a/>', "an XML declaration that is not at the very beginning", 1 + 1),
        (b'<?xml version="1.0"?><a/><?xml version="1.0"?>', "an XML declaration that is not", 1),
        (b'<?xml version="1.0" encoding="ISO-8859-1"?><a/>', "encoding ISO-8859-1 is not accepted", 1),
        (b'<?xml version="1.0" encoding="UTF-16"?><a/>', "encoding UTF-16 is not accepted", 1),
        (b'<?xml version="1.1"?><a/>', "version 1.1 is not accepted", 1),
        (b"<?xml ?><a/>", "XML declaration is malformed", 1),
        ('<?xml version="1.0" encoding="US-ASCII"?><a>é</a>'.encode(), "declared US-ASCII", 1),
        ("<a/>".encode("utf-16"), "UTF-16", 1),
        ("<a/>".encode("utf-16-le"), "a NUL", 1),
        ("<a/>".encode("utf-16-be"), "a NUL", 1),
        ("<a/>".encode("utf-32"), "UTF-16 or UTF-32", 1),
        (b"<a>\n\xff</a>", "not valid UTF-8", 2),
        (b"<a>\xed\xa0\x80</a>", "not valid UTF-8", 1),
        (b"<a>\x00</a>", "a NUL", 1),
        (b"<a>\n<b></a>", "not well-formed XML", 2),
        (b"<a>&x;</a>", "not well-formed XML", 1),
        (b"<x:a/>", "not well-formed XML", 1),
        (b"<a/><b/>", "not well-formed XML", 1),
        (b"plain text", "not well-formed XML", 1),
        (b'<a xmlns="relative"/>', "'relative' is relative", 1),
        (b'<a>\n<b xmlns:x="some/where"/></a>', "'some/where' is relative", 2),
        (b"<a>\n<b xmlns:" + b"x" * 300 + b'="some/where"/></a>', "'some/where' is relative", 2),
        (b"<a>" * 5000 + b"</a>" * 5000, "not well-formed XML: Excessive depth", 1),
        (b"<a " + b" ".join(b'a%d=""' % i for i in range(3000)) + b"/>", f"at most {MAX_ATTRIBUTES}", 1),
        (b"<a>" + b"<a/>" * MAX_TAGS + b"</a>", f"at most {MAX_TAGS}", None),
        (
            b"<a " + b" ".join(b'xmlns:n%d="u:x"' % i for i in range(100)) + b">" + b"<b/>" * 20000 + b"</a>",
            "100 names",
            None,
        ),
    ],
)
def test_a_document_that_is_not_acceptable_is_refused_with_its_reason_and_line(
    data: bytes, reason: str, line: int | None
) -> None:
    refused = refusal(data)

    assert reason in refused.reason
    assert refused.line == line


def test_a_relative_namespace_is_refused_with_the_path_of_its_element() -> None:
    assert refusal(b'<a><b xmlns:x="some/where"/></a>').path == "/a/b"


def test_a_document_is_refused_by_its_size_before_it_is_looked_at() -> None:
    with pytest.raises(DocumentRefused, match="101 bytes; at most 100"):
        parse(b"<" * 101, max_bytes=100)


@pytest.mark.parametrize(
    "data",
    [
        b"<a/>",
        b"\xef\xbb\xbf<a/>",
        b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?><a/>',
        b"<?xml version='1.0' encoding='us-ascii' standalone='yes' ?>\r\n<a/>\r\n",
        b'<a href="why? because!">a > b ?> ]] -- ! ?</a>',
        b"<a>xmlns=&quot;text&quot; is only text, and so is xmlns:x='this'</a>",
        b'<a xmlns="&#117;rn:escaped"/>',
        "<a>Łódź \U0001f4a1</a>".encode(),
        b'<a xmlns=""/>',
    ],
)
def test_a_legal_document_is_accepted_and_its_bytes_are_kept(data: bytes) -> None:
    document = parse(data)

    assert document.data == data
    assert etree.QName(document.root).localname == "a"


def test_a_text_of_ten_million_bytes_and_more_is_read() -> None:
    text = b"A" * 11_000_000

    assert len(parse(b"<a>" + text + b"</a>").root.text or "") == len(text)


@given(st.binary(max_size=200) | st.text(alphabet="<>/!?-[]&;x='\" \n\x00", max_size=60).map(str.encode))
def test_arbitrary_bytes_are_refused_and_never_crash(data: bytes) -> None:
    try:
        document = parse(data)
    except DocumentRefused:
        return
    assert document.data == data


@given(st.data())
def test_cutting_or_changing_a_document_never_crashes(data: st.DataObject) -> None:
    whole = b'<?xml version="1.0" encoding="UTF-8"?>\n<a xmlns:b="urn:b" c="d"><b:e>text &amp; \xc3\xa9</b:e></a>'
    position = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:position] + data.draw(st.binary(max_size=3)) + whole[position + data.draw(st.integers(0, 3)) :]
    try:
        root = parse(changed).root
    except DocumentRefused:
        return
    assert root.tag


def test_threads_parse_at_the_same_time_and_each_gets_its_own_answer() -> None:
    wrong: list[object] = []

    def work(number: int) -> None:
        for _ in range(200):
            if parse(b"<a>%d</a>" % number).root.text != str(number):
                wrong.append(number)
            line = refusal(b"\n" * number + b"<a>&x;</a>").line
            if line != number + 1:
                wrong.append(line)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_very_many_signatures_are_not_removed_one_by_one() -> None:
    many = b'<r xmlns:d="http://www.w3.org/2000/09/xmldsig#">' + b"<d:Signature/>text" * 17 + b"</r>"

    with pytest.raises(DocumentRefused, match="more than 16 ds:Signature"):
        remove_signatures(many)
