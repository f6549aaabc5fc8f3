"""11.1 Update Firmware (meters) and 11.4 Update PPMID Firmware (published): an image and each device are judged."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sr_engine.domain.deliveries import CplEntry, FirmwareOrder, FirmwareTargets
from sr_engine.domain.eligibility import UPGRADABLE_STATUSES
from sr_engine.domain.ota import NotAnImage, image_hash, read_header
from sr_engine.messages.model import FirmwareRefusal, FirmwareWarning, UpdateFirmware, UpdatePPMIDFirmware
from sr_engine.requests.lists import canonical
from sr_engine.requests.outcome import Outcome, Sender

METERS = ("ESME", "GSME")
PPMIDS = ("PPMID",)

_WORDS = {
    FirmwareRefusal.INVALID: "not a device of the right type that you are responsible for in a role of this User",
    FirmwareRefusal.NOT_COMMISSIONED: "its status rules firmware out",
    FirmwareRefusal.NOT_APPLICABLE_FIRMWARE: "the firmware does not apply to its model, version or region",
    FirmwareRefusal.OTHER_REQUEST_IN_PROGRESS: "another firmware request for it is in progress",
    FirmwareRefusal.INVALID_GBCS_VERSION: "the firmware is for another GBCS version",
}

_Model = tuple[str, str, str]
"""Manufacturer, model and device type."""


class FirmwareFacts(Protocol):
    """What a decision about firmware may read, all as of one moment and one transaction."""

    def cpl_entries(self, version: str, device_types: Collection[str]) -> Sequence[CplEntry]:
        """Entries of that version for devices of these types, whatever their status."""

    def firmware_targets(self, device_ids: Sequence[str]) -> Sequence[FirmwareTargets]:
        """Those of some devices that are known, in groups that are alike."""


@dataclass(frozen=True, slots=True)
class _Image:
    """An image that may be used, and by device model the CPL entries it is listed under."""

    hash: str
    entries: Mapping[_Model, CplEntry]


@dataclass(slots=True)
class _Judged:
    accepted: list[FirmwareTargets] = field(default_factory=list)
    refused: dict[FirmwareRefusal, list[str]] = field(default_factory=dict)

    def words(self) -> str:
        """How many were accepted, and how many refused for what."""
        reasons = "; ".join(
            f"{len(self.refused[reason])} x {reason.value.removesuffix('List').removesuffix('DeviceID')}: {words}"
            for reason, words in _WORDS.items()
            if reason in self.refused
        )
        accepted = f"{sum(len(one.device_ids) for one in self.accepted):,} device(s) accepted"
        return f"{accepted}; refused {reasons}" if reasons else accepted


def decide(
    request: UpdateFirmware | UpdatePPMIDFirmware, sender: Sender, facts: FirmwareFacts, *, regions: Collection[str]
) -> Outcome:
    """Accept the devices of the list that the image is for; `regions` are those whose CSPs are served.

    E11nn05, 01 and 02 are about the image, in that order; E110106 about the list; E11nn03 says that no device is left.
    """
    of_ppmids = isinstance(request, UpdatePPMIDFirmware)
    family, types = ("1104", PPMIDS) if of_ppmids else ("1101", METERS)
    image = _checked_image(request.image, request.version, family, facts, types)
    if isinstance(image, Outcome):
        return image
    device_ids = canonical(request.device_ids)
    own = [one for one in facts.firmware_targets(device_ids) if _is_responsible(sender, one)]
    if not of_ppmids:
        wrong = _wrong_list({one.device_type for one in own})
        if wrong is not None:
            return Outcome("E110106", wrong)
    judged = _Judged()
    reasons: dict[str, FirmwareRefusal | None] = {}
    for alike in own:
        if alike.device_type in types:
            reason = _refusal(alike, image, regions)
            reasons.update(dict.fromkeys(alike.device_ids, reason))
            if reason is None:
                judged.accepted.append(alike)
    for as_received, device_id in zip(request.device_ids, device_ids, strict=True):
        reason = reasons.get(device_id, FirmwareRefusal.INVALID)
        if reason is not None:
            judged.refused.setdefault(reason, []).append(as_received)
    refused = {reason: tuple(device_ids) for reason, device_ids in judged.refused.items()}
    result = FirmwareWarning(of_ppmids, refused) if refused else None
    if not judged.accepted:
        return Outcome(f"E{family}03", judged.words(), result)
    order = FirmwareOrder(request.version, request.image, image.hash, tuple(judged.accepted))
    return Outcome(f"W{family}01" if refused else "I99", judged.words(), result, firmware=order)


def _checked_image(
    image: bytes, version: str, family: str, facts: FirmwareFacts, types: Collection[str]
) -> _Image | Outcome:
    try:
        header = read_header(image)
    except NotAnImage as refused:
        return Outcome(f"E{family}05", refused.reason)
    if header.version_name != version.upper():
        return Outcome(
            f"E{family}05",
            f"the OTA header says that the file version is {header.version_name}, the request names {version}",
        )
    listed = facts.cpl_entries(version, types)
    active = [entry for entry in listed if entry.status == "Active"]
    if not active:
        statuses = ", ".join(sorted({entry.status for entry in listed}))
        found = f"is {statuses}" if listed else f"for {' or '.join(types)} is not"
        return Outcome(f"E{family}01", f"firmware version {version} {found} on the Certified Products List")
    hashed = image_hash(image, header)
    same = [entry for entry in active if entry.image_hash == hashed]
    if not same:
        return Outcome(
            f"E{family}02",
            f"the image has the hash {hashed}; firmware version {version} has another on the Certified Products List",
        )
    # What the CPL lists under another manufacturer than the header names is for no device.
    maker = header.manufacturer_name
    entries = {(one.manufacturer, one.model, one.device_type): one for one in same if one.manufacturer.upper() == maker}
    return _Image(hashed, entries)


def _is_responsible(sender: Sender, target: FirmwareTargets) -> bool:
    organisation, roles = sender.organisation, sender.roles
    return (target.electricity == organisation and "IS" in roles) or (target.gas == organisation and "GS" in roles)


def _wrong_list(types: Collection[str]) -> str | None:
    """Why a list of one's own devices of these types is none for 11.1; what belongs to others plays no part in it."""
    if types and not any(one in METERS for one in types):
        return f"11.1 is for meters; the devices of the list that are yours are of type {', '.join(sorted(types))}"
    if all(one in types for one in METERS):
        return "the list holds electricity and gas meters: send a request for each"
    return None


def _refusal(target: FirmwareTargets, image: _Image, regions: Collection[str]) -> FirmwareRefusal | None:
    """Why devices of the right type and Supplier cannot be accepted, the first reason that applies."""
    if target.status not in UPGRADABLE_STATUSES:
        return FirmwareRefusal.NOT_COMMISSIONED
    entry = image.entries.get((target.manufacturer, target.model, target.device_type))
    if (
        entry is None
        or target.version == entry.version
        or (entry.from_versions and target.version not in entry.from_versions)
        or target.region not in regions
    ):
        return FirmwareRefusal.NOT_APPLICABLE_FIRMWARE
    if target.in_progress:
        return FirmwareRefusal.OTHER_REQUEST_IN_PROGRESS
    if entry.gbcs_version is not None and target.gbcs_version not in {None, entry.gbcs_version}:
        return FirmwareRefusal.INVALID_GBCS_VERSION
    return None
