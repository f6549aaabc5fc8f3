"""Registrations that come in and registrations that become effective: changes of Supplier, carried out (section 5)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Connection

from sr_engine.configuration import AlertEvent, Region
from sr_engine.delivery.alerts import Alerts
from sr_engine.domain import supplier_change
from sr_engine.domain.changes import Changes, HubEvent
from sr_engine.domain.eligibility import firmware_applies
from sr_engine.domain.states import Lifecycle
from sr_engine.domain.supplier_change import Line, Registration, Turnover
from sr_engine.domain.upgrades import Hub, Release
from sr_engine.regions.periods import PeriodFinder
from sr_engine.store import audit, due_hubs, inventory, registrations, releases, upgrade_writing, upgrades
from sr_engine.store.registrations import Histories, KnownRegistration, Meter, Point
from sr_engine.store.units_of_work import UnitOfWork

Row = Mapping[str, object]

SUPPLIER_CAME, SUPPLIER_LEFT = "Supplier came", "Supplier left"
"""What is recorded of each Supplier, with the hubs that it came to, or has left altogether."""

AT_ONCE = 500
"""Meter points looked at in one transaction, at most; each brings along the other one of its hub."""

FIRST_AT_ONCE = 10_000
"""Of meter points that nobody has looked at before, and for whose hub nobody has answered, the same."""

LOOK_AGAIN = timedelta(minutes=15)
"""How often a hub whose Supplier has changed is looked at until it is with the CSP no more."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def effective_from(text: str) -> datetime:
    """A time in UTC; a bare date is its midnight in UTC. Raises ValueError, also for a time without its zone."""
    if _DAY.fullmatch(text):
        return datetime.combine(date.fromisoformat(text), time.min, tzinfo=UTC)
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(text)
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise ValueError(text) from None


def receive(unit_of_work: UnitOfWork, rows: Sequence[Row]) -> int:
    """Add, replace or cancel registrations (mpxn, role, effective_from, organisation, cancelled); return the cancelled.

    Who is registered so far for a meter point that is new here is where changes are counted from: a first registration
    is no change of Supplier.
    """
    connection = unit_of_work.connection
    cancelled = [row for row in rows if row.get("cancelled")]
    registered = [
        {name: row[name] for name in ("mpxn", "role", "effective_from", "organisation")}
        for row in rows
        if not row.get("cancelled")
    ]
    registrations.settle_first(connection, {str(row["mpxn"]) for row in rows}, unit_of_work.now)
    registrations.cancel(connection, cancelled)
    inventory.put_registrations(connection, registered)
    return len(cancelled)


def receive_feed(unit_of_work: UnitOfWork, rows: Sequence[Row]) -> str:
    """Take in one message of the registration feed; return what the audit trail says of it."""
    cancelled = receive(unit_of_work, rows)
    detail = f"{len(rows) - cancelled} registered, {cancelled} cancelled"
    entry = audit.Entry(unit_of_work.now, "registration feed", "registrations received", detail)
    audit.record(unit_of_work.connection, [entry])
    return detail


def history(connection: Connection, mpxn_or_device: str) -> list[KnownRegistration]:
    """All that is registered for an MPxN, or for the meters of a device: a meter itself, or all behind a hub."""
    mpxns = registrations.mpxns_of_device(connection, mpxn_or_device)
    return registrations.known_registrations(connection, mpxns or [mpxn_or_device])


@dataclass(frozen=True, slots=True)
class _Moved:
    """A hub that has to be looked at, and what its meters' registrations mean for it."""

    hub: Hub
    change: Turnover
    gained: Sequence[tuple[Meter, str]]
    """Meters with the Supplier that has taken each over."""


