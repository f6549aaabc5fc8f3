"""Responses and DCC Alerts as unsigned trees; `signing.Signer.sign` finishes them.

Everything is compact, without white space between elements: DCC's own tool drops such white space before it digests
(section 3). Only the prefix `sr` is declared: an unused declaration would be signed all the same (FACTS SG3).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from lxml import etree

from sr_engine.messages.elements import DUIS, add, add_boolean, add_firmware, add_ids, add_moment, add_period
from sr_engine.messages.model import (
    AlertBody,
    CommsHubAlert,
    CommsHubFirmwareActivation,
    CommsHubFirmwareResult,
    CommsHubUpgrade,
    CSPFirmwareDeliveryStatus,
    Device,
    DeviceChangeOfSupplier,
    DUISVersionMismatch,
    FirmwareDistributionFailure,
    FirmwareRefusal,
    FirmwareUpgradeRequested,
    FirmwareVersionMismatch,
    FirmwareWarning,
    Inventory,
    PropertyFilter,
    QuarantinedRequest,
    RefusalReason,
    Result,
    ScheduleDetails,
    ScheduleRead,
)
from sr_engine.messages.times import milliseconds_from_utc

NSMAP = {"sr": DUIS[1:-1]}
"""The one namespace declaration of a message."""

ANY_DEVICE = "\ue000"
"""Instead of a device id in alerts that differ in that only (`signing.Signer.series`); no text of ours holds it."""

_4G_SINCE = Decimal("5.3")
"""The DUIS version that first has the 4G regions (FACTS DM9); what cannot be said in an older one is left out."""

_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>'


def build_response(
    *,
    schema_version: str,
    request_id: str,
    code: str,
    at: datetime,
    service_reference: str,
    service_reference_variant: str,
    result: Result | None,
    response_id: str | None = None,
) -> etree._Element:
    """Return the answer to a Service Request; `request_id` is written as it was received.

    `response_id` is set where the answer is sent later, of its own (FACTS RQ5, RC9). Raises ValueError if `at` or a
    time in `result` has no zone, or a text holds a character that XML cannot.
    """
    root, body = _envelope(schema_version, code, at, request_id=request_id, response_id=response_id)
    message = add(body, DUIS + "ResponseMessage")
    add(message, DUIS + "ServiceReference", service_reference)
    add(message, DUIS + "ServiceReferenceVariant", service_reference_variant)
    match result:
        case Inventory():
            inventory = add(message, DUIS + "DSPInventory")
            for device in result.devices:
                _add_device(inventory, device, Decimal(schema_version))
        case FirmwareWarning():
            _add_firmware_warning(message, result)
        case CommsHubFirmwareResult():
            _add_firmware_result(message, result)
        case ScheduleRead():
            _add_schedule_read(message, result)
        case None:
            pass
    return root


def build_alert(*, schema_version: str, alert_code: str, body: AlertBody, at: datetime) -> etree._Element:
    """Return a DCC Alert: ResponseCode I0, and neither RequestID nor ResponseID (section 3; FACTS AL13).

    Raises ValueError as `build_response` does.
    """
    root, response_body = _envelope(schema_version, "I0", at)
    message = add(response_body, DUIS + "DCCAlertMessage")
    add(message, DUIS + "DCCAlertCode", alert_code)
    _add_alert(add(message, DUIS + "DCCAlert"), body)
    return root


def serialise_unsigned(root: etree._Element) -> bytes:
    """Return the document as it goes out unsigned, in UTF-8: the E100 of a failed authentication, and nothing else."""
    return _DECLARATION + etree.tostring(root, encoding="UTF-8", xml_declaration=False)


def add_property_filter(parent: etree._Element, property_filter: PropertyFilter) -> None:
    """Append a PropertyFilter, as 8.2 asks and answers with it."""
    element = add(parent, DUIS + "PropertyFilter")
    add(element, DUIS + "PostCode", property_filter.postcode)
    add(element, DUIS + "AddressIdentifier", property_filter.address_identifier)


def _envelope(
    schema_version: str, code: str, at: datetime, *, request_id: str | None = None, response_id: str | None = None
) -> tuple[etree._Element, etree._Element]:
    root = etree.Element(DUIS + "Response", nsmap=NSMAP)
    root.set("schemaVersion", schema_version)
    header = add(root, DUIS + "Header")
    _add_optional(header, "RequestID", request_id)
    _add_optional(header, "ResponseID", response_id)
    add(header, DUIS + "ResponseCode", code)
    add(header, DUIS + "ResponseDateTime", milliseconds_from_utc(at))
    return root, add(root, DUIS + "Body")


def _add_optional(parent: etree._Element, name: str, value: str | int | None) -> None:
    if value is not None:
        add(parent, DUIS + name, str(value))


def _add_device(inventory: etree._Element, device: Device, version: Decimal) -> None:
    element = add(inventory, DUIS + "Device")
    add(element, DUIS + "DeviceID", device.device_id)
    add(element, DUIS + "DeviceType", device.device_type)
    _add_optional(element, "DeviceStatus", device.device_status)
    add(element, DUIS + "DeviceManufacturer", device.manufacturer)
    add(element, DUIS + "DeviceModel", device.model)
    _add_optional(element, "SMETSCHTSVersion", device.smets_chts_version)
    _add_optional(element, "DeviceFirmwareVersion", device.firmware_version)
    _add_optional(element, "DeviceFirmwareVersionStatus", device.firmware_version_status)
    _add_optional(element, "CPLStatus", device.cpl_status)
    if device.date_commissioned is not None:
        add(element, DUIS + "DateCommissioned", device.date_commissioned.isoformat())
    _add_optional(element, "ImportMPxN", device.import_mpxn)
    _add_optional(element, "SecondaryImportMPAN", device.secondary_import_mpan)
    _add_optional(element, "ExportMPAN", device.export_mpan)
    _add_optional(element, "ESMEVariant", device.esme_variant)
    _add_optional(element, "UPRN", device.uprn)
    if device.property_filter is not None:
        add_property_filter(element, device.property_filter)
    if version >= _4G_SINCE or not (device.csp_region or "").startswith("4G "):
        _add_optional(element, "CSPRegion", device.csp_region)
    _add_optional(element, "DeviceGBCSVersion", device.gbcs_version)
    _add_optional(element, "HANVariant", device.han_variant)
    _add_optional(element, "S1SP", device.s1sp)
    _add_optional(element, "Connectivity", device.connectivity)


def _add_firmware_result(message: etree._Element, result: CommsHubFirmwareResult) -> None:
    element = add(message, DUIS + "CommsHubFirmwareResult")
    _add_optional(element, "CommsHubFirmwareScheduleID", result.schedule_id)
    add(element, DUIS + "AcceptedDeviceCount", str(result.accepted_device_count))
    if not any(result.refused.values()) and result.refused_device_count is None:
        return
    warning = add(element, DUIS + "CommsHubFirmwareWarning")
    for reason in RefusalReason:
        if device_ids := result.refused.get(reason):
            add_ids(warning, DUIS + reason, device_ids)
    _add_optional(warning, "RefusedDeviceCount", result.refused_device_count)


def _add_firmware_warning(message: etree._Element, warning: FirmwareWarning) -> None:
    name = "DSPUpdatePPMIDFirmwareWarning" if warning.of_ppmids else "DSPUpdateFirmwareWarning"
    element = add(message, DUIS + name)
    for reason in FirmwareRefusal:
        if device_ids := warning.refused.get(reason):
            add_ids(element, DUIS + reason, device_ids)


def _add_schedule_read(message: etree._Element, read: ScheduleRead) -> None:
    element = add(message, DUIS + "CommsHubFirmwareScheduleRead")
    if read.schedule is not None:
        _add_schedule(element, read.schedule)
    for upgrade in read.upgrades:
        _add_upgrade(element, upgrade)
    add_boolean(element, DUIS + "MoreDevices", read.more_devices)


def _add_schedule(parent: etree._Element, schedule: ScheduleDetails) -> None:
    element = add(parent, DUIS + "Schedule")
    add(element, DUIS + "CommsHubFirmwareScheduleID", str(schedule.schedule_id))
    add_firmware(element, DUIS, schedule.firmware)
    add_period(element, DUIS, "UpgradeWindow", schedule.window)
    add(element, DUIS + "Phase", schedule.phase)
    add_boolean(element, DUIS + "AcceptHANImpact", schedule.accept_han_impact)


def _add_upgrade(parent: etree._Element, upgrade: CommsHubUpgrade) -> None:
    element = add(parent, DUIS + "CommsHubUpgrade")
    add(element, DUIS + "DeviceID", upgrade.device_id)
    add(element, DUIS + "CSPRegion", upgrade.csp_region)
    add_firmware(element, DUIS, upgrade.firmware)
    _add_optional(element, "CommsHubFirmwareScheduleID", upgrade.schedule_id)
    _add_optional(element, "AttemptNumber", upgrade.attempt)
    add(element, DUIS + "UpgradeStatus", upgrade.status)
    add(element, DUIS + "SupplierApproval", upgrade.own_approval)
    if upgrade.defer_until is not None:
        add_moment(element, DUIS + "DeferUntil", upgrade.defer_until)
    add(element, DUIS + "OtherSupplierApproval", upgrade.other_approval)
    if upgrade.window is not None:
        add_period(element, DUIS, "UpgradeWindow", upgrade.window)
    if upgrade.period is not None:
        add_period(element, DUIS, "UpgradePeriod", upgrade.period)
    if upgrade.status_at is not None:
        add_moment(element, DUIS + "StatusDateTime", upgrade.status_at)
    _add_optional(element, "StatusReason", upgrade.status_reason)


def _add_alert(parent: etree._Element, body: AlertBody) -> None:
    element = add(parent, DUIS + _alert_element(body))
    match body:
        case FirmwareUpgradeRequested():
            add(element, DUIS + "DeviceType", body.device_type)
            add(element, DUIS + "FirmwareVersion", body.firmware_version)
            add_ids(element, DUIS + "DeviceList", body.device_ids)
        case CommsHubFirmwareActivation():
            add(element, DUIS + "DeviceID", body.device_id)
            add(element, DUIS + "FirmwareVersion", body.firmware_version)
        case FirmwareVersionMismatch():
            add(element, DUIS + "DeviceID", body.device_id)
            add(element, DUIS + "DeviceType", body.device_type)
            add(element, DUIS + "FirmwareVersionSMI", body.version_smi)
            add(element, DUIS + "FirmwareVersionDevice", body.version_device)
        case FirmwareDistributionFailure():
            add(element, DUIS + "UpdateFirmwareRequestID", body.update_firmware_request_id)
            add_ids(element, DUIS + "MeterIDs", body.device_ids)
        case CSPFirmwareDeliveryStatus():
            add(element, DUIS + "UpdateFirmwareRequestID", body.update_firmware_request_id)
            add(element, DUIS + "CommsHubDeviceID", body.hub_id)
            add(element, DUIS + "TargetDeviceID", body.device_id)
            add(element, DUIS + "FirmwareVersion", body.firmware_version)
            add_moment(element, DUIS + "TimeStamp", body.time_stamp)
            add(element, DUIS + "CommsHubTransferStatus", "Success" if body.delivered else "Failure")
        case DeviceChangeOfSupplier():
            change = add(element, DUIS + "DeviceChangeOfSupplier")
            add(change, DUIS + "DeviceID", body.device_id)
            add(change, DUIS + "DeviceType", body.device_type)
            mpxns = add(change, DUIS + "MPxNs")
            add(mpxns, DUIS + "ImportMPxN", body.import_mpxn)
            _add_optional(mpxns, "SecondaryImportMPAN", body.secondary_import_mpan)
            _add_optional(mpxns, "ExportMPAN", body.export_mpan)
        case CommsHubAlert():
            add(element, DUIS + "CommsHubDeviceID", body.device_id)
            add(element, DUIS + "AlertCode", body.alert_code)
            if body.time_stamp is not None:
                add_moment(element, DUIS + "TimeStamp", body.time_stamp)
        case QuarantinedRequest():
            threshold = "ADUserThresholdBreach" if body.by_user_threshold else "ADDCCThresholdBreach"
            breach = add(element, DUIS + threshold)
            add(breach, DUIS + "RequestID", body.request_id)
            add(breach, DUIS + "QuarantineEventRef", body.event_ref)
        case DUISVersionMismatch():
            _add_version_mismatch(element, body)


def _add_version_mismatch(parent: etree._Element, body: DUISVersionMismatch) -> None:
    element = add(parent, DUIS + "DCCAlertVersionMismatch")
    add(element, DUIS + "DCCAlertCode", body.mismatch.alert_code)
    _add_optional(element, "DeviceID", body.mismatch.device_id)
    _add_optional(element, "RequestID", body.mismatch.request_id)
    add(parent, DUIS + "ServiceUserDUISVersion", body.service_user_duis_version)


def _alert_element(body: AlertBody) -> str:
    return "ChangeOfSupplier" if isinstance(body, DeviceChangeOfSupplier) else type(body).__name__
