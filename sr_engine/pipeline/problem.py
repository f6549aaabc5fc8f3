"""Problem documents for what is refused before it is a message (RFC 9457, its XML form)."""

from __future__ import annotations

from http import HTTPStatus

from lxml import etree

from sr_engine.pipeline.answer import PROBLEM, Answer

_NAMESPACE = "urn:ietf:rfc:7807"


def problem(
    status: HTTPStatus,
    detail: str,
    *,
    line: int | None = None,
    path: str | None = None,
    retry_after: int | None = None,
) -> Answer:
    """An answer that says in `detail` what is wrong and, where known, at which line and path of the document."""
    root = etree.Element(f"{{{_NAMESPACE}}}problem", nsmap={None: _NAMESPACE})
    members = {
        "type": "about:blank",
        "title": status.phrase,
        "status": str(status.value),
        "detail": detail,
        "line": None if line is None else str(line),
        "path": path,
    }
    for name, value in members.items():
        if value is not None:
            etree.SubElement(root, f"{{{_NAMESPACE}}}{name}").text = _printable(value)
    body = etree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return Answer(status.value, body, detail, PROBLEM, retry_after=retry_after)


def _printable(text: str) -> str:
    """What XML can hold: a reason may quote characters that it cannot."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
