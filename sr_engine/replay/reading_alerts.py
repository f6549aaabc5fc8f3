"""Which devices an alert is about, and whether its number is the one that the configuration gives its event."""

from __future__ import annotations

from sr_engine.configuration import AlertEvent, Configuration
from sr_engine.messages.decode import DecodedResponse
from sr_engine.messages.model import (
    CommsHubAlert,
    CommsHubFirmwareActivation,
    CSPFirmwareDeliveryStatus,
    DeviceChangeOfSupplier,
    DUISVersionMismatch,
    FirmwareDistributionFailure,
    FirmwareUpgradeRequested,
    FirmwareVersionMismatch,
    QuarantinedRequest,
)
from sr_engine.replay.given import Given

A_REQUEST = "a request"
"""What an alert is about that is about no device."""


class WrongAlert(AssertionError):
    """An alert is not what its event asks for."""


def number_of(alert: DecodedResponse, event: str, configuration: Configuration) -> None:
    """Raises WrongAlert if the numbers of an alert are not those of its event."""
    hub_alert_code = alert.alert.alert_code if isinstance(alert.alert, CommsHubAlert) else None
    if event not in set(AlertEvent):
        raise WrongAlert(f"{event} is no event that anybody is alerted of")
    definition = configuration.alerts[AlertEvent(event)]
    if (alert.alert_code, hub_alert_code) != (definition.code, definition.hub_alert_code):
        raise WrongAlert(
            f"{event} was sent as {alert.alert_code} {hub_alert_code or ''}, "
            f"not as {definition.code} {definition.hub_alert_code or ''}"
        )


def concerned(alert: DecodedResponse, given: Given) -> tuple[str, ...]:
    """The ids of the devices it is about; A_REQUEST for one about none."""
    match alert.alert:
        case FirmwareUpgradeRequested(device_ids=ids) | FirmwareDistributionFailure(device_ids=ids):
            return ids
        case CommsHubFirmwareActivation(device_id=one) | CommsHubAlert(device_id=one):
            return (one,)
        case FirmwareVersionMismatch(device_id=one) | CSPFirmwareDeliveryStatus(device_id=one):
            return (one,)
        case DeviceChangeOfSupplier(import_mpxn=mpxn):
            return tuple(home.chf for home in given.homes.values() if mpxn in {home.mpan, home.mprn})
        case DUISVersionMismatch(mismatch=mismatch) if mismatch.device_id is not None:
            return (mismatch.device_id,)
        case QuarantinedRequest() | DUISVersionMismatch():
            return (A_REQUEST,)
        case other:
            raise WrongAlert(f"an alert that no fixture knows: {other}")
