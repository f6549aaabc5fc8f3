"""Service Requests as unsigned trees, for those who send them: Suppliers, tests and demonstrations."""

from __future__ import annotations

from datetime import datetime

from lxml import etree

from sr_engine.messages.build import NSMAP, add_property_filter
from sr_engine.messages.elements import (
    DUIS,
    add,
    add_boolean,
    add_firmware,
    add_ids,
    add_moment,
    add_octets,
    add_period,
)
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Body,
    DeleteCommsHubFirmwareSchedule,
    ReadCommsHubFirmwareSchedule,
    ReadInventory,
    ScheduleCommsHubFirmware,
    UnofferedBody,
    UpdateCommsHubFirmwareExclusion,
    UpdateFirmware,
    UpdatePPMIDFirmware,
)


def build_request(
    *,
    schema_version: str,
    request_id: str,
    command_variant: int,
    service_reference: str,
    service_reference_variant: str,
    body: Body,
    first_in_sequence: bool = False,
    preceding_request_id: RequestId | None = None,
) -> etree._Element:
    """Return a Service Request; `signing.Signer.sign` finishes it.

    An UnofferedBody is written as an empty element of its name. Raises ValueError if a time has no zone or a text
    holds a character that XML cannot.
    """
    root = etree.Element(DUIS + "Request", nsmap=NSMAP)
    root.set("schemaVersion", schema_version)
    header = add(root, DUIS + "Header")
    add(header, DUIS + "RequestID", request_id)
    if first_in_sequence:
        add_boolean(header, DUIS + "FirstInSequence", first_in_sequence)
    if preceding_request_id is not None:
        add(header, DUIS + "PrecedingServiceRequestID", preceding_request_id.text)
    add(header, DUIS + "CommandVariant", str(command_variant))
    add(header, DUIS + "ServiceReference", service_reference)
    add(header, DUIS + "ServiceReferenceVariant", service_reference_variant)
    _add_body(add(root, DUIS + "Body"), body)
    return root


def _add_body(parent: etree._Element, body: Body) -> None:
    element = add(parent, DUIS + (body.element if isinstance(body, UnofferedBody) else type(body).__name__))
    match body:
        case ReadInventory():
            _add_read_inventory(element, body)
        case UpdateFirmware() | UpdatePPMIDFirmware():
            add_octets(element, DUIS + "FirmwareImage", body.image)
            add(element, DUIS + "FirmwareVersion", body.version)
            add_ids(element, DUIS + "DeviceIDList", body.device_ids)
        case ScheduleCommsHubFirmware():
            _add_moment_if_set(element, "ExecutionDateTime", body.execution_date_time)
            add_firmware(element, DUIS, body.firmware)
            add_period(element, DUIS, "UpgradeWindow", body.window)
            add(element, DUIS + "Phase", body.phase)
            _add_if_true(element, "AcceptHANImpact", body.accept_han_impact)
            _add_if_set(element, "ReplacesScheduleID", body.replaces_schedule_id)
            add_ids(element, DUIS + "DeviceIDList", body.device_ids)
        case ApproveCommsHubFirmware():
            _add_moment_if_set(element, "ExecutionDateTime", body.execution_date_time)
            add_firmware(element, DUIS, body.firmware)
            add(element, DUIS + "Decision", body.decision)
            _add_moment_if_set(element, "DeferUntil", body.defer_until)
            _add_if_true(element, "AcceptHANImpact", body.accept_han_impact)
            add_ids(element, DUIS + "DeviceIDList", body.device_ids)
        case ReadCommsHubFirmwareSchedule():
            _add_if_set(element, "CommsHubFirmwareScheduleID", body.schedule_id)
            _add_if_set(element, "DeviceID", body.device_id)
            _add_if_set(element, "StartAfterDeviceID", body.start_after_device_id)
        case DeleteCommsHubFirmwareSchedule():
            add(element, DUIS + "CommsHubFirmwareScheduleID", str(body.schedule_id))
            if body.device_ids:
                add_ids(element, DUIS + "DeviceIDList", body.device_ids)
        case UpdateCommsHubFirmwareExclusion():
            _add_moment_if_set(element, "ExecutionDateTime", body.execution_date_time)
            add(element, DUIS + "Action", body.action)
            _add_moment_if_set(element, "ExcludeUntil", body.exclude_until)
            add_ids(element, DUIS + "DeviceIDList", body.device_ids)
        case UnofferedBody():
            pass


def _add_read_inventory(element: etree._Element, body: ReadInventory) -> None:
    _add_if_set(element, "UPRN", body.uprn)
    _add_if_set(element, "DeviceID", body.device_id)
    _add_if_set(element, "MPxN", body.mpxn)
    if body.property_filter is not None:
        add_property_filter(element, body.property_filter)


def _add_if_set(parent: etree._Element, name: str, value: str | int | None) -> None:
    if value is not None:
        add(parent, DUIS + name, str(value))


def _add_if_true(parent: etree._Element, name: str, value: bool) -> None:
    if value:
        add_boolean(parent, DUIS + name, value)


def _add_moment_if_set(parent: etree._Element, name: str, value: datetime | None) -> None:
    if value is not None:
        add_moment(parent, DUIS + name, value)
