"""Service Requests: what is sent is what is read."""

from __future__ import annotations

import base64
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from signing import parse
from sr_engine.messages.compose import build_request
from sr_engine.messages.decode import Echo, decode_request, unverified_echo
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import Body, ReadInventory, ScheduleCommsHubFirmware, UnofferedBody, UpdateFirmware
from sr_engine.messages.schema import SchemaRefused
from tests.messages import strategies
from tests.messages.conftest import Exchange
from tests.messages.strategies import BROKER, HEADER, HUB, SCHEDULE, SUPPLIER, request_text

ROOT = Path(__file__).resolve().parents[2]


@settings(deadline=None)
@given(
    body=strategies.bodies,
    request_id=strategies.request_ids,
    version=strategies.schema_versions,
    variant=st.integers(1, 9),
    first=st.booleans(),
    preceding=strategies.optional(strategies.request_ids),
)
def test_a_request_is_read_as_it_was_written(
    *,
    exchange: Exchange,
    body: Body,
    request_id: RequestId,
    version: str,
    variant: int,
    first: bool,
    preceding: RequestId | None,
) -> None:
    request = decode_request(
        exchange.send(
            build_request(
                schema_version=version,
                request_id=request_id.text,
                command_variant=variant,
                service_reference="11.5",
                service_reference_variant="11.5",
                body=body,
                first_in_sequence=first,
                preceding_request_id=preceding,
            )
        )
    )
    assert request.body == body
    header = request.header
    assert (header.schema_version, header.request_id, header.command_variant) == (version, request_id, variant)
    assert (header.first_in_sequence, header.preceding_request_id) == (first, preceding)
    assert (header.service_reference, header.service_reference_variant) == ("11.5", "11.5")
    assert header.body_element == (body.element if isinstance(body, UnofferedBody) else type(body).__name__)


def _schedule(exchange: Exchange, text: str) -> ScheduleCommsHubFirmware:
    body = decode_request(exchange.send_text(text)).body
    assert isinstance(body, ScheduleCommsHubFirmware)
    return body


def test_listed_ids_are_kept_as_received_and_each_stands_once_in_order(exchange: Exchange) -> None:
    other = "aa-bb-cc-dd-ee-ff-00-11"
    text = request_text(body=SCHEDULE.replace(HUB, f"{other},{HUB.lower()},{HUB},{other.upper()}"))
    assert _schedule(exchange, text).device_ids == (other, HUB.lower())


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-12-01T00:00:00Z", datetime(2026, 12, 1, tzinfo=UTC)),
        ("2026-12-01T00:00:00+01:00", datetime(2026, 11, 30, 23, tzinfo=UTC)),
        ("2026-12-01T00:00:00.5-05:30", datetime(2026, 12, 1, 5, 30, 0, 500000, tzinfo=UTC)),
        ("2026-12-01T00:00:00.123456789Z", datetime(2026, 12, 1, 0, 0, 0, 123456, tzinfo=UTC)),
        ("\n 2026-12-01T00:00:00Z\t", datetime(2026, 12, 1, tzinfo=UTC)),
        ("1000-01-01T00:00:00+14:00", datetime(999, 12, 31, 10, tzinfo=UTC)),
        ("8999-12-31T23:59:59-14:00", datetime(9000, 1, 1, 13, 59, 59, tzinfo=UTC)),
    ],
)
def test_times_are_read_into_utc(exchange: Exchange, written: str, read: datetime) -> None:
    text = request_text(body=SCHEDULE.replace("2026-12-01T00:00:00Z", written))
    start = _schedule(exchange, text).window.start
    assert start == read
    assert start.tzinfo is UTC


@pytest.mark.parametrize(("written", "read"), [("1", True), ("true", True), (" 0 ", False), ("false", False)])
def test_booleans_have_two_spellings_each(exchange: Exchange, written: str, read: bool) -> None:
    element = f"<sr:AcceptHANImpact>{written}</sr:AcceptHANImpact>"
    text = request_text(body=SCHEDULE.replace("</sr:Phase>", f"</sr:Phase>{element}"))
    assert _schedule(exchange, text).accept_han_impact is read


@pytest.mark.parametrize(
    ("written", "read"), [("0", 0), ("-0", 0), ("+17", 17), ("0" * 5000 + "7", 7), (" 1000000000000 ", 10**12)]
)
def test_whole_numbers_are_read_as_xml_schema_writes_them(exchange: Exchange, written: str, read: int) -> None:
    element = f"<sr:ReplacesScheduleID>{written}</sr:ReplacesScheduleID>"
    text = request_text(body=SCHEDULE.replace("</sr:Phase>", f"</sr:Phase>{element}"))
    assert _schedule(exchange, text).replaces_schedule_id == read


def test_white_space_around_tokens_is_no_part_of_them(exchange: Exchange) -> None:
    header = HEADER.replace(f"{SUPPLIER}:{BROKER}:1000", f"\n  {SUPPLIER}:{BROKER}:1000\t").replace(">8<", "> 08 <")
    body = f"<sr:ReadInventory><sr:DeviceID> {HUB.lower()}\n</sr:DeviceID></sr:ReadInventory>"
    request = decode_request(exchange.send_text(request_text(header=header, body=body, version=" 5.4 ")))
    assert request.header.request_id.text == f"{SUPPLIER}:{BROKER}:1000"
    assert request.header.command_variant == 8
    assert request.header.schema_version == "5.4"
    assert request.body == ReadInventory(device_id=HUB)


