"""Responses and DCC Alerts: what is answered is what its receiver reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from lxml import etree

from signing import parse
from sr_engine.messages.build import build_alert, build_response, serialise_unsigned
from sr_engine.messages.decode import decode_response
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import (
    AlertBody,
    CommsHubFirmwareActivation,
    CommsHubFirmwareResult,
    RefusalReason,
    Result,
)
from sr_engine.messages.schema import Schema
from tests.messages import strategies
from tests.messages.conftest import NOW, Exchange
from tests.messages.strategies import BROKER, HUB, NAMESPACE, SUPPLIER

REQUEST_ID = f"{SUPPLIER.lower()}:{BROKER}:1766940660265"


def _answer(
    result: Result | None = None, *, code: str = "I0", at: datetime = NOW, response_id: str | None = None
) -> etree._Element:
    return build_response(
        schema_version="5.4",
        request_id=REQUEST_ID,
        code=code,
        at=at,
        service_reference="11.5",
        service_reference_variant="11.5",
        result=result,
        response_id=response_id,
    )


@settings(deadline=None)
@given(result=strategies.results)
def test_a_result_is_read_as_it_was_written(exchange: Exchange, result: Result | None) -> None:
    response = decode_response(exchange.send(_answer(result)))
    assert response.result == result
    assert response.alert is None


@settings(deadline=None)
@given(body=strategies.alerts, code=strategies.alert_codes)
def test_an_alert_is_read_as_it_was_written(exchange: Exchange, body: AlertBody, code: str) -> None:
    alert = decode_response(exchange.send(build_alert(schema_version="5.3", alert_code=code, body=body, at=NOW)))
    assert (alert.alert, alert.alert_code, alert.result) == (body, code, None)
    assert alert.schema_version == "5.3"


def test_the_header_of_an_answer_echoes_the_request(exchange: Exchange) -> None:
    response = decode_response(exchange.send(_answer(code="E110503")))
    assert response.request_id == RequestId.parse(REQUEST_ID)
    assert response.request_id.text == REQUEST_ID
    assert response.response_id is None
    assert (response.code, response.body_element) == ("E110503", None)
    assert (response.service_reference, response.service_reference_variant) == ("11.5", "11.5")
    assert response.at == NOW.replace(microsecond=123000)


def test_an_answer_sent_later_has_its_own_id(exchange: Exchange) -> None:
    response = decode_response(exchange.send(_answer(response_id=f"{BROKER}:{SUPPLIER}:1766940660265")))
    assert response.response_id == RequestId.make(BROKER, SUPPLIER, 1766940660265)


def test_an_alert_has_neither_request_id_nor_response_id(exchange: Exchange) -> None:
    body = CommsHubFirmwareActivation(HUB, "9002")
    alert = decode_response(exchange.send(build_alert(schema_version="5.4", alert_code="N64", body=body, at=NOW)))
    assert (alert.request_id, alert.response_id, alert.code) == (None, None, "I0")
    assert (alert.service_reference, alert.body_element) == (None, "CommsHubFirmwareActivation")


def test_the_written_answer_is_compact() -> None:
    assert serialise_unsigned(_answer(code="I99")).decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<sr:Response xmlns:sr="{NAMESPACE}" schemaVersion="5.4"><sr:Header>'
        f"<sr:RequestID>{REQUEST_ID}</sr:RequestID><sr:ResponseCode>I99</sr:ResponseCode>"
        "<sr:ResponseDateTime>2026-11-22T10:15:05.123Z</sr:ResponseDateTime></sr:Header><sr:Body>"
        "<sr:ResponseMessage><sr:ServiceReference>11.5</sr:ServiceReference>"
        "<sr:ServiceReferenceVariant>11.5</sr:ServiceReferenceVariant></sr:ResponseMessage></sr:Body></sr:Response>"
    )


def test_an_unsigned_answer_is_valid(duis: Schema) -> None:
    document = parse(serialise_unsigned(_answer(code="E100")))
    duis.check(document)
    assert document.root.tag == f"{{{NAMESPACE}}}Response"


@pytest.mark.parametrize(
    ("at", "written"),
    [
        (datetime(2026, 11, 22, 10, 15, 5, tzinfo=UTC), "2026-11-22T10:15:05.000Z"),
        (datetime(2026, 11, 22, 10, 15, 5, 999999, tzinfo=UTC), "2026-11-22T10:15:05.999Z"),
        (datetime(2026, 7, 1, 0, 30, tzinfo=timezone(timedelta(hours=1))), "2026-06-30T23:30:00.000Z"),
    ],
)
def test_the_response_time_is_in_utc_with_milliseconds(at: datetime, written: str) -> None:
    assert f"<sr:ResponseDateTime>{written}</sr:ResponseDateTime>".encode() in serialise_unsigned(_answer(at=at))


def test_a_time_without_a_zone_is_never_sent() -> None:
    with pytest.raises(ValueError, match="needs a zone"):
        _answer(at=NOW.replace(tzinfo=None))


def test_refused_hubs_stand_in_the_order_of_the_reasons_and_empty_lists_not_at_all(exchange: Exchange) -> None:
    result = CommsHubFirmwareResult(
        3,
        refused={
            RefusalReason.NOT_AVAILABLE: (HUB,),
            RefusalReason.NOT_COMMISSIONED: (),
            RefusalReason.INVALID: (SUPPLIER, BROKER),
        },
    )
    document = exchange.send(_answer(result, code="W110501"))
    warning = document.root.find(f".//{{{NAMESPACE}}}CommsHubFirmwareWarning")
    assert warning is not None
    assert [(etree.QName(child).localname, child.text) for child in warning] == [
        ("InvalidDeviceIDList", f"{SUPPLIER},{BROKER}"),
        ("NotAvailableDeviceIDList", HUB),
    ]


def test_a_result_without_refusals_has_no_warning() -> None:
    result = CommsHubFirmwareResult(3, 17, {RefusalReason.INVALID: ()})
    assert b"CommsHubFirmwareWarning" not in serialise_unsigned(_answer(result))


def test_fifty_thousand_refused_hubs_fit(exchange: Exchange) -> None:
    refused = tuple(index.to_bytes(8).hex("-").upper() for index in range(50_000))
    result = CommsHubFirmwareResult(0, refused={RefusalReason.NOT_RESPONSIBLE: refused}, refused_device_count=50_000)
    assert decode_response(exchange.send(_answer(result, code="E110503"))).result == result


def test_a_character_that_xml_cannot_hold_is_an_error() -> None:
    body = CommsHubFirmwareActivation(HUB, "9\x000")
    with pytest.raises(ValueError, match="XML compatible"):
        build_alert(schema_version="5.4", alert_code="N64", body=body, at=NOW)


def _response(body: str) -> str:
    return (
        f'<sr:Response xmlns:sr="{NAMESPACE}" schemaVersion="5.4"><sr:Header><sr:ResponseCode>I0</sr:ResponseCode>'
        "<sr:ResponseDateTime>2026-12-28T16:51:01</sr:ResponseDateTime></sr:Header>"
        f"<sr:Body>{body}</sr:Body></sr:Response>"
    )


def _alert(body: str) -> str:
    return _response(
        "<sr:DCCAlertMessage><sr:DCCAlertCode>N62</sr:DCCAlertCode><sr:ThrottledAlertCount>3</sr:ThrottledAlertCount>"
        f"<sr:DCCAlert>{body}</sr:DCCAlert></sr:DCCAlertMessage>"
    )


_TRANSFER = (
    f"<sr:CommsHubAlert><sr:CommsHubDeviceID>{HUB}</sr:CommsHubDeviceID><sr:AlertCode>8F1C</sr:AlertCode>"
    f"<sr:FirmwareTransferAlert><sr:OtherDeviceID>{HUB}</sr:OtherDeviceID><sr:FirmwareVersion>1</sr:FirmwareVersion>"
    "<sr:TransferResponseCode>FileTransferFailure</sr:TransferResponseCode></sr:FirmwareTransferAlert>"
    "</sr:CommsHubAlert>"
)
_CHANGE = (
    "<sr:ChangeOfSupplier><sr:ChangeOfSupplierServiceRequestID>"
    f"{SUPPLIER}:{BROKER}:1</sr:ChangeOfSupplierServiceRequestID></sr:ChangeOfSupplier>"
)


@pytest.mark.parametrize(
    ("text", "element"),
    [
        (
            _response(
                "<sr:ResponseMessage><sr:ServiceReference>11.2</sr:ServiceReference><sr:ServiceReferenceVariant>11.2"
                "</sr:ServiceReferenceVariant><sr:GBCSPayload>3QAA</sr:GBCSPayload></sr:ResponseMessage>"
            ),
            "GBCSPayload",
        ),
        (_response("<sr:DeviceAlertMessage><sr:AlertCode>8F1C</sr:AlertCode></sr:DeviceAlertMessage>"), None),
        (_alert("<sr:PowerOutageEvent/>"), "PowerOutageEvent"),
        (_alert(_TRANSFER), "CommsHubAlert"),
        (_alert(_CHANGE), "ChangeOfSupplier"),
    ],
)
def test_what_this_processor_never_sends_is_named_and_not_decoded(
    exchange: Exchange, text: str, element: str | None
) -> None:
    response = decode_response(exchange.send_text(text))
    assert (response.result, response.alert) == (None, None)
    assert response.body_element == (element or "DeviceAlertMessage")
    assert response.at == datetime(2026, 12, 28, 16, 51, 1, tzinfo=UTC)


def test_a_request_is_no_response(exchange: Exchange) -> None:
    with pytest.raises(ValueError, match="no Response: its root is Request"):
        decode_response(exchange.send_text(strategies.request_text()))
