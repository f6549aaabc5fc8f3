"""Messages of the reference: requests from the fixtures, everything else as the product itself builds it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from lxml import etree

from sr_engine.configuration import AlertBodyElement, AlertDefinition
from sr_engine.messages import model as m
from sr_engine.messages.build import build_alert, build_response
from sr_engine.messages.csp import build_csp_message
from sr_engine.messages.elements import DUIS, local_name
from sr_engine.messages.identifiers import RequestId
from tests.conftest import ROOT

REQUESTS = ROOT / "fixtures" / "requests"
AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
NIGHT = m.Period(AT.replace(day=30, hour=22), AT.replace(day=30, hour=22) + timedelta(hours=8))
WINDOW = m.Period(AT + timedelta(days=5), AT + timedelta(days=20))
SUPPLIER, BROKER, CSP = "00-00-5E-EF-10-00-00-A1", "90-B3-D5-1F-30-00-00-02", "00-00-5E-EF-10-00-00-C2"
REQUEST = f"{SUPPLIER}:{BROKER}:1795424400000"
HUBS = tuple(f"00-00-5E-EF-C0-00-00-{number:02X}" for number in range(1, 6))
METERS = tuple(f"00-00-5E-EF-E0-00-00-{number:02X}" for number in range(1, 4))
FIRMWARE = m.Firmware("2B7E", "C1A20001", "9002")
IMAGE = b"an image, of which nothing is real"
SHA256 = hashlib.sha256(IMAGE).hexdigest().upper()
_FEW = 2
"""So many ids of a list are shown."""


def requests() -> Iterator[tuple[str, Path, str]]:
    """The name of each body that the requests in `fixtures` have, and the shortest file name's message with it."""
    seen: set[str] = set()
    for path in sorted(REQUESTS.glob("*.xml"), key=lambda path: (len(path.name), path.name)):
        root = etree.parse(path).getroot()
        body = root.find(f"{DUIS}Body")
        assert body is not None
        element = local_name(body[0])
        if element not in seen:
            seen.add(element)
            for ids in root.iter(f"{DUIS}DeviceIDList"):
                ids.text = ",".join((ids.text or "").split(",")[:_FEW])
            yield element, path, pretty(root)


def results() -> dict[str, str]:
    """An answer with each result that is spelt out."""
    refused = {m.RefusalReason.NOT_RESPONSIBLE: (HUBS[1],), m.RefusalReason.NOT_COMMISSIONED: (HUBS[2],)}
    meter = m.Device(METERS[0], "ESME", "2B7E", "0A21", "Commissioned", import_mpxn="1200000000012", uprn=1)
    hub = m.Device(
        HUBS[0],
        "CHF",
        "2B7E",
        "C1A20001",
        "Commissioned",
        firmware_version="9001",
        cpl_status="Active",
        date_commissioned=date(2024, 5, 1),
        csp_region="Central",
    )
    upgrade = m.CommsHubUpgrade(
        HUBS[0],
        "Central",
        FIRMWARE,
        m.UpgradeStatus.LISTED,
        m.Approval.APPROVED,
        m.Approval.NONE,
        schedule_id=81234567,
        attempt=1,
        window=WINDOW,
        period=NIGHT,
        status_at=NIGHT.start - timedelta(days=2),
    )
    details = m.ScheduleDetails(81234567, FIRMWARE, WINDOW, m.Phase.GENERAL, accept_han_impact=False)
    of_devices = {m.FirmwareRefusal.INVALID: (METERS[1],)}
    return {
        "DSPInventory": _answer("8.2", "I0", m.Inventory((hub, meter))),
        "CommsHubFirmwareResult": _answer("11.5", "W110501", m.CommsHubFirmwareResult(10, 81234567, refused)),
        "CommsHubFirmwareScheduleRead": _answer("11.7", "I0", m.ScheduleRead((upgrade,), False, details)),
        "DSPUpdateFirmwareWarning": _answer("11.1", "W110101", m.FirmwareWarning(False, of_devices)),
        "DSPUpdatePPMIDFirmwareWarning": _answer("11.4", "W110401", m.FirmwareWarning(True, of_devices)),
    }