def test_white_space_in_plain_strings_is_part_of_them(exchange: Exchange) -> None:
    body = "<sr:ReadInventory><sr:MPxN> 123 </sr:MPxN></sr:ReadInventory>"
    assert decode_request(exchange.send_text(request_text(body=body))).body == ReadInventory(mpxn=" 123 ")


def test_the_request_id_is_kept_as_it_was_received(exchange: Exchange) -> None:
    written = f"{SUPPLIER.lower()}:{BROKER}:18446744073709551615"
    header = HEADER.replace(f"{SUPPLIER}:{BROKER}:1000", written)
    request_id = decode_request(exchange.send_text(request_text(header=header))).header.request_id
    assert request_id.text == written
    assert (request_id.originator, request_id.counter) == (SUPPLIER, 2**64 - 1)


def test_a_published_body_that_is_not_offered_is_named_whatever_is_in_it(exchange: Exchange) -> None:
    body = '<sr:UpdateInventory colour="red">text<any xmlns="urn:x"><thing/></any></sr:UpdateInventory>'
    request = decode_request(exchange.send_text(request_text(body=body)))
    assert request.body == UnofferedBody("UpdateInventory")
    assert request.header.body_element == "UpdateInventory"


def test_what_the_e100_echoes_is_read_without_a_signature() -> None:
    document = parse(request_text(version="5.3").encode())
    assert unverified_echo(document) == Echo("5.3", f"{SUPPLIER}:{BROKER}:1000", "11.5", "11.5")


def test_a_response_is_no_request(exchange: Exchange) -> None:
    text = (
        f'<sr:Response xmlns:sr="{strategies.NAMESPACE}" schemaVersion="5.4"><sr:Header><sr:ResponseCode>I0'
        "</sr:ResponseCode><sr:ResponseDateTime>2026-12-01T00:00:00Z</sr:ResponseDateTime></sr:Header><sr:Body>"
        "<sr:DeviceAlertMessage/></sr:Body></sr:Response>"
    )
    with pytest.raises(ValueError, match="no Request: its root is Response"):
        decode_request(exchange.send_text(text))
    with pytest.raises(ValueError, match="no Request: its root is Response"):
        unverified_echo(parse(text.encode()))


def test_a_request_is_compact_and_declares_one_prefix() -> None:
    root = build_request(
        schema_version="5.4",
        request_id=f"{SUPPLIER}:{BROKER}:1",
        command_variant=8,
        service_reference="8.2",
        service_reference_variant="8.2",
        body=ReadInventory(device_id=HUB),
    )
    assert root.nsmap == {"sr": strategies.NAMESPACE}
    assert not any((element.tail or "").strip() == "" and element.tail for element in root.iter())
    assert b"> <" not in etree.tostring(root)
    assert b"\n" not in etree.tostring(root)


@pytest.mark.slow
def test_the_type_checker_refuses_to_decode_what_was_only_parsed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from signing import ParsedDocument, VerifiedDocument\n"
        "from sr_engine.messages.decode import decode_request\n"
        "def verified(document: VerifiedDocument) -> None: decode_request(document)\n"
        "def parsed(document: ParsedDocument) -> None: decode_request(document)\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={tmp_path / 'cache'}", str(script)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    errors = [line for line in run.stdout.splitlines() if "script.py" in line]
    assert len(errors) == 1, run.stdout + run.stderr
    assert 'has incompatible type "ParsedDocument"; expected "VerifiedDocument"' in errors[0]


_odd = "".join(chr(number) for number in range(33, 48)) + "ABCDwxyz0129 \n=/+_-"


@settings(deadline=None, max_examples=300)
@given(
    text=st.text(st.sampled_from(_odd), max_size=16)
    | st.binary(max_size=9).map(lambda octets: base64.b64encode(octets).decode())
)
def test_what_is_taken_for_an_image_is_all_that_was_written(exchange: Exchange, text: str) -> None:
    inner = escape(text)
    body = (
        f"<sr:UpdateFirmware><sr:FirmwareImage>{inner}</sr:FirmwareImage><sr:FirmwareVersion>1</sr:FirmwareVersion>"
        f"<sr:DeviceIDList>{HUB}</sr:DeviceIDList></sr:UpdateFirmware>"
    )
    try:
        request = decode_request(exchange.send_text(request_text(body=body)))
    except SchemaRefused:
        return
    assert isinstance(request.body, UpdateFirmware)
    image = request.body.image
    assert base64.b64encode(image).decode()[: 4 * (len(image) // 3)] == "".join(text.split())[: 4 * (len(image) // 3)]


@pytest.mark.parametrize("image", ["QUJ_D", "Q!UJD", "QUJDRA", "Q", "QUJD=", "QUJDRA==QUJD", "==="])
def test_an_image_that_is_not_base64_is_refused_as_not_valid(exchange: Exchange, image: str) -> None:
    body = (
        f"<sr:UpdatePPMIDFirmware><sr:FirmwareImage>{image}</sr:FirmwareImage><sr:FirmwareVersion>1</sr:FirmwareVersion>"
        f"<sr:DeviceIDList>{HUB}</sr:DeviceIDList></sr:UpdatePPMIDFirmware>"
    )
    with pytest.raises(SchemaRefused, match="FirmwareImage"):
        decode_request(exchange.send_text(request_text(body=body)))
