"""Registrations over time: which meter points are due to be looked at, what was carried out, who left and who came."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, exists, or_, select
from sqlalchemy.dialects.postgresql import Insert, insert

from sr_engine.domain.supplier_change import Arrival, Departure, Known, Line, Registration
from sr_engine.messages.model import Approval, Period, UpgradeStatus
from sr_engine.store import candidates, inventory
from sr_engine.store.bulk import execute_many
from sr_engine.store.prepared import Prepared
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import (
    arrivals,
    attempts,
    decisions,
    departures,
    devices,
    due_registrations,
    exclusions,
    registrations,
    settled_registrations,
)
from sr_engine.store.upgrades import attempt_of

Point = tuple[str, str]
"""MPxN and role."""

_ROLE_OF_METER = {"ESME": "IS", "GSME": "GS"}


@dataclass(frozen=True, slots=True)
class Due:
    """A meter point that has to be looked at."""

    at: datetime
    point: Point


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter behind a hub."""

    hub_id: str
    device_id: str
    device_type: str
    mpxn: str

    @property
    def point(self) -> Point:
        return self.mpxn, _ROLE_OF_METER[self.device_type]


@dataclass(frozen=True, slots=True)
class KnownRegistration:
    """A registration as an operator looks it up."""

    mpxn: str
    role: str
    effective_from: datetime
    organisation: str | None
    carried_out: bool
    """It is the one up to which changes of Supplier have been carried out."""


@dataclass(slots=True)
class Histories:
    """Registrations by meter point, ascending, and up to which of them changes were carried out."""

    registered: dict[Point, list[Registration]] = field(default_factory=lambda: defaultdict(list))
    settled: dict[Point, Registration] = field(default_factory=dict)

    def line(self, points: Collection[Point]) -> Line:
        """Several meter points of one fuel as one: the latest registration says who is responsible.

        Of two that begin at the same time that of the greater MPxN counts as the later, as in `inventory.responsible`.
        """
        in_order = sorted(points)
        settled = [self.settled[point] for point in in_order if point in self.settled]
        history = [one for point in in_order for one in self.registered.get(point, ())]
        return Line(
            max(reversed(settled), key=lambda one: one.effective_from, default=None),
            sorted(history, key=lambda one: one.effective_from),
        )


def _upsert(table_insert: Insert, keys: Sequence[str], values: Sequence[str]) -> Insert:
    return table_insert.on_conflict_do_update(
        index_elements=list(keys), set_={name: table_insert.excluded[name] for name in values}
    )


