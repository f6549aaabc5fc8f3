"""What an accepted 11.1 or 11.4 sends to CSPs: the image, once a region, and the list of devices it is for."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from signing import Signer
from sr_engine.configuration import Region
from sr_engine.delivery.alerts import broker_message_id
from sr_engine.domain.deliveries import FirmwareOrder
from sr_engine.messages.csp import build_csp_message
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import FirmwareImage, MeterFirmwareList
from sr_engine.requests.outcome import Sender
from sr_engine.store import audit, firmware, outbox
from sr_engine.store.units_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class MeterLists:
    """Issues the lists of firmware requests, one a region, in the transaction that accepts the request."""

    signer: Signer
    access_control_broker: str
    regions: Mapping[str, Region]
    draw_id: Callable[[], str]

    def issue(self, unit_of_work: UnitOfWork, sender: Sender, order: FirmwareOrder, key: str) -> list[audit.Entry]:
        """Store the request and its image, and queue what the CSPs are to have; return what the audit trail is to say.

        An image has a message of its own, which a list waits for: it is sent to a region once, however many lists name
        it, and every message stays below the size that is taken.
        """
        connection, now = unit_of_work.connection, unit_of_work.now
        image_id = hashlib.sha256(order.image).hexdigest().upper()
        firmware.put_image(connection, image_id, order.image)
        request = firmware.NewRequest(
            sender.request_id,
            sender.organisation,
            sender.eui,
            order.version,
            image_id,
            order.image_hash,
            order.device_count,
        )
        request_number = firmware.add_request(connection, request, now)
        by_region: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for alike in order.targets:
            by_region[alike.region or ""] += zip(alike.hub_ids, alike.device_ids, strict=True)
        entries = []
        image = cache(lambda: self._image(unit_of_work, image_id, order))
        for name in sorted(by_region):
            members = sorted(by_region[name])
            image_message_id = self._bring(unit_of_work, name, image_id, image)
            if outbox.send_if_parked(connection, image_message_id, now):
                again = f"{name}: image {image_id} was parked and is sent again"
                entries.append(audit.Entry(now, "processor", "resend", again, image_message_id))
            list_id, message_id = self.draw_id(), self.draw_id()
            message = MeterFirmwareList(
                self._message_id(unit_of_work, self.regions[name]),
                now,
                list_id,
                name,
                order.version,
                image_id,
                order.image_hash,
                by_hub(members),
            )
            body = self.signer.sign(build_csp_message(message))
            self._queue(unit_of_work, name, message_id, body, "meter_list")
            new = firmware.NewList(list_id, request_number, name, message_id, image_message_id)
            firmware.add_list(connection, new, [device_id for _, device_id in members], now)
            detail = f"{name}: list {list_id} of {len(members)} device(s) for firmware {order.version}"
            entries.append(audit.Entry(now, "processor", "meter firmware list", detail, key, hubs=message.hubs))
        return entries

    def _image(self, unit_of_work: UnitOfWork, image_id: str, order: FirmwareOrder) -> bytes:
        """The message with the image, signed: the largest there is, so that all regions get the same.

        Its counter is drawn by chance, for no CSP is to count what others are sent.
        """
        broker, counter = self.access_control_broker, int(self.draw_id()[:16], 16)
        message_id = RequestId.make(broker, broker, counter)
        message = FirmwareImage(message_id, unit_of_work.now, image_id, order.image_hash, order.image)
        return self.signer.sign(build_csp_message(message))

    def _bring(self, unit_of_work: UnitOfWork, region: str, image_id: str, image: Callable[[], bytes]) -> str:
        """The id of the message that brings an image to a region's CSP, queued now if it was not before."""
        connection, csp_eui = unit_of_work.connection, self.regions[region].csp_eui
        known = firmware.image_message(connection, image_id, region, csp_eui)
        if known is not None:
            return known
        message_id = self.draw_id()
        self._queue(unit_of_work, region, message_id, image(), "firmware_image")
        firmware.add_image_message(connection, image_id, region, csp_eui, message_id)
        return message_id

    def _message_id(self, unit_of_work: UnitOfWork, region: Region) -> RequestId:
        eui = region.csp_eui
        return RequestId.parse(broker_message_id(unit_of_work, self.access_control_broker, eui, recipient=eui))

    def _queue(self, unit_of_work: UnitOfWork, region: str, message_id: str, body: bytes, event: str) -> None:
        outgoing = outbox.Outgoing(message_id, outbox.METER_LIST, f"csp:{region}", event, body)
        outbox.put(unit_of_work.connection, [outgoing], unit_of_work.now)


def by_hub(members: Sequence[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Device ids by the id of their hub, from pairs of both, in their order."""
    found: dict[str, list[str]] = defaultdict(list)
    for hub_id, device_id in members:
        found[hub_id].append(device_id)
    return {hub_id: tuple(device_ids) for hub_id, device_ids in found.items()}
