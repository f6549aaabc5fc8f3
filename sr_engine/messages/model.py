"""What the messages say, as plain values: decoded requests, results to answer with, alerts, and the CSP exchange.

Every date and time is aware and in UTC. Device ids in requests are as received, since answers echo them so; compare
them by `identifiers.canonical_eui`. Section numbers are of
the product's domain description; element names are those of `xsd/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from sr_engine.messages.identifiers import RequestId
from sr_engine.value_objects import value_object


class Phase(StrEnum):
    """Which wave a schedule asks for (section 5, Phases)."""

    PILOT = "Pilot"
    GENERAL = "General"


class Decision(StrEnum):
    """What a Supplier answers to a release for its hubs (11.6)."""

    APPROVE = "Approve"
    DECLINE = "Decline"
    DEFER = "Defer"


class ExclusionAction(StrEnum):
    """Whether hubs are kept out of pilots and voluntary waves, or let in again (11.9)."""

    EXCLUDE = "Exclude"
    INCLUDE = "Include"


class RefusalReason(StrEnum):
    """Why one hub of a list was not accepted; the value names the element, the order is the order of precedence."""

    INVALID = "InvalidDeviceIDList"
    NOT_RESPONSIBLE = "NotResponsibleDeviceIDList"
    NOT_COMMISSIONED = "NotCommissionedDeviceIDList"
    NOT_APPLICABLE_FIRMWARE = "NotApplicableFirmwareDeviceIDList"
    OTHER_REQUEST_IN_PROGRESS = "OtherRequestInProgressDeviceIDList"
    HAN_INCOMPATIBLE = "HANIncompatibleDeviceIDList"
    WINDOW_NOT_AVAILABLE = "WindowNotAvailableDeviceIDList"
    NOT_AVAILABLE = "NotAvailableDeviceIDList"


class FirmwareRefusal(StrEnum):
    """Why one device of an 11.1 or 11.4 was not accepted; value and order as in RefusalReason."""

    INVALID = "InvalidDeviceIDList"
    NOT_COMMISSIONED = "NotCommissionedDeviceIDList"
    NOT_APPLICABLE_FIRMWARE = "NotApplicableFirmwareDeviceIDList"
    OTHER_REQUEST_IN_PROGRESS = "OtherRequestInProgressList"
    INVALID_GBCS_VERSION = "InvalidGBCSVersionList"


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of time, from `start` up to but not including `end`, both in UTC. Also an upgrade window."""

    start: datetime
    end: datetime


@value_object
class Firmware:
    """A firmware version of one hub model; versions are names, never compared as text or numbers (section 5)."""

    manufacturer: str
    model: str
    version: str


# --- Service Requests ---------------------------------------------------------------------------------------------


@value_object
class Header:
    """The header of a Service Request (FACTS RQ2); `schema_version` is the text of the attribute."""

    schema_version: str
    request_id: RequestId
    first_in_sequence: bool
    preceding_request_id: RequestId | None
    command_variant: int
    service_reference: str
    service_reference_variant: str
    body_element: str
    """Local name of the element in Body."""


@dataclass(frozen=True, slots=True)
class PropertyFilter:
    postcode: str
    address_identifier: str


@dataclass(frozen=True, slots=True)
class ReadInventory:
    """8.2: exactly one filter is set."""

    uprn: int | None = None
    device_id: str | None = None
    mpxn: str | None = None
    property_filter: PropertyFilter | None = None


@dataclass(frozen=True, slots=True)
class UpdateFirmware:
    """11.1: an image for meters, OTA header included."""

    image: bytes = field(repr=False)
    version: str
    device_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UpdatePPMIDFirmware:
    """11.4: the same for PPMIDs."""

    image: bytes = field(repr=False)
    version: str
    device_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScheduleCommsHubFirmware:
    """11.5."""

    firmware: Firmware
    window: Period
    phase: Phase
    device_ids: tuple[str, ...]
    accept_han_impact: bool = False
    replaces_schedule_id: int | None = None
    execution_date_time: datetime | None = None