_IS_METER = or_(devices.c.device_type == "ESME", devices.c.device_type == "GSME")
_IS_SUPPLIER = or_(registrations.c.role == "IS", registrations.c.role == "GS")
_CANCEL = registrations.delete().where(
    registrations.c.mpxn == bindparam("key_mpxn"),
    registrations.c.role == bindparam("key_role"),
    registrations.c.effective_from == bindparam("key_effective_from"),
)
_PUT_DUE = insert(due_registrations).on_conflict_do_nothing()
_DUE = (
    select(due_registrations)
    .where(due_registrations.c.due_at <= bindparam("now"))
    .order_by(due_registrations.c.due_at, due_registrations.c.mpxn, due_registrations.c.role)
    .limit(bindparam("at_most"))
)
# What is due of meter points that were never looked at, behind hubs for which nobody has answered: no more comes of it
# than that changes are counted from there.
_DUE_FIRST = Prepared(
    select(due_registrations.c.due_at, due_registrations.c.mpxn, due_registrations.c.role)
    .where(
        due_registrations.c.due_at <= bindparam("now"),
        ~exists().where(
            settled_registrations.c.mpxn == due_registrations.c.mpxn,
            settled_registrations.c.role == due_registrations.c.role,
        ),
        ~exists().where(
            devices.c.import_mpxn == due_registrations.c.mpxn, _IS_METER, decisions.c.hub_id == devices.c.hub_id
        ),
    )
    .order_by(due_registrations.c.due_at, due_registrations.c.mpxn, due_registrations.c.role)
    .limit(bindparam("at_most"))
)
_DONE = due_registrations.delete().where(
    due_registrations.c.due_at == bindparam("key_due_at"),
    due_registrations.c.mpxn == bindparam("key_mpxn"),
    due_registrations.c.role == bindparam("key_role"),
)
_HUBS_OF = (
    select(devices.c.hub_id)
    .where(is_one_of(devices.c.import_mpxn, "mpxns"), _IS_METER, devices.c.hub_id.is_not(None))
    .distinct()
)
_METERS = (
    select(devices.c.hub_id, devices.c.device_id, devices.c.device_type, devices.c.import_mpxn, devices.c.device_status)
    .where(is_one_of(devices.c.hub_id, "hub_ids"), _IS_METER, devices.c.import_mpxn.is_not(None))
    .order_by(devices.c.device_id)
)
_HISTORY = (
    select(registrations)
    .where(is_one_of(registrations.c.mpxn, "mpxns"))
    .order_by(registrations.c.mpxn, registrations.c.role, registrations.c.effective_from)
)
_SETTLED = select(settled_registrations).where(is_one_of(settled_registrations.c.mpxn, "mpxns"))
_LATER = registrations.alias("later")
_SETTLE_FIRST = settled_registrations.insert().from_select(
    ["mpxn", "role", "organisation", "effective_from"],
    select(
        registrations.c.mpxn, registrations.c.role, registrations.c.organisation, registrations.c.effective_from
    ).where(
        is_one_of(registrations.c.mpxn, "mpxns"),
        _IS_SUPPLIER,
        registrations.c.effective_from <= bindparam("now"),
        ~exists().where(
            _LATER.c.mpxn == registrations.c.mpxn,
            _LATER.c.role == registrations.c.role,
            _LATER.c.effective_from > registrations.c.effective_from,
            _LATER.c.effective_from <= bindparam("now"),
        ),
        ~exists().where(
            settled_registrations.c.mpxn == registrations.c.mpxn, settled_registrations.c.role == registrations.c.role
        ),
    ),
)
_PUT_SETTLED = _upsert(insert(settled_registrations), ["mpxn", "role"], ["organisation", "effective_from"])
_HUBS_DECIDED = select(decisions.c.hub_id).where(is_one_of(decisions.c.hub_id, "hub_ids")).distinct()
_RELEASES_DECIDED = (
    select(decisions.c.release_id, decisions.c.hub_id).where(is_one_of(decisions.c.hub_id, "hub_ids")).distinct()
)
_RELEASES_ATTEMPTED = (
    select(attempts.c.release_id, attempts.c.hub_id).where(is_one_of(attempts.c.hub_id, "hub_ids")).distinct()
)
_DECIDED_AT = select(decisions.c.hub_id, decisions.c.organisation, decisions.c.decided_at).where(
    is_one_of(decisions.c.hub_id, "hub_ids"), decisions.c.release_id == bindparam("release_id")
)
_ARRIVALS = select(arrivals).where(
    is_one_of(arrivals.c.hub_id, "hub_ids"), arrivals.c.release_id == bindparam("release_id")
)
_DEPARTED = select(departures.c.hub_id, departures.c.organisation).where(
    is_one_of(departures.c.hub_id, "hub_ids"), departures.c.release_id == bindparam("release_id")
)
_KEY = ["hub_id", "release_id", "organisation"]
_PUT_ARRIVALS = _upsert(insert(arrivals), _KEY, ["at", "attempts_before"])
_PUT_DEPARTURES = _upsert(
    insert(departures), _KEY, [column.name for column in departures.columns if column.name not in _KEY]
)
_DEPARTURES = (
    select(departures)
    .where(
        is_one_of(departures.c.hub_id, "hub_ids"),
        departures.c.release_id == bindparam("release_id"),
        departures.c.organisation == bindparam("organisation"),
    )
    .order_by(departures.c.hub_id)
)
_ATTEMPTS_LEFT = select(attempts).where(
    is_one_of(attempts.c.hub_id, "hub_ids"), attempts.c.release_id == bindparam("release_id")
)
_LIMIT_EXCLUSION = (
    exclusions.update()
    .where(
        exclusions.c.hub_id == bindparam("key_hub"),
        exclusions.c.organisation == bindparam("key_organisation"),
    )
    .values(limited_until=bindparam("latest"))
)
_RESTORE_EXCLUSION = (
    exclusions.update()
    .where(
        exclusions.c.hub_id == bindparam("key_hub"),
        exclusions.c.organisation == bindparam("key_organisation"),
        # One that has ended meanwhile stays ended.
        exclusions.c.limited_until > bindparam("now"),
    )
    .values(limited_until=None)
)
_METER_DEVICES = select(devices.c.hub_id, devices.c.device_id, devices.c.device_type, devices.c.import_mpxn).where(
    is_one_of(devices.c.device_id, "device_ids")
)
_MPXNS_OF_DEVICE = select(devices.c.import_mpxn).where(
    or_(
        devices.c.device_id == bindparam("device_id"),
        devices.c.hub_id.in_(
            select(devices.c.hub_id).where(
                devices.c.device_id == bindparam("device_id"),
                or_(devices.c.device_type == "CHF", devices.c.device_type == "GPF"),
            )
        ),
    ),
    devices.c.import_mpxn.is_not(None),
)


