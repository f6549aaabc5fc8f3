"""Firmware for meters and PPMIDs: who may be sent which, and what may become of it (section 4, 11.1 and 11.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class DeliveryState(StrEnum):
    """Where the firmware for one device stands."""

    LISTED = "Listed"
    """It stands in a list for its CSP."""
    ACCEPTED = "Accepted"
    REFUSED = "Refused"
    DELIVERED = "Delivered"
    """It is on the hub."""
    FAILED = "Failed"
    MISSED = "Missed"
    """Nothing was heard in time."""


OPEN_DELIVERIES = frozenset({DeliveryState.LISTED, DeliveryState.ACCEPTED})
"""While in one of these, a device takes part in no other request (FACTS FW6)."""

_FROM = {
    DeliveryState.ACCEPTED: frozenset({DeliveryState.LISTED}),
    DeliveryState.REFUSED: OPEN_DELIVERIES,
    DeliveryState.MISSED: OPEN_DELIVERIES,
    # That nothing was heard in time is not the last word.
    DeliveryState.FAILED: OPEN_DELIVERIES | {DeliveryState.MISSED},
    DeliveryState.DELIVERED: frozenset(DeliveryState) - {DeliveryState.DELIVERED},
}


def may_become(before: DeliveryState, after: DeliveryState) -> bool:
    """Whether news moves a delivery on: reports come late, twice and out of order, and none lowers what was reached."""
    return before in _FROM[after]


@dataclass(frozen=True, slots=True)
class FirmwareTargets:
    """Devices that are alike in all that decides about firmware: a list of tens of thousands has a few such groups."""

    device_type: str
    status: str | None
    manufacturer: str
    model: str
    version: str | None
    gbcs_version: str | None
    region: str | None
    """Of their hubs' CHF records; None where there is no such hub."""
    electricity: str | None
    """The Supplier responsible for them in role IS: an ESME's own, for other devices that of their hub's."""
    gas: str | None
    """The same in role GS."""
    in_progress: bool
    """Another firmware request for them has not come to its end."""
    device_ids: tuple[str, ...] = field(repr=False)
    hub_ids: tuple[str, ...] = field(repr=False)
    """The hub of each, in the same order; empty for none."""


@dataclass(frozen=True, slots=True)
class CplEntry:
    """A firmware version of one device model on the Certified Products List; versions are names, never ordered."""

    manufacturer: str
    model: str
    device_type: str
    version: str
    image_hash: str
    """SHA-256 of the image without its OTA header, 64 upper-case hexadecimal digits."""
    status: str
    """Active, Cancelled, Expired or Withdrawn (FACTS DM8)."""
    gbcs_version: str | None = None
    """The GBCS version of the devices it is for; None: of any."""
    from_versions: frozenset[str] = frozenset()
    """The versions it is reachable from; none: not known, so any."""


@dataclass(frozen=True, slots=True)
class FirmwareOrder:
    """What an accepted 11.1 or 11.4 sets going: an image for some devices."""

    version: str
    image: bytes = field(repr=False)
    image_hash: str
    targets: tuple[FirmwareTargets, ...]

    @property
    def device_count(self) -> int:
        return sum(len(one.device_ids) for one in self.targets)