@dataclass(frozen=True, slots=True)
class SupplierChanges:
    """The chore that carries out registrations which have become effective, each once and whatever their date."""

    alerts: Alerts
    lifecycle: Lifecycle
    regions: Mapping[str, Region]
    exclusion_kept: timedelta
    """How long the exclusion of a Supplier that left stays in force."""

    def __call__(self, unit_of_work: UnitOfWork) -> bool:
        """Look at the meter points and hubs due first; true while there may be more."""
        connection, now = unit_of_work.connection, unit_of_work.now
        if registrations.settle_first_due(connection, now, FIRST_AT_ONCE) == FIRST_AT_ONCE:
            return True
        due = registrations.due(connection, now, AT_ONCE)
        hub_ids = due_hubs.due(connection, now, AT_ONCE)
        if not due and not hub_ids:
            return False
        due_points = {one.point for one in due}
        due_mpxns = {mpxn for mpxn, _ in due_points}
        meters = registrations.meters_sharing_a_hub(connection, due_mpxns, and_behind=hub_ids)
        points = due_points | {meter.point for meter in meters}
        known = registrations.histories(connection, {mpxn for mpxn, _ in points})
        postponed = self._carry_out(unit_of_work, self._moved(unit_of_work, hub_ids, meters, known))
        registrations.settled(connection, _now_settled(points, known, now))
        registrations.done(connection, due)
        # Only what was due, or a hub's two meter points would come back as four.
        again = due_points & {meter.point for meter in meters if meter.hub_id in postponed}
        registrations.look_again(connection, again, now + LOOK_AGAIN)
        due_hubs.done(connection, hub_ids)
        due_hubs.put(connection, postponed & set(hub_ids), now + LOOK_AGAIN)
        return AT_ONCE in (len(due), len(hub_ids))

    def _moved(
        self, unit_of_work: UnitOfWork, hub_ids: Sequence[str], meters: Sequence[Meter], known: Histories
    ) -> dict[str, _Moved]:
        """The hubs that somebody has left or come to, and those for which somebody has answered."""
        connection, now = unit_of_work.connection, unit_of_work.now
        of_hub: dict[str, list[Meter]] = {hub_id: [] for hub_id in hub_ids}
        for meter in meters:
            of_hub.setdefault(meter.hub_id, []).append(meter)
        changes = {
            hub_id: supplier_change.turnover(_line(behind, "ESME", known), _line(behind, "GSME", known), now)
            for hub_id, behind in of_hub.items()
        }
        steps = {meter.point: known.line([meter.point]).steps(now) for meter in meters}
        concerned = registrations.hubs_with_answers(connection, changes)
        concerned |= {meter.hub_id for meter in meters if steps[meter.point]}
        hubs = inventory.hubs(connection, concerned, now, with_han=False)
        return {
            hub_id: _Moved(hub, changes[hub_id], _gained(hub, of_hub[hub_id], steps)) for hub_id, hub in hubs.items()
        }

    def _carry_out(self, unit_of_work: UnitOfWork, moved: Mapping[str, _Moved]) -> set[str]:
        """Do all that follows; return the hubs for which something of it waits until they are with the CSP no more."""
        connection, now = unit_of_work.connection, unit_of_work.now
        if not moved:
            return set()
        postponed: set[str] = set()
        for release_id, hub_ids in sorted(registrations.releases_concerned(connection, moved).items()):
            postponed |= self._at_release(unit_of_work, releases.by_id(connection, release_id), hub_ids, moved)
        left = [(hub_id, one, at) for hub_id, of_hub in moved.items() for one, at in of_hub.change.left.items()]
        registrations.limit_exclusions(connection, left, self.exclusion_kept)
        arrived = [(hub_id, one) for hub_id, of_hub in moved.items() for one in of_hub.change.arrived]
        registrations.restore_exclusions(connection, arrived, now)
        self._welcome(unit_of_work, moved)
        changed = [hub_id for hub_id, of_hub in moved.items() if not of_hub.change.is_empty]
        if changed:
            detail = f"{len(left)} left a hub, {sum(len(one.change.arrived) for one in moved.values())} came to one"
            entry = audit.Entry(now, "processor", "change of Supplier", detail, hubs=changed)
            audit.record(connection, [entry, *_turnovers(moved, now)])
        return postponed

    def _at_release(
        self, unit_of_work: UnitOfWork, release: Release, hub_ids: Collection[str], moved: Mapping[str, _Moved]
    ) -> set[str]:
        connection, now = unit_of_work.connection, unit_of_work.now
        loaded = upgrades.load(connection, hub_ids, release, now)
        known = registrations.known_of(connection, hub_ids, release.release_id)
        has_period = PeriodFinder(self.regions, now)
        changes = Changes(release, self.lifecycle)
        followed = {
            hub_id: supplier_change.carry_out(
                changes, upgrade, moved[hub_id].change, known[hub_id], now=now, has_period=has_period
            )
            for hub_id, upgrade in loaded.items()
        }
        upgrade_writing.write(connection, changes, now)
        registrations.put_departures(
            connection, release.release_id, [one for what in followed.values() for one in what.departures]
        )
        registrations.put_arrivals(
            connection, release.release_id, [one for what in followed.values() for one in what.arrivals]
        )
        self.alerts.post(unit_of_work, changes.events)
        void = sorted({hub_id for hub_id, _ in changes.forgotten})
        entries = audit.transitions(
            changes.attempts, at=now, actor="processor", release_id=release.release_id, message_key=None
        )
        if void:
            detail = "a Supplier that had answered has left"
            entries.append(audit.Entry(now, "processor", "answer void", detail, None, release.release_id, hubs=void))
        audit.record(connection, entries)
        return {hub_id for hub_id, what in followed.items() if what.postponed}

    def _welcome(self, unit_of_work: UnitOfWork, moved: Mapping[str, _Moved]) -> None:
        """Tell those that have taken meters over, if a release is open that their hub may be given."""
        connection, now = unit_of_work.connection, unit_of_work.now
        of_model: dict[tuple[str, str], list[Release]] = {}
        events: dict[str, list[HubEvent]] = defaultdict(list)
        for of_hub in moved.values():
            hub = of_hub.hub
            if not of_hub.gained:
                continue
            model = hub.manufacturer, hub.model
            if model not in of_model:
                of_model[model] = releases.of_model(connection, *model)
            release = next(
                (one for one in of_model[model] if one.status == "Open" and firmware_applies(hub, one)), None
            )
            if release is None:
                continue
            events[release.release_id] += [
                HubEvent(
                    AlertEvent.CHANGE_OF_SUPPLIER,
                    hub.hub_id,
                    organisation,
                    release.release_id,
                    f"{meter.device_id}@{now.timestamp():.6f}",
                    meter.device_id,
                )
                for meter, organisation in of_hub.gained
            ]
        for of_release in events.values():
            self.alerts.post(unit_of_work, of_release)


