"""Responses and Alerts as a receiver reads them: typed where they are known, and kept as they are where they are not.

A receiver meets messages of later versions than its own. What is signed by the DCC is not refused for that: an element
that is not known stands in `unknown`, and a body that cannot be read at all is an `Unknown` itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import cast

from lxml import etree

from signing import VerifiedDocument
from sr_engine.messages.build import build_alert, build_response
from sr_engine.messages.decode import decode_alert, decode_result
from sr_engine.messages.elements import DUIS, Fields, local_name
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import AlertBody, Result
from sr_engine.messages.published import PublishedAlert, PublishedResult, published_alert, published_result

_REFERENCES = frozenset({"ServiceReference", "ServiceReferenceVariant"})
_REPEATED = frozenset({"Device", "CommsHubUpgrade"})
"""Elements that may stand in a row."""
_ENVELOPE = {
    "Response": frozenset({"Header", "Body"}),
    "Header": frozenset({"RequestID", "ResponseID", "ResponseCode", "ResponseDateTime"}),
    "Body": frozenset({"ResponseMessage", "DCCAlertMessage", "DeviceAlertMessage", "SMETS1ResponseMessage"}),
    "ResponseMessage": _REFERENCES,
    "DCCAlertMessage": frozenset({"DCCAlertCode", "ThrottledAlertSequenceId", "ThrottledAlertCount", "DCCAlert"}),
    "DCCAlert": frozenset[str](),
}
"""What each element around a body may hold."""


class MessageKind(StrEnum):
    """The element in the Body of a Response."""

    RESPONSE = "ResponseMessage"
    DCC_ALERT = "DCCAlertMessage"
    DEVICE_ALERT = "DeviceAlertMessage"
    SMETS1 = "SMETS1ResponseMessage"


@dataclass(frozen=True, slots=True)
class Unknown:
    """Content that is not known here: where it stood, and all of it as XML."""

    element: str
    """Local name; of an attribute, with an @ before it."""
    path: str
    """As /Response/Body/..., in local names."""
    xml: str


@dataclass(frozen=True, slots=True)
class Received:
    """What a verified Response or Alert says; fields that its kind does not have are None."""

    kind: MessageKind
    schema_version: str
    request_id: RequestId | None
    response_id: RequestId | None
    code: str
    at: datetime
    service_reference: str | None
    service_reference_variant: str | None
    alert_code: str | None
    throttled_sequence_id: int | None
    throttled_count: int | None
    result: Result | PublishedResult | Unknown | None
    alert: AlertBody | PublishedAlert | Unknown | None
    unknown: tuple[Unknown, ...]


def decode_received(document: VerifiedDocument, *, valid: bool) -> Received:
    """Return what a verified document says; `valid` if it is so by our schema, and need not be searched.

    Raises ValueError, saying what is wrong, if it is no Response or has not the header and the kind of one.
    """
    root = document.root
    if root.tag != DUIS + "Response":
        raise ValueError(f"the document is no Response: its root is {local_name(root)}")
    header, body = root.find(f"{DUIS}Header"), root.find(f"{DUIS}Body")
    if header is None or body is None or len(body) == 0:
        raise ValueError("the Response has no Header, or nothing in its Body")
    try:
        return _decode(root, Fields.of(header), body[0], valid=valid)
    except KeyError as missing:
        raise ValueError(f"the Response lacks {missing.args[0]}") from None


def _decode(root: etree._Element, header: Fields, element: etree._Element, *, valid: bool) -> Received:
    message = Fields.of(element)
    for one in (header.element, element):
        if (doubled := _doubled(one)) is not None:
            raise ValueError(f"{local_name(one)} holds {doubled} twice")
    try:
        kind = MessageKind(local_name(element))
    except ValueError:
        raise ValueError(f"{local_name(element)} is no message of DUIS") from None
    result: Result | PublishedResult | Unknown | None = None
    alert: AlertBody | PublishedAlert | Unknown | None = None
    holder: etree._Element | None = element
    match kind:
        case MessageKind.RESPONSE:
            holder = next((child for child in element if local_name(child) not in _REFERENCES), None)
            result = None if holder is None else _result(holder, valid=valid)
        case MessageKind.DCC_ALERT:
            inner = message.child("DCCAlert").element
            if len(inner) == 0:
                raise ValueError("DCCAlert is empty")
            holder = inner[0]
            alert = _alert(holder, valid=valid)
        case MessageKind.DEVICE_ALERT:
            alert = _kept(element)
        case MessageKind.SMETS1 if "RequestID" in header:
            result = _kept(element)
        case MessageKind.SMETS1:
            alert = _kept(element)
    received = Received(
        kind=kind,
        schema_version=(root.get("schemaVersion") or "").strip(),
        request_id=header.optional(header.request_id, "RequestID"),
        response_id=header.optional(header.request_id, "ResponseID"),
        code=header.token("ResponseCode"),
        at=header.moment("ResponseDateTime"),
        service_reference=message.optional(message.string, "ServiceReference"),
        service_reference_variant=message.optional(message.string, "ServiceReferenceVariant"),
        alert_code=_alert_code(kind, message),
        throttled_sequence_id=message.optional(message.integer, "ThrottledAlertSequenceId"),
        throttled_count=message.optional(message.integer, "ThrottledAlertCount"),
        result=result,
        alert=alert,
        unknown=(),
    )
    if valid:
        return received
    around = [header.element, *(holder.iterancestors() if holder is not None else (element, *element.iterancestors()))]
    within = () if holder is None else _within(received, holder)
    return replace(received, unknown=(*_beside(around, holder), *within))


def _alert_code(kind: MessageKind, message: Fields) -> str | None:
    match kind:
        case MessageKind.DCC_ALERT:
            return message.token("DCCAlertCode")
        case MessageKind.DEVICE_ALERT:
            return message.optional(message.token, "AlertCode")
        case _:
            return None


def _doubled(element: etree._Element) -> str | None:
    """The name of a child that stands there twice, though it may not: of such a pair only one would be read."""
    seen: set[str] = set()
    for child in element:
        name = local_name(child)
        if name in seen and name not in _REPEATED:
            return name
        seen.add(name)
    return None


def _is_readable(element: etree._Element) -> bool:
    return all(_doubled(one) is None for one in element.iter())


def _result(element: etree._Element, *, valid: bool) -> Result | PublishedResult | Unknown:
    if not valid and not _is_readable(element):
        return _kept(element)
    try:
        ours = decode_result(element)
        found = ours if ours is not None or not valid else published_result(element)
    except (KeyError, ValueError):
        found = None
    return _kept(element) if found is None else found


def _alert(element: etree._Element, *, valid: bool) -> AlertBody | PublishedAlert | Unknown:
    if not valid and not _is_readable(element):
        return _kept(element)
    try:
        ours = decode_alert(element)
        found = ours if ours is not None or not valid else published_alert(element)
    except (KeyError, ValueError):
        found = None
    return _kept(element) if found is None else found


def _beside(parents: Iterable[etree._Element], holder: etree._Element | None) -> Iterator[Unknown]:
    """What stands around the body and is not of the envelope."""
    for parent in parents:
        yield from (_attribute(parent, name) for name in parent.attrib if name != "schemaVersion")
        known = _ENVELOPE[local_name(parent)]
        seen: set[str] = set()
        for child in parent:
            name = local_name(child)
            if child is not holder and (name not in known or name in seen):
                yield _kept(child)
            seen.add(name)


def _within(received: Received, holder: etree._Element) -> Iterator[Unknown]:
    """What a body holds that was read: whatever is not there when it is written again."""
    if isinstance(received.result, Unknown) or isinstance(received.alert, Unknown):
        return
    rebuilt = _rebuilt(received).find(".//" + str(holder.tag))
    if rebuilt is not None:
        yield from _beyond(holder, rebuilt)


def _rebuilt(received: Received) -> etree._Element:
    # Published bodies are read from valid documents only, so what is written here is always one of ours.
    if received.alert is not None:
        alert = cast("AlertBody", received.alert)
        return build_alert(schema_version=received.schema_version, alert_code="", body=alert, at=received.at)
    return build_response(
        schema_version=received.schema_version,
        request_id="",
        code="",
        at=received.at,
        service_reference="",
        service_reference_variant="",
        result=cast("Result | None", received.result),
    )


def _beyond(element: etree._Element, rebuilt: etree._Element) -> Iterator[Unknown]:
    """Children and attributes of an element that the rebuilt one lacks, at any depth."""
    yield from (_attribute(element, name) for name in element.attrib if name not in rebuilt.attrib)
    counterparts: dict[str, deque[etree._Element]] = {}
    for child in rebuilt:
        counterparts.setdefault(str(child.tag), deque()).append(child)
    for child in element:
        waiting = counterparts.get(str(child.tag))
        if waiting:
            yield from _beyond(child, waiting.popleft())
        else:
            yield _kept(child)


def _path(element: etree._Element) -> str:
    return "/" + "/".join(local_name(one) for one in reversed([element, *element.iterancestors()]))


def _kept(element: etree._Element) -> Unknown:
    xml = etree.tostring(element, encoding="unicode", with_tail=False)
    return Unknown(local_name(element), _path(element), xml)


def _attribute(element: etree._Element, name: str) -> Unknown:
    local = "@" + name.rpartition("}")[2]
    return Unknown(local, f"{_path(element)}/{local}", element.attrib[name])
