"""DCC Alerts: which number and which body each event of ours is sent with (`alerts.toml`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from sr_engine.configuration import values
from sr_engine.configuration.duis import DCC_ALERT_CODES, AlertBodyElement
from sr_engine.configuration.reader import Key, Named, Place, Table

_GBCS_CODES: Final = range(0x8000, 0x9000)
"""Alert codes of devices lie here (FACTS AL12); ours stay clear of them."""


class AlertEvent(StrEnum):
    """What Suppliers are told of (section 5 of the domain description, Alerts out)."""

    RELEASE_OPENED = "release_opened"
    RELEASE_CHANGED = "release_changed"
    HUB_SCHEDULED = "hub_scheduled"
    HUB_LISTED = "hub_listed"
    HUB_RETURNED = "hub_returned"
    HUB_DELIVERED = "hub_delivered"
    HUB_ACTIVATED = "hub_activated"
    HUB_FAILED = "hub_failed"
    HUB_MISSED = "hub_missed"
    HUB_CANCELLED = "hub_cancelled"
    HUB_VOIDED = "hub_voided"
    HUB_HALTED = "hub_halted"
    HUB_RESUMED = "hub_resumed"
    WINDOW_CONFLICT = "window_conflict"
    OTHER_SUPPLIER_ANSWER_CHANGED = "other_supplier_answer_changed"
    FIRMWARE_DELIVERED = "firmware_delivered"
    DELIVERY_FAILED = "delivery_failed"
    FIRMWARE_NOT_DISTRIBUTED = "firmware_not_distributed"
    FIRMWARE_VERSION_MISMATCH = "firmware_version_mismatch"
    CHANGE_OF_SUPPLIER = "change_of_supplier"
    QUARANTINED_REQUEST = "quarantined_request"
    DUIS_VERSION_MISMATCH = "duis_version_mismatch"


_OF_DEVICES: Final = (AlertEvent.FIRMWARE_DELIVERED, AlertEvent.DELIVERY_FAILED, AlertEvent.FIRMWARE_NOT_DISTRIBUTED)
_BODIES_OF_DEVICES: Final = (
    AlertBodyElement.CSP_FIRMWARE_DELIVERY_STATUS,
    AlertBodyElement.FIRMWARE_DISTRIBUTION_FAILURE,
)
"""Those that say of which firmware request they are and of which devices."""


class AlertSource(StrEnum):
    """How sure the DCCAlertCode of an event is."""

    PUBLISHED = "published"
    INFERRED = "inferred"
    OURS = "ours"


@dataclass(frozen=True, slots=True)
class AlertDefinition:
    """How one event is written as a DCC Alert."""

    event: AlertEvent
    code: str
    """DCCAlertCode."""
    body: AlertBodyElement
    meaning: str
    source: AlertSource
    hub_alert_code: str | None = None
    """The AlertCode inside CommsHubAlert, four upper-case hexadecimal digits; set for that body only."""
    since: Decimal | None = None
    """The DUIS version that first has its code or body; None if all versions taken here have them."""

    def can_be_expressed_in(self, version: Decimal) -> bool:
        """Whether a User of that DUIS version can be sent the alert as it is."""
        return self.since is None or version >= self.since


@dataclass(frozen=True, slots=True)
class HubAlertCodes:
    """The range reserved for AlertCodes of our own, both ends included."""

    first: str
    """The lowest."""
    last: str
    """The highest."""


@dataclass(frozen=True, slots=True)
class Alerts:
    """The definition of every event."""

    alert: Mapping[AlertEvent, AlertDefinition]
    hub_alert_codes: HubAlertCodes


def _alerts(alert: Mapping[str, AlertDefinition], hub_alert_codes: HubAlertCodes) -> Alerts:
    return Alerts(MappingProxyType({entry.event: entry for entry in alert.values()}), hub_alert_codes)


def _check_range(codes: HubAlertCodes, place: Place) -> None:
    first, last = int(codes.first, 16), int(codes.last, 16)
    if last < first:
        place.inside("last").report(f"must not be below first, which is {codes.first}")
    elif first < _GBCS_CODES.stop and last >= _GBCS_CODES.start:
        place.report(f"{codes.first} to {codes.last} touches 8000 to 8FFF, where devices have their codes")


def _check_definition(alert: AlertDefinition, place: Place) -> None:
    if alert.body is AlertBodyElement.COMMS_HUB_ALERT and alert.hub_alert_code is None:
        place.inside("hub_alert_code").report(f"is missing; a {alert.body} needs {_HUB_ALERT_CODE.wants}")
    if alert.body is not AlertBodyElement.COMMS_HUB_ALERT and alert.hub_alert_code is not None:
        place.inside("hub_alert_code").report(f"must be left out: {alert.body} has no place for it")
    if alert.body is AlertBodyElement.DUIS_VERSION_MISMATCH and alert.since is not None:
        place.inside("since").report(f"must be left out: {alert.body} is what older versions are sent instead")
    if alert.event is AlertEvent.DUIS_VERSION_MISMATCH and alert.body is not AlertBodyElement.DUIS_VERSION_MISMATCH:
        place.inside("body").report(f"must be {AlertBodyElement.DUIS_VERSION_MISMATCH}, not {alert.body}")
    if alert.event in _OF_DEVICES and alert.body not in _BODIES_OF_DEVICES:
        place.inside("body").report(
            f"must be {' or '.join(_BODIES_OF_DEVICES)}, not {alert.body}: others have no place for a firmware request "
            "and its devices"
        )


def _check_alerts(alerts: Alerts, place: Place) -> None:
    events = place.inside("alert")
    for event in AlertEvent:
        if event not in alerts.alert:
            events.inside(event).report("is missing; every event needs its table")
    reserved = range(int(alerts.hub_alert_codes.first, 16), int(alerts.hub_alert_codes.last, 16) + 1)
    bodies: dict[str, AlertDefinition] = {}
    hub_codes: dict[str, AlertDefinition] = {}
    for alert in alerts.alert.values():
        here = events.inside(alert.event)
        same_code = bodies.setdefault(alert.code, alert)
        if same_code.body is not alert.body:
            here.inside("code").report(
                f"{alert.code} already stands for {same_code.body} at {same_code.event}; one number has one body"
            )
        if alert.hub_alert_code is None:
            continue
        if int(alert.hub_alert_code, 16) not in reserved:
            here.inside("hub_alert_code").report(
                f"must be in the reserved range {alerts.hub_alert_codes.first} to {alerts.hub_alert_codes.last}, "
                f"not {alert.hub_alert_code}"
            )
        same_hub_code = hub_codes.setdefault(alert.hub_alert_code, alert)
        if same_hub_code is not alert:
            here.inside("hub_alert_code").report(
                f"{alert.hub_alert_code} already belongs to {same_hub_code.event}; give each event its own"
            )


_HUB_ALERT_CODE = values.pattern("four upper-case hexadecimal digits such as A501", "[0-9A-F]{4}")

_ALERT = Table(
    AlertDefinition,
    Key("code", values.known("a DCCAlertCode of DUIS (AD1, N1 to N31, N33 to N65, N999)", DCC_ALERT_CODES)),
    Key("body", values.member(AlertBodyElement)),
    Key("meaning", values.text()),
    Key("source", values.member(AlertSource)),
    Key("hub_alert_code", _HUB_ALERT_CODE, optional=True),
    Key("since", values.schema_version(), optional=True),
    check=_check_definition,
)

_RANGE = Table(HubAlertCodes, Key("first", _HUB_ALERT_CODE), Key("last", _HUB_ALERT_CODE), check=_check_range)

ALERTS = Table(
    _alerts,
    Key(
        "hub_alert_codes",
        _RANGE,
    ),
    Key("alert", Named(_ALERT, "event", values.member(AlertEvent))),
    check=_check_alerts,
)
"""What `alerts.toml` holds."""
