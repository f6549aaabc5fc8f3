"""The bodies of Service Requests from plain values: `client.send(schedule(...))`.

Device ids are EUI-64s such as "00-DB-12-34-56-78-90-A2", in any case, each sent once; a GPF stands for its hub. Times
need a zone. What cannot be sent raises ValueError, saying why, before anything is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from sr_engine.messages.identifiers import canonical_eui
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Decision,
    DeleteCommsHubFirmwareSchedule,
    ExclusionAction,
    Firmware,
    Period,
    Phase,
    PropertyFilter,
    ReadCommsHubFirmwareSchedule,
    ReadInventory,
    ScheduleCommsHubFirmware,
    UpdateCommsHubFirmwareExclusion,
    UpdateFirmware,
    UpdatePPMIDFirmware,
)

ListRequest = (
    ScheduleCommsHubFirmware
    | ApproveCommsHubFirmware
    | DeleteCommsHubFirmwareSchedule
    | UpdateCommsHubFirmwareExclusion
    | UpdateFirmware
    | UpdatePPMIDFirmware
)
"""Requests that name devices, each of which is accepted or refused by itself."""

ServiceRequestBody = ListRequest | ReadInventory | ReadCommsHubFirmwareSchedule
"""All that can be asked of this processor."""

VARIANTS: dict[type[ServiceRequestBody], str] = {
    ReadInventory: "8.2",
    UpdateFirmware: "11.1",
    UpdatePPMIDFirmware: "11.4",
    ScheduleCommsHubFirmware: "11.5",
    ApproveCommsHubFirmware: "11.6",
    ReadCommsHubFirmwareSchedule: "11.7",
    DeleteCommsHubFirmwareSchedule: "11.8",
    UpdateCommsHubFirmwareExclusion: "11.9",
}
"""The Service Reference Variant of each, which is its Service Reference too."""

CANCELLATION = datetime(3000, 12, 31, tzinfo=UTC)
"""The ExecutionDateTime that cancels (FACTS RQ18)."""

_Dated = TypeVar("_Dated", ScheduleCommsHubFirmware, ApproveCommsHubFirmware, UpdateCommsHubFirmwareExclusion)


def read_inventory(
    *,
    device_id: str | None = None,
    mpxn: str | None = None,
    uprn: int | None = None,
    postcode: str | None = None,
    address_identifier: str | None = None,
) -> ReadInventory:
    """8.2: the devices of one home, by one of device, MPxN, UPRN, or postcode with address identifier."""
    if (postcode is None) != (address_identifier is None):
        raise ValueError("postcode and address_identifier go together")
    address = None
    if postcode is not None and address_identifier is not None:
        address = PropertyFilter(postcode, address_identifier)
    if sum(one is not None for one in (device_id, mpxn, uprn, address)) != 1:
        raise ValueError("name one of device_id, mpxn, uprn, or postcode with address_identifier")
    return ReadInventory(uprn, None if device_id is None else canonical_eui(device_id), mpxn, address)


def update_meter_firmware(image: bytes, version: str, device_ids: Iterable[str]) -> UpdateFirmware:
    """11.1: bring an image, OTA header included, to the hubs of ESMEs and GSMEs."""
    return UpdateFirmware(image, version, _ids(device_ids))


def update_ppmid_firmware(image: bytes, version: str, device_ids: Iterable[str]) -> UpdatePPMIDFirmware:
    """11.4: the same for PPMIDs."""
    return UpdatePPMIDFirmware(image, version, _ids(device_ids))


def schedule(
    firmware: Firmware,
    device_ids: Iterable[str],
    *,
    start: datetime,
    end: datetime,
    phase: Phase | str = Phase.GENERAL,
    accept_han_impact: bool = False,
    replaces: int | None = None,
    execute_at: datetime | None = None,
) -> ScheduleCommsHubFirmware:
    """11.5: have hubs upgraded in a night between `start` and `end`; this is the Supplier's approval too.

    `replaces` names a schedule of yours that ends with this one: its hubs that are not named here are cancelled.
    """
    window = Period(_zoned("start", start), _zoned("end", end))
    if window.end <= window.start:
        raise ValueError(f"the window ends at {end.isoformat()}, which is not after its start")
    return ScheduleCommsHubFirmware(
        firmware, window, Phase(phase), _ids(device_ids), accept_han_impact, replaces, _at(execute_at)
    )


def approve(
    firmware: Firmware,
    device_ids: Iterable[str],
    *,
    accept_han_impact: bool = False,
    execute_at: datetime | None = None,
) -> ApproveCommsHubFirmware:
    """11.6: agree to the upgrade of hubs that the other Supplier schedules."""
    return ApproveCommsHubFirmware(
        firmware,
        Decision.APPROVE,
        _ids(device_ids),
        accept_han_impact=accept_han_impact,
        execution_date_time=_at(execute_at),
    )


def decline(
    firmware: Firmware, device_ids: Iterable[str], *, execute_at: datetime | None = None
) -> ApproveCommsHubFirmware:
    """11.6: do not have hubs upgraded to this release."""
    return ApproveCommsHubFirmware(firmware, Decision.DECLINE, _ids(device_ids), execution_date_time=_at(execute_at))


def defer(
    firmware: Firmware, device_ids: Iterable[str], *, until: datetime | None = None, execute_at: datetime | None = None
) -> ApproveCommsHubFirmware:
    """11.6: decide later, by `until` if it is given."""
    return ApproveCommsHubFirmware(
        firmware,
        Decision.DEFER,
        _ids(device_ids),
        None if until is None else _zoned("until", until),
        execution_date_time=_at(execute_at),
    )


def read_schedule(schedule_id: int, *, after: str | None = None) -> ReadCommsHubFirmwareSchedule:
    """11.7: the hubs of a schedule of yours, 200 of them at most, beginning behind the one named by `after`."""
    return ReadCommsHubFirmwareSchedule(schedule_id, None, None if after is None else canonical_eui(after))


def read_hub(device_id: str) -> ReadCommsHubFirmwareSchedule:
    """11.7: where one hub of yours stands in every release for it."""
    return ReadCommsHubFirmwareSchedule(None, canonical_eui(device_id))


def delete_schedule(schedule_id: int, device_ids: Iterable[str] | None = None) -> DeleteCommsHubFirmwareSchedule:
    """11.8: take back a schedule of yours: all of it, or these hubs only."""
    # An empty list would say "all of it" on the wire, and nobody who has filtered a list down to nothing means that.
    return DeleteCommsHubFirmwareSchedule(schedule_id, () if device_ids is None else _ids(device_ids))


def exclude(
    device_ids: Iterable[str], *, until: datetime | None = None, execute_at: datetime | None = None
) -> UpdateCommsHubFirmwareExclusion:
    """11.9: keep hubs out of pilots and voluntary waves; why is never said."""
    return UpdateCommsHubFirmwareExclusion(
        ExclusionAction.EXCLUDE,
        _ids(device_ids),
        None if until is None else _zoned("until", until),
        _at(execute_at),
    )


def include(device_ids: Iterable[str], *, execute_at: datetime | None = None) -> UpdateCommsHubFirmwareExclusion:
    """11.9: let hubs in again that you excluded."""
    return UpdateCommsHubFirmwareExclusion(ExclusionAction.INCLUDE, _ids(device_ids), None, _at(execute_at))


def cancellation(of: _Dated) -> _Dated:
    """The request that takes back one with `execute_at` that has not been carried out yet."""
    if of.execution_date_time is None:
        raise ValueError("only a request with execute_at can be cancelled")
    return replace(of, execution_date_time=CANCELLATION)


def _ids(device_ids: Iterable[str]) -> tuple[str, ...]:
    if isinstance(device_ids, str):
        raise ValueError("device_ids is one text: put the id into a list")  # noqa: TRY004 - as everything else here
    ids = tuple(dict.fromkeys(canonical_eui(device_id.strip()) for device_id in device_ids))
    if not ids:
        raise ValueError("device_ids is empty: name at least one device")
    return ids


def _zoned(name: str, moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{name} needs a time zone: {moment.isoformat()}")
    return moment


def _at(execute_at: datetime | None) -> datetime | None:
    return None if execute_at is None else _zoned("execute_at", execute_at)