@value_object
class ApproveCommsHubFirmware:
    """11.6; `defer_until` stands only with Defer."""

    firmware: Firmware
    decision: Decision
    device_ids: tuple[str, ...]
    defer_until: datetime | None = None
    accept_han_impact: bool = False
    execution_date_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReadCommsHubFirmwareSchedule:
    """11.7: one of schedule id and device id is set."""

    schedule_id: int | None = None
    device_id: str | None = None
    start_after_device_id: str | None = None


@dataclass(frozen=True, slots=True)
class DeleteCommsHubFirmwareSchedule:
    """11.8; without `device_ids`, all hubs of the schedule."""

    schedule_id: int
    device_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UpdateCommsHubFirmwareExclusion:
    """11.9; why a hub is excluded is never said."""

    action: ExclusionAction
    device_ids: tuple[str, ...]
    exclude_until: datetime | None = None
    execution_date_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class UnofferedBody:
    """A published body that this processor does not decode; its content was checked only as far as our schema goes."""

    element: str


Body = (
    ReadInventory
    | UpdateFirmware
    | UpdatePPMIDFirmware
    | ScheduleCommsHubFirmware
    | ApproveCommsHubFirmware
    | ReadCommsHubFirmwareSchedule
    | DeleteCommsHubFirmwareSchedule
    | UpdateCommsHubFirmwareExclusion
    | UnofferedBody
)


@value_object
class ServiceRequest:
    """A verified, decoded Service Request."""

    header: Header
    body: Body


# --- Results -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Device:
    """One entry of an inventory answer; fields as in the published Device type, `None` = element left out."""

    device_id: str
    device_type: str
    manufacturer: str
    model: str
    device_status: str | None = None
    smets_chts_version: str | None = None
    firmware_version: str | None = None
    firmware_version_status: str | None = None
    cpl_status: str | None = None
    date_commissioned: date | None = None
    import_mpxn: str | None = None
    secondary_import_mpan: str | None = None
    export_mpan: str | None = None
    esme_variant: str | None = None
    uprn: int | None = None
    property_filter: PropertyFilter | None = None
    csp_region: str | None = None
    gbcs_version: str | None = None
    han_variant: str | None = None
    s1sp: str | None = None
    connectivity: str | None = None


@dataclass(frozen=True, slots=True)
class Inventory:
    """Result of 8.2: 1 to 17 devices (FACTS DM15)."""

    devices: tuple[Device, ...]


@dataclass(frozen=True, slots=True)
class CommsHubFirmwareResult:
    """Result of 11.5, 11.6, 11.8 and 11.9: how many hubs were accepted and, list by list, which were not and why."""

    accepted_device_count: int
    schedule_id: int | None = None
    refused: Mapping[RefusalReason, tuple[str, ...]] = field(default_factory=dict)
    refused_device_count: int | None = None
    """How many were refused in all, where `refused` was cut short (section 3, Future dating)."""


@dataclass(frozen=True, slots=True)
class FirmwareWarning:
    """Result of an 11.1, or 11.4 if `of_ppmids`, that was not accepted in full: which devices were not, and why."""

    of_ppmids: bool
    refused: Mapping[FirmwareRefusal, tuple[str, ...]]


class UpgradeStatus(StrEnum):
    """What is shown of a hub and release, derived from decisions, overlays and attempts (section 5)."""

    NOT_SCHEDULED = "NotScheduled"
    AWAITING_APPROVAL = "AwaitingApproval"
    DECLINED = "Declined"
    DEFERRED = "Deferred"
    EXCLUDED = "Excluded"
    HALTED = "Halted"
    SCHEDULED = "Scheduled"
    LISTED = "Listed"
    ACCEPTED = "Accepted"
    DELIVERED = "Delivered"
    ACTIVATED = "Activated"
    FAILED = "Failed"
    MISSED = "Missed"
    CANCELLED = "Cancelled"
    VOIDED = "Voided"


