"""From events to DCC Alerts: kept with what caused them, then built, signed and queued, portion by portion.

One stored alert per hub, event and Supplier (section 5, Alerts out). What is to be told is committed with what caused
it; a request that concerns tens of thousands of hubs is answered before as many alerts have been signed. Each alert is
signed once, before the commit that queues it; every try sends those bytes. Signing is done beside the transactions
that write (`delivery.telling`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from signing import Signer
from sr_engine.configuration import AlertDefinition, AlertEvent, User, UserDirectory, UserRole
from sr_engine.delivery.expressing import expressed_for
from sr_engine.domain.changes import HubEvent
from sr_engine.domain.upgrades import Release
from sr_engine.messages.build import ANY_DEVICE, build_alert
from sr_engine.messages.model import (
    AlertBody,
    CommsHubAlert,
    CommsHubFirmwareActivation,
    DeviceChangeOfSupplier,
    FirmwareDistributionFailure,
    FirmwareUpgradeRequested,
    FirmwareVersionMismatch,
)
from sr_engine.store import counters, inventory, outbox, registrations, releases, tidings, told, upgrades
from sr_engine.store.forms import Form, kept
from sr_engine.store.mixed import Mixed
from sr_engine.store.tidings import Tidings
from sr_engine.store.units_of_work import UnitOfWork

PORTION = 250
"""Hubs of one portion of what is to be told, at most, where each has an alert of its own."""

_CAUSE = AlertEvent.OTHER_SUPPLIER_ANSWER_CHANGED
_OF_MANY_HUBS = frozenset({"FirmwareUpgradeRequested", "FirmwareDistributionFailure"})
_WITH_REQUEST = frozenset({"FirmwareDistributionFailure"})

SUPPLIER_ROLES = frozenset({UserRole.IS, UserRole.GS})


@dataclass(frozen=True, slots=True)
class _Alert:
    """One alert to one User, and the events it tells of; or one for each, which differ in the hub only."""

    user: User
    definition: AlertDefinition
    body: AlertBody
    """About ANY_DEVICE where there is one for each."""
    events: Sequence[HubEvent]
    one_each: bool


@dataclass(frozen=True, slots=True)
class ComposedAlerts:
    """Portions of what Suppliers are to be told, and the alerts that tell it, each with the time it bears."""

    portions: Sequence[Tidings]
    alerts: Sequence[tuple[_Alert, datetime]]
    mixed: bool
    """As `store.mixed` has it."""


@dataclass(frozen=True, slots=True)
class SignedAlerts:
    """Portions of what is to be told, and the alerts that tell it, ready to be queued."""

    portions: Sequence[Tidings]
    messages: Sequence[outbox.Outgoing]
    told_in_rows: Sequence[tuple[str, str, str, str, str]]
    """Hub, event, organisation, occurrence and message id of each event that its alert does not name itself."""
    mixed: bool
    """As `store.mixed` has it."""


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
        draw_ids: Callable[[int], Sequence[str]],
        mixed: Mixed,
    ) -> None:
        """`draw_ids` gives so many new identifiers."""
        self._definitions = definitions
        self._users = users
        self._signer = signer
        self._broker = access_control_broker
        self._max_devices = max_devices
        self._draw_ids = draw_ids
        self._mixed = mixed

    def post(self, unit_of_work: UnitOfWork, events: Iterable[HubEvent]) -> None:
        """Keep what Suppliers are to be told of; `compose`, `sign` and `queue` turn it into alerts.

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
        if definition.body in _WITH_REQUEST or self._mixed(unit_of_work.connection):
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
        """The events with the recipient's own latest RequestID for hub and release, where their alert names it.

        One is drawn for those without.
        """
        first = events[0]
        if self._definitions[first.event].body not in _WITH_REQUEST:
            return events
        hub_ids = [event.hub_id for event in events]
        known = upgrades.request_ids(unit_of_work.connection, hub_ids, first.release_id)
        drawn: str | None = None
        if any((event.hub_id, event.organisation) not in known for event in events):
            user = self._users.receiving_user(first.organisation, SUPPLIER_ROLES)
            recipient = first.organisation if user is None else user.eui
            drawn = broker_message_id(unit_of_work, self._broker, self._broker, recipient=recipient)
        return [event._replace(request_id=known.get((event.hub_id, event.organisation), drawn)) for event in events]

    def _portion(self, definition: AlertDefinition) -> int:
        return self._max_devices if definition.body in _OF_MANY_HUBS else PORTION

    def compose(self, connection: Connection, portions: Sequence[Tidings]) -> ComposedAlerts:
        """Say what the oldest portions of what Suppliers are to be told come to; `connection` need only read.

        What was told before is not told again. Responsibility and time are those of the event, however much later its
        alert is written.
        """
        alerts: list[tuple[_Alert, datetime]] = []
        known: dict[str, Release] = {}
        told = _told(connection, portions)
        for portion in portions:
            new = _new_ones(portion.events, told)
            if not new:
                continue
            if portion.release_id not in known:
                known[portion.release_id] = releases.by_id(connection, portion.release_id)
            composed = self._alerts(connection, portion.at, new, known[portion.release_id])
            alerts += [(alert, portion.at) for alert in composed]
        return ComposedAlerts(portions, alerts, self._mixed(connection))

    def sign(self, composed: ComposedAlerts) -> SignedAlerts:
        """Write and sign them."""
        messages: list[outbox.Outgoing] = []
        in_rows: list[tuple[str, str, str, str, str]] = []
        for alert, at in composed.alerts:
            signed = self._signed(alert, at, mixed=composed.mixed)
            messages += signed
            if signed[0].occurrence is None:
                # All events of a portion have these in common.
                event, organisation = alert.events[0].event.value, alert.events[0].organisation
                # One for each of them, or one for all.
                each = signed if len(signed) == len(alert.events) else signed * len(alert.events)
                in_rows += [
                    (one.hub_id, event, organisation, one.occurrence, message.message_id)
                    for one, message in zip(alert.events, each, strict=True)
                ]
        return SignedAlerts(composed.portions, messages, in_rows, composed.mixed)

    def queue(self, unit_of_work: UnitOfWork, signed: SignedAlerts) -> None:
        """Queue alerts in the place of what they tell; if some of that has been told meanwhile, nothing changes."""
        connection = unit_of_work.connection
        if tidings.remove(connection, signed.portions):
            outbox.put(connection, signed.messages, unit_of_work.now)
            told.record(connection, signed.told_in_rows)

    def _alerts(
        self, connection: Connection, at: datetime, events: Sequence[HubEvent], release: Release
    ) -> Iterable[_Alert]:
        definition = self._definitions[events[0].event]
        for user, of_user in self._receivers(connection, at, events):
            for body, about, one_each in self._bodies(connection, at, definition, of_user, release):
                yield _Alert(user, *expressed_for(user, definition.event, body, self._definitions), about, one_each)

    def _receivers(
        self, connection: Connection, at: datetime, events: Sequence[HubEvent]
    ) -> Iterable[tuple[User, Sequence[HubEvent]]]:
        """The User whose role applies to each hub, IS first; one organisation's hubs may have several."""
        organisation = events[0].organisation
        first = self._users.receiving_user(organisation, SUPPLIER_ROLES)
        if first is None:
            # Registered, but no User of this product: there is nowhere to send an alert.
            return
        for_gas = self._users.receiving_user(organisation, {UserRole.GS}) or first
        if for_gas is first:
            yield first, events
            return
        hub_ids = {event.hub_id for event in events}
        hubs = inventory.hubs(connection, hub_ids, at, with_han=False)
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
        connection: Connection,
        at: datetime,
        definition: AlertDefinition,
        events: Sequence[HubEvent],
        release: Release,
    ) -> Iterable[tuple[AlertBody, Sequence[HubEvent], bool]]:
        """Bodies, the events that each tells of, and whether there is one like it for each of them."""
        version = release.firmware.version
        if definition.body == "FirmwareUpgradeRequested":
            for some in _chunks(events, self._max_devices):
                yield FirmwareUpgradeRequested("CHF", version, tuple(event.hub_id for event in some)), some, False
        elif definition.body == "FirmwareDistributionFailure":
            for request_id, of_request in _by_request_id(events).items():
                for some in _chunks(of_request, self._max_devices):
                    hub_ids = tuple(event.hub_id for event in some)
                    yield FirmwareDistributionFailure(request_id, hub_ids), some, False
        elif definition.body == "CommsHubFirmwareActivation":
            yield CommsHubFirmwareActivation(ANY_DEVICE, version), events, True
        elif definition.body == "FirmwareVersionMismatch":
            yield from _version_mismatches(events)
        elif definition.body == "ChangeOfSupplier":
            yield from _changes_of_supplier(connection, events)
        elif definition.body == "CommsHubAlert" and definition.hub_alert_code is not None:
            yield CommsHubAlert(ANY_DEVICE, definition.hub_alert_code, at), events, True
        else:
            raise ValueError(
                f"alerts.toml: event {definition.event}: no alert of body {definition.body} is sent for it"
            )

    def _signed(self, alert: _Alert, at: datetime, *, mixed: bool) -> list[outbox.Outgoing]:
        """One for each event, or one for all; if `mixed` each as a whole, and none says itself what it tells."""
        root = build_alert(
            schema_version=str(alert.user.duis_version), alert_code=alert.definition.code, body=alert.body, at=at
        )
        destination, event, first = f"user:{alert.user.eui}", alert.definition.event, alert.events[0]
        ids = self._draw_ids(len(alert.events) if alert.one_each else 1)
        form = None
        if alert.one_each:
            series = self._signer.series(root, ANY_DEVICE)
            texts = [series.texts(one.hub_id) for one in alert.events]
            # For one alone a form would be more than what it saves.
            form = Form(series.parts) if len(texts) > 1 and not mixed else None
            bodies = list(map(series.filled, texts)) if form is None else list(map(kept, texts))
        else:
            bodies = [self._signer.sign(root)]
        if len(alert.events) > len(bodies):
            return [outbox.Outgoing(ids[0], outbox.ALERT, destination, event, bodies[0])]
        # One that only says that there is something does not say what.
        says_it = event is first.event and not mixed
        organisation = first.organisation if says_it else None
        return [
            outbox.Outgoing(
                message_id,
                outbox.ALERT,
                destination,
                event,
                body,
                one.hub_id,
                form,
                organisation,
                one.occurrence if says_it else None,
            )
            for message_id, body, one in zip(ids, bodies, alert.events, strict=True)
        ]