# --- What is due -----------------------------------------------------------------------------------------------------


def cancel(connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """Delete registrations (mpxn, role, effective_from), if they are there; their meter points become due."""
    candidates.written(connection)
    execute_many(
        connection,
        _CANCEL,
        [
            {"key_mpxn": row["mpxn"], "key_role": row["role"], "key_effective_from": row["effective_from"]}
            for row in rows
        ],
    )
    execute_many(
        connection,
        _PUT_DUE,
        [
            {"due_at": row["effective_from"], "mpxn": row["mpxn"], "role": row["role"]}
            for row in rows
            if row["role"] in inventory.SUPPLIER_ROLES
        ],
    )


def due(connection: Connection, now: datetime, limit: int) -> list[Due]:
    """Meter points that have to be looked at, longest due first, each as often as it is due."""
    found = connection.execute(_DUE, {"now": now, "at_most": limit})
    return [Due(due_at, (mpxn, role)) for due_at, mpxn, role in found]


def done(connection: Connection, looked_at: Iterable[Due]) -> None:
    """Meter points have been looked at."""
    execute_many(
        connection,
        _DONE,
        [{"key_due_at": one.at, "key_mpxn": one.point[0], "key_role": one.point[1]} for one in looked_at],
    )


def look_again(connection: Connection, points: Iterable[Point], at: datetime) -> None:
    """Meter points are due again at a time."""
    execute_many(connection, _PUT_DUE, [{"due_at": at, "mpxn": mpxn, "role": role} for mpxn, role in points])


def settle_first(connection: Connection, mpxns: Collection[str], now: datetime) -> None:
    """Take who is registered now for meter points that were never looked at as where changes are counted from."""
    connection.execute(_SETTLE_FIRST, {"mpxns": members(mpxns), "now": now})


def settle_first_due(connection: Connection, now: datetime, limit: int) -> int:
    """The same for what is due of such meter points, unless somebody has answered for their hub.

    A first registration is no change of Supplier: there is nothing else to be done for it. At most `limit`; returns how
    many it was done for.
    """
    found = _DUE_FIRST.all(connection, {"now": now, "at_most": limit})
    if found:
        settle_first(connection, {row.mpxn for row in found}, now)
        done(connection, [Due(row.due_at, (row.mpxn, row.role)) for row in found])
    return len(found)


def settled(connection: Connection, registered: Mapping[Point, Registration]) -> None:
    """Note up to which registration changes have been carried out."""
    execute_many(
        connection,
        _PUT_SETTLED,
        [
            {"mpxn": mpxn, "role": role, "organisation": one.organisation, "effective_from": one.effective_from}
            for (mpxn, role), one in registered.items()
        ],
    )


def meters_sharing_a_hub(
    connection: Connection, mpxns: Collection[str], *, and_behind: Collection[str] = ()
) -> list[Meter]:
    """All meters of the hubs that these meter points' meters are behind, and of others; those gone are left out."""
    hub_ids = {*connection.scalars(_HUBS_OF, {"mpxns": members(mpxns)}), *and_behind}
    found = connection.execute(_METERS, {"hub_ids": members(hub_ids)})
    return [Meter(*row[:4]) for row in found if row.device_status not in inventory.GONE]


def histories(connection: Connection, mpxns: Collection[str]) -> Histories:
    """Everything registered for meter points in the roles that make an organisation responsible for a hub."""
    known = Histories()
    for row in connection.execute(_HISTORY, {"mpxns": members(mpxns)}):
        if row.role in inventory.SUPPLIER_ROLES:
            known.registered[row.mpxn, row.role].append(Registration(row.effective_from, row.organisation))
    for row in connection.execute(_SETTLED, {"mpxns": members(mpxns)}):
        known.settled[row.mpxn, row.role] = Registration(row.effective_from, row.organisation)
    return known


# --- What follows from it --------------------------------------------------------------------------------------------


def hubs_with_answers(connection: Connection, hub_ids: Collection[str]) -> set[str]:
    """Those of some hubs for which anybody has answered to anything."""
    return set(connection.scalars(_HUBS_DECIDED, {"hub_ids": members(hub_ids)}))


def releases_concerned(connection: Connection, hub_ids: Collection[str]) -> dict[str, set[str]]:
    """By release, those of some hubs for which there are answers or attempts."""
    sought = {"hub_ids": members(hub_ids)}
    found: dict[str, set[str]] = defaultdict(set)
    for statement in (_RELEASES_DECIDED, _RELEASES_ATTEMPTED):
        for release_id, hub_id in connection.execute(statement, sought):
            found[release_id].add(hub_id)
    return found


def known_of(connection: Connection, hub_ids: Collection[str], release_id: str) -> dict[str, Known]:
    """By hub, what was noted at earlier changes of Supplier, and when Suppliers answered."""
    sought = {"hub_ids": members(hub_ids), "release_id": release_id}
    decided: dict[str, dict[str, datetime]] = defaultdict(dict)
    came: dict[str, dict[str, Arrival]] = defaultdict(dict)
    departed: dict[str, set[str]] = defaultdict(set)
    for hub_id, organisation, decided_at in connection.execute(_DECIDED_AT, sought):
        decided[hub_id][organisation] = decided_at
    for row in connection.execute(_ARRIVALS, sought):
        came[row.hub_id][row.organisation] = Arrival(row.hub_id, row.organisation, row.at, row.attempts_before)
    for hub_id, organisation in connection.execute(_DEPARTED, sought):
        departed[hub_id].add(organisation)
    return {hub_id: Known(decided[hub_id], came[hub_id], departed[hub_id]) for hub_id in hub_ids}


def put_arrivals(connection: Connection, release_id: str, new: Iterable[Arrival]) -> None:
    """Note where histories begin; one that was noted before begins anew."""
    execute_many(
        connection,
        _PUT_ARRIVALS,
        [
            {
                "hub_id": one.hub_id,
                "release_id": release_id,
                "organisation": one.organisation,
                "at": one.at,
                "attempts_before": one.attempts_before,
            }
            for one in new
        ],
    )


def put_departures(connection: Connection, release_id: str, new: Iterable[Departure]) -> None:
    """Note what those who left still see; what was noted before is replaced."""
    execute_many(
        connection,
        _PUT_DEPARTURES,
        [
            {
                "hub_id": one.hub_id,
                "release_id": release_id,
                "organisation": one.organisation,
                "at": one.at,
                "own_approval": one.own_approval.value,
                "other_approval": one.other_approval.value,
                "schedule_id": one.schedule_id,
                "attempt_id": None if one.attempt is None else one.attempt.attempt_id,
                "list_id": None if one.attempt is None else one.attempt.list_id,
                "attempt_shown": one.attempt_shown,
                "status": UpgradeStatus.VOIDED.value if one.attempt is None else None,
                "window_start": None if one.window is None else one.window.start,
                "window_end": None if one.window is None else one.window.end,
            }
            for one in new
        ],
    )


def arrivals_of(
    connection: Connection, hub_ids: Collection[str], release_id: str, organisation: str
) -> dict[str, Arrival]:
    """By hub, where a Supplier's history begins; hubs of which it may know everything are left out."""
    found = connection.execute(_ARRIVALS, {"hub_ids": members(hub_ids), "release_id": release_id})
    return {
        row.hub_id: Arrival(row.hub_id, organisation, row.at, row.attempts_before)
        for row in found
        if row.organisation == organisation
    }


def departures_of(
    connection: Connection, hub_ids: Collection[str], release_id: str, organisation: str
) -> dict[str, Departure]:
    """By hub, what a Supplier that left still sees; hubs that it never left are left out."""
    sought = {"hub_ids": members(hub_ids), "release_id": release_id, "organisation": organisation}
    found = connection.execute(_DEPARTURES, sought).all()
    with_csp = [row.hub_id for row in found if row.attempt_id is not None]
    on_list = {
        (row.attempt_id, row.list_id): attempt_of(row)
        for row in connection.execute(_ATTEMPTS_LEFT, {"hub_ids": members(with_csp), "release_id": release_id})
    }
    return {
        row.hub_id: Departure(
            hub_id=row.hub_id,
            organisation=organisation,
            at=row.at,
            own_approval=Approval(row.own_approval),
            other_approval=Approval(row.other_approval),
            schedule_id=row.schedule_id,
            attempt_shown=row.attempt_shown,
            window=None if row.window_start is None else Period(row.window_start, row.window_end),
            attempt=on_list.get((row.attempt_id, row.list_id)),
        )
        for row in found
    }


# --- Exclusions ------------------------------------------------------------------------------------------------------


def limit_exclusions(connection: Connection, left: Iterable[tuple[str, str, datetime]], kept: timedelta) -> None:
    """Let the exclusions of those who left (hub, organisation, effective date) end after some time, if not before."""
    execute_many(
        connection,
        _LIMIT_EXCLUSION,
        [{"key_hub": hub_id, "key_organisation": one, "latest": at + kept} for hub_id, one, at in left],
    )


def restore_exclusions(connection: Connection, arrived: Iterable[tuple[str, str]], now: datetime) -> None:
    """Let the exclusions of those who came back (hub, organisation) run as they had set them."""
    execute_many(
        connection,
        _RESTORE_EXCLUSION,
        [{"key_hub": hub_id, "key_organisation": one, "now": now} for hub_id, one in arrived],
    )


# --- Looking up ------------------------------------------------------------------------------------------------------


def meter_devices(connection: Connection, device_ids: Iterable[str]) -> dict[str, Meter]:
    """Meters by id."""
    found = connection.execute(_METER_DEVICES, {"device_ids": members(device_ids)})
    return {row.device_id: Meter(*row) for row in found}


def mpxns_of_device(connection: Connection, device_id: str) -> list[str]:
    """The MPxNs of a meter, or of all meters behind a hub named by its CHF or GPF; ascending."""
    return sorted(set(connection.scalars(_MPXNS_OF_DEVICE, {"device_id": device_id})))


def known_registrations(connection: Connection, mpxns: Collection[str]) -> list[KnownRegistration]:
    """All registrations of meter points, in every role, by meter point and date."""
    sought = {"mpxns": members(mpxns)}
    carried_out = {(row.mpxn, row.role): row.effective_from for row in connection.execute(_SETTLED, sought)}
    return [
        KnownRegistration(
            row.mpxn,
            row.role,
            row.effective_from,
            row.organisation,
            carried_out.get((row.mpxn, row.role)) == row.effective_from,
        )
        for row in connection.execute(_HISTORY, sought)
    ]


def responsible_since(
    connection: Connection, hub_id: str, organisation: str, roles: Collection[str], now: datetime
) -> datetime:
    """From when on a Supplier that is responsible for a hub has been so without a break; `now` if it is not."""
    meters = meters_sharing_a_hub(connection, (), and_behind=[hub_id])
    known = histories(connection, {meter.mpxn for meter in meters})
    lines = [known.line({meter.point for meter in meters if meter.point[1] == role}).history for role in sorted(roles)]
    dates = sorted({one.effective_from for line in lines for one in line if one.effective_from <= now}, reverse=True)
    since = now
    for at in dates:
        holders = [Line(history=line).current(at) for line in lines]
        if not any(one is not None and one.organisation == organisation for one in holders):
            break
        since = at
    return since
