"""What deciding a request yields, and what it may look at while deciding."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from sr_engine.domain.agreement import HasPeriod
from sr_engine.domain.changes import Changes
from sr_engine.domain.deliveries import FirmwareOrder
from sr_engine.domain.exclusions import ExcludableHub, ExclusionChanges
from sr_engine.domain.phases import PilotPlaces
from sr_engine.domain.states import Lifecycle
from sr_engine.domain.supplier_change import Arrival, Departure
from sr_engine.domain.upgrades import Hub, HubUpgrade, Listed, Release, Schedule
from sr_engine.messages.model import Device, Firmware, Period, ReadInventory, Result, ScheduleDetails
from sr_engine.value_objects import value_object


@value_object
class Sender:
    """Who sent the request: the User, its organisation, the User's roles that permit it; and the RequestID."""

    request_id: str
    """As received: alerts about what came of it repeat it."""
    eui: str
    organisation: str
    roles: frozenset[str]


@value_object
class Outcome:
    """A response code, why in words a person can act on, the result body, and what is to change."""

    code: str
    detail: str
    result: Result | None = None
    changes: Changes | None = None
    exclusions: ExclusionChanges | None = None
    cancels: tuple[int, str] | None = None
    """The held request that is carried out no more: its id in the store, and its RequestID."""
    firmware: FirmwareOrder | None = None


class Facts(Protocol):
    """What a decision may read, all as of one moment and one transaction."""

    def release(self, firmware: Firmware) -> Release | None:
        """The release of exactly this firmware."""

    def hub_upgrades(
        self, device_ids: Sequence[str], release: Release, *, with_overlays: bool = False, alike: bool = False
    ) -> Listed[HubUpgrade]:
        """Of each canonical id that is a CHF, or a GPF (which stands for its hub); others are left out.

        Exclusions and quiet days are in them only if asked for. With `alike` hubs share what is known of them where
        that is the same, without a past; else each has its own.
        """

    def pilot_places(self, release: Release, organisation: str, *, leaving: Collection[str]) -> PilotPlaces:
        """What is left of this Supplier's shares, once the hubs `leaving` give up the place they have not used."""

    def excludable_hubs(self, device_ids: Sequence[str]) -> Listed[ExcludableHub]:
        """Of each canonical id that is a CHF, or a GPF (which stands for its hub); others are left out."""

    def hub(self, device_id: str) -> Hub | None:
        """The hub with this CHF or GPF id, its HAN devices left out; None if there is none."""

    def upgrades_of_hub(self, hub: Hub) -> Sequence[tuple[Release, HubUpgrade]]:
        """Every release for the hub's model, newest first."""

    def device_type(self, device_id: str) -> str | None:
        """DeviceType of a device, None for an unknown one."""

    def schedule(self, schedule_id: int) -> tuple[Release, Schedule, ScheduleDetails] | None:
        """A schedule with its release."""

    def scheduled_upgrades(
        self, schedule_id: int, release: Release, *, after: str | None = None, limit: int | None = None
    ) -> Sequence[HubUpgrade]:
        """Hubs of a schedule, in force or not, in ascending CHF id, beginning after the one named."""

    def hubs_in_force(self, schedule_id: int, release: Release) -> Sequence[HubUpgrade]:
        """Hubs for which the schedule is in force."""

    def in_schedule(self, schedule_id: int, hub_ids: Collection[str]) -> Collection[str]:
        """Those of some hubs that a schedule was set for, whether it is in force for them or not."""

    def arrivals(self, hub_ids: Collection[str], release: Release, organisation: str) -> Mapping[str, Arrival]:
        """By hub, where this Supplier's history of the release begins; hubs it has always had are left out."""

    def departures(self, hub_ids: Collection[str], release: Release, organisation: str) -> Mapping[str, Departure]:
        """By hub, what this Supplier still sees of those it has left, whether it has come back or not."""

    def inventory(self, query: ReadInventory, limit: int) -> Sequence[Device]:
        """Devices that match, at most `limit`."""


HasFreePeriod = Callable[[str, Period, tuple[Period, ...]], bool]
"""Does this window hold a nightly open period of that region that can still be listed and touches none of these?"""


@value_object
class Rules:
    """The rules and the moment a decision is made under."""

    now: datetime
    horizon_end: datetime
    has_period: HasPeriod
    has_free_period: HasFreePeriod
    lifecycle: Lifecycle
    page_devices: int
    inventory_max_devices: int
    cause: str
    """Names the request in the occurrences of events."""
    draw_schedule_id: Callable[[], int]
