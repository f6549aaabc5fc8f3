"""What a Supplier, as an organisation, may read of its hubs: what 11.7 shows of each, found, looked up and counted.

For whoever is not responsible for a hub, it does not exist. All is read through one connection, as of `now`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from sr_engine.domain.eligibility import Applicant
from sr_engine.domain.supplier_change import seen_by
from sr_engine.domain.supplier_why import Asked, chosen, supplier_why
from sr_engine.domain.upgrades import Hub, HubUpgrade, Release
from sr_engine.messages.model import CommsHubUpgrade
from sr_engine.requests.read_schedule import view
from sr_engine.store import inventory, registrations, releases, supplier_history, supplier_hubs, upgrades
from sr_engine.store.overlays import QuietDays
from sr_engine.store.supplier_history import Event
from sr_engine.store.supplier_hubs import Counted, Sought

_SCANNED = 20_000
"""Hubs looked at for one page, at most: one of a status that next to none has would take seconds otherwise."""
_AT_ONCE = 5_000
"""Hubs of which all is known at one time."""


@dataclass(frozen=True, slots=True)
class SupplierHub:
    """A hub, and what its Supplier sees of it and one release."""

    hub_id: str
    gpf_id: str | None
    region: str
    device_status: str | None
    manufacturer: str
    model: str
    version: str | None
    """The firmware that it runs."""
    roles: tuple[str, ...]
    """In which the Supplier is responsible: IS, GS or both."""
    release_id: str | None
    """The release that was asked about; else the one under way, or the newest open one; None: there is none."""
    upgrade: CommsHubUpgrade | None


@dataclass(frozen=True, slots=True)
class HubPage:
    """Hubs in ascending id, and after which to read on; None: there are no more.

    A page may hold fewer hubs than were asked for, or none, though there are more.
    """

    hubs: tuple[SupplierHub, ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class HubDetails:
    """One hub with all that its Supplier may know of it."""

    hub: SupplierHub
    upgrades: tuple[tuple[str, CommsHubUpgrade], ...]
    """By release id, newest release first."""
    why: str
    """Why it has not been upgraded yet, in one sentence."""
    history: tuple[Event, ...]
    """Since the Supplier has been responsible, oldest first."""


@dataclass(frozen=True, slots=True)
class ReleaseAtSupplier:
    """A release, as one Supplier is concerned by it."""

    release: Release
    counts: tuple[Counted, ...]

    @property
    def hubs(self) -> int:
        return sum(one.hubs for one in self.counts)

    @property
    def waiting(self) -> int:
        """Hubs for which the Supplier has still to answer."""
        return sum(one.hubs for one in self.counts if one.waiting)


class UnknownRelease(Exception):
    """There is no such release, or it does not concern this Supplier: nobody can tell which."""


class UnknownHub(Exception):
    """There is no such hub, or it is not this Supplier's: nobody can tell which."""


