"""What becomes of firmware for meters and PPMIDs: acknowledgements, reports, and silence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sr_engine.configuration import AlertEvent, Region
from sr_engine.delivery.firmware_alerts import FirmwareAlerts
from sr_engine.domain.deliveries import DeliveryState, may_become
from sr_engine.messages.model import MeterFirmwareAcknowledgement, MeterFirmwareReport, ReportStatus
from sr_engine.store import audit, firmware, outbox
from sr_engine.store.firmware import Moved
from sr_engine.store.firmware_tidings import DeviceNews
from sr_engine.store.units_of_work import UnitOfWork

MISSED_AT_ONCE = 5_000
"""Devices that one transaction gives up, at most."""

_EVENTS = {
    DeliveryState.DELIVERED: AlertEvent.FIRMWARE_DELIVERED,
    DeliveryState.FAILED: AlertEvent.DELIVERY_FAILED,
    DeliveryState.REFUSED: AlertEvent.FIRMWARE_NOT_DISTRIBUTED,
    DeliveryState.MISSED: AlertEvent.FIRMWARE_NOT_DISTRIBUTED,
}
_REPORTED = {ReportStatus.DELIVERED: DeliveryState.DELIVERED, ReportStatus.FAILED: DeliveryState.FAILED}
_NOT_SERVED = "the CSP of its region is not served any more"
_SILENCE = "the CSP reported no delivery within the distribution SLA"


class UnknownMeterList(Exception):
    """The list named is not one that was sent to this region."""


@dataclass(frozen=True, slots=True)
class MeterOutcomes:
    """Takes in what CSPs say about devices on lists of meters, and what they did not say in time."""

    alerts: FirmwareAlerts

    def acknowledge(self, unit_of_work: UnitOfWork, message: MeterFirmwareAcknowledgement) -> str:
        """Accepted devices are Accepted; the request has ended for refused ones. Returns a summary."""
        connection, now = unit_of_work.connection, unit_of_work.now
        request = _request_of(unit_of_work, message.list_id, message.region)
        reasons = {device_id: refused.reason for refused in message.refused for device_id in refused.device_ids}
        known = firmware.on_list(connection, message.list_id, {*message.accepted, *reasons})
        moved = []
        for device_id, delivery in known.items():
            state = DeliveryState.REFUSED if device_id in reasons else DeliveryState.ACCEPTED
            if may_become(delivery.state, state):
                reason = reasons.get(device_id)
                moved.append(Moved(delivery, state, now, None if reason is None else f"refused by the CSP: {reason}"))
        self._write(unit_of_work, request, moved)
        firmware.acknowledged(connection, message.list_id, now)
        return _summary("acknowledged", len(moved), len({*message.accepted, *reasons}) - len(known))

    def report(self, unit_of_work: UnitOfWork, message: MeterFirmwareReport) -> str:
        """Bring deliveries forward to what is reported, whatever the order of reports. Returns a summary."""
        connection, now = unit_of_work.connection, unit_of_work.now
        request = _request_of(unit_of_work, message.list_id, message.region)
        known = firmware.on_list(connection, message.list_id, {entry.device_id for entry in message.entries})
        moved: dict[str, Moved] = {}
        for entry in message.entries:
            delivery = known.get(entry.device_id)
            if delivery is None:
                continue
            state = _REPORTED[entry.status]
            current = moved[entry.device_id].state if entry.device_id in moved else delivery.state
            if may_become(current, state):
                # A CSP's clock may be ahead of ours; nothing happens later than it is reported.
                moved[entry.device_id] = Moved(delivery, state, min(entry.at, now), entry.reason)
        self._write(unit_of_work, request, moved.values())
        firmware.acknowledged(connection, message.list_id, now)
        strangers = {entry.device_id for entry in message.entries} - known.keys()
        return _summary("brought forward", len(moved), len(strangers))

    def time_out(self, unit_of_work: UnitOfWork, region: Region) -> bool:
        """Give up devices of which nothing was heard by the distribution SLA; return whether there may be more."""
        return self._give_up(unit_of_work, region.name, unit_of_work.now - region.distribution_sla, _SILENCE)

    def give_up_elsewhere(self, unit_of_work: UnitOfWork, served: Collection[str]) -> bool:
        """Give up devices in regions that are not `served` any more; return whether there may be more."""
        for region in firmware.open_regions(unit_of_work.connection):
            if region not in served:
                self._give_up(unit_of_work, region, unit_of_work.now, _NOT_SERVED)
                return True
        return False

    def _give_up(self, unit_of_work: UnitOfWork, region: str, listed_before: datetime, reason: str) -> bool:
        connection, now = unit_of_work.connection, unit_of_work.now
        late = firmware.overdue(connection, region, listed_before, MISSED_AT_ONCE)
        by_request: dict[int, list[Moved]] = defaultdict(list)
        for request, delivery in late:
            by_request[request].append(Moved(delivery, DeliveryState.MISSED, now, reason))
        for request, moved in by_request.items():
            self._write(unit_of_work, request, moved)
        if late:
            # Their devices are free for other lists: those that have not been taken must not be any more.
            outbox.expire_meter_lists(connection, {delivery.list_id for _, delivery in late})
            detail = f"{region}: {len(late)} device(s): {reason}"
            audit.record(connection, [audit.Entry(now, "processor", "meter firmware missed", detail)])
        return len(late) == MISSED_AT_ONCE

    def chase(self, unit_of_work: UnitOfWork, region: Region) -> bool:
        """Send lists again that were not acknowledged within the SLA, with the same bytes; there is never more."""
        connection, now = unit_of_work.connection, unit_of_work.now
        # Of older lists every device was given up; a CSP that answers none must not make each look longer.
        listed_after = now - region.distribution_sla
        late = firmware.unacknowledged(connection, region.name, now - region.acknowledgement_sla, listed_after)
        for list_id, message_id in late:
            outbox.send_again(connection, message_id, now)
            firmware.chased(connection, list_id, now)
        detail = f"{region.name}: {len(late)} list(s) of meters not acknowledged within the SLA, sent again"
        audit.record(connection, [audit.Entry(now, "processor", "chase", detail)] if late else [])
        return False

    def _write(self, unit_of_work: UnitOfWork, request: int, moved: Iterable[Moved]) -> None:
        news: dict[AlertEvent, list[DeviceNews]] = defaultdict(list)
        written = list(moved)
        firmware.move(unit_of_work.connection, written)
        for one in written:
            if one.state in _EVENTS:
                news[_EVENTS[one.state]].append(DeviceNews(one.delivery.device_id, one.delivery.hub_id, one.at))
        for event, of_event in news.items():
            self.alerts.post(unit_of_work, request, event, of_event)


def _request_of(unit_of_work: UnitOfWork, list_id: str, region: str) -> int:
    found = firmware.list_of(unit_of_work.connection, list_id)
    if found is None or found[0] != region:
        raise UnknownMeterList(f"meter firmware list {list_id} was not sent to region {region}")
    return found[1]


def _summary(what: str, count: int, strangers: int) -> str:
    return f"{count} devices {what}" + (f"; {strangers} not on the list" if strangers else "")
