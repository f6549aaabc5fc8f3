"""The bad-input table: what is refused, with which status and code, in which words; and that nothing changes by it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from sqlalchemy import select

from signing import Participant, Signer, SoftwareKey, make_pki
from sr_engine.instance import SAMPLE_SUPPLIERS, SupplierSeed
from sr_engine.messages.compose import build_request
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Body,
    Decision,
    DeleteCommsHubFirmwareSchedule,
    Firmware,
    Period,
    Phase,
    ReadCommsHubFirmwareSchedule,
    ReadInventory,
    RefusalReason,
    ScheduleCommsHubFirmware,
    UnofferedBody,
)
from sr_engine.store.tables import audit, outbox
from tests.gateway.conftest import XML_HEADERS, HttpAnswer, Served, serving, still
from tests.world import BROKER, FIRMWARE, NOW, WINDOW, A, B, TestHub, World, edit, eui, make_world

DUIS = "http://www.dccinterface.co.uk/ServiceUserGateway"
SR = f"{{{DUIS}}}"
MIB = 1024 * 1024

NETWORK = SupplierSeed("network", "00-00-5E-EF-10-00-00-A3", "http://127.0.0.1:8093/duis", roles=("ED",))
SUSPENDED = SupplierSeed("suspended", "00-00-5E-EF-10-00-00-A4", "http://127.0.0.1:8094/duis")
UNKNOWN = SupplierSeed("unknown", "00-00-5E-EF-10-00-00-A5", "http://127.0.0.1:8095/duis")

OWN, OTHERS = TestHub(1), TestHub(2, electricity=B.name, gas=B.name)
GSME_OF_OWN = eui(0xF0, 1)

SCHEDULE = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (OWN.chf,))
APPROVE = ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (OWN.chf,))
READ = ReadCommsHubFirmwareSchedule(device_id=OWN.chf)
INVENTORY = ReadInventory(device_id=OWN.chf)


@dataclass
class Desk:
    """Makes requests as they should be, for the rows to spoil."""

    world: World

    def tree(
        self,
        body: Body = SCHEDULE,
        variant: str = "11.5",
        *,
        supplier: SupplierSeed = A,
        reference: str | None = None,
        command_variant: int = 8,
        schema_version: str = "5.4",
        target: str = BROKER,
        request_id: str | None = None,
        preceding: RequestId | None = None,
    ) -> etree._Element:
        return build_request(
            schema_version=schema_version,
            request_id=request_id or self.world.request_id(supplier, target),
            command_variant=command_variant,
            service_reference=reference or variant,
            service_reference_variant=variant,
            body=body,
            preceding_request_id=preceding,
        )

    def sign(self, root: etree._Element, by: str = A.name, *, pki: str = "pki") -> bytes:
        folder = self.world.directory / pki / by
        return Signer(SoftwareKey.load(folder / "key.pem", folder / "certificate.pem")).sign(root)

    def good(self) -> bytes:
        return self.sign(self.tree())

    def edited(self, name: str, text: str, body: Body = SCHEDULE) -> bytes:
        """A signed request in which the first element of this name holds another text."""
        root = self.tree(body)
        self.element(root, name).text = text
        return self.sign(root)

    def without(self, name: str) -> bytes:
        root = self.tree()
        element = self.element(root, name)
        parent = element.getparent()
        assert parent is not None
        parent.remove(element)
        return self.sign(root)

    @staticmethod
    def element(root: etree._Element, name: str) -> etree._Element:
        return next(root.iter(SR + name))


Make = Callable[[Desk], bytes]


@dataclass(frozen=True)
class Row:
    """One way to send something bad.

    `consumed`: the refusal is given at or after the duplicate check, so that the exchange is kept. `refused`: the
    reason under which the body lists the hubs. `path`, `line`: what the problem document says of the place.
    """

    name: str
    make: Make
    says: str
    status: int = 400
    code: str | None = None
    consumed: bool = False
    unsigned: bool = False
    refused: Mapping[RefusalReason, tuple[str, ...]] = field(default_factory=dict)
    path: str | None = None
    line: int | None = None
    service: str = "serviceD"
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=lambda: XML_HEADERS)


def replacing(old: bytes, new: bytes) -> Make:
    """A good request in which bytes were changed after it was signed."""

    def make(desk: Desk) -> bytes:
        data = desk.good()
        assert old in data
        return data.replace(old, new, 1)

    return make


def body(body: Body, variant: str, by: SupplierSeed = A, **header: Any) -> Make:
    """A correctly signed request whose fault lies in what it asks for."""
    return lambda desk: desk.sign(desk.tree(body, variant, supplier=by, **header), by.name)


def scheduling(**changes: Any) -> Make:
    return body(replace(SCHEDULE, **changes), "11.5")


def not_xml(name: str, data: bytes, says: str, line: int | None = None) -> Row:
    return Row(name, lambda desk: data, says, line=line)


def _prolog(inserted: bytes) -> Make:
    return replacing(b"?>", b"?>" + inserted)


def _in_other_encoding(encoding: str, declared: str | None = None) -> Make:
    def make(desk: Desk) -> bytes:
        text = desk.edited("DeviceModel", "433100Ä").decode()
        return text.replace("UTF-8", declared or encoding, 1).encode(encoding)

    return make


def _padded(size: int) -> Make:
    """A good request made `size` bytes long by white space after its root."""
    return lambda desk: desk.good().ljust(size)


def _digest_altered(desk: Desk) -> bytes:
    root = etree.fromstring(desk.good())
    value = next(root.iter("{*}DigestValue"))
    assert value.text is not None
    value.text = ("B" if value.text[0] == "A" else "A") + value.text[1:]
    return etree.tostring(root)


def _signature_value_altered(desk: Desk) -> bytes:
    root = etree.fromstring(desk.good())
    value = next(root.iter("{*}SignatureValue"))
    assert value.text is not None
    value.text = ("B" if value.text[0] == "A" else "A") + value.text[1:]
    return etree.tostring(root)


def _second_signature(desk: Desk) -> bytes:
    root = etree.fromstring(desk.good())
    root.append(etree.fromstring(etree.tostring(root[-1])))
    return etree.tostring(root)


def _signature_in_body(desk: Desk) -> bytes:
    root = etree.fromstring(desk.sign(desk.tree(UnofferedBody("UpdateInventory"), "8.4")))
    root[1][0].append(root[-1])
    return etree.tostring(root)


def _signature_first(desk: Desk) -> bytes:
    root = etree.fromstring(desk.good())
    root.insert(0, root[-1])
    return etree.tostring(root)


def _unknown_body(desk: Desk) -> bytes:
    return desk.sign(desk.tree(UnofferedBody("MendCommsHub"), "11.5"))


def _no_version(desk: Desk) -> bytes:
    root = desk.tree()
    del root.attrib["schemaVersion"]
    return desk.sign(root)


def _too_many(desk: Desk) -> bytes:
    return desk.sign(desk.tree(replace(SCHEDULE, device_ids=tuple(eui(0xC0, number) for number in range(50_001)))))


def _used_before(desk: Desk) -> bytes:
    """The RequestID of a request that was answered, around another question."""
    request_id = desk.world.request_id(A)
    desk.world.post(desk.sign(desk.tree(INVENTORY, "8.2", request_id=request_id)))
    return desk.sign(desk.tree(READ, "11.7", request_id=request_id))


_PLACES: Mapping[str, Callable[[bytes], Make]] = {
    "in the prolog": _prolog,
    "in a header value": lambda what: replacing(b"Variant>8<", b"Variant>8" + what + b"<"),
    "in the body": lambda what: replacing(b"<sr:Phase>", what + b"<sr:Phase>"),
    "in the Signature": lambda what: replacing(b"<ds:KeyInfo>", b"<ds:KeyInfo>" + what),
    "after the root": lambda what: lambda desk: desk.good() + what,
}
_CONSTRUCTS = {
    "a comment": b"<!-- ignored? -->",
    "a processing instruction": b"<?not what it seems?>",
    "a CDATA section": b"<![CDATA[ ]]>",
}

NOT_A_DOCUMENT = [
    not_xml("empty", b"", "the document is empty"),
    not_xml("white space", b" \r\n ", "not well-formed XML"),
    not_xml("text", b"please upgrade all my hubs", "not well-formed XML", line=1),
    not_xml("JSON", b'{"upgrade": true}', "not well-formed XML", line=1),
    not_xml("NUL bytes", b"<a>\n\x00</a>", "NUL", line=2),
    Row("truncated", lambda desk: desk.good()[:-20], "not well-formed XML", line=1),
    Row("truncated in the declaration", lambda desk: desk.good()[:20], "the XML declaration is malformed", line=1),
    Row("two documents", lambda desk: desk.good() + desk.good(), "XML declaration that is not at the very beginning"),
    Row("UTF-16", _in_other_encoding("utf-16"), "in UTF-16 or UTF-32; send it in UTF-8", line=1),
    Row("UTF-16 without a mark", _in_other_encoding("utf-16-le"), "not valid UTF-8", line=1),
    Row("latin-1, declared", _in_other_encoding("iso-8859-1"), "not valid UTF-8", line=1),
    Row(
        "latin-1 declared and not so",
        _in_other_encoding("utf-8", "ISO-8859-1"),
        "the declared encoding ISO-8859-1 is not accepted",
        line=1,
    ),
    Row("invalid UTF-8", replacing(b"C1A20001", b"4331\xc3\x28AC"), "not valid UTF-8", line=1),
    Row("XML 1.1", replacing(b'version="1.0"', b'version="1.1"'), "XML version 1.1 is not accepted", line=1),
    Row("DOCTYPE", _prolog(b"<!DOCTYPE x>"), "the document holds a DOCTYPE", line=1),
    Row(
        "DOCTYPE with entities",
        _prolog(b'\n<!DOCTYPE x [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'),
        "the document holds a DOCTYPE",
        line=2,
    ),
    Row(
        "external entity",
        _prolog(b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'),
        "the document holds a DOCTYPE",
        line=1,
    ),
    Row("undefined entity", replacing(b"C1A20001", b"4331&a;"), "not well-formed XML", line=1),
    Row("relative namespace", replacing(b"<sr:Phase>", b'<sr:Phase xmlns:x="x">'), "absolute namespace URIs only"),
    *(
        Row(f"{construct} {place}", make(what), f"the document holds {construct}", line=1)
        for construct, what in _CONSTRUCTS.items()
        for place, make in _PLACES.items()
    ),
]

TOO_LARGE = [
    Row("20 MB", _padded(20_000_000), "larger than the 16777216 bytes taken", status=413),
    Row("16 MiB and a byte", _padded(16 * MIB + 1), "larger than the 16777216 bytes taken", status=413),
]

TRANSPORT = [
    Row(
        "text/xml",
        Desk.good,
        "the body must be application/xml, not text/xml",
        status=415,
        headers={"Content-Type": "text/xml"},
    ),
    Row("no media type", Desk.good, "not of no media type", status=415, headers={}),
    Row(
        "compressed",
        Desk.good,
        "must not be compressed",
        status=415,
        headers={**XML_HEADERS, "Content-Encoding": "gzip"},
    ),
    Row("GET", lambda desk: b"", "takes POST only", status=405, method="GET"),
    Row("PUT", Desk.good, "takes POST only", status=405, method="PUT"),
    Row("unknown address", Desk.good, "no such address", status=404, service="serviceX"),
    Row("address with a slash too many", Desk.good, "no such address", status=404, service="serviceD/"),
]

NOT_BY_THE_SCHEMA = [
    not_xml("unknown root", b"<hello/>", "the document element 'hello' is not known", line=1),
    Row(
        "wrong namespace",
        replacing(DUIS.encode(), DUIS.lower().encode()),
        f"the namespace '{DUIS}' is expected",
        line=1,
    ),
    Row(
        "a Response",
        lambda desk: desk.world.post(desk.sign(desk.tree(INVENTORY, "8.2", request_id=f"{A.eui}:{BROKER}:7"))).body,
        "the document is a Response; Request is expected here",
        line=1,
    ),
    Row("no schemaVersion", _no_version, "schemaVersion", path="/sr:Request"),
    Row(
        "schemaVersion in words",
        lambda desk: desk.sign(desk.tree(schema_version="five")),
        "not a version number",
        path="/sr:Request",
    ),
    Row(
        "RequestID without a counter",
        lambda desk: desk.edited("RequestID", f"{A.eui}:{BROKER}"),
        "is not originator:target:counter",
        path="/sr:Request/sr:Header/sr:RequestID",
    ),
    Row(
        "RequestID beyond 64 bits",
        lambda desk: desk.edited("RequestID", f"{A.eui}:{BROKER}:{2**64}"),
        "is not originator:target:counter",
        path="/sr:Request/sr:Header/sr:RequestID",
    ),
    Row("no RequestID", lambda desk: desk.without("RequestID"), "RequestID is expected", path="/sr:Request/sr:Header"),
    Row(
        "Command Variant 10",
        lambda desk: desk.edited("CommandVariant", "10"),
        "CommandVariant",
        path="/sr:Request/sr:Header/sr:CommandVariant",
    ),
    Row(
        "unknown Service Reference Variant",
        lambda desk: desk.edited("ServiceReferenceVariant", "99.9"),
        "ServiceReferenceVariant '99.9'",
        path="/sr:Request/sr:Header/sr:ServiceReferenceVariant",
    ),
    Row("unknown body element", _unknown_body, "MendCommsHub is not expected at this place in Body"),
    Row(
        "no window",
        lambda desk: desk.without("UpgradeWindow"),
        "UpgradeWindow is expected",
        path="/sr:Request/sr:Body/sr:ScheduleCommsHubFirmware",
    ),
    Row(
        "date without a zone",
        lambda desk: desk.edited("EndDateTime", "2026-12-01T00:00:00"),
        "is not a date and time with its zone",
        path="/sr:Request/sr:Body/sr:ScheduleCommsHubFirmware/sr:UpgradeWindow/sr:EndDateTime",
    ),
    Row("a month too many", lambda desk: desk.edited("EndDateTime", "2026-13-01T00:00:00Z"), "month must be in 1..12"),
    Row("midnight as 24:00", lambda desk: desk.edited("EndDateTime", "2026-12-01T24:00:00Z"), "EndDateTime"),
    Row("a time beyond all years", lambda desk: desk.edited("EndDateTime", "9999-12-31T23:59:59-14:00"), "EndDateTime"),
    Row("unknown phase", lambda desk: desk.edited("Phase", "Later"), "Phase 'Later' is not one of Pilot, General"),
    Row(
        "not a truth value",
        lambda desk: desk.edited("AcceptHANImpact", "yes", replace(SCHEDULE, accept_han_impact=True)),
        "AcceptHANImpact 'yes' is not true or false",
    ),
    Row("manufacturer too long", lambda desk: desk.edited("DeviceManufacturer", "x" * 31), "at most 30 are allowed"),
    Row("no hub", lambda desk: desk.edited("DeviceIDList", ""), "DeviceIDList"),
    Row("a hub that is none", lambda desk: desk.edited("DeviceIDList", "00-11-22"), "DeviceIDList '00-11-22'"),
    Row("a comma too many", lambda desk: desk.edited("DeviceIDList", OWN.chf + ","), "DeviceIDList"),
    Row(
        "50,001 ids",
        _too_many,
        "DeviceIDList holds 50001 ids, at most 50000 are allowed",
        path="/sr:Request/sr:Body/sr:ScheduleCommsHubFirmware/sr:DeviceIDList",
    ),
    Row(
        "schemaVersion 5.5",
        lambda desk: desk.sign(desk.tree(schema_version="5.5")),
        "schemaVersion 5.5 is not taken for Service Request 11.5; taken: 5.4",
        path="/sr:Request/@schemaVersion",
    ),
    Row(
        "schemaVersion 5.3 for our own request",
        lambda desk: desk.sign(desk.tree(schema_version="5.3")),
        "taken: 5.4",
        path="/sr:Request/@schemaVersion",
    ),
    Row(
        "schemaVersion 4.0 for a published request",
        lambda desk: desk.sign(desk.tree(INVENTORY, "8.2", schema_version="4.0")),
        "taken: 5.0, 5.1, 5.2, 5.3, 5.4",
        path="/sr:Request/@schemaVersion",
    ),
]

SIGNATURE = [
    Row("unsigned", lambda desk: etree.tostring(desk.tree()), "the document is not signed"),
    Row("a second Signature", _second_signature, "Signature"),
    Row("the Signature first", _signature_first, "Signature"),
    Row("the Signature in the Body", _signature_in_body, "Signature"),
    Row(
        "another digest algorithm",
        replacing(b"http://www.w3.org/2001/04/xmlenc#sha256", b"http://www.w3.org/2001/04/xmlenc#sha512"),
        "xmlenc#sha256",
    ),
    Row(
        "a transform too many",
        replacing(
            b"</ds:Transforms>", b'<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/></ds:Transforms>'
        ),
        "ds:Transform is not accepted in ds:Transforms",
    ),
]


def unauthenticated(name: str, make: Make, says: str) -> Row:
    return Row(name, make, says, status=200, code="E100", unsigned=True)


NOT_AUTHENTICATED = [
    unauthenticated(
        "signed by a CSP", lambda desk: desk.sign(desk.tree(), "csp-north"), "has role 06; accepted here: 87"
    ),
    unauthenticated(
        "signed by the broker", lambda desk: desk.sign(desk.tree(), "broker"), "has role 89; accepted here: 87"
    ),
    unauthenticated(
        "signed by another Supplier",
        lambda desk: desk.sign(desk.tree(), B.name),
        f"the request was signed by {B.eui}, but its originator is {A.eui}",
    ),
    unauthenticated(
        "by a certificate that nobody knows",
        lambda desk: desk.sign(desk.tree(), "stranger", pki="strangers"),
        "is known here",
    ),
    unauthenticated(
        "by an expired certificate", lambda desk: desk.sign(desk.tree(), "expired", pki="more"), "expired at 2026-11-22"
    ),
    unauthenticated(
        "by a certificate not yet valid",
        lambda desk: desk.sign(desk.tree(), "early", pki="more"),
        "is not valid before 2026-11-24",
    ),
    unauthenticated("digest altered", _digest_altered, "its digest is not the signed one"),
    unauthenticated("signature value altered", _signature_value_altered, "is not by the key of certificate"),
    unauthenticated(
        "body altered", replacing(b"<sr:Phase>General<", b"<sr:Phase>Pilot<"), "changed after it was signed"
    ),
    unauthenticated("hub altered", replacing(OWN.chf.encode(), OTHERS.chf.encode()), "changed after it was signed"),
    unauthenticated("white space added", replacing(b"<sr:Body>", b"<sr:Body> "), "changed after it was signed"),
]


def turned(name: str, make: Make, code: str, says: str, service: str = "serviceD") -> Row:
    """Refused before the duplicate check: signed, and the RequestID is still free."""
    return Row(name, make, says, status=200, code=code, service=service)


OUT_OF_PLACE = [
    turned(
        "variant of another reference",
        body(SCHEDULE, "11.5", reference="11.6"),
        "E100",
        "ServiceReferenceVariant 11.5 belongs to ServiceReference 11.5, not 11.6",
    ),
    turned(
        "body of another request",
        body(APPROVE, "11.5"),
        "E100",
        "Service Request 11.5 carries ScheduleCommsHubFirmware, not ApproveCommsHubFirmware",
    ),
    turned(
        "Signed Pre-Command with 11.5",
        body(UnofferedBody("SignedPreCommand"), "11.5"),
        "E100",
        "carries ScheduleCommsHubFirmware, not SignedPreCommand",
    ),
    turned(
        "own body where a Signed Pre-Command belongs",
        body(UnofferedBody("UpdatePaymentMode"), "1.6", command_variant=5, target=OWN.chf),
        "E100",
        "carries SignedPreCommand, not UpdatePaymentMode",
        "serviceS",
    ),
    turned(
        "target is a hub",
        body(SCHEDULE, "11.5", target=OWN.chf),
        "E100",
        f"its target must be {BROKER}, not {OWN.chf}",
    ),
    turned(
        "Command Variant 1 for 11.5",
        body(SCHEDULE, "11.5", command_variant=1),
        "E12",
        "Command Variant 1 is not allowed for 11.5; allowed: 8",
        "serviceS",
    ),
    turned("Command Variant 9", body(SCHEDULE, "11.5", command_variant=9), "E12", "Command Variant 9 is not allowed"),
    turned(
        "Command Variant 5 for 11.5",
        body(SCHEDULE, "11.5", command_variant=5),
        "E12",
        "Command Variant 5 is not allowed for 11.5",
        "serviceS",
    ),
    turned(
        "Command Variant 8 for a device command",
        body(UnofferedBody("UpdatePaymentMode"), "1.6", command_variant=8, target=OWN.chf),
        "E12",
        "allowed for 1.6; allowed: 4, 5, 6, 7",
    ),
    turned(
        "Non-Device request at the send service",
        body(SCHEDULE, "11.5"),
        "E13",
        "taken by service serviceD, not by serviceS",
        "serviceS",
    ),
    turned(
        "Non-Device request at the transform service",
        body(SCHEDULE, "11.5"),
        "E13",
        "taken by service serviceD, not by serviceT",
        "serviceT",
    ),
    turned(
        "transform request at the Non-Device service",
        body(UnofferedBody("UpdatePaymentMode"), "1.6", command_variant=4, target=OWN.chf),
        "E13",
        "taken by service serviceT, not by serviceD",
    ),
    turned("unknown User", body(SCHEDULE, "11.5", UNKNOWN), "E1", f"{UNKNOWN.eui} is not a User known here"),
    turned(
        "a role that may not",
        body(SCHEDULE, "11.5", NETWORK),
        "E2",
        "(ED) may send 11.5; eligible: GS, IS",
    ),
    turned("suspended User", body(SCHEDULE, "11.5", SUSPENDED), "E3", f"User {SUSPENDED.eui} is suspended"),
]


def refused(
    name: str,
    make: Make,
    code: str,
    says: str,
    *,
    service: str = "serviceD",
    refused: Mapping[RefusalReason, tuple[str, ...]] | None = None,
) -> Row:
    """Refused at or after the duplicate check: signed, kept, and the RequestID is used up."""
    return Row(name, make, says, status=200, code=code, consumed=True, refused=refused or {}, service=service)


def _span(first_hour: float, last_hour: float) -> Period:
    return Period(NOW + timedelta(hours=first_hour), NOW + timedelta(hours=last_hour))


BY_THE_RULES = [
    Row(
        "RequestID used before",
        _used_before,
        "this RequestID was used before for a request with other content",
        status=200,
        code="E100",
    ),
    refused(
        "8.4, in the catalogue only",
        body(UnofferedBody("UpdateInventory"), "8.4"),
        "E100",
        "Service Request 8.4 is not offered by this processor",
    ),
    refused(
        "1.6, in the catalogue only",
        body(UnofferedBody("UpdatePaymentMode"), "1.6", command_variant=4, target=OWN.chf),
        "E100",
        "Service Request 1.6 is not offered by this processor",
        service="serviceT",
    ),
    refused(
        "11.8 for a schedule that is not there",
        body(DeleteCommsHubFirmwareSchedule(1), "11.8"),
        "E110807",
        "1 is not a schedule of yours",
    ),
    refused("8.2 without a match", body(ReadInventory(uprn=1), "8.2"), "E080201", "no device in the inventory"),
    refused(
        "11.5 for an unknown hub",
        scheduling(device_ids=(eui(0xC0, 99),)),
        "E110503",
        "not a Communications Hub known here",
        refused={RefusalReason.INVALID: (eui(0xC0, 99),)},
    ),
    refused(
        "11.6 for an unknown hub",
        body(replace(APPROVE, device_ids=(eui(0xC0, 99),)), "11.6"),
        "E110603",
        "not a Communications Hub known here",
        refused={RefusalReason.INVALID: (eui(0xC0, 99),)},
    ),
    refused(
        "11.7 for an unknown hub",
        body(ReadCommsHubFirmwareSchedule(device_id=eui(0xC0, 99)), "11.7"),
        "E19",
        "is not in the inventory",
    ),
    refused(
        "11.5 for a gas meter",
        scheduling(device_ids=(GSME_OF_OWN,)),
        "E110503",
        "not a Communications Hub known here",
        refused={RefusalReason.INVALID: (GSME_OF_OWN,)},
    ),
    refused(
        "11.6 for a gas meter",
        body(replace(APPROVE, device_ids=(GSME_OF_OWN,)), "11.6"),
        "E110603",
        "not a Communications Hub known here",
        refused={RefusalReason.INVALID: (GSME_OF_OWN,)},
    ),
    refused(
        "11.7 for a gas meter",
        body(ReadCommsHubFirmwareSchedule(device_id=GSME_OF_OWN), "11.7"),
        "E11",
        "is a GSME, not a Communications Hub",
    ),
    refused(
        "11.5 for somebody else's hub",
        scheduling(device_ids=(OTHERS.chf,)),
        "E110503",
        "you are not its responsible Supplier",
        refused={RefusalReason.NOT_RESPONSIBLE: (OTHERS.chf,)},
    ),
    refused(
        "11.6 for somebody else's hub",
        body(replace(APPROVE, device_ids=(OTHERS.gpf,)), "11.6"),
        "E110603",
        "you are not its responsible Supplier",
        refused={RefusalReason.NOT_RESPONSIBLE: (OTHERS.gpf,)},
    ),
    refused(
        "11.7 for somebody else's hub",
        body(ReadCommsHubFirmwareSchedule(device_id=OTHERS.chf), "11.7"),
        "E4",
        "you are not the responsible Supplier",
    ),
    refused("window in the past", scheduling(window=_span(-48, -1)), "E110502", "lies in the past"),
    refused("window backwards", scheduling(window=_span(240, 120)), "E110502", "ends before it starts"),
    refused("window of no length", scheduling(window=_span(240, 240)), "E110502", "must be later than StartDateTime"),
    refused(
        "window beyond the horizon", scheduling(window=_span(24, 24 * 181)), "E110502", "beyond the planning horizon"
    ),
    refused(
        "window without a night",
        scheduling(window=_span(24 * 7 + 1, 24 * 7 + 5)),
        "E110504",
        "no complete nightly open period",
        refused={RefusalReason.WINDOW_NOT_AVAILABLE: (OWN.chf,)},
    ),
    refused(
        "window within the lead time",
        scheduling(window=_span(0, 47)),
        "E110504",
        "no complete nightly open period",
        refused={RefusalReason.WINDOW_NOT_AVAILABLE: (OWN.chf,)},
    ),
    refused(
        "11.5 with an ExecutionDateTime that has passed",
        scheduling(execution_date_time=NOW - timedelta(seconds=1)),
        "E110505",
        "ExecutionDateTime must be after now",
    ),
    refused(
        "11.6 with an ExecutionDateTime too far ahead",
        body(replace(APPROVE, execution_date_time=NOW + timedelta(days=30, seconds=1)), "11.6"),
        "E110605",
        "at most 30 days ahead",
    ),
    refused(
        "PrecedingServiceRequestID of somebody else",
        body(SCHEDULE, "11.5", preceding=RequestId.make(B.eui, BROKER, 1)),
        "E42",
        "is not one of yours",
    ),
    refused(
        "11.5 for an unknown release",
        scheduling(firmware=Firmware("2B7E", "C1A20001", "7777")),
        "E110501",
        "no release of firmware 2B7E C1A20001 7777 is known here",
    ),
    refused(
        "11.6 for an unknown release",
        body(replace(APPROVE, firmware=Firmware("2B7E", "other", "9002")), "11.6"),
        "E110601",
        "no release of firmware 2B7E other 9002 is known here",
    ),
    refused(
        "firmware name that no header can carry",
        scheduling(firmware=Firmware("A\x7f\nÄ", "C1A20001", "9002")),
        "E110501",
        "no release of firmware A? ? C1A20001 9002 is known here",
    ),
    refused(
        "11.5 in place of an unknown schedule",
        scheduling(replaces_schedule_id=77),
        "E110507",
        "ReplacesScheduleID 77 is not a schedule of yours",
    ),
    refused(
        "11.7 for an unknown schedule",
        body(ReadCommsHubFirmwareSchedule(schedule_id=77), "11.7"),
        "E110707",
        "77 is not a schedule of yours",
    ),
    refused(
        "Defer without a date",
        body(replace(APPROVE, decision=Decision.DEFER), "11.6"),
        "E110605",
        "Decision Defer needs DeferUntil",
    ),
    refused(
        "Defer until yesterday",
        body(replace(APPROVE, decision=Decision.DEFER, defer_until=NOW - timedelta(days=1)), "11.6"),
        "E110605",
        "DeferUntil lies in the past",
    ),
    refused(
        "Defer beyond the horizon",
        body(replace(APPROVE, decision=Decision.DEFER, defer_until=NOW + timedelta(days=181)), "11.6"),
        "E110605",
        "beyond the planning horizon",
    ),
    refused(
        "DeferUntil with Approve",
        body(replace(APPROVE, defer_until=NOW + timedelta(days=1)), "11.6"),
        "E110605",
        "DeferUntil stands only with Decision Defer",
    ),
]

TABLE = [
    *NOT_A_DOCUMENT,
    *TOO_LARGE,
    *TRANSPORT,
    *NOT_BY_THE_SCHEMA,
    *SIGNATURE,
    *NOT_AUTHENTICATED,
    *OUT_OF_PLACE,
    *BY_THE_RULES,
]


def _prepare(directory: Path) -> None:
    """Users who are suspended or gone, certificates that are out of date, and some of an authority nobody trusts."""
    still(directory)
    users = directory / "users.toml"
    edit(users, 'id = "suspended"\nstatus = "Active"', 'id = "suspended"\nstatus = "Suspended"')
    text = users.read_text(encoding="utf-8")
    blocks = text.split("[[organisation]]")
    users.write_text("[[organisation]]".join(b for b in blocks if UNKNOWN.eui not in b), encoding="utf-8")
    day = timedelta(days=1)
    more = make_pki(
        directory / "more",
        [
            Participant("expired", A.eui, "87", not_before=NOW - 400 * day, not_after=NOW - day),
            Participant("early", A.eui, "87", not_before=NOW + day),
        ],
        now=NOW,
    )
    for kind in ("issuing", "certificates"):
        for path in (more.trust_directory / kind).iterdir():
            shutil.copy(path, directory / "pki" / "trust" / kind / f"more-{path.name}")
    make_pki(directory / "strangers", [Participant("stranger", A.eui, "87")], now=NOW)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    suppliers = (*SAMPLE_SUPPLIERS, NETWORK, SUSPENDED, UNKNOWN)
    world = make_world(tmp_path_factory.mktemp("instance"), suppliers=suppliers, prepare=_prepare)
    world.add_hubs([OWN, OTHERS])
    world.open_release()
    # Nothing is under way, so that whatever changes is the work of the request.
    world.run(lambda unit_of_work: unit_of_work.connection.execute(outbox.delete()))
    with serving(world) as running:
        yield running
    world.close()


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_bad_input_is_refused_in_words_and_changes_nothing(served: Served, row: Row) -> None:
    data = row.make(Desk(served.world))
    before = served.world.snapshot()

    answer = served.post(data, row.service, headers=row.headers, method=row.method)

    after = served.world.snapshot()
    grown = [exchange for exchange in after.pop("exchanges") if exchange not in before["exchanges"]]
    assert len(grown) == (1 if row.consumed else 0)
    assert len(before.pop("exchanges")) + len(grown) == len(served.world.snapshot()["exchanges"])
    assert after == before
    assert answer.status == row.status
    assert row.says in answer.detail
    if row.status == 200:
        _check_response(served, row, data, answer)
    else:
        _check_problem(row, answer)


def _check_response(served: Served, row: Row, data: bytes, answer: HttpAnswer) -> None:
    assert answer.headers["Content-Type"] == "application/xml"
    sent, got = etree.fromstring(data), etree.fromstring(answer.body)
    for name in ("RequestID", "ServiceReference", "ServiceReferenceVariant"):
        assert _text(got, name) == _text(sent, name)
    assert got.get("schemaVersion") == sent.get("schemaVersion")
    assert _text(got, "ResponseCode") == row.code
    if row.unsigned:
        assert [etree.QName(element).localname for element in got.iter()] == [
            "Response",
            *("Header", "RequestID", "ResponseCode", "ResponseDateTime"),
            *("Body", "ResponseMessage", "ServiceReference", "ServiceReferenceVariant"),
        ]
        return
    result = served.decoded(answer).result
    assert (result.refused if result is not None else {}) == row.refused  # type: ignore[union-attr]  # only these are refused with a body


def _check_problem(row: Row, answer: HttpAnswer) -> None:
    assert answer.headers["Content-Type"] == "application/problem+xml"
    document = etree.fromstring(answer.body)
    assert document.tag == "{urn:ietf:rfc:7807}problem"
    assert document.findtext("{*}status") == str(row.status)
    assert row.says in (document.findtext("{*}detail") or "")
    if row.path is not None:
        assert document.findtext("{*}path") == row.path
    if row.line is not None:
        assert document.findtext("{*}line") == str(row.line)


def _text(root: etree._Element, name: str) -> str | None:
    return next(root.iter(SR + name)).text


def test_the_table_names_no_row_twice() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize("row", [*NOT_AUTHENTICATED, *OUT_OF_PLACE, *BY_THE_RULES], ids=lambda row: row.name)
def test_the_audit_trail_says_of_a_refused_request_what_its_sender_was_told(served: Served, row: Row) -> None:
    data = row.make(Desk(served.world))

    answer = served.post(data, row.service)

    with served.world.instance.reading_engine.connect() as connection:
        newest = connection.execute(select(audit).order_by(audit.c.audit_id.desc()).limit(1)).one()
    assert newest.message_key == (_text(etree.fromstring(data), "RequestID") or "").upper()
    assert f"{row.code}: " in newest.detail
    assert re.sub("[^ -~]", "?", " ".join(newest.detail.split())).endswith(answer.detail)