class Approval(StrEnum):
    """A Supplier's answer as shown: `None` where no other Supplier is responsible."""

    NONE = "None"
    PENDING = "Pending"
    APPROVED = "Approved"
    DECLINED = "Declined"
    DEFERRED = "Deferred"


@dataclass(frozen=True, slots=True)
class ScheduleDetails:
    """A schedule as its owner set it."""

    schedule_id: int
    firmware: Firmware
    window: Period
    phase: Phase
    accept_han_impact: bool


@dataclass(frozen=True, slots=True)
class CommsHubUpgrade:
    """One hub and release as its Supplier may see it; about the other side only `other_approval` and `window`."""

    device_id: str
    csp_region: str
    firmware: Firmware
    status: UpgradeStatus
    own_approval: Approval
    other_approval: Approval
    schedule_id: int | None = None
    attempt: int | None = None
    defer_until: datetime | None = None
    window: Period | None = None
    period: Period | None = None
    status_at: datetime | None = None
    status_reason: str | None = None


@dataclass(frozen=True, slots=True)
class ScheduleRead:
    """Result of 11.7: one page, hubs in ascending CHF id; `schedule` only when one was read by its id."""

    upgrades: tuple[CommsHubUpgrade, ...]
    more_devices: bool
    schedule: ScheduleDetails | None = None


Result = Inventory | FirmwareWarning | CommsHubFirmwareResult | ScheduleRead


# --- DCC Alerts ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FirmwareUpgradeRequested:
    """A release was opened; at most 4,000 ids (section 5, Releases)."""

    device_type: str
    firmware_version: str
    device_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CommsHubFirmwareActivation:
    device_id: str
    firmware_version: str


@dataclass(frozen=True, slots=True)
class FirmwareDistributionFailure:
    update_firmware_request_id: str
    device_ids: tuple[str, ...]
    """Written as the official `MeterIDs` list."""


@dataclass(frozen=True, slots=True)
class DeviceChangeOfSupplier:
    """`ChangeOfSupplier` in its DeviceChangeOfSupplier branch: the recipient's own meter and MPxNs."""

    device_id: str
    device_type: str
    import_mpxn: str
    secondary_import_mpan: str | None = None
    export_mpan: str | None = None


@dataclass(frozen=True, slots=True)
class CommsHubAlert:
    """A hub event without an official body of its own; `alert_code` is hexadecimal."""

    device_id: str
    alert_code: str
    time_stamp: datetime | None = None


@dataclass(frozen=True, slots=True)
class QuarantinedRequest:
    """A request crossed an anomaly threshold and is held; `event_ref` has up to 20 digits (FACTS RQ25)."""

    request_id: str
    event_ref: str
    by_user_threshold: bool
    """The threshold is the User's own, not the DCC's."""


@dataclass(frozen=True, slots=True)
class DCCAlertVersionMismatch:
    """An alert that could not be expressed: its number, and what it was about as far as that is one thing."""

    alert_code: str
    device_id: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class DUISVersionMismatch:
    """There is an alert that the recipient's DUIS version, which is named, cannot express (FACTS RQ30).

    The published body can speak of Responses too; here these carry the version of their request, and none needs it.
    """

    mismatch: DCCAlertVersionMismatch
    service_user_duis_version: str


@dataclass(frozen=True, slots=True)
class CSPFirmwareDeliveryStatus:
    """Whether firmware for a device has reached the hub it hangs on."""

    update_firmware_request_id: str
    hub_id: str
    device_id: str
    firmware_version: str
    time_stamp: datetime
    delivered: bool


@dataclass(frozen=True, slots=True)
class FirmwareVersionMismatch:
    """A device runs another firmware version than the inventory (SMI) said."""

    device_id: str
    device_type: str
    version_smi: str
    version_device: str


