"""Responses that nobody has signed: the one kind that may pass, and what can be read of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lxml import etree

from signing import ParsedDocument
from sr_engine.messages.elements import DUIS, Fields, local_name
from sr_engine.messages.identifiers import RequestId

_SIGNATURE = "{http://www.w3.org/2000/09/xmldsig#}Signature"
_NO_RESULT = {"ServiceReference", "ServiceReferenceVariant"}
_WHITE_SPACE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class UnverifiedRefusal:
    """What a refusal says that is not signed: a failed authentication is answered so (section 3, Check order)."""

    code: str
    request_id: RequestId
    at: datetime


def unverified_refusal(document: ParsedDocument) -> UnverifiedRefusal | None:
    """Return what a schema-valid Response says that is not signed and may be so, None for any other document."""
    root = document.root
    if root.tag != f"{DUIS}Response" or is_signed(document) or not is_bare_refusal(root):
        return None
    header = Fields.of(root[0])
    if "RequestID" not in header:
        return None
    return UnverifiedRefusal(response_code(root), header.request_id("RequestID"), header.moment("ResponseDateTime"))


def is_signed(document: ParsedDocument) -> bool:
    """Whether there is a ds:Signature anywhere, of whatever form."""
    return next(document.root.iter(_SIGNATURE), None) is not None


def is_bare_refusal(root: etree._Element) -> bool:
    """Whether a schema-valid Response is an acknowledgement that refuses: an E code and no result of any kind."""
    body = root.find(f"{DUIS}Body")
    if body is None or len(body) != 1 or body[0].tag != f"{DUIS}ResponseMessage":
        return False
    return response_code(root).startswith("E") and {local_name(child) for child in body[0]} <= _NO_RESULT


def response_code(root: etree._Element) -> str:
    """The code of a schema-valid Response, whoever wrote it."""
    return (root.findtext(f"{DUIS}Header/{DUIS}ResponseCode") or "").strip(_WHITE_SPACE)
