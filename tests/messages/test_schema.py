"""What our schema refuses, and how it says so."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import xmlschema
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from signing import DocumentRefused, parse
from sr_engine.messages.reasons import MAX_REASON
from sr_engine.messages.schema import Schema, SchemaRefused
from sr_engine.messages.schema_files import SchemaUnusable
from sr_engine.resources import data_directory
from tests.messages.conftest import refusal
from tests.messages.strategies import BROKER, HEADER, HUB, NAMESPACE, SCHEDULE, SUPPLIER, request_text

XSI = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
BODY_PATH = "/sr:Request/sr:Body/sr:ScheduleCommsHubFirmware"
WITH_ZONE = "a date and time with its zone (Z or an offset), such as 2026-11-22T10:15:00Z"


def _body(old: str, new: str) -> str:
    assert old in SCHEDULE
    return request_text(body=SCHEDULE.replace(old, new))


def _header(old: str, new: str) -> str:
    assert old in HEADER
    return request_text(header=HEADER.replace(old, new))


MISTAKES = {
    "missing element": (
        _header("<sr:CommandVariant>8</sr:CommandVariant>", ""),
        "ServiceReference is not expected at this place in Header; CommandVariant is expected",
        2,
        "/sr:Request/sr:Header",
    ),
    "missing last element": (
        _header("<sr:ServiceReferenceVariant>11.5</sr:ServiceReferenceVariant>", ""),
        "Header ends too early: ServiceReferenceVariant is missing",
        2,
        "/sr:Request/sr:Header",
    ),
    "wrong order": (
        _body("<sr:DeviceManufacturer>", "<sr:Phase>Pilot</sr:Phase><sr:DeviceManufacturer>"),
        "Phase is not expected at this place in ScheduleCommsHubFirmware; DeviceManufacturer is expected",
        3,
        BODY_PATH,
    ),
    "two bodies": (
        request_text(body=SCHEDULE * 2),
        "ScheduleCommsHubFirmware is not expected at this place in Body; nothing more may follow",
        3,
        "/sr:Request/sr:Body",
    ),
    "unknown body": (
        request_text(body="<sr:Foo/>"),
        (
            "Foo is not expected at this place in Body; ReadInventory, ScheduleCommsHubFirmware, "
            "ApproveCommsHubFirmware, ReadCommsHubFirmwareSchedule or one of 131 other elements is expected"
        ),
        3,
        "/sr:Request/sr:Body",
    ),
    "element of another namespace": (
        request_text(body='<ReadInventory xmlns="urn:x"/>'),
        (
            "ReadInventory of namespace 'urn:x' is not expected at this place in Body; ReadInventory, "
            "ScheduleCommsHubFirmware, ApproveCommsHubFirmware, ReadCommsHubFirmwareSchedule or one of 131 other "
            "elements is expected"
        ),
        3,
        "/sr:Request/sr:Body",
    ),
    "bad EUI": (
        request_text(body="<sr:ReadInventory><sr:DeviceID>00-DB-12-34-56-78-90</sr:DeviceID></sr:ReadInventory>"),
        (
            "DeviceID '00-DB-12-34-56-78-90' is not an EUI-64: eight hexadecimal octets joined by hyphens, such as "
            "00-DB-12-34-56-78-90-A2"
        ),
        3,
        "/sr:Request/sr:Body/sr:ReadInventory/sr:DeviceID",
    ),
    "bad list": (
        _body(HUB, f"{HUB}, {HUB}"),
        (
            f"DeviceIDList '{HUB}, {HUB}' is not a list of EUI-64s (eight hexadecimal octets joined by hyphens), "
            "separated by single commas and without white space"
        ),
        3,
        f"{BODY_PATH}/sr:DeviceIDList",
    ),
    "one id too many": (
        _body(HUB, ",".join([HUB] * 50_001)),
        "DeviceIDList holds 50001 ids, at most 50000 are allowed",
        3,
        f"{BODY_PATH}/sr:DeviceIDList",
    ),
    "counter too large": (
        _header(":1000<", ":18446744073709551616<"),
        (
            f"RequestID '{SUPPLIER}:{BROKER}:184467440737…' is not originator:target:counter: two EUI-64s and a number "
            "from 0 to 18446744073709551615 without leading zeros"
        ),
        2,
        "/sr:Request/sr:Header/sr:RequestID",
    ),
    "end without zone": (
        _body("2026-12-20T06:00:00Z", "2026-12-20T06:00:00"),
        f"EndDateTime '2026-12-20T06:00:00' is not {WITH_ZONE}",
        3,
        f"{BODY_PATH}/sr:UpgradeWindow/sr:EndDateTime",
    ),
    "no such month": (
        _body("2026-12-20T06:00:00Z", "2026-13-20T06:00:00Z"),
        f"EndDateTime '2026-13-20T06:00:00Z' is not {WITH_ZONE} (month must be in 1..12)",
        3,
        f"{BODY_PATH}/sr:UpgradeWindow/sr:EndDateTime",
    ),
    "unknown root": (
        f'<sr:Reqest xmlns:sr="{NAMESPACE}"/>',
        "the document element 'Reqest' is not known; Request or Response is expected",
        1,
        None,
    ),
    "wrong namespace": (
        request_text().replace(NAMESPACE, "http://example.org/"),
        f"Request is in namespace 'http://example.org/'; the namespace '{NAMESPACE}' is expected",
        1,
        None,
    ),
    "no namespace": (
        "<Request/>",
        f"Request is in no namespace; the namespace '{NAMESPACE}' is expected",
        1,
        None,
    ),
    "unknown SRV": (
        _header("Variant>11.5<", "Variant>11.10<"),
        "ServiceReferenceVariant '11.10' is not one of the published Service Reference Variants or 11.5 to 11.9",
        2,
        "/sr:Request/sr:Header/sr:ServiceReferenceVariant",
    ),
    "command variant 10": (
        _header(">8<", ">10<"),
        "CommandVariant '10' is not a Command Variant: a number from 1 to 9",
        2,
        "/sr:Request/sr:Header/sr:CommandVariant",
    ),
    "command variant x": (
        _header(">8<", ">x<"),
        "CommandVariant 'x' is not a Command Variant: a number from 1 to 9",
        2,
        "/sr:Request/sr:Header/sr:CommandVariant",
    ),
    "unknown phase": (
        _body(">Pilot<", ">Pilots<"),
        "Phase 'Pilots' is not one of Pilot, General",
        3,
        f"{BODY_PATH}/sr:Phase",
    ),
    "yes": (
        _body("</sr:Phase>", "</sr:Phase><sr:AcceptHANImpact>yes</sr:AcceptHANImpact>"),
        "AcceptHANImpact 'yes' is not true or false",
        3,
        f"{BODY_PATH}/sr:AcceptHANImpact",
    ),
    "schedule id too large": (
        _body("</sr:Phase>", "</sr:Phase><sr:ReplacesScheduleID>1000000000001</sr:ReplacesScheduleID>"),
        "ReplacesScheduleID '1000000000001' is not a schedule id: a whole number from 0 to 1000000000000",
        3,
        f"{BODY_PATH}/sr:ReplacesScheduleID",
    ),
    "text too long": (
        _body(">2B7E<", f">{'1' * 31}<"),
        "DeviceManufacturer holds 31 characters, at most 30 are allowed",
        3,
        f"{BODY_PATH}/sr:DeviceManufacturer",
    ),
    "text too short": (
        _body(">9002<", "><"),
        "FirmwareVersion holds 0 characters, at least 1 are needed",
        3,
        f"{BODY_PATH}/sr:FirmwareVersion",
    ),
    "stray text": (
        _body("<sr:Phase>", "stray<sr:Phase>"),
        "ScheduleCommsHubFirmware: character data between child elements not allowed",
        3,
        BODY_PATH,
    ),
    "version that is none": (
        request_text(version="five"),
        "attribute schemaVersion 'five' is not a version number such as 5.4",
        1,
        "/sr:Request",
    ),
    "endless version": (
        request_text(version="5" * 10_000),
        f"attribute schemaVersion '{'5' * 60}…' is not a version number such as 5.4",
        1,
        "/sr:Request",
    ),
    "no version": (
        request_text().replace(' schemaVersion="5.4"', ""),
        "Request: missing required attribute 'schemaVersion'",
        1,
        "/sr:Request",
    ),
    "another type in an element's place": (
        _body("<sr:Phase>", f'<sr:Phase{XSI} xsi:type="sr:FirmwareVersion">'),
        (
            "Element 'Phase', attribute 'type': The type definition 'FirmwareVersion', specified by xsi:type, is "
            "blocked or not validly derived from the type definition of the element declaration."
        ),
        3,
        "/sr:Request/sr:Body/sr:ScheduleCommsHubFirmware/sr:Phase",
    ),
}


def test_the_document_that_the_mistakes_are_made_in_is_valid(duis: Schema) -> None:
    document = parse(request_text().encode())
    duis.check(document)
    assert document.root[0][0].text == f"{SUPPLIER}:{BROKER}:1000"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_refusal_says_what_is_wrong_where_and_what_was_expected(duis: Schema, mistake: str) -> None:
    text, reason, line, path = MISTAKES[mistake]
    refused = refusal(duis, text)
    assert (refused.reason, refused.line, refused.path) == (reason, line, path)
    place = ", ".join(str(part) for part in (f"line {line}", path) if part)
    assert str(refused) == f"{reason} ({place})"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_reason_is_one_line_of_bearable_length(duis: Schema, mistake: str) -> None:
    reason = refusal(duis, MISTAKES[mistake][0]).reason
    assert len(reason) <= MAX_REASON
    assert reason.isprintable()


def test_a_long_wrong_list_is_quoted_only_in_part(duis: Schema) -> None:
    reason = refusal(duis, _body(HUB, ",".join([HUB] * 1000) + ",x")).reason
    assert reason.startswith(f"DeviceIDList '{HUB},{HUB},")
    assert len(reason) < MAX_REASON


def test_a_document_too_large_to_explain_is_refused_in_fewer_words(duis: Schema) -> None:
    refused = refusal(duis, _body(HUB, ",".join([HUB] * 100_000)))
    assert refused.reason.startswith("Element 'DeviceIDList': [facet 'maxLength'] The value has a length of '2399999'")
    assert refused.line == 3


def test_a_document_with_too_many_elements_to_explain_is_refused_in_fewer_words(duis: Schema) -> None:
    refused = refusal(duis, request_text(body=f"<sr:UpdateInventory>{'<a/>' * 20_000}</sr:UpdateInventory><sr:Foo/>"))
    assert refused.reason == "Element 'Foo': This element is not expected."


def test_an_element_crowded_with_attributes_is_refused_before_each_is_recorded(duis: Schema) -> None:
    crowd = "".join(f' a{number}=""' for number in range(200))
    refused = refusal(duis, _body("<sr:Phase>", f"<sr:Phase{crowd}>"))
    assert refused.reason == "Phase has more than 4 attributes"
    assert refused.line == 3


def test_a_schema_can_be_told_which_documents_it_is_for() -> None:
    requests = Schema(data_directory("xsd") / "duis.xsd", roots={"Request"})
    requests.check(parse(request_text().encode()))
    response = (
        f'<sr:Response xmlns:sr="{NAMESPACE}" schemaVersion="5.4"><sr:Header><sr:ResponseCode>I0</sr:ResponseCode>'
        "<sr:ResponseDateTime>2026-12-01T00:00:00Z</sr:ResponseDateTime></sr:Header><sr:Body>"
        "<sr:DeviceAlertMessage/></sr:Body></sr:Response>"
    )
    assert refusal(requests, response).reason == "the document is a Response; Request is expected here"


def test_a_document_cannot_make_the_schema_fetch_anything(duis: Schema) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.xsd"
        hint = f'{XSI} xsi:schemaLocation="urn:x {url} {NAMESPACE} {url}"'
        duis.check(parse(request_text(attributes=hint).encode()))
        refusal(duis, request_text(attributes=hint, body="<sr:Foo/>"))
        with pytest.raises(BlockingIOError):
            server.accept()


def test_threads_do_not_see_each_others_mistakes() -> None:
    schema = Schema(data_directory("xsd") / "duis.xsd")
    texts = [(text, reason) for text, reason, *_ in MISTAKES.values() if len(text) < 100_000]

    def ask(number: int) -> bool:
        text, reason = texts[number % len(texts)]
        schema.check(parse(request_text().encode()))
        return refusal(schema, text).reason == reason

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(400)))


@given(st.binary(max_size=400) | st.text(max_size=100).map(lambda text: request_text(body=text).encode()))
def test_whatever_is_well_formed_is_valid_or_refused(duis: Schema, data: bytes) -> None:
    try:
        document = parse(data)
    except DocumentRefused:
        return
    with suppress(SchemaRefused):
        duis.check(document)
    assert document.data == data


def test_what_is_no_schema_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(SchemaUnusable, match=r"absent\.xsd is not a usable XML Schema"):
        Schema(tmp_path / "absent.xsd")
    (tmp_path / "other.xsd").write_text("<a/>")
    with pytest.raises(SchemaUnusable, match=r"other\.xsd is not a usable XML Schema"):
        Schema(tmp_path / "other.xsd")


@pytest.mark.parametrize("name", ["duis.xsd", "csp.xsd", "signature.xsd"])
def test_both_validators_load_the_schema(name: str) -> None:
    path = str(data_directory("xsd") / name)
    assert etree.XMLSchema(file=path) is not None
    assert xmlschema.XMLSchema10(path, allow="local").validity == "valid"


def test_schema_file_names_hold_no_space() -> None:
    names = [path.name for path in data_directory("xsd").iterdir()]
    assert names
    assert not any(" " in name for name in names)


def test_with_the_signature_apart_nothing_else_of_its_namespace_may_stand_in_its_place() -> None:
    schema = Schema(data_directory("xsd") / "duis.xsd", signature_apart=True)
    response = (
        '<sr:Response xmlns:sr="http://www.dccinterface.co.uk/ServiceUserGateway" schemaVersion="5.4"><sr:Header>'
        "<sr:ResponseCode>E100</sr:ResponseCode><sr:ResponseDateTime>2026-11-22T10:15:00Z</sr:ResponseDateTime>"
        "</sr:Header><sr:Body><sr:ResponseMessage><sr:ServiceReference>8.2</sr:ServiceReference>"
        "<sr:ServiceReferenceVariant>8.2</sr:ServiceReferenceVariant></sr:ResponseMessage></sr:Body>%s</sr:Response>"
    )
    other = '<ds:Object xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><x xmlns="urn:x">I0</x></ds:Object>'

    schema.check(parse((response % "").encode()))
    with pytest.raises(SchemaRefused, match="Object is not expected; ds:Signature is"):
        schema.check(parse((response % other).encode()))
