"""Bodies of official Responses and Alerts that this processor never sends, and that a receiver of firmware news meets.

Element names are those of the published schema (FACTS AL7, AL10, RQ22, RQ25, RQ30). Their contents are open in `xsd/`,
or not decoded by the processor itself, so what does not fit is said by ValueError or KeyError.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from lxml import etree

from sr_engine.messages.elements import Fields, local_name


class TransferOutcome(StrEnum):
    """What a hub says of firmware that it was to hand on to a device (FACTS AL7)."""

    SUCCESS = "FileTransferSuccess"
    FAILURE = "FileTransferFailure"
    IMAGE_DISCARDED = "FirmwareImageDiscarded"
    HARDWARE_VERSION_MISMATCH = "HardwareVersionMismatch"


class Smets1UpdateStatus(StrEnum):
    """How far the firmware of a SMETS1 hub has come (FACTS AL10)."""

    UPDATE_REQUESTED = "UpdateRequested"
    ACTIVATION_SUCCESSFUL = "ActivationSuccessful"


# --- Results: of 11.2 and 11.3 ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GBCSPayload:
    """What a device answered, in GBCS: the result of 11.2 and 11.3, among others."""

    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PreCommand:
    """What the User is to sign and send back: the result of a Transform, as of 11.3."""

    gbcs_version: str
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FutureDatedDeviceAlert:
    """What came of a command that the device had kept for its date; one command may have several."""

    alert_code: str
    """8F66: it succeeded; 8F67: it failed."""
    payload: bytes = field(repr=False)
    instruction_number: int
    total_instructions: int


PublishedResult = GBCSPayload | PreCommand | FutureDatedDeviceAlert


# --- DCC Alerts -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FirmwareTransferAlert:
    """`CommsHubAlert` with a FirmwareTransferAlert: whether a hub could hand firmware on to a device behind it."""

    hub_id: str
    alert_code: str
    device_id: str
    firmware_version: str
    outcome: TransferOutcome
    update_firmware_request_id: str | None = None
    time_stamp: datetime | None = None


@dataclass(frozen=True, slots=True)
class SMETS1CHFirmwareNotification:
    """The same news for a SMETS1 hub."""

    device_id: str
    firmware_version: str
    status: Smets1UpdateStatus


@dataclass(frozen=True, slots=True)
class ChangeOfSupplierRequest:
    """`ChangeOfSupplier` in the branch that names the Service Request by which it was asked for."""

    request_id: str
    ecos_error_code: str | None = None


@dataclass(frozen=True, slots=True)
class AttributeLimitsBreach:
    """`QuarantinedRequest` because of a value in the request rather than of how many there were."""

    request_id: str
    event_ref: str


@dataclass(frozen=True, slots=True)
class ResponseVersionMismatch:
    """`DUISVersionMismatch` about a Response that the recipient's version cannot express."""

    request_id: str
    service_reference: str
    service_reference_variant: str
    service_request_duis_version: str
    service_user_duis_version: str


PublishedAlert = (
    FirmwareTransferAlert
    | SMETS1CHFirmwareNotification
    | ChangeOfSupplierRequest
    | AttributeLimitsBreach
    | ResponseVersionMismatch
)


def published_result(element: etree._Element) -> PublishedResult | None:
    """Return what the element beside the Service Reference says, None if it is none of these.

    Raises KeyError or ValueError if it does not fit its published form.
    """
    match local_name(element):
        case "GBCSPayload":
            # The element is the text itself: it is read as the child of its parent.
            return GBCSPayload(_octets_of(element))
        case "PreCommand":
            fields = _whole(element, "GBCSVersion", "GBCSPayload")
            return PreCommand(fields.string("GBCSVersion"), fields.octets("GBCSPayload"))
        case "FutureDatedDeviceAlertMessage":
            fields = _whole(
                element, "FutureDatedAlertCode", "GBCSPayload", "InstructionNumber", "TotalCommandInstructions"
            )
            return FutureDatedDeviceAlert(
                fields.token("FutureDatedAlertCode"),
                fields.octets("GBCSPayload"),
                fields.integer("InstructionNumber"),
                fields.integer("TotalCommandInstructions"),
            )
        case _:
            return None


def published_alert(element: etree._Element) -> PublishedAlert | None:
    """Return what the element in DCCAlert says, None if it is none of these; raises as `published_result`."""
    fields = Fields.of(element)
    read: Callable[[Fields], PublishedAlert]
    match local_name(element):
        case "CommsHubAlert" if "FirmwareTransferAlert" in fields:
            read = _transfer
        case "SMETS1CHFirmwareNotification":
            read = _smets1
        case "ChangeOfSupplier" if "ChangeOfSupplierServiceRequestID" in fields:
            read = _change_of_supplier
        case "QuarantinedRequest" if "ADAttributeLimitsBreach" in fields:
            read = _limits_breach
        case "DUISVersionMismatch" if "ServiceResponseVersionMismatch" in fields:
            read = _response_mismatch
        case _:
            return None
    return read(fields)


def _whole(element: etree._Element, *names: str) -> Fields:
    """The children of an element whose content is open in `xsd/`; raises ValueError if there are others than these."""
    if [local_name(child) for child in element] != list(names):
        raise ValueError(f"{local_name(element)} does not hold {', '.join(names)}")
    return Fields.of(element)


def _octets_of(element: etree._Element) -> bytes:
    _whole(element)
    return Fields(element, {"GBCSPayload": element}).octets("GBCSPayload")


def _transfer(fields: Fields) -> FirmwareTransferAlert:
    transfer = fields.child("FirmwareTransferAlert")
    return FirmwareTransferAlert(
        hub_id=fields.eui("CommsHubDeviceID"),
        alert_code=fields.token("AlertCode"),
        device_id=transfer.eui("OtherDeviceID"),
        firmware_version=transfer.string("FirmwareVersion"),
        outcome=transfer.enumerated("TransferResponseCode", TransferOutcome),
        update_firmware_request_id=transfer.optional(transfer.token, "UpdateFirmwareRequestID"),
        time_stamp=fields.optional(fields.moment, "TimeStamp"),
    )


def _smets1(fields: Fields) -> SMETS1CHFirmwareNotification:
    _whole(fields.element, "DeviceID", "FirmwareVersion", "FirmwareVersionUpdateStatus")
    return SMETS1CHFirmwareNotification(
        fields.eui("DeviceID"),
        fields.string("FirmwareVersion"),
        fields.enumerated("FirmwareVersionUpdateStatus", Smets1UpdateStatus),
    )


def _change_of_supplier(fields: Fields) -> ChangeOfSupplierRequest:
    return ChangeOfSupplierRequest(
        fields.token("ChangeOfSupplierServiceRequestID"), fields.optional(fields.string, "ECoSErrorCode")
    )


def _limits_breach(fields: Fields) -> AttributeLimitsBreach:
    breach = fields.child("ADAttributeLimitsBreach")
    return AttributeLimitsBreach(breach.token("RequestID"), str(breach.integer("QuarantineEventRef")))


def _response_mismatch(fields: Fields) -> ResponseVersionMismatch:
    mismatch = fields.child("ServiceResponseVersionMismatch")
    return ResponseVersionMismatch(
        mismatch.token("RequestID"),
        mismatch.string("ServiceReference"),
        mismatch.string("ServiceReferenceVariant"),
        mismatch.string("ServiceRequestDUISVersion"),
        fields.string("ServiceUserDUISVersion"),
    )