def _turnovers(moved: Mapping[str, _Moved], now: datetime) -> list[audit.Entry]:
    """Who has come to which hubs, and who has left which."""
    of_supplier: dict[tuple[str, str], list[str]] = defaultdict(list)
    for hub_id, of_hub in moved.items():
        for one in of_hub.change.left:
            of_supplier[SUPPLIER_LEFT, one].append(hub_id)
        for one in of_hub.change.arrived:
            of_supplier[SUPPLIER_CAME, one].append(hub_id)
    return [
        audit.Entry(now, "processor", action, organisation, hubs=hub_ids)
        for (action, organisation), hub_ids in sorted(of_supplier.items())
    ]


def _line(meters: Iterable[Meter], device_type: str, known: Histories) -> Line:
    return known.line({meter.point for meter in meters if meter.device_type == device_type})


def _gained(
    hub: Hub, meters: Iterable[Meter], steps: Mapping[Point, Sequence[Registration]]
) -> list[tuple[Meter, str]]:
    """Each meter that has changed hands, with whom it is now."""
    return [
        (meter, steps[meter.point][-1].organisation or "")
        for meter in meters
        if steps[meter.point] and steps[meter.point][-1].organisation in hub.responsible
    ]


def _now_settled(points: Iterable[Point], known: Histories, now: datetime) -> dict[Point, Registration]:
    """Up to which registration each meter point is carried out, where that is another than before."""
    found: dict[Point, Registration] = {}
    for point in points:
        settled = known.settled.get(point)
        current = known.line([point]).current(now)
        if current is None and settled is not None and settled.organisation is not None:
            # Cancelled, and nobody was registered before.
            current = replace(settled, effective_from=now, organisation=None)
        if current is not None and current != settled:
            found[point] = current
    return found
