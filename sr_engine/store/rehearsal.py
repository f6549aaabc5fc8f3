"""What a transaction has done so far, and which hubs may be listed at the moment: what a rehearsal reports."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, exists, func, or_, select

from sr_engine.domain.eligibility import UPGRADABLE_STATUSES
from sr_engine.domain.states import AttemptState
from sr_engine.store.inventory import HAN_DEVICE_TYPES
from sr_engine.store.tables import (
    UtcDateTime,
    attempts,
    audit,
    decisions,
    devices,
    exclusions,
    release_han_models,
    release_paths,
    release_regions,
    releases,
)


def _now() -> ColumnElement[Any]:
    return bindparam("now", type_=UtcDateTime)


def _may_be_listed() -> Select[Any]:
    """Scheduled hubs that nothing but their window keeps off a list: no gate, halt, exclusion, HAN device, terms."""
    # Never NULL, so that its opposite is not either.
    compulsory = func.coalesce(and_(releases.c.compulsory_from <= _now(), releases.c.comply_by > _now()), False)
    excluded = exists().where(
        exclusions.c.hub_id == attempts.c.hub_id,
        or_(exclusions.c.until.is_(None), exclusions.c.until > _now()),
        or_(exclusions.c.overridden_at.is_(None), ~compulsory),
    )
    reachable = exists().where(
        release_paths.c.release_id == attempts.c.release_id,
        release_paths.c.from_version == devices.c.firmware_version,
    )
    behind = devices.alias("behind")
    may_break = exists().where(
        behind.c.hub_id == attempts.c.hub_id,
        behind.c.device_type.in_(HAN_DEVICE_TYPES),
        release_han_models.c.release_id == attempts.c.release_id,
        release_han_models.c.manufacturer == behind.c.manufacturer,
        release_han_models.c.model == behind.c.model,
    )
    not_accepted = exists().where(
        decisions.c.hub_id == attempts.c.hub_id,
        decisions.c.release_id == attempts.c.release_id,
        ~decisions.c.accept_han_impact,
    )
    gate = and_(release_regions.c.release_id == attempts.c.release_id, release_regions.c.region == attempts.c.region)
    return (
        select(attempts.c.hub_id)
        .select_from(attempts)
        .join(releases, releases.c.release_id == attempts.c.release_id)
        .join(release_regions, gate)
        .join(devices, devices.c.device_id == attempts.c.hub_id)
        .where(
            reachable,
            devices.c.device_status.in_(sorted(UPGRADABLE_STATUSES)),
            or_(compulsory, ~and_(may_break, not_accepted)),
            attempts.c.state == AttemptState.SCHEDULED.value,
            releases.c.status != "Withdrawn",
            releases.c.cpl_status == "Active",
            release_regions.c.halted_at.is_(None),
            or_(attempts.c.pilot, attempts.c.compulsory, release_regions.c.general_open, compulsory),
            ~excluded,
        )
    )


_LAST = select(func.coalesce(func.max(audit.c.audit_id), 0))
_SINCE = (
    select(audit.c.from_state, audit.c.to_state, audit.c.hubs)
    .where(audit.c.audit_id > bindparam("last"), audit.c.hubs.is_not(None), audit.c.to_state.is_not(None))
    .order_by(audit.c.audit_id)
)
_MAY_BE_LISTED = _may_be_listed()


def last_record(connection: Connection) -> int:
    """The number of the newest audit record, 0 if there is none."""
    return int(connection.scalar(_LAST) or 0)


def changed_since(connection: Connection, last: int) -> list[tuple[str | None, str, list[str]]]:
    """From, to and the hubs of each audit record after one that tells of hubs."""
    found = connection.execute(_SINCE, {"last": last})
    return [(before, after, hubs.split(",")) for before, after, hubs in found]


def hubs_that_may_be_listed(connection: Connection, now: datetime) -> set[str]:
    """CHF ids of hubs that are Scheduled and that nothing but window, quiet days and capacity keeps off lists."""
    return set(connection.scalars(_MAY_BE_LISTED, {"now": now}))
