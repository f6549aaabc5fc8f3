"""From events to DCC Alerts: kept with what caused them, then built, signed and queued, portion by portion.

One stored alert per hub, event and Supplier (section 5, Alerts out). What is to be told is committed with what caused
it; a request that concerns tens of thousands of hubs is answered before as many alerts have been signed. Each alert is
signed once, before the commit that queues it; every try sends those bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from signing import Signer
from sr_engine.configuration import AlertDefinition, AlertEvent, User, UserDirectory, UserRole
from sr_engine.delivery.expressing import expressed_for
from sr_engine.domain.changes import HubEvent
from sr_engine.domain.upgrades import Release
from sr_engine.messages.build import build_alert
from sr_engine.messages.model import (
    AlertBody,
    CommsHubAlert,
    CommsHubFirmwareActivation,
    DeviceChangeOfSupplier,
    FirmwareDistributionFailure,
    FirmwareUpgradeRequested,
    FirmwareVersionMismatch,
)
from sr_engine.store import counters, inventory, outbox, registrations, releases, tidings, upgrades
from sr_engine.store.transactions import UnitOfWork

SIGNED_AT_ONCE = 250
"""Alerts that one transaction signs, at most: some 50 ms, in which nothing else is written."""

_CAUSE = AlertEvent.OTHER_SUPPLIER_ANSWER_CHANGED
_OF_MANY_HUBS = frozenset({"FirmwareUpgradeRequested", "FirmwareDistributionFailure"})
_WITH_REQUEST = frozenset({"FirmwareDistributionFailure"})

SUPPLIER_ROLES = frozenset({UserRole.IS, UserRole.GS})


@dataclass(frozen=True, slots=True)
class _Alert:
    """One alert to one User, and the events it tells of."""

    user: User
    definition: AlertDefinition
    body: AlertBody
    events: tuple[HubEvent, ...]


class Alerts:
    """Turns events into alerts in the outbox."""

    def __init__(
        self,
        *,
        definitions: Mapping[AlertEvent, AlertDefinition],
        users: UserDirectory,
        signer: Signer,
        access_control_broker: str,
        max_devices: int,
        draw_id: Callable[[], str],
    ) -> None:
        self._definitions = definitions
        self._users = users
        self._signer = signer
        self._broker = access_control_broker
        self._max_devices = max_devices
        self._draw_id = draw_id

    def post(self, unit_of_work: UnitOfWork, events: Iterable[HubEvent]) -> None:
        """Keep what Suppliers are to be told of; `write` turns it into alerts.

        What one Supplier is told is in the order of its own events, whatever else happened with them to others.
        """
        by_receiver: dict[str, dict[AlertEvent, list[HubEvent]]] = defaultdict(lambda: defaultdict(list))
        for event in events:
            by_receiver[event.organisation][event.event].append(event)
        portions = [
            portion
            for by_name in by_receiver.values()
            # What the other side has done is told before what came of it.
            for name, of_name in sorted(by_name.items(), key=lambda item: item[0] is not _CAUSE)
            for portion in _chunks(self._with_requests(unit_of_work, of_name), self._portion(self._definitions[name]))
        ]
        if portions:
            tidings.add(unit_of_work.connection, portions, unit_of_work.now)
            unit_of_work.to_follow.set()

    def post_alike(
        self,
        unit_of_work: UnitOfWork,
        event: AlertEvent,
        release_id: str,
        occurrence: str,
        hub_ids: Mapping[str, Sequence[str]],
    ) -> None:
        """The same for one event of many hubs, given by the organisation that is to be told."""
        definition = self._definitions[event]
        if definition.body in _WITH_REQUEST:
            self.post(
                unit_of_work,
                [
                    HubEvent(event, hub_id, organisation, release_id, occurrence)
                    for organisation, of_one in hub_ids.items()
                    for hub_id in of_one
                ],
            )
            return
        size = self._portion(definition)
        portions = [
            tidings.Alike(event, organisation, release_id, occurrence, of_one[start : start + size])
            for organisation, of_one in hub_ids.items()
            for start in range(0, len(of_one), size)
        ]
        if portions:
            tidings.add_alike(unit_of_work.connection, portions, unit_of_work.now)
            unit_of_work.to_follow.set()

    def _with_requests(self, unit_of_work: UnitOfWork, events: Sequence[HubEvent]) -> Sequence[HubEvent]:
        """The events with the recipient's own latest RequestID for hub and release, where their alert names it."""
        first = events[0]
        if self._definitions[first.event].body not in _WITH_REQUEST:
            return events
        hub_ids = [event.hub_id for event in events]
        known = upgrades.request_ids(unit_of_work.connection, hub_ids, first.release_id)
        return [replace(event, request_id=known.get((event.hub_id, event.organisation))) for event in events]

    def _portion(self, definition: AlertDefinition) -> int:
        return self._max_devices if definition.body in _OF_MANY_HUBS else SIGNED_AT_ONCE

    def write(self, unit_of_work: UnitOfWork) -> bool:
        """Queue the alerts of the oldest portion of what is to be told; return whether there may be more.

        What was told before is not told again. An alert is dated when its event happened.
        """
        connection = unit_of_work.connection
        portion = tidings.oldest(connection)
        if portion is None:
            return False
        # Responsibility and time are those of the event, however much later its alert is written.
        then = UnitOfWork(connection, portion.at)
        new = _new_ones(unit_of_work, portion.events)
        if new:
            release = releases.by_id(connection, portion.release_id)
            self._queue(unit_of_work, then, list(self._alerts(then, new, release)))
        tidings.remove(connection, portion.tidings_id)
        return True

    def _alerts(self, then: UnitOfWork, events: Sequence[HubEvent], release: Release) -> Iterable[_Alert]:
        definition = self._definitions[events[0].event]
        for user, of_user in self._receivers(then, events[0].organisation, events):
            for body, told in self._bodies(then, definition, user, of_user, release):
                yield _Alert(user, *expressed_for(user, definition.event, body, self._definitions), told)

    def _receivers(
        self, unit_of_work: UnitOfWork, organisation: str, events: Sequence[HubEvent]
    ) -> Iterable[tuple[User, Sequence[HubEvent]]]:
        """The User whose role applies to each hub, IS first; one organisation's hubs may have several."""
        first = self._users.receiving_user(organisation, SUPPLIER_ROLES)
        if first is None:
            # Registered, but no User of this product: there is nowhere to send an alert.
            return
        for_gas = self._users.receiving_user(organisation, {UserRole.GS}) or first
        if for_gas is first:
            yield first, events
            return
        hub_ids = {event.hub_id for event in events}
        hubs = inventory.hubs(unit_of_work.connection, hub_ids, unit_of_work.now, with_han=False)
        gas_only = {
            hub_id for hub_id, hub in hubs.items() if hub.gas == organisation and hub.electricity != organisation
        }
        gas_only |= {event.hub_id for event in events if event.for_gas}
        for user, is_gas_only in ((first, False), (for_gas, True)):
            of_user = [event for event in events if (event.hub_id in gas_only) is is_gas_only]
            if of_user:
                yield user, of_user

    def _bodies(
        self,
        unit_of_work: UnitOfWork,
        definition: AlertDefinition,
        user: User,
        events: Sequence[HubEvent],
        release: Release,
    ) -> Iterable[tuple[AlertBody, tuple[HubEvent, ...]]]:
        version = release.firmware.version
        if definition.body == "FirmwareUpgradeRequested":
            for some in _chunks(events, self._max_devices):
                yield FirmwareUpgradeRequested("CHF", version, tuple(event.hub_id for event in some)), some
        elif definition.body == "FirmwareDistributionFailure":
            for request_id, of_request in self._by_request_id(unit_of_work, user, events).items():
                for some in _chunks(of_request, self._max_devices):
                    yield FirmwareDistributionFailure(request_id, tuple(event.hub_id for event in some)), some
        elif definition.body == "CommsHubFirmwareActivation":
            for event in events:
                yield CommsHubFirmwareActivation(event.hub_id, version), (event,)
        elif definition.body == "FirmwareVersionMismatch":
            yield from _version_mismatches(events)
        elif definition.body == "ChangeOfSupplier":
            yield from _changes_of_supplier(unit_of_work, events)
        elif definition.body == "CommsHubAlert" and definition.hub_alert_code is not None:
            for event in events:
                yield CommsHubAlert(event.hub_id, definition.hub_alert_code, unit_of_work.now), (event,)
        else:
            raise ValueError(
                f"alerts.toml: event {definition.event}: no alert of body {definition.body} is sent for it"
            )

    def _by_request_id(
        self, unit_of_work: UnitOfWork, user: User, events: Sequence[HubEvent]
    ) -> dict[str, list[HubEvent]]:
        """Group by the RequestID that is named; one is drawn for those without."""
        drawn: str | None = None
        groups: dict[str, list[HubEvent]] = defaultdict(list)
        for event in events:
            request_id = event.request_id
            if request_id is None:
                if drawn is None:
                    drawn = broker_message_id(unit_of_work, self._broker, self._broker, recipient=user.eui)
                request_id = drawn
            groups[request_id].append(event)
        return groups

    def _queue(self, unit_of_work: UnitOfWork, then: UnitOfWork, alerts: Sequence[_Alert]) -> None:
        messages: list[outbox.Outgoing] = []
        alerted: list[tuple[str, str, str, str, str]] = []
        for alert in alerts:
            message_id = self._draw_id()
            root = build_alert(
                schema_version=str(alert.user.duis_version),
                alert_code=alert.definition.code,
                body=alert.body,
                at=then.now,
            )
            only_hub = alert.events[0].hub_id if len(alert.events) == 1 else None
            messages.append(
                outbox.Outgoing(
                    message_id,
                    outbox.ALERT,
                    f"user:{alert.user.eui}",
                    alert.definition.event,
                    self._signer.sign(root),
                    only_hub,
                )
            )
            alerted.extend(
                (event.hub_id, event.event, event.organisation, event.occurrence, message_id) for event in alert.events
            )
        outbox.put(unit_of_work.connection, messages, unit_of_work.now)
        outbox.record_alerted(unit_of_work.connection, alerted)


