"""A Response and an Alert, as they are handed to whoever receives them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import (
    AlertBody,
    CommsHubAlert,
    CommsHubFirmwareActivation,
    CommsHubFirmwareResult,
    CSPFirmwareDeliveryStatus,
    DeviceChangeOfSupplier,
    DUISVersionMismatch,
    FirmwareDistributionFailure,
    FirmwareUpgradeRequested,
    FirmwareVersionMismatch,
    Result,
)
from sr_engine.messages.published import (
    FirmwareTransferAlert,
    PublishedAlert,
    PublishedResult,
    SMETS1CHFirmwareNotification,
)
from sr_engine.messages.received import Unknown
from sr_engine.parsing.devices import Outcome, Reason, refused_of
from sr_engine.parsing.events import HubEvent

_EUI = re.compile(r"\b[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){7}\b(?!:)")


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed a message: EUI, remote-party role and serial number (which may exceed 64 bits) of the certificate."""

    eui: str
    role: str
    serial: str


@dataclass(frozen=True, slots=True)
class Response:
    """What a Service Request came to, said at once or later."""

    sha256: str
    """Of the message as received, in hexadecimal: the same for the same message sent again."""
    schema_version: str
    code: str
    """ResponseCode: I… it succeeded, W… in part, E… not."""
    at: datetime
    request_id: RequestId
    """Of the request that it answers."""
    response_id: RequestId | None
    """Set if it was sent later, of its own."""
    service_reference: str | None
    service_reference_variant: str | None
    """Both None in a SMETS1 Response, which is not read further."""
    body: Result | PublishedResult | Unknown | None
    signature: Signature
    unknown: tuple[Unknown, ...] = ()
    """What it holds beside all this."""
    data: bytes = field(default=b"", repr=False, compare=False)
    """As received."""

    @property
    def outcome(self) -> Outcome:
        """What the code says. An I99 given at once may also mean that a Response follows: the client can tell."""
        return {"I": Outcome.ACCEPTED, "W": Outcome.PARTLY_ACCEPTED}.get(self.code[:1], Outcome.REFUSED)

    @property
    def refused(self) -> Mapping[str, Reason]:
        """The devices that were refused, by their ids as sent, and why; `refused_count` says whether all are here."""
        return refused_of(self.body)

    @property
    def refused_count(self) -> int:
        """How many devices were refused; more than `refused` holds if a Response that was sent later was cut short."""
        body = self.body
        cut = body.refused_device_count if isinstance(body, CommsHubFirmwareResult) else None
        return len(self.refused) if cut is None else cut

    @property
    def accepted_count(self) -> int | None:
        """How many hubs were accepted, None where the answer does not say."""
        return self.body.accepted_device_count if isinstance(self.body, CommsHubFirmwareResult) else None

    @property
    def schedule_id(self) -> int | None:
        """The schedule that an 11.5 has made, or that an 11.8 concerns."""
        return self.body.schedule_id if isinstance(self.body, CommsHubFirmwareResult) else None

    @property
    def device_ids(self) -> tuple[str, ...]:
        """None: Responses are about requests."""
        return ()


@dataclass(frozen=True, slots=True)
class Alert:
    """News that nobody asked for."""

    sha256: str
    """Of the message as received, in hexadecimal: the same for the same message sent again."""
    schema_version: str
    code: str
    """DCCAlertCode, such as N62; of a device's own alert, its code in hexadecimal."""
    at: datetime
    body: AlertBody | PublishedAlert | Unknown
    signature: Signature
    throttled_sequence_id: int | None = None
    throttled_count: int | None = None
    """How many like it were left out."""
    unknown: tuple[Unknown, ...] = ()
    """What it holds beside all this."""
    data: bytes = field(default=b"", repr=False, compare=False)
    """As received."""

    @property
    def event(self) -> HubEvent | None:
        """What happened to the hub, of a `CommsHubAlert` of this processor."""
        return HubEvent.of(self.body.alert_code) if isinstance(self.body, CommsHubAlert) else None

    @property
    def device_ids(self) -> tuple[str, ...]:
        """The hubs and other devices that it is about, in canonical form; alerts about one device come in order."""
        match self.body:
            case FirmwareUpgradeRequested() | FirmwareDistributionFailure():
                return self.body.device_ids
            case CSPFirmwareDeliveryStatus() | FirmwareTransferAlert():
                return (self.body.hub_id, self.body.device_id)
            case (
                CommsHubAlert()
                | CommsHubFirmwareActivation()
                | FirmwareVersionMismatch()
                | DeviceChangeOfSupplier()
                | SMETS1CHFirmwareNotification()
            ):
                return (self.body.device_id,)
            case DUISVersionMismatch():
                device_id = self.body.mismatch.device_id
                return () if device_id is None else (device_id,)
            case Unknown():
                return tuple(dict.fromkeys(found.upper() for found in _EUI.findall(self.body.xml)))
            case _:
                return ()


Message = Response | Alert


@dataclass(frozen=True, slots=True)
class UnsignedRefusal:
    """The answer to a request that could not be authenticated: nobody has signed it, so anybody may have written it."""

    code: str
    request_id: RequestId
    at: datetime