def _by_request_id(events: Sequence[HubEvent]) -> dict[str, list[HubEvent]]:
    """Group by the RequestID that is named."""
    groups: dict[str, list[HubEvent]] = defaultdict(list)
    for event in events:
        if event.request_id is None:
            raise ValueError(f"{event.event} of {event.hub_id} names no request")
        groups[event.request_id].append(event)
    return groups


def _version_mismatches(events: Sequence[HubEvent]) -> Iterable[tuple[AlertBody, Sequence[HubEvent], bool]]:
    """One alert per hub, alike where the versions are; a hub's firmware is that of its CHF."""
    alike: dict[tuple[str, str], list[HubEvent]] = defaultdict(list)
    for event in events:
        if event.versions is None:
            raise ValueError(f"{event.event} of {event.hub_id} names no firmware versions")
        alike[event.versions].append(event)
    for versions, some in alike.items():
        yield FirmwareVersionMismatch(ANY_DEVICE, "CHF", *versions), some, True


def _changes_of_supplier(
    connection: Connection, events: Sequence[HubEvent]
) -> Iterable[tuple[AlertBody, Sequence[HubEvent], bool]]:
    """One alert per meter: its id, its type and the MPxN that the recipient is registered for."""
    device_ids = {event.device_id for event in events if event.device_id is not None}
    meters = registrations.meter_devices(connection, device_ids)
    for event in events:
        meter = meters[event.device_id or ""]
        yield DeviceChangeOfSupplier(meter.device_id, meter.device_type, meter.mpxn), (event,), False


