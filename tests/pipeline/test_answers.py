"""Why, in words: what any text becomes in a header and in a problem document."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from sr_engine.pipeline.answer import DETAIL_LIMIT, PROBLEM, Answer
from sr_engine.pipeline.problem import problem

_any_text = st.text(alphabet=st.characters())


@given(_any_text)
@example("two\r\nX-Evil: lines")
@example("\x7f\x00\x1b[31m")
@example("\ud800 alone")
def test_any_detail_is_one_line_of_printable_ascii_in_a_header(detail: str) -> None:
    header = Answer(200, b"", detail).detail_header

    assert all(" " <= character <= "~" for character in header)
    assert len(header) <= DETAIL_LIMIT


@pytest.mark.parametrize("detail", ["the request has no window", "E110503: 1 x Invalid; 2 x NotAvailable"])
def test_a_plain_detail_is_sent_as_it_is(detail: str) -> None:
    assert Answer(200, b"", detail).detail_header == detail


@given(_any_text, st.none() | _any_text, st.none() | st.integers(1, 10**9))
@example("\x00\ufffe\ud800<&>]]>", "/a/b[1]", 1)
def test_a_problem_document_is_well_formed_whatever_it_quotes(detail: str, path: str | None, line: int | None) -> None:
    answer = problem(HTTPStatus.BAD_REQUEST, detail, path=path, line=line)

    document = etree.fromstring(answer.body)
    assert (answer.status, answer.content_type, answer.code) == (400, PROBLEM, None)
    members = [etree.QName(member).localname for member in document]
    expected = ["type", "title", "status", "detail"]
    expected += ["line"] * (line is not None) + ["path"] * (path is not None)
    assert members == expected
    assert document.findtext("{*}title") == "Bad Request"
    assert len(document.findtext("{*}detail") or "") == len(detail)