@dataclass(frozen=True, slots=True)
class SupplierHubs:
    """Reads for Suppliers; `viewer` says for which, and in which roles."""

    quiet_days: QuietDays

    def page(
        self,
        connection: Connection,
        viewer: Applicant,
        now: datetime,
        *,
        release_id: str | None = None,
        sought: Sought = Sought(),  # noqa: B008 - it is frozen
        after: str = "",
        limit: int = 200,
        scan: int = _SCANNED,
    ) -> HubPage:
        """The next hubs after one; raises UnknownRelease, and ValueError for a status without a release."""
        release = None if release_id is None else self.release(connection, viewer, release_id, now)
        found = supplier_hubs.search(
            connection, viewer, release, sought, now, after=after, limit=limit, scan=max(scan, limit)
        )
        known = self._known(connection, viewer, found.hub_ids, release, now)
        return HubPage(tuple(known[hub_id] for hub_id in found.hub_ids if hub_id in known), found.reached)

    def look_up(
        self,
        connection: Connection,
        viewer: Applicant,
        device_ids: Collection[str],
        now: datetime,
        *,
        release_id: str | None = None,
    ) -> dict[str, SupplierHub]:
        """By canonical id of CHF or GPF, the hubs that are this Supplier's; all others are left out, whatever they are.

        Raises UnknownRelease.
        """
        release = None if release_id is None else self.release(connection, viewer, release_id, now)
        wanted = sorted(set(device_ids))
        found: dict[str, SupplierHub] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            hub_ids = inventory.hub_ids_of(connection, wanted[start : start + _AT_ONCE])
            known = self._known(connection, viewer, set(hub_ids.values()), release, now)
            found |= {device_id: known[hub_id] for device_id, hub_id in hub_ids.items() if hub_id in known}
        return found

    def owned(self, connection: Connection, viewer: Applicant, device_ids: Collection[str], now: datetime) -> set[str]:
        """Those of some canonical ids of CHFs and GPFs whose hubs are this Supplier's."""
        hub_ids = inventory.hub_ids_of(connection, device_ids)
        hubs = inventory.hubs(connection, sorted(set(hub_ids.values())), now, with_han=False)
        mine = {hub_id for hub_id, hub in hubs.items() if hub.is_responsible(viewer.organisation, viewer.roles)}
        return {device_id for device_id, hub_id in hub_ids.items() if hub_id in mine}

    def named_twice(
        self, connection: Connection, viewer: Applicant, device_ids: Collection[str], now: datetime
    ) -> tuple[tuple[str, ...], ...]:
        """Of some canonical ids those that stand for the same hub of this Supplier, by its CHF and its GPF."""
        wanted = sorted(set(device_ids))
        by_hub: dict[str, list[str]] = defaultdict(list)
        for start in range(0, len(wanted), _AT_ONCE):
            for device_id, hub_id in inventory.hub_ids_of(connection, wanted[start : start + _AT_ONCE]).items():
                by_hub[hub_id].append(device_id)
        twice = {hub_id: tuple(sorted(ids)) for hub_id, ids in by_hub.items() if len(ids) > 1}
        mine = self.owned(connection, viewer, list(twice), now) if twice else set()
        return tuple(ids for hub_id, ids in sorted(twice.items()) if hub_id in mine)

    def counts(self, connection: Connection, viewer: Applicant, release_id: str, now: datetime) -> list[Counted]:
        """How many of this Supplier's hubs of a release's model have which status, by region; raises UnknownRelease.

        All of them are looked at: a second for some 100,000.
        """
        return supplier_hubs.count(connection, viewer, self.release(connection, viewer, release_id, now), now)

    def details(self, connection: Connection, viewer: Applicant, device_id: str, now: datetime) -> HubDetails:
        """One hub, by the canonical id of its CHF or GPF; raises UnknownHub."""
        hub_id = inventory.hub_ids_of(connection, [device_id]).get(device_id)
        hub = None if hub_id is None else inventory.hubs(connection, [hub_id], now, with_han=True).get(hub_id)
        if hub is None or not hub.is_responsible(viewer.organisation, viewer.roles):
            raise UnknownHub(device_id)
        seen = [
            (release, self._seen(connection, viewer, release, [hub.hub_id], now)[hub.hub_id])
            for release in releases.of_model(connection, hub.manufacturer, hub.model)
        ]
        shown = [
            (release, upgrade)
            for release, upgrade in seen
            if viewer.organisation in upgrade.answers or upgrade.attempt is not None or release.status == "Open"
        ]
        views = [(release, upgrade, view(release, upgrade, viewer.organisation, now)) for release, upgrade in shown]
        spoken_of = chosen(hub, [(release, one) for release, _, one in views])
        asked = [Asked(release, replaced, one) for release, replaced, one in views]
        since = registrations.responsible_since(connection, hub.hub_id, viewer.organisation, viewer.roles, now)
        return HubDetails(
            hub=_of_supplier(hub, viewer, spoken_of),
            upgrades=tuple((release.release_id, one) for release, _, one in views),
            why=supplier_why(hub, asked),
            history=tuple(
                supplier_history.of_hub(
                    connection, hub.hub_id, viewer.organisation, since, [one.release_id for one, _ in seen]
                )
            ),
        )

    def release(self, connection: Connection, viewer: Applicant, release_id: str, now: datetime) -> Release:
        """One release that concerns this Supplier; raises UnknownRelease."""
        try:
            found = releases.by_id(connection, release_id)
        except LookupError:
            raise UnknownRelease(release_id) from None
        if not supplier_hubs.concerned(connection, viewer, found, now):
            raise UnknownRelease(release_id)
        return found

    def concerning(self, connection: Connection, viewer: Applicant, now: datetime) -> list[Release]:
        """The releases that concern this Supplier, newest first; for it there are no others."""
        return [
            release
            for release in releases.all_releases(connection)
            if supplier_hubs.concerned(connection, viewer, release, now)
        ]

    def releases(
        self, connection: Connection, viewer: Applicant, now: datetime, *, only_open: bool = False
    ) -> list[ReleaseAtSupplier]:
        """The same, each with the counts of this Supplier's hubs."""
        return [
            ReleaseAtSupplier(release, tuple(supplier_hubs.count(connection, viewer, release, now)))
            for release in self.concerning(connection, viewer, now)
            if release.status == "Open" or not only_open
        ]

    def _known(
        self,
        connection: Connection,
        viewer: Applicant,
        hub_ids: Iterable[str],
        release: Release | None,
        now: datetime,
    ) -> dict[str, SupplierHub]:
        hubs = {
            hub_id: hub
            for hub_id, hub in inventory.hubs(connection, sorted(hub_ids), now, with_han=False).items()
            if hub.is_responsible(viewer.organisation, viewer.roles)
        }
        views: dict[str, list[tuple[Release, CommsHubUpgrade]]] = defaultdict(list)
        for one, some in self._asked_about(connection, hubs, release):
            for hub_id, upgrade in self._seen(connection, viewer, one, some, now).items():
                views[hub_id].append((one, view(one, upgrade, viewer.organisation, now)))
        return {hub_id: _of_supplier(hub, viewer, chosen(hub, views[hub_id])) for hub_id, hub in hubs.items()}

    def _asked_about(
        self, connection: Connection, hubs: Mapping[str, Hub], release: Release | None
    ) -> list[tuple[Release, list[str]]]:
        """The releases to be spoken of, each with the hubs of its model."""
        of_model: dict[tuple[str, str], list[str]] = defaultdict(list)
        for hub_id, hub in hubs.items():
            of_model[hub.manufacturer, hub.model].append(hub_id)
        if release is not None:
            model = release.firmware.manufacturer, release.firmware.model
            return [(release, of_model[model])] if of_model[model] else []
        return [(one, some) for model, some in of_model.items() for one in releases.of_model(connection, *model)]

    def _seen(
        self, connection: Connection, viewer: Applicant, release: Release, hub_ids: Sequence[str], now: datetime
    ) -> dict[str, HubUpgrade]:
        loaded = upgrades.load(connection, hub_ids, release, now, quiet_days=self.quiet_days)
        came = registrations.arrivals_of(connection, hub_ids, release.release_id, viewer.organisation)
        return {hub_id: seen_by(one, viewer.organisation, came.get(hub_id)) for hub_id, one in loaded.items()}


def _of_supplier(hub: Hub, viewer: Applicant, about: tuple[Release, CommsHubUpgrade] | None) -> SupplierHub:
    held = (("IS", hub.electricity), ("GS", hub.gas))
    return SupplierHub(
        hub_id=hub.hub_id,
        gpf_id=hub.gpf_id,
        region=hub.region or "Unknown",
        device_status=hub.device_status,
        manufacturer=hub.manufacturer,
        model=hub.model,
        version=hub.version,
        roles=tuple(role for role, one in held if one == viewer.organisation and role in viewer.roles),
        release_id=None if about is None else about[0].release_id,
        upgrade=None if about is None else about[1],
    )