def alert(definition: AlertDefinition) -> str:
    """The alert of an event."""
    return pretty(build_alert(schema_version="5.4", alert_code=definition.code, body=_body(definition), at=AT))


def csp_messages() -> dict[str, str]:
    """Each message of the exchange with CSPs."""
    list_id, image = "f869a15b8026038adc19cec4a213a073", (SHA256, SHA256)
    refused = (m.RefusedHubs("no coverage", (HUBS[1],)),)
    out, back = (RequestId.make(BROKER, CSP, 17), AT), (RequestId.make(CSP, BROKER, 4), AT + timedelta(hours=2))
    report = m.ReportEntry(HUBS[0], m.ReportStatus.ACTIVATED, NIGHT.end, version="9002")
    delivered = m.ReportEntry(METERS[0], m.ReportStatus.DELIVERED, NIGHT.end)
    failed = m.ReportEntry(METERS[1], m.ReportStatus.FAILED, NIGHT.end, "no coverage")
    messages: tuple[m.CspMessage, ...] = (
        m.UpgradeList(*out, list_id, "Central", FIRMWARE, SHA256, (m.ListEntry(NIGHT, HUBS[:2]),)),
        m.UpgradeListAcknowledgement(*back, list_id, "Central", HUBS[:1], refused),
        m.UpgradeListWithdrawal(*out, list_id, "Central", "the release was withdrawn", HUBS[:1]),
        m.UpgradeReport(*back, list_id, "Central", (report,)),
        m.FirmwareImage(*out, *image, IMAGE),
        m.MeterFirmwareList(*out, list_id, "Central", "0002012F", *image, {HUBS[0]: METERS[:2]}),
        m.MeterFirmwareAcknowledgement(*back, list_id, "Central", METERS[:1], (m.RefusedHubs("unknown", METERS[1:2]),)),
        m.MeterFirmwareReport(*back, list_id, "Central", (delivered, failed)),
    )
    return {type(message).__name__: pretty(build_csp_message(message)) for message in messages}


def pretty(root: etree._Element) -> str:
    """A message as people read it; what is sent has no white space between elements, and its Signature last."""
    etree.indent(root)
    return etree.tostring(root, encoding="unicode")


def _answer(reference: str, code: str, result: m.Result) -> str:
    root = build_response(
        schema_version="5.4",
        request_id=REQUEST,
        code=code,
        at=AT,
        service_reference=reference,
        service_reference_variant=reference,
        result=result,
    )
    return pretty(root)


def _body(definition: AlertDefinition) -> m.AlertBody:
    match definition.body:
        case AlertBodyElement.FIRMWARE_UPGRADE_REQUESTED:
            return m.FirmwareUpgradeRequested("CHF", "9002", HUBS[:_FEW])
        case AlertBodyElement.COMMS_HUB_FIRMWARE_ACTIVATION:
            return m.CommsHubFirmwareActivation(HUBS[0], "9002")
        case AlertBodyElement.FIRMWARE_DISTRIBUTION_FAILURE:
            return m.FirmwareDistributionFailure(REQUEST, HUBS[:1])
        case AlertBodyElement.CSP_FIRMWARE_DELIVERY_STATUS:
            delivered = "failed" not in definition.event
            return m.CSPFirmwareDeliveryStatus(REQUEST, HUBS[0], METERS[0], "0002012F", NIGHT.end, delivered)
        case AlertBodyElement.FIRMWARE_VERSION_MISMATCH:
            return m.FirmwareVersionMismatch(HUBS[0], "CHF", "9001", "9000")
        case AlertBodyElement.CHANGE_OF_SUPPLIER:
            return m.DeviceChangeOfSupplier(METERS[0], "ESME", "1200000000012")
        case AlertBodyElement.QUARANTINED_REQUEST:
            return m.QuarantinedRequest(REQUEST, "81234567890", by_user_threshold=True)
        case AlertBodyElement.DUIS_VERSION_MISMATCH:
            return m.DUISVersionMismatch(m.DCCAlertVersionMismatch("N64", HUBS[0]), "5.0")
        case AlertBodyElement.COMMS_HUB_ALERT:
            return m.CommsHubAlert(HUBS[0], definition.hub_alert_code or "", AT)
