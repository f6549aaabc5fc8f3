"""Test results as JUnit XML, the form that continuous integration servers read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lxml import etree

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Case:
    """One test: where it is filed, its name, how many seconds it took, and what went wrong, if anything did."""

    folder: str
    name: str
    seconds: float
    kind: str | None
    """failure, error or skipped; None: it passed."""
    words: str = ""


def junit_xml(suite: str, cases: Sequence[Case]) -> bytes:
    """Return the document."""
    kinds = [case.kind for case in cases]
    root = etree.Element(
        "testsuite",
        name=suite,
        tests=str(len(cases)),
        failures=str(kinds.count("failure")),
        errors=str(kinds.count("error")),
        skipped=str(kinds.count("skipped")),
        time=f"{sum(case.seconds for case in cases):.3f}",
    )
    for case in cases:
        element = etree.SubElement(root, "testcase", classname=case.folder, name=case.name, time=f"{case.seconds:.3f}")
        if case.kind is not None:
            words = _NOT_XML.sub("?", case.words)
            told = etree.SubElement(element, case.kind, message=(words.splitlines() or [""])[0])
            told.text = words
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
