"""The CSP exchange: what is sent is what is read."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from sr_engine.messages.csp import build_csp_message, decode_csp_message
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import (
    CspMessage,
    MeterFirmwareReport,
    RefusedHubs,
    ReportEntry,
    ReportStatus,
    UpgradeListAcknowledgement,
    UpgradeListWithdrawal,
    UpgradeReport,
)
from sr_engine.messages.schema import Schema, SchemaRefused
from tests.messages import strategies
from tests.messages.conftest import NOW, Exchange, refusal
from tests.messages.strategies import BROKER, HUB, SUPPLIER

MESSAGE_ID = RequestId.make(BROKER, SUPPLIER, 7)


@settings(deadline=None)
@given(message=strategies.csp_messages)
def test_a_csp_message_is_read_as_it_was_written(exchange: Exchange, message: CspMessage) -> None:
    root = build_csp_message(message)
    assert root.nsmap == {"csp": "urn:sr-engine:csp"}
    assert decode_csp_message(exchange.send_csp(root)) == message


def test_a_withdrawal_of_the_whole_list_names_no_hub(exchange: Exchange) -> None:
    message = UpgradeListWithdrawal(MESSAGE_ID, NOW, "UL-1", "4G North", "release halted")
    root = build_csp_message(message)
    assert root.find(".//{urn:sr-engine:csp}DeviceIDList") is None
    assert decode_csp_message(exchange.send_csp(root)) == message


def test_ids_of_a_csp_are_canonical_and_each_stands_once(exchange: Exchange) -> None:
    acknowledgement = UpgradeListAcknowledgement(
        MESSAGE_ID,
        NOW,
        "UL-1",
        "North",
        accepted=(HUB.lower(), HUB),
        refused=(RefusedHubs("no such hub", (SUPPLIER.lower(),)),),
    )
    decoded = decode_csp_message(exchange.send_csp(build_csp_message(acknowledgement)))
    assert isinstance(decoded, UpgradeListAcknowledgement)
    assert decoded.accepted == (HUB,)
    assert decoded.refused == (RefusedHubs("no such hub", (SUPPLIER,)),)


def test_a_report_of_meters_has_no_place_for_the_version_that_a_hub_runs(exchange: Exchange) -> None:
    entry = ReportEntry(HUB, ReportStatus.DELIVERED, NOW, version="9002")
    report = MeterFirmwareReport(MESSAGE_ID, NOW, "ML-1", "North", (entry,))
    with pytest.raises(SchemaRefused, match="FirmwareVersion"):
        exchange.send_csp(build_csp_message(report))


def test_a_service_request_is_no_csp_message(exchange: Exchange) -> None:
    with pytest.raises(ValueError, match="no message of the CSP exchange: its root is Request"):
        decode_csp_message(exchange.send_text(strategies.request_text()))


def test_the_schema_of_the_csp_exchange_knows_no_service_request(csp: Schema) -> None:
    reason = refusal(csp, strategies.request_text()).reason
    assert "'Request' is not known" in reason
    assert "UpgradeReport" in reason


def test_a_report_holds_at_most_two_thousand_outcomes(exchange: Exchange) -> None:
    entry = ReportEntry(HUB, ReportStatus.ACTIVATED, NOW)
    fits = UpgradeReport(MESSAGE_ID, NOW, "UL-1", "North", (entry,) * 2000)
    assert decode_csp_message(exchange.send_csp(build_csp_message(fits))) == fits
    with pytest.raises(SchemaRefused, match="Outcome is not expected"):
        exchange.send_csp(build_csp_message(UpgradeReport(MESSAGE_ID, NOW, "UL-1", "North", (entry,) * 2001)))