def _version_mismatches(events: Sequence[HubEvent]) -> Iterable[tuple[AlertBody, tuple[HubEvent, ...]]]:
    """One alert per hub; a hub's firmware is that of its CHF."""
    for event in events:
        if event.versions is None:
            raise ValueError(f"{event.event} of {event.hub_id} names no firmware versions")
        yield FirmwareVersionMismatch(event.hub_id, "CHF", *event.versions), (event,)


def _changes_of_supplier(
    unit_of_work: UnitOfWork, events: Sequence[HubEvent]
) -> Iterable[tuple[AlertBody, tuple[HubEvent, ...]]]:
    """One alert per meter: its id, its type and the MPxN that the recipient is registered for."""
    device_ids = {event.device_id for event in events if event.device_id is not None}
    meters = registrations.meter_devices(unit_of_work.connection, device_ids)
    for event in events:
        meter = meters[event.device_id or ""]
        yield DeviceChangeOfSupplier(meter.device_id, meter.device_type, meter.mpxn), (event,)


def broker_message_id(unit_of_work: UnitOfWork, broker: str, target: str, *, recipient: str) -> str:
    """Draw an id `<broker>:<target>:<counter>` for a message that answers no request.

    Each recipient, named by its EUI, has a counter of its own: how much others are sent is not to be read from it.
    """
    return f"{broker}:{target}:{counters.draw(unit_of_work.connection, f'message:{recipient}')}"


def _new_ones(unit_of_work: UnitOfWork, events: Sequence[HubEvent]) -> list[HubEvent]:
    told = outbox.already_alerted(unit_of_work.connection, events[0].event, {event.hub_id for event in events})
    new = []
    for event in events:
        key = (event.hub_id, event.organisation, event.occurrence)
        if key not in told:
            told.add(key)
            new.append(event)
    return new


def _chunks(events: Sequence[HubEvent], size: int) -> Iterable[tuple[HubEvent, ...]]:
    return (tuple(events[start : start + size]) for start in range(0, len(events), size))
