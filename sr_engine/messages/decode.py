"""Values from verified documents: Service Requests, and for those who send them the Responses and Alerts.

Only a `VerifiedDocument` can be decoded, so nothing is acted on that was not authenticated; the one exception is
`unverified_echo`. Documents are schema-valid by the time they come here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lxml import etree

from signing import ParsedDocument, VerifiedDocument
from sr_engine.messages.elements import DUIS, WHITE_SPACE, Fields, local_name, text_in
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import (
    AlertBody,
    Approval,
    ApproveCommsHubFirmware,
    Body,
    CommsHubAlert,
    CommsHubFirmwareActivation,
    CommsHubFirmwareResult,
    CommsHubUpgrade,
    CSPFirmwareDeliveryStatus,
    DCCAlertVersionMismatch,
    Decision,
    DeleteCommsHubFirmwareSchedule,
    Device,
    DeviceChangeOfSupplier,
    DUISVersionMismatch,
    ExclusionAction,
    FirmwareDistributionFailure,
    FirmwareRefusal,
    FirmwareUpgradeRequested,
    FirmwareVersionMismatch,
    FirmwareWarning,
    Header,
    Inventory,
    Phase,
    PropertyFilter,
    QuarantinedRequest,
    ReadCommsHubFirmwareSchedule,
    ReadInventory,
    RefusalReason,
    Result,
    ScheduleCommsHubFirmware,
    ScheduleDetails,
    ScheduleRead,
    ServiceRequest,
    UnofferedBody,
    UpdateCommsHubFirmwareExclusion,
    UpdateFirmware,
    UpdatePPMIDFirmware,
    UpgradeStatus,
)
from sr_engine.messages.schema import SchemaRefused
from sr_engine.messages.times import date_from_xsd
from sr_engine.value_objects import value_object

_REQUEST_ID, _SERVICE_REFERENCE, _SERVICE_REFERENCE_VARIANT = (
    DUIS + name for name in ("RequestID", "ServiceReference", "ServiceReferenceVariant")
)


@value_object
class Echo:
    """What the unsigned E100 repeats of a request that could not be authenticated (section 3, Check order)."""

    schema_version: str
    request_id_text: str
    service_reference: str
    service_reference_variant: str


@dataclass(frozen=True, slots=True)
class DecodedResponse:
    """A Response or Alert as its receiver reads it."""

    schema_version: str
    request_id: RequestId | None
    response_id: RequestId | None
    code: str
    at: datetime
    service_reference: str | None
    service_reference_variant: str | None
    alert_code: str | None
    body_element: str | None
    """Local name of the element that holds the result or alert, decoded or not; None where a code is all there is."""
    result: Result | None
    alert: AlertBody | None


@dataclass(frozen=True, slots=True)
class ResponseHeader:
    """Of a Response that is passed on, all that has to be known."""

    request_id: RequestId | None
    """None in a DCC Alert."""
    code: str


def decode_request(document: VerifiedDocument) -> ServiceRequest:
    """Return the Service Request that a verified, schema-valid document holds.

    Times are in UTC. Lists of device ids are as received, each id once; single device ids are canonical. Raises
    ValueError if the document is no Request, SchemaRefused for an image that is not base64.
    """
    header, body = _parts(document.root)
    return ServiceRequest(_header(document.root, header, body), _body(body))


def decode_own_request(document: ParsedDocument) -> ServiceRequest:
    """Return the Service Request that this processor has written itself for a User who is signed in.

    Never for a document that came from outside. The rest is as with `decode_request`.
    """
    header, body = _parts(document.root)
    return ServiceRequest(_header(document.root, header, body), _body(body))


def decode_response(document: VerifiedDocument) -> DecodedResponse:
    """Return the Response or Alert that a verified, schema-valid document holds.

    Results and alerts that this processor does not send are named in `body_element` and not decoded. Raises ValueError
    if the document is no Response.
    """
    return _decoded_response(document.root)


def decode_own_response(document: ParsedDocument) -> DecodedResponse:
    """Return the Response that this processor has kept as its own answer; never for what came from outside."""
    return _decoded_response(document.root)


def _decoded_response(root: etree._Element) -> DecodedResponse:
    if root.tag != DUIS + "Response":
        raise ValueError(f"the document is no Response: its root is {local_name(root)}")
    header = Fields.of(root[0])
    message = Fields.of(root[1][0])
    holder = _holder(message)
    return DecodedResponse(
        schema_version=_schema_version(root),
        request_id=header.optional(header.request_id, "RequestID"),
        response_id=header.optional(header.request_id, "ResponseID"),
        code=header.string("ResponseCode"),
        at=header.moment("ResponseDateTime"),
        service_reference=message.optional(message.string, "ServiceReference"),
        service_reference_variant=message.optional(message.string, "ServiceReferenceVariant"),
        alert_code=message.optional(message.string, "DCCAlertCode"),
        body_element=None if holder is None else local_name(holder),
        result=None if holder is None else decode_result(holder),
        alert=None if holder is None else decode_alert(holder),
    )


def decode_response_header(document: VerifiedDocument) -> ResponseHeader:
    """Return what stands in the header of a verified, schema-valid Response, whatever its body holds.

    Raises ValueError if the document is no Response.
    """
    root = document.root
    if root.tag != DUIS + "Response":
        raise ValueError(f"the document is no Response: its root is {local_name(root)}")
    header = Fields.of(root[0])
    return ResponseHeader(header.optional(header.request_id, "RequestID"), header.string("ResponseCode"))


def unverified_echo(document: ParsedDocument) -> Echo:
    """Return the header fields of a schema-valid request that failed authentication, for the unsigned E100 alone.

    Raises ValueError if the document is no Request.
    """
    root = document.root
    _check_is_request(root)
    header = root[0]
    return Echo(
        _schema_version(root),
        text_in(header, _REQUEST_ID).strip(WHITE_SPACE),
        text_in(header, _SERVICE_REFERENCE),
        text_in(header, _SERVICE_REFERENCE_VARIANT),
    )


def _parts(root: etree._Element) -> tuple[Fields, etree._Element]:
    """Header and the element in Body."""
    _check_is_request(root)
    return Fields.of(root[0]), root[1][0]


def _check_is_request(root: etree._Element) -> None:
    if root.tag != DUIS + "Request":
        raise ValueError(f"the document is no Request: its root is {local_name(root)}")


def _schema_version(root: etree._Element) -> str:
    return root.attrib["schemaVersion"].strip()


def _header(root: etree._Element, fields: Fields, body: etree._Element) -> Header:
    return Header(
        schema_version=_schema_version(root),
        request_id=fields.request_id("RequestID"),
        first_in_sequence=fields.boolean("FirstInSequence"),
        preceding_request_id=fields.optional(fields.request_id, "PrecedingServiceRequestID"),
        command_variant=fields.integer("CommandVariant"),
        service_reference=fields.string("ServiceReference"),
        service_reference_variant=fields.string("ServiceReferenceVariant"),
        body_element=local_name(body),
    )


def _body(element: etree._Element) -> Body:
    match local_name(element):
        case "ReadInventory":
            return _read_inventory(Fields.of(element))
        case "UpdateFirmware":
            return UpdateFirmware(*_image_and_devices(Fields.of(element)))
        case "UpdatePPMIDFirmware":
            return UpdatePPMIDFirmware(*_image_and_devices(Fields.of(element)))
        case "ScheduleCommsHubFirmware":
            return _schedule(Fields.of(element))
        case "ApproveCommsHubFirmware":
            return _approve(Fields.of(element))
        case "ReadCommsHubFirmwareSchedule":
            return _read_schedule(Fields.of(element))
        case "DeleteCommsHubFirmwareSchedule":
            return _delete(Fields.of(element))
        case "UpdateCommsHubFirmwareExclusion":
            return _exclude(Fields.of(element))
        case name:
            return UnofferedBody(name)


def _read_inventory(fields: Fields) -> ReadInventory:
    return ReadInventory(
        uprn=fields.optional(fields.integer, "UPRN"),
        device_id=fields.optional(fields.eui, "DeviceID"),
        mpxn=fields.optional(fields.string, "MPxN"),
        property_filter=_property_filter(fields),
    )


def _property_filter(fields: Fields) -> PropertyFilter | None:
    if "PropertyFilter" not in fields:
        return None
    inner = fields.child("PropertyFilter")
    return PropertyFilter(inner.string("PostCode"), inner.string("AddressIdentifier"))


def _image_and_devices(fields: Fields) -> tuple[bytes, str, tuple[str, ...]]:
    try:
        image = fields.octets("FirmwareImage")
    except ValueError:
        raise SchemaRefused(
            "FirmwareImage is not base64", path=f"/sr:Request/sr:Body/sr:{local_name(fields.element)}/sr:FirmwareImage"
        ) from None
    return (
        image,
        fields.string("FirmwareVersion"),
        fields.device_ids_as_received("DeviceIDList"),
    )


def _schedule(fields: Fields) -> ScheduleCommsHubFirmware:
    return ScheduleCommsHubFirmware(
        firmware=fields.firmware(),
        window=fields.period("UpgradeWindow"),
        phase=fields.enumerated("Phase", Phase),
        device_ids=fields.device_ids_as_received("DeviceIDList"),
        accept_han_impact=fields.boolean("AcceptHANImpact"),
        replaces_schedule_id=fields.optional(fields.integer, "ReplacesScheduleID"),
        execution_date_time=fields.optional(fields.moment, "ExecutionDateTime"),
    )


def _approve(fields: Fields) -> ApproveCommsHubFirmware:
    return ApproveCommsHubFirmware(
        firmware=fields.firmware(),
        decision=fields.enumerated("Decision", Decision),
        device_ids=fields.device_ids_as_received("DeviceIDList"),
        defer_until=fields.optional(fields.moment, "DeferUntil"),
        accept_han_impact=fields.boolean("AcceptHANImpact"),
        execution_date_time=fields.optional(fields.moment, "ExecutionDateTime"),
    )


def _read_schedule(fields: Fields) -> ReadCommsHubFirmwareSchedule:
    return ReadCommsHubFirmwareSchedule(
        schedule_id=fields.optional(fields.integer, "CommsHubFirmwareScheduleID"),
        device_id=fields.optional(fields.eui, "DeviceID"),
        start_after_device_id=fields.optional(fields.eui, "StartAfterDeviceID"),
    )


def _delete(fields: Fields) -> DeleteCommsHubFirmwareSchedule:
    return DeleteCommsHubFirmwareSchedule(
        schedule_id=fields.integer("CommsHubFirmwareScheduleID"),
        device_ids=fields.device_ids_as_received("DeviceIDList"),
    )


def _exclude(fields: Fields) -> UpdateCommsHubFirmwareExclusion:
    return UpdateCommsHubFirmwareExclusion(
        action=fields.enumerated("Action", ExclusionAction),
        device_ids=fields.device_ids_as_received("DeviceIDList"),
        exclude_until=fields.optional(fields.moment, "ExcludeUntil"),
        execution_date_time=fields.optional(fields.moment, "ExecutionDateTime"),
    )


def _holder(message: Fields) -> etree._Element | None:
    """The element that holds the result or the alert; for a message of another kind, that message."""
    match local_name(message.element):
        case "ResponseMessage":
            return message.element[2] if len(message.element) > 2 else None
        case "DCCAlertMessage":
            return message.child("DCCAlert").element[0]
        case _:
            return message.element


def decode_result(element: etree._Element) -> Result | None:
    """Return what the element beside the Service Reference says, None if this processor does not send it."""
    match local_name(element):
        case "DSPInventory":
            return Inventory(tuple(_device(device) for device in Fields.of(element).each("Device")))
        case "DSPUpdateFirmwareWarning" | "DSPUpdatePPMIDFirmwareWarning" as name:
            fields = Fields.of(element)
            lists = {reason: fields.device_ids_as_received(reason) for reason in FirmwareRefusal if reason in fields}
            return FirmwareWarning("PPMID" in name, lists)
        case "CommsHubFirmwareResult":
            return _firmware_result(Fields.of(element))
        case "CommsHubFirmwareScheduleRead":
            return _schedule_read(Fields.of(element))
        case _:
            return None


def _device(fields: Fields) -> Device:
    return Device(
        device_id=fields.eui("DeviceID"),
        device_type=fields.string("DeviceType"),
        manufacturer=fields.string("DeviceManufacturer"),
        model=fields.string("DeviceModel"),
        device_status=fields.optional(fields.string, "DeviceStatus"),
        smets_chts_version=fields.optional(fields.string, "SMETSCHTSVersion"),
        firmware_version=fields.optional(fields.string, "DeviceFirmwareVersion"),
        firmware_version_status=fields.optional(fields.string, "DeviceFirmwareVersionStatus"),
        cpl_status=fields.optional(fields.string, "CPLStatus"),
        date_commissioned=fields.optional(lambda name: date_from_xsd(fields.string(name)), "DateCommissioned"),
        import_mpxn=fields.optional(fields.string, "ImportMPxN"),
        secondary_import_mpan=fields.optional(fields.string, "SecondaryImportMPAN"),
        export_mpan=fields.optional(fields.string, "ExportMPAN"),
        esme_variant=fields.optional(fields.string, "ESMEVariant"),
        uprn=fields.optional(fields.integer, "UPRN"),
        property_filter=_property_filter(fields),
        csp_region=fields.optional(fields.string, "CSPRegion"),
        gbcs_version=fields.optional(fields.string, "DeviceGBCSVersion"),
        han_variant=fields.optional(fields.string, "HANVariant"),
        s1sp=fields.optional(fields.string, "S1SP"),
        connectivity=fields.optional(fields.string, "Connectivity"),
    )


def _firmware_result(fields: Fields) -> CommsHubFirmwareResult:
    warning = fields.optional(fields.child, "CommsHubFirmwareWarning")
    return CommsHubFirmwareResult(
        accepted_device_count=fields.integer("AcceptedDeviceCount"),
        schedule_id=fields.optional(fields.integer, "CommsHubFirmwareScheduleID"),
        refused={}
        if warning is None
        else {reason: warning.device_ids_as_received(reason) for reason in RefusalReason if reason in warning},
        refused_device_count=None if warning is None else warning.optional(warning.integer, "RefusedDeviceCount"),
    )


def _schedule_read(fields: Fields) -> ScheduleRead:
    schedule = fields.optional(fields.child, "Schedule")
    return ScheduleRead(
        upgrades=tuple(_upgrade(upgrade) for upgrade in fields.each("CommsHubUpgrade")),
        more_devices=fields.boolean("MoreDevices"),
        schedule=None
        if schedule is None
        else ScheduleDetails(
            schedule_id=schedule.integer("CommsHubFirmwareScheduleID"),
            firmware=schedule.firmware(),
            window=schedule.period("UpgradeWindow"),
            phase=schedule.enumerated("Phase", Phase),
            accept_han_impact=schedule.boolean("AcceptHANImpact"),
        ),
    )


def _upgrade(fields: Fields) -> CommsHubUpgrade:
    return CommsHubUpgrade(
        device_id=fields.eui("DeviceID"),
        csp_region=fields.string("CSPRegion"),
        firmware=fields.firmware(),
        status=fields.enumerated("UpgradeStatus", UpgradeStatus),
        own_approval=fields.enumerated("SupplierApproval", Approval),
        other_approval=fields.enumerated("OtherSupplierApproval", Approval),
        schedule_id=fields.optional(fields.integer, "CommsHubFirmwareScheduleID"),
        attempt=fields.optional(fields.integer, "AttemptNumber"),
        defer_until=fields.optional(fields.moment, "DeferUntil"),
        window=fields.optional(fields.period, "UpgradeWindow"),
        period=fields.optional(fields.period, "UpgradePeriod"),
        status_at=fields.optional(fields.moment, "StatusDateTime"),
        status_reason=fields.optional(fields.string, "StatusReason"),
    )


def decode_alert(element: etree._Element) -> AlertBody | None:
    """Return what the element in DCCAlert says, None if this processor does not send it."""
    fields = Fields.of(element)
    match local_name(element):
        case "FirmwareUpgradeRequested":
            return FirmwareUpgradeRequested(
                fields.string("DeviceType"), fields.string("FirmwareVersion"), fields.device_ids("DeviceList")
            )
        case "CommsHubFirmwareActivation":
            return CommsHubFirmwareActivation(fields.eui("DeviceID"), fields.string("FirmwareVersion"))
        case "FirmwareVersionMismatch":
            return FirmwareVersionMismatch(
                fields.eui("DeviceID"),
                fields.string("DeviceType"),
                fields.string("FirmwareVersionSMI"),
                fields.string("FirmwareVersionDevice"),
            )
        case "FirmwareDistributionFailure":
            return FirmwareDistributionFailure(fields.token("UpdateFirmwareRequestID"), fields.device_ids("MeterIDs"))
        case "QuarantinedRequest" if "ADAttributeLimitsBreach" not in fields:
            by_user = "ADUserThresholdBreach" in fields
            breach = fields.child("ADUserThresholdBreach" if by_user else "ADDCCThresholdBreach")
            return QuarantinedRequest(
                breach.token("RequestID"), str(breach.integer("QuarantineEventRef")), by_user_threshold=by_user
            )
        case "CSPFirmwareDeliveryStatus":
            return CSPFirmwareDeliveryStatus(
                fields.token("UpdateFirmwareRequestID"),
                fields.eui("CommsHubDeviceID"),
                fields.eui("TargetDeviceID"),
                fields.string("FirmwareVersion"),
                fields.moment("TimeStamp"),
                fields.string("CommsHubTransferStatus") == "Success",
            )
        case "ChangeOfSupplier" if "DeviceChangeOfSupplier" in fields:
            return _change_of_supplier(fields.child("DeviceChangeOfSupplier"))
        case "CommsHubAlert" if "FirmwareTransferAlert" not in fields:
            return CommsHubAlert(
                fields.eui("CommsHubDeviceID"), fields.token("AlertCode"), fields.optional(fields.moment, "TimeStamp")
            )
        case "DUISVersionMismatch" if "DCCAlertVersionMismatch" in fields:
            return _version_mismatch(fields)
        case _:
            return None


def _version_mismatch(fields: Fields) -> DUISVersionMismatch:
    of_alert = fields.child("DCCAlertVersionMismatch")
    mismatch = DCCAlertVersionMismatch(
        of_alert.string("DCCAlertCode"),
        of_alert.optional(of_alert.eui, "DeviceID"),
        of_alert.optional(of_alert.token, "RequestID"),
    )
    return DUISVersionMismatch(mismatch, fields.string("ServiceUserDUISVersion"))


def _change_of_supplier(fields: Fields) -> DeviceChangeOfSupplier:
    mpxns = fields.child("MPxNs")
    return DeviceChangeOfSupplier(
        device_id=fields.eui("DeviceID"),
        device_type=fields.string("DeviceType"),
        import_mpxn=mpxns.string("ImportMPxN"),
        secondary_import_mpan=mpxns.optional(mpxns.string, "SecondaryImportMPAN"),
        export_mpan=mpxns.optional(mpxns.string, "ExportMPAN"),
    )