AlertBody = (
    FirmwareUpgradeRequested
    | FirmwareVersionMismatch
    | CSPFirmwareDeliveryStatus
    | CommsHubFirmwareActivation
    | FirmwareDistributionFailure
    | DeviceChangeOfSupplier
    | CommsHubAlert
    | QuarantinedRequest
    | DUISVersionMismatch
)


# --- CSP exchange (namespace urn:sr-engine:csp) -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ListEntry:
    """Hubs to upgrade in one period."""

    period: Period
    device_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UpgradeList:
    """What a CSP is given: a list of hubs and a period for each."""

    message_id: RequestId
    created: datetime
    list_id: str
    region: str
    firmware: Firmware
    image_hash: str
    """SHA-256 of the image, 64 hexadecimal digits."""
    entries: tuple[ListEntry, ...]
    replaces: str | None = None
    """The list on which its hubs stood before, if they did."""


@dataclass(frozen=True, slots=True)
class RefusedHubs:
    """Hubs, or devices behind hubs, that a CSP refuses for one reason."""

    reason: str
    device_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UpgradeListAcknowledgement:
    """A CSP's answer to a list, hub by hub."""

    message_id: RequestId
    created: datetime
    list_id: str
    region: str
    accepted: tuple[str, ...]
    refused: tuple[RefusedHubs, ...] = ()
    withdrawal: RequestId | None = None
    """The MessageID of the withdrawal that it answers; None: it answers the list itself."""


@dataclass(frozen=True, slots=True)
class UpgradeListWithdrawal:
    """Takes back a list (or some of its hubs) before it starts."""

    message_id: RequestId
    created: datetime
    list_id: str
    region: str
    reason: str
    device_ids: tuple[str, ...] = ()


class ReportStatus(StrEnum):
    DELIVERED = "Delivered"
    ACTIVATED = "Activated"
    FAILED = "Failed"


@value_object
class ReportEntry:
    """What became of one hub, at `at`; `reason` accompanies Failed."""

    device_id: str
    status: ReportStatus
    at: datetime
    reason: str | None = None
    version: str | None = None
    """In an UpgradeReport only: the firmware version that was read from the hub then."""


@dataclass(frozen=True, slots=True)
class UpgradeReport:
    """A CSP's report of outcomes; may come late, twice or out of order."""

    message_id: RequestId
    created: datetime
    list_id: str
    region: str
    entries: tuple[ReportEntry, ...]


@dataclass(frozen=True, slots=True)
class FirmwareImage:
    """An image for meters or PPMIDs, the same for every region and sent to each once; lists name it by `image_id`."""

    message_id: RequestId
    created: datetime
    image_id: str
    """SHA-256 of the whole image, 64 hexadecimal digits."""
    image_hash: str
    """SHA-256 of what follows its header, as devices and the CPL have it (FACTS FW9)."""
    image: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MeterFirmwareList:
    """Which devices a CSP is to bring an image to, by hub."""

    message_id: RequestId
    created: datetime
    list_id: str
    region: str
    version: str
    image_id: str
    image_hash: str
    hubs: Mapping[str, tuple[str, ...]]
    """Device ids by the CHF id of their hub."""


@dataclass(frozen=True, slots=True)
class MeterFirmwareAcknowledgement:
    """A CSP's answer to such a list, device by device."""

    message_id: RequestId
    created: datetime
    list_id: str
    region: str
    accepted: tuple[str, ...]
    refused: tuple[RefusedHubs, ...] = ()


@dataclass(frozen=True, slots=True)
class MeterFirmwareReport:
    """Which devices' hubs have the image (Delivered) or will not get it (Failed); otherwise as an UpgradeReport."""

    message_id: RequestId
    created: datetime
    list_id: str
    region: str
    entries: tuple[ReportEntry, ...]


CspMessage = (
    UpgradeList
    | UpgradeListAcknowledgement
    | UpgradeListWithdrawal
    | UpgradeReport
    | FirmwareImage
    | MeterFirmwareList
    | MeterFirmwareAcknowledgement
    | MeterFirmwareReport
)
