"""The CSP exchange: lists, withdrawals and images out, acknowledgements and reports in (section 5, CSP messages)."""

from __future__ import annotations

from functools import cache

from lxml import etree

from signing import VerifiedDocument
from sr_engine.messages.elements import (
    CSP,
    WHITE_SPACE,
    Fields,
    add,
    add_firmware,
    add_ids,
    add_moment,
    add_octets,
    add_period,
    local_name,
)
from sr_engine.messages.identifiers import canonical_eui
from sr_engine.messages.model import (
    CspMessage,
    FirmwareImage,
    ListEntry,
    MeterFirmwareAcknowledgement,
    MeterFirmwareList,
    MeterFirmwareReport,
    RefusedHubs,
    ReportEntry,
    ReportStatus,
    UpgradeList,
    UpgradeListAcknowledgement,
    UpgradeListWithdrawal,
    UpgradeReport,
)
from sr_engine.messages.times import utc_from_xsd

SCHEMA_VERSION = "1.0"
"""The version of `xsd/csp.xsd` that messages are written in."""

_NSMAP = {"csp": CSP[1:-1]}
_DEVICE_ID, _STATUS, _DATE_TIME = CSP + "DeviceID", CSP + "Status", CSP + "DateTime"
_REASON, _VERSION = CSP + "Reason", CSP + "FirmwareVersion"
_STATUSES = {str(status): status for status in ReportStatus}


def build_csp_message(message: CspMessage) -> etree._Element:
    """Return a message of the CSP exchange; `signing.Signer.sign` finishes it.

    Raises ValueError if a time has no zone or a text holds a character that XML cannot.
    """
    root = etree.Element(CSP + type(message).__name__, nsmap=_NSMAP)
    root.set("schemaVersion", SCHEMA_VERSION)
    header = add(root, CSP + "Header")
    add(header, CSP + "MessageID", message.message_id.text)
    add_moment(header, CSP + "CreatedDateTime", message.created)
    body = add(root, CSP + "Body")
    match message:
        case FirmwareImage():
            pass
        case MeterFirmwareList() | MeterFirmwareAcknowledgement() | MeterFirmwareReport():
            add(body, CSP + "MeterFirmwareListID", message.list_id)
            add(body, CSP + "CSPRegion", message.region)
        case _:
            add(body, CSP + "UpgradeListID", message.list_id)
            add(body, CSP + "CSPRegion", message.region)
    match message:
        case FirmwareImage():
            add(body, CSP + "ImageID", message.image_id)
            add(body, CSP + "ImageHash", message.image_hash)
            add_octets(body, CSP + "Image", message.image)
        case MeterFirmwareList():
            _add_meter_list(body, message)
        case UpgradeList():
            _add_list(body, message)
        case UpgradeListAcknowledgement() | MeterFirmwareAcknowledgement():
            _add_acknowledgement(body, message)
        case UpgradeListWithdrawal():
            add(body, CSP + "Reason", message.reason)
            if message.device_ids:
                add_ids(body, CSP + "DeviceIDList", message.device_ids)
        case UpgradeReport() | MeterFirmwareReport():
            for entry in message.entries:
                _add_outcome(body, entry)
    return root


def decode_csp_message(document: VerifiedDocument) -> CspMessage:
    """Return the message that a verified document, valid by `xsd/csp.xsd`, holds.

    Times are in UTC, device ids canonical and each once in their list. Raises ValueError if it is another document.
    """
    root = document.root
    header, body = Fields.of(root[0]), Fields.of(root[1])
    match str(root.tag).removeprefix(CSP):
        case "UpgradeList":
            return _list(header, body)
        case "UpgradeListAcknowledgement":
            return _acknowledgement(header, body)
        case "UpgradeListWithdrawal":
            return _withdrawal(header, body)
        case "UpgradeReport":
            return _report(header, body)
        case "FirmwareImage":
            return _image(header, body)
        case "MeterFirmwareList":
            return _meter_list(header, body)
        case "MeterFirmwareAcknowledgement":
            return _meter_acknowledgement(header, body)
        case "MeterFirmwareReport":
            return _meter_report(header, body)
        case _:
            raise ValueError(f"the document is no message of the CSP exchange: its root is {local_name(root)}")


def _add_list(body: etree._Element, message: UpgradeList) -> None:
    if message.replaces is not None:
        add(body, CSP + "ReplacesUpgradeListID", message.replaces)
    add_firmware(body, CSP, message.firmware)
    add(body, CSP + "ImageHash", message.image_hash)
    for entry in message.entries:
        element = add(body, CSP + "Entry")
        add_period(element, CSP, "UpgradePeriod", entry.period)
        add_ids(element, CSP + "DeviceIDList", entry.device_ids)


def _add_meter_list(body: etree._Element, message: MeterFirmwareList) -> None:
    add(body, CSP + "FirmwareVersion", message.version)
    add(body, CSP + "ImageID", message.image_id)
    add(body, CSP + "ImageHash", message.image_hash)
    # Tens of thousands of hubs: parsed from text they cost a quarter of what they do element by element.
    hubs = "".join(
        f"<csp:Hub><csp:CommsHubDeviceID>{hub_id}</csp:CommsHubDeviceID>"
        f"<csp:DeviceIDList>{','.join(device_ids)}</csp:DeviceIDList></csp:Hub>"
        for hub_id, device_ids in message.hubs.items()
    )
    if hubs.count("<") != 6 * len(message.hubs) or "&" in hubs:
        raise ValueError("an id holds a character that would be markup")
    body.extend(etree.fromstring(f'<csp:Body xmlns:csp="{CSP[1:-1]}">{hubs}</csp:Body>'))


