"""What a decision may read, answered from the tables as of one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from sr_engine.domain.deliveries import CplEntry, FirmwareTargets
from sr_engine.domain.exclusions import ExcludableHub
from sr_engine.domain.phases import PilotPlaces
from sr_engine.domain.supplier_change import Arrival, Departure
from sr_engine.domain.upgrades import Hub, HubUpgrade, Listed, Release, Schedule
from sr_engine.messages.model import Device, Firmware, ReadInventory, ScheduleDetails
from sr_engine.store import (
    cpl,
    exclusions,
    firmware,
    inventory,
    known_hubs,
    phases,
    registrations,
    releases,
    sharing,
    upgrades,
)
from sr_engine.store.known_hubs import KnownHubs
from sr_engine.store.overlays import QuietDays
from sr_engine.store.upgrade_writing import UPGRADES
from sr_engine.store.upgrades import Past

_HUB_IDS = ("hub ids",)


def ask_ahead(
    connection: Connection,
    shared: sharing.Shared,
    wanted: Mapping[tuple[Firmware, bool], Sequence[str]],
    now: datetime,
    quiet_days: QuietDays,
) -> sharing.Take:
    """Read for all that share this transaction what is known of hubs for each release, with overlays or without.

    Hubs are given by the canonical ids of CHF or GPF.
    """
    if not wanted:
        return lambda: None
    device_ids = list(dict.fromkeys(device_id for some in wanted.values() for device_id in some))
    take_releases = releases.ask_ahead(connection, shared, {of_firmware for of_firmware, _ in wanted})

    def take() -> None:
        # First what has been asked for: then reading it makes no trip of its own.
        shared.read(_HUB_IDS, lambda: dict.fromkeys(device_ids) | inventory.hub_ids_of(connection, device_ids))
        take_releases()
        for (of_firmware, with_overlays), some in wanted.items():
            release = releases.by_firmware(connection, of_firmware)
            if release is not None:
                known = [shared.known(_HUB_IDS, one) for one in some]
                hub_ids = {hub_id for hub_id in known if hub_id not in {None, sharing.UNKNOWN}}
                load = partial(_load, connection, of_firmware, hub_ids, now, quiet_days if with_overlays else None)
                shared.read(_of_release(release, now, with_overlays=with_overlays), load)

    return take


def _load(
    connection: Connection, of_firmware: Firmware, hub_ids: Collection[str], now: datetime, quiet_days: QuietDays | None
) -> Mapping[str, HubUpgrade]:
    # Which devices behind a hub matter is for the release to say: what is known rests on what is known of that.
    release = releases.by_firmware(connection, of_firmware)
    return {} if release is None else upgrades.load(connection, hub_ids, release, now, quiet_days=quiet_days)


def _of_release(release: Release, now: datetime, *, with_overlays: bool) -> sharing.Kind:
    return (UPGRADES, release.release_id, now, with_overlays)


def _read_before(shared: sharing.Shared, kind: sharing.Kind, device_ids: Sequence[str]) -> Listed[HubUpgrade] | None:
    """What was read ahead of some devices; None if not all of it was, or something may have changed since."""
    hub_ids: dict[str, str] = {}
    found: dict[str, HubUpgrade] = {}
    for device_id in device_ids:
        hub_id = shared.known(_HUB_IDS, device_id)
        if hub_id is None:
            continue
        upgrade = sharing.UNKNOWN if hub_id is sharing.UNKNOWN else shared.known(kind, hub_id)
        if upgrade is sharing.UNKNOWN:
            return None
        hub_ids[device_id], found[hub_id] = hub_id, upgrade
    return Listed(hub_ids, found)


class StoredFacts:
    """The facts of `requests.outcome.Facts`, and of `FirmwareFacts`, read through one connection as of `now`."""

    def __init__(
        self,
        connection: Connection,
        now: datetime,
        quiet_days: QuietDays,
        known: KnownHubs | None = None,
        past: Past | None = None,
    ) -> None:
        """What is `known` of hubs is read again only if it may be otherwise by now; with their `past` it is not."""
        self._connection = connection
        self._known = known
        self._past = past
        self._now = now
        self._quiet_days = quiet_days

    def release(self, firmware: Firmware) -> Release | None:
        return releases.by_firmware(self._connection, firmware)

    def hub_upgrades(
        self, device_ids: Sequence[str], release: Release, *, with_overlays: bool = False, alike: bool = False
    ) -> Listed[HubUpgrade]:
        shared = sharing.of(self._connection)
        if shared is not None:
            kind = _of_release(release, self._now, with_overlays=with_overlays)
            read = _read_before(shared, kind, device_ids)
            if read is not None:
                return read
        known = self._standing(device_ids, release)
        hub_ids = inventory.hub_ids_of(self._connection, device_ids) if known is None else known.hub_ids
        quiet_days = self._quiet_days if with_overlays else None
        wanted = set(hub_ids.values())
        found = upgrades.load_alike(
            self._connection, wanted, release, self._now, quiet_days=quiet_days, known=known, past=self._past
        )
        if not alike:
            found = {hub_id: one.of(hub_id) for hub_id, one in found.items()}
        return Listed({device_id: hub_id for device_id, hub_id in hub_ids.items() if hub_id in found}, found)

    def _standing(self, device_ids: Sequence[str], release: Release) -> KnownHubs | None:
        known = self._known
        if known is None or self._past is not None:
            return known
        with_han = bool(release.han_models)
        return known if known_hubs.stand(self._connection, known, device_ids, self._now, with_han=with_han) else None

    def pilot_places(self, release: Release, organisation: str, *, leaving: Collection[str]) -> PilotPlaces:
        return phases.pilot_places(self._connection, release.release_id, organisation, leaving=leaving)

    def excludable_hubs(self, device_ids: Sequence[str]) -> Listed[ExcludableHub]:
        return exclusions.load(self._connection, device_ids, self._now)

    def cpl_entries(self, version: str, device_types: Collection[str]) -> Sequence[CplEntry]:
        return cpl.of_version(self._connection, version, device_types)

    def firmware_targets(self, device_ids: Sequence[str]) -> Sequence[FirmwareTargets]:
        return firmware.targets(self._connection, device_ids, self._now)

    def hub(self, device_id: str) -> Hub | None:
        hub_id = inventory.hub_ids_of(self._connection, [device_id]).get(device_id)
        if hub_id is None:
            return None
        return inventory.hubs(self._connection, [hub_id], self._now, with_han=False).get(hub_id)

    def upgrades_of_hub(self, hub: Hub) -> Sequence[tuple[Release, HubUpgrade]]:
        return [
            (release, self._in_order([hub.hub_id], release)[0])
            for release in releases.of_model(self._connection, hub.manufacturer, hub.model)
        ]

    def device_type(self, device_id: str) -> str | None:
        return inventory.device_type(self._connection, device_id)

    def schedule(self, schedule_id: int) -> tuple[Release, Schedule, ScheduleDetails] | None:
        found = upgrades.find_schedule(self._connection, schedule_id)
        if found is None:
            return None
        release_id, schedule, details = found
        return releases.by_id(self._connection, release_id), schedule, details

    def scheduled_upgrades(
        self, schedule_id: int, release: Release, *, after: str | None = None, limit: int | None = None
    ) -> Sequence[HubUpgrade]:
        hub_ids = upgrades.hubs_of_schedule(self._connection, schedule_id, after=after, limit=limit)
        return self._in_order(hub_ids, release)

    def hubs_in_force(self, schedule_id: int, release: Release) -> Sequence[HubUpgrade]:
        return self._in_order(upgrades.hubs_of_schedule(self._connection, schedule_id, only_in_force=True), release)

    def in_schedule(self, schedule_id: int, hub_ids: Collection[str]) -> Collection[str]:
        return upgrades.in_schedule(self._connection, schedule_id, hub_ids)

    def _in_order(self, hub_ids: Sequence[str], release: Release) -> Sequence[HubUpgrade]:
        known = upgrades.load(self._connection, hub_ids, release, self._now, quiet_days=self._quiet_days)
        return [known[hub_id] for hub_id in hub_ids if hub_id in known]

    def arrivals(self, hub_ids: Collection[str], release: Release, organisation: str) -> Mapping[str, Arrival]:
        return registrations.arrivals_of(self._connection, hub_ids, release.release_id, organisation)

    def departures(self, hub_ids: Collection[str], release: Release, organisation: str) -> Mapping[str, Departure]:
        return registrations.departures_of(self._connection, hub_ids, release.release_id, organisation)

    def inventory(self, query: ReadInventory, limit: int) -> Sequence[Device]:
        return inventory.find(self._connection, query, limit)
