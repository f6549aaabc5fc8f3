"""Templates: what is filled in is text, what has no value is left out or refused."""

from __future__ import annotations

import pytest
from lxml import etree

from sr_engine.messages.template import TemplateRefused, fill, filled_request

VALUES = {"name": 'Smith & <Sons> "Ltd"', "none": None, "empty": ""}


def filled(template: str) -> str:
    return etree.tostring(fill(template, VALUES.get), encoding="unicode")


def test_a_value_becomes_text_and_never_markup() -> None:
    assert filled('<a b="{name}">{name}</a>') == (
        '<a b="Smith &amp; &lt;Sons&gt; &quot;Ltd&quot;">Smith &amp; &lt;Sons&gt; "Ltd"</a>'
    )


def test_a_default_stands_where_there_is_no_value() -> None:
    assert filled("<a>{none=General}{name=x}</a>") == '<a>GeneralSmith &amp; &lt;Sons&gt; "Ltd"</a>'


def test_an_element_that_may_lack_its_value_is_left_out_and_an_empty_value_is_one() -> None:
    assert filled("<a><b>{none?}</b><c>{empty?}</c>\n  <d>{name?}</d></a>") == (
        '<a><c/><d>Smith &amp; &lt;Sons&gt; "Ltd"</d></a>'
    )


@pytest.mark.parametrize(
    ("template", "problem"),
    [("<a>{none}</a>", "there is no value for {none}"), ("<a>{name}</b>", "it is not well-formed XML: ")],
)
def test_what_cannot_be_filled_is_refused(template: str, problem: str) -> None:
    with pytest.raises(TemplateRefused, match=problem):
        filled(template)


def test_a_document_that_is_no_service_request_is_refused() -> None:
    with pytest.raises(TemplateRefused, match="its root is a"):
        filled_request("<a/>", VALUES.get)
