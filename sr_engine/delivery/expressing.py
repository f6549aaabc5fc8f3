"""Alerts that a User's DUIS version cannot express: something is said instead (section 5; FACTS RQ30)."""

from __future__ import annotations

from collections.abc import Mapping

from sr_engine.configuration import AlertDefinition, AlertEvent, User
from sr_engine.messages.model import (
    AlertBody,
    CommsHubAlert,
    CommsHubFirmwareActivation,
    CSPFirmwareDeliveryStatus,
    DCCAlertVersionMismatch,
    DeviceChangeOfSupplier,
    DUISVersionMismatch,
    FirmwareDistributionFailure,
    FirmwareUpgradeRequested,
    FirmwareVersionMismatch,
    QuarantinedRequest,
)


def expressed_for(
    user: User, event: AlertEvent, body: AlertBody, definitions: Mapping[AlertEvent, AlertDefinition]
) -> tuple[AlertDefinition, AlertBody]:
    """What a User is sent of an event: the alert, or that there is one which its version cannot express."""
    definition = definitions[event]
    if definition.can_be_expressed_in(user.duis_version):
        return definition, body
    return definitions[AlertEvent.DUIS_VERSION_MISMATCH], _mismatch(definition.code, body, user)


def _mismatch(code: str, body: AlertBody, user: User) -> DUISVersionMismatch:
    """It names the device if the alert is about one only, and the request if it is about one."""
    device_ids: tuple[str, ...] = ()
    request_id: str | None = None
    match body:
        case CommsHubFirmwareActivation() | CommsHubAlert() | DeviceChangeOfSupplier() | FirmwareVersionMismatch():
            device_ids = (body.device_id,)
        case CSPFirmwareDeliveryStatus():
            device_ids, request_id = (body.device_id,), body.update_firmware_request_id
        case FirmwareDistributionFailure():
            device_ids, request_id = body.device_ids, body.update_firmware_request_id
        case FirmwareUpgradeRequested():
            device_ids = body.device_ids
        case QuarantinedRequest():
            request_id = body.request_id
    device_id = device_ids[0] if len(device_ids) == 1 else None
    return DUISVersionMismatch(DCCAlertVersionMismatch(code, device_id, request_id), str(user.duis_version))
