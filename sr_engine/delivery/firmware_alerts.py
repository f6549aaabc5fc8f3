"""From news of firmware requests to DCC Alerts: kept with what caused them, then signed and queued, by portions.

One stored alert per device, event and request, which is one Supplier's; otherwise as the alerts of hubs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from signing import Signer
from sr_engine.configuration import AlertDefinition, AlertEvent, User, UserDirectory
from sr_engine.delivery.alerts import PORTION, SUPPLIER_ROLES
from sr_engine.delivery.expressing import expressed_for
from sr_engine.messages.build import build_alert
from sr_engine.messages.model import AlertBody, CSPFirmwareDeliveryStatus, FirmwareDistributionFailure
from sr_engine.store import firmware_tidings, outbox
from sr_engine.store.firmware_tidings import DeviceNews, FirmwareTidings
from sr_engine.store.units_of_work import UnitOfWork

_OF_MANY = "FirmwareDistributionFailure"


class FirmwareAlerts:
    """Tells the User that sent an 11.1 or 11.4 what has become of it."""

    def __init__(
        self,
        *,
        definitions: Mapping[AlertEvent, AlertDefinition],
        users: UserDirectory,
        signer: Signer,
        max_devices: int,
        draw_id: Callable[[], str],
    ) -> None:
        self._definitions = definitions
        self._users = users
        self._signer = signer
        self._max_devices = max_devices
        self._draw_id = draw_id

    def post(self, unit_of_work: UnitOfWork, request: int, event: AlertEvent, news: Sequence[DeviceNews]) -> None:
        """Keep what is to be told about devices of a request; `write` turns it into alerts."""
        size = self._max_devices if self._definitions[event].body == _OF_MANY else PORTION
        portions = [news[start : start + size] for start in range(0, len(news), size)]
        firmware_tidings.add(unit_of_work.connection, request, event, portions, unit_of_work.now)
        unit_of_work.to_follow.set()

    def write(self, unit_of_work: UnitOfWork) -> bool:
        """Queue the alerts of the oldest portion of what is to be told; return whether there may be more.

        What was told before is not told again. An alert is dated when its event happened.
        """
        connection = unit_of_work.connection
        tidings = firmware_tidings.oldest(connection)
        if tidings is None:
            return False
        told = firmware_tidings.told(connection, tidings)
        new = [one for one in tidings.news if one.device_id not in told]
        user = self._users.by_eui(tidings.user_eui) or self._users.receiving_user(tidings.organisation, SUPPLIER_ROLES)
        # Without a User there is nowhere to send an alert.
        if new and user is not None:
            self._queue(unit_of_work, tidings, new, user)
        firmware_tidings.remove(connection, tidings.tidings_id)
        return True

    def _queue(
        self, unit_of_work: UnitOfWork, tidings: FirmwareTidings, news: Sequence[DeviceNews], user: User
    ) -> None:
        definition = self._definitions[tidings.event]
        messages: list[outbox.Outgoing] = []
        told: list[tuple[str, str]] = []
        for body, about in _bodies(definition, tidings, news):
            message_id = self._draw_id()
            sent, expressed = expressed_for(user, tidings.event, body, self._definitions)
            root = build_alert(
                schema_version=str(user.duis_version), alert_code=sent.code, body=expressed, at=tidings.at
            )
            hubs = {one.hub_id for one in about}
            messages.append(
                outbox.Outgoing(
                    message_id,
                    outbox.ALERT,
                    f"user:{user.eui}",
                    sent.event,
                    self._signer.sign(root),
                    hubs.pop() if len(hubs) == 1 else None,
                )
            )
            told += [(one.device_id, message_id) for one in about]
        outbox.put(unit_of_work.connection, messages, unit_of_work.now)
        firmware_tidings.record_told(unit_of_work.connection, tidings, told)


def _bodies(
    definition: AlertDefinition, tidings: FirmwareTidings, news: Sequence[DeviceNews]
) -> Iterable[tuple[AlertBody, Sequence[DeviceNews]]]:
    if definition.body == _OF_MANY:
        yield FirmwareDistributionFailure(tidings.request_id, tuple(one.device_id for one in news)), news
    elif definition.body == "CSPFirmwareDeliveryStatus":
        delivered = tidings.event is AlertEvent.FIRMWARE_DELIVERED
        for one in news:
            yield (
                CSPFirmwareDeliveryStatus(
                    tidings.request_id, one.hub_id, one.device_id, tidings.version, one.at, delivered
                ),
                (one,),
            )
    else:
        raise ValueError(f"alerts.toml: event {definition.event}: no alert of body {definition.body} is sent for it")