def _add_acknowledgement(
    body: etree._Element, message: UpgradeListAcknowledgement | MeterFirmwareAcknowledgement
) -> None:
    if isinstance(message, UpgradeListAcknowledgement) and message.withdrawal is not None:
        add(body, CSP + "WithdrawalMessageID", message.withdrawal.text)
    if message.accepted:
        add_ids(body, CSP + "AcceptedDeviceIDList", message.accepted)
    for refused in message.refused:
        element = add(body, CSP + "Refused")
        add(element, CSP + "Reason", refused.reason)
        add_ids(element, CSP + "DeviceIDList", refused.device_ids)


def _add_outcome(body: etree._Element, entry: ReportEntry) -> None:
    element = add(body, CSP + "Outcome")
    add(element, CSP + "DeviceID", entry.device_id)
    add(element, CSP + "Status", entry.status)
    add_moment(element, CSP + "DateTime", entry.at)
    if entry.reason is not None:
        add(element, CSP + "Reason", entry.reason)
    if entry.version is not None:
        add(element, CSP + "FirmwareVersion", entry.version)


def _list(header: Fields, body: Fields) -> UpgradeList:
    return UpgradeList(
        message_id=header.request_id("MessageID"),
        created=header.moment("CreatedDateTime"),
        list_id=body.token("UpgradeListID"),
        region=body.string("CSPRegion"),
        firmware=body.firmware(),
        image_hash=body.token("ImageHash"),
        entries=tuple(
            ListEntry(entry.period("UpgradePeriod"), entry.device_ids("DeviceIDList")) for entry in body.each("Entry")
        ),
        replaces=body.optional(body.token, "ReplacesUpgradeListID"),
    )


def _acknowledgement(header: Fields, body: Fields) -> UpgradeListAcknowledgement:
    return UpgradeListAcknowledgement(
        message_id=header.request_id("MessageID"),
        created=header.moment("CreatedDateTime"),
        list_id=body.token("UpgradeListID"),
        region=body.string("CSPRegion"),
        accepted=body.device_ids("AcceptedDeviceIDList"),
        refused=_refused(body),
        withdrawal=body.optional(body.request_id, "WithdrawalMessageID"),
    )


def _refused(body: Fields) -> tuple[RefusedHubs, ...]:
    return tuple(
        RefusedHubs(refused.string("Reason"), refused.device_ids("DeviceIDList")) for refused in body.each("Refused")
    )


def _withdrawal(header: Fields, body: Fields) -> UpgradeListWithdrawal:
    return UpgradeListWithdrawal(
        message_id=header.request_id("MessageID"),
        created=header.moment("CreatedDateTime"),
        list_id=body.token("UpgradeListID"),
        region=body.string("CSPRegion"),
        reason=body.string("Reason"),
        device_ids=body.device_ids("DeviceIDList"),
    )


def _report(header: Fields, body: Fields) -> UpgradeReport:
    return UpgradeReport(
        message_id=header.request_id("MessageID"),
        created=header.moment("CreatedDateTime"),
        list_id=body.token("UpgradeListID"),
        region=body.string("CSPRegion"),
        entries=_outcomes(body),
    )


def _outcomes(body: Fields) -> tuple[ReportEntry, ...]:
    # A report may hold tens of thousands: by the name of each child, which costs half of what `Fields` of each do.
    moment = cache(utc_from_xsd)
    entries = []
    for outcome in body.element.iterchildren(CSP + "Outcome"):
        said = {child.tag: child.text or "" for child in outcome}
        entries.append(
            ReportEntry(
                canonical_eui(said[_DEVICE_ID].strip(WHITE_SPACE)),
                _STATUSES[said[_STATUS]],
                moment(said[_DATE_TIME]),
                said.get(_REASON),
                said.get(_VERSION),
            )
        )
    return tuple(entries)


def _image(header: Fields, body: Fields) -> FirmwareImage:
    return FirmwareImage(
        message_id=header.request_id("MessageID"),
        created=header.moment("CreatedDateTime"),
        image_id=body.token("ImageID"),
        image_hash=body.token("ImageHash"),
        image=body.octets("Image"),
    )


def _meter_list(header: Fields, body: Fields) -> MeterFirmwareList:
    return MeterFirmwareList(
        message_id=header.request_id("MessageID"),
        created=header.moment("CreatedDateTime"),
        list_id=body.token("MeterFirmwareListID"),
        region=body.string("CSPRegion"),
        version=body.string("FirmwareVersion"),
        image_id=body.token("ImageID"),
        image_hash=body.token("ImageHash"),
        hubs={hub.eui("CommsHubDeviceID"): hub.device_ids("DeviceIDList") for hub in body.each("Hub")},
    )


def _meter_acknowledgement(header: Fields, body: Fields) -> MeterFirmwareAcknowledgement:
    return MeterFirmwareAcknowledgement(
        message_id=header.request_id("MessageID"),
        created=header.moment("CreatedDateTime"),
        list_id=body.token("MeterFirmwareListID"),
        region=body.string("CSPRegion"),
        accepted=body.device_ids("AcceptedDeviceIDList"),
        refused=_refused(body),
    )


def _meter_report(header: Fields, body: Fields) -> MeterFirmwareReport:
    return MeterFirmwareReport(
        message_id=header.request_id("MessageID"),
        created=header.moment("CreatedDateTime"),
        list_id=body.token("MeterFirmwareListID"),
        region=body.string("CSPRegion"),
        entries=_outcomes(body),
    )
