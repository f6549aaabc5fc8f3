"""What is laid over the upgrades of a hub: exclusions, and the quiet days around known changes of Supplier."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise

from sqlalchemy import ColumnElement, Connection, and_, bindparam, or_, select

from sr_engine.domain.upgrades import Exclusion
from sr_engine.messages.model import Period
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import UtcDateTime, devices, exclusions, registrations
from sr_engine.value_objects import value_object


@value_object
class QuietDays:
    """How long before and after the effective date of a change of Supplier no period may lie."""

    before: timedelta
    after: timedelta


@dataclass(frozen=True, slots=True)
class Overlays:
    """What is laid over one hub."""

    exclusions: tuple[Exclusion, ...] = ()
    quiet: tuple[Period, ...] = ()


NOTHING = Overlays()


def exclusion_runs(at: str) -> ColumnElement[bool]:
    """Whether an exclusion goes on after a time, given as the parameter `at`."""
    # A comparison with another parameter would not give it its type.
    time = bindparam(at, type_=UtcDateTime)
    return and_(
        or_(exclusions.c.until.is_(None), exclusions.c.until > time),
        or_(exclusions.c.limited_until.is_(None), exclusions.c.limited_until > time),
    )


_EXCLUSIONS = (
    select(
        exclusions.c.hub_id,
        exclusions.c.organisation,
        exclusions.c.until,
        exclusions.c.limited_until,
        exclusions.c.overridden_at,
    )
    .where(
        is_one_of(exclusions.c.hub_id, "hub_ids"),
        exclusion_runs("now"),
    )
    .order_by(exclusions.c.organisation)
)
_LATELY_REGISTERED = (
    select(registrations.c.mpxn)
    .join(devices, devices.c.import_mpxn == registrations.c.mpxn)
    .where(is_one_of(devices.c.hub_id, "hub_ids"), registrations.c.effective_from > bindparam("since"))
    .distinct()
)
_REGISTRATIONS = (
    select(
        devices.c.hub_id,
        registrations.c.mpxn,
        registrations.c.role,
        registrations.c.organisation,
        registrations.c.effective_from,
    )
    .join(registrations, registrations.c.mpxn == devices.c.import_mpxn)
    .where(is_one_of(devices.c.hub_id, "hub_ids"), is_one_of(registrations.c.mpxn, "mpxns"))
    .order_by(devices.c.hub_id, registrations.c.mpxn, registrations.c.role, registrations.c.effective_from)
)


def of(
    connection: Connection,
    hub_ids: Collection[str],
    now: datetime,
    quiet_days: QuietDays,
    *,
    quiet: Mapping[str, Sequence[Period]] | None = None,
) -> Mapping[str, Overlays]:
    """By hub, what is laid over it at `now` or will be; hubs without anything are left out.

    The `quiet` days need not be asked for again where they were at some earlier time.
    """
    excluded = exclusions_of(connection, hub_ids, now)
    if quiet is None:
        quiet = quiet_of(connection, hub_ids, now, quiet_days)
    else:
        quiet = {hub_id: [period for period in periods if period.end > now] for hub_id, periods in quiet.items()}
    return {
        hub_id: Overlays(tuple(excluded.get(hub_id, ())), tuple(quiet.get(hub_id, ())))
        for hub_id in excluded.keys() | quiet.keys()
    }


def exclusions_of(connection: Connection, hub_ids: Collection[str], now: datetime) -> Mapping[str, list[Exclusion]]:
    """By hub, the exclusions that run at `now`, by organisation; hubs without any are left out."""
    excluded: dict[str, list[Exclusion]] = defaultdict(list)
    sought = {"hub_ids": members(hub_ids), "now": now}
    for hub_id, organisation, until, limited_until, overridden_at in connection.execute(_EXCLUSIONS, sought):
        ends = [end for end in (until, limited_until) if end is not None]
        excluded[hub_id].append(Exclusion(organisation, min(ends, default=None), overridden_at is not None))
    return excluded


def quiet_of(
    connection: Connection, hub_ids: Collection[str], now: datetime, quiet_days: QuietDays
) -> Mapping[str, Sequence[Period]]:
    """Around each change from one Supplier to another, or to nobody; a meter point's first registration is none."""
    wanted = members(hub_ids)
    lately = connection.scalars(_LATELY_REGISTERED, {"hub_ids": wanted, "since": now - quiet_days.after}).all()
    periods: dict[str, list[Period]] = defaultdict(list)
    if not lately:
        return periods
    found = connection.execute(_REGISTRATIONS, {"hub_ids": wanted, "mpxns": members(lately)})
    for (hub_id, _mpxn, _role), of_role in groupby(found, key=lambda row: row[:3]):
        for before, after in pairwise(of_role):
            at = after.effective_from
            if after.organisation != before.organisation and at + quiet_days.after > now:
                periods[hub_id].append(Period(at - quiet_days.before, at + quiet_days.after))
    return periods