def broker_message_id(unit_of_work: UnitOfWork, broker: str, target: str, *, recipient: str) -> str:
    """Draw an id `<broker>:<target>:<counter>` for a message that answers no request.

    Each recipient, named by its EUI, has a counter of its own: how much others are sent is not to be read from it.
    """
    return f"{broker}:{target}:{counters.draw(unit_of_work.connection, f'message:{recipient}')}"


def _told(connection: Connection, portions: Sequence[Tidings]) -> set[tuple[str, str, str, str]]:
    """Event, hub, Supplier and occurrence of what has been told before."""
    hub_ids: dict[AlertEvent, set[str]] = defaultdict(set)
    for portion in portions:
        hub_ids[portion.events[0].event].update(one.hub_id for one in portion.events)
    return {
        (event.value, *one) for event, some in hub_ids.items() for one in told.already(connection, event.value, some)
    }


def _new_ones(events: Sequence[HubEvent], told: set[tuple[str, str, str, str]]) -> list[HubEvent]:
    """Those of which their Supplier has not been told; they are added to `told`."""
    event, organisation, new = events[0].event.value, events[0].organisation, []
    for one in events:
        key = (event, one.hub_id, organisation, one.occurrence)
        if key not in told:
            told.add(key)
            new.append(one)
    return new


def _chunks(events: Sequence[HubEvent], size: int) -> Iterable[tuple[HubEvent, ...]]:
    return (tuple(events[start : start + size]) for start in range(0, len(events), size))
