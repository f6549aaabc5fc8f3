"""Announced changes of the terms of releases, and the hubs whose Suppliers are told of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, or_, select

from sr_engine.domain.terms import Announced, Management, Obligation, Terms
from sr_engine.domain.upgrades import Release
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import devices, release_terms, releases


@dataclass(frozen=True, slots=True)
class Announcement:
    """A change of terms as it was announced; in force since `applied_at`, or never if it was cancelled."""

    terms_id: int
    release_id: str
    terms: Terms
    consultation_reference: str
    consultation_date: date
    announced_at: datetime
    effective_at: datetime
    applied_at: datetime | None
    cancelled_at: datetime | None
    told_up_to: str
    """While it takes effect: hubs up to this one have had their alerts."""


_PENDING = select(release_terms).where(release_terms.c.applied_at.is_(None), release_terms.c.cancelled_at.is_(None))
_PENDING_OF = _PENDING.where(release_terms.c.release_id == bindparam("release_id"))
_DUE = (
    _PENDING.where(release_terms.c.effective_at <= bindparam("now"))
    .order_by(release_terms.c.effective_at, release_terms.c.terms_id)
    .limit(1)
)
_OF_RELEASE = (
    select(release_terms)
    .where(release_terms.c.release_id == bindparam("release_id"))
    .order_by(release_terms.c.terms_id.desc())
)
_NOT_ON_VERSION = (
    select(devices.c.device_id)
    .where(
        devices.c.manufacturer == bindparam("manufacturer"),
        devices.c.model == bindparam("model"),
        devices.c.device_id > bindparam("after"),
        devices.c.device_type == "CHF",
        is_one_of(devices.c.csp_region, "regions"),
        or_(devices.c.firmware_version.is_(None), devices.c.firmware_version != bindparam("version")),
    )
    .order_by(devices.c.device_id)
    .limit(bindparam("at_most"))
)


def terms_of(release: Release) -> Terms:
    """The terms in force."""
    return Terms(Obligation(release.obligation), Management(release.management), release.comply_by)


def announce(connection: Connection, release_id: str, announced: Announced, now: datetime) -> int:
    """Insert a change of terms and return its number."""
    done = connection.execute(
        release_terms.insert().values(
            release_id=release_id,
            management=announced.terms.management.value,
            obligation=announced.terms.obligation.value,
            comply_by=announced.terms.comply_by,
            consultation_reference=announced.consultation_reference,
            consultation_date=announced.consultation_date,
            announced_at=now,
            effective_at=announced.effective_at,
        )
    )
    (terms_id,) = done.inserted_primary_key or (0,)
    return int(terms_id)


def pending(connection: Connection, release_id: str) -> Announcement | None:
    """The change of a release that is announced and not in force yet; there is one at most."""
    row = connection.execute(_PENDING_OF, {"release_id": release_id}).one_or_none()
    return None if row is None else _of(row)


def due(connection: Connection, now: datetime) -> Announcement | None:
    """The change that should have taken effect first."""
    row = connection.execute(_DUE, {"now": now}).one_or_none()
    return None if row is None else _of(row)


def of_release(connection: Connection, release_id: str) -> list[Announcement]:
    """Every change ever announced for a release, newest first."""
    return [_of(row) for row in connection.execute(_OF_RELEASE, {"release_id": release_id})]


def told(connection: Connection, terms_id: int, up_to: str) -> None:
    """Note up to which hub Suppliers have been told that a change takes effect."""
    connection.execute(release_terms.update().where(release_terms.c.terms_id == terms_id).values(told_up_to=up_to))


def apply(connection: Connection, announcement: Announcement, compulsory_from: datetime | None, now: datetime) -> None:
    """Put a change in force."""
    terms = announcement.terms
    connection.execute(
        releases.update()
        .where(releases.c.release_id == announcement.release_id)
        .values(
            management=terms.management.value,
            obligation=terms.obligation.value,
            comply_by=terms.comply_by,
            compulsory_from=compulsory_from,
        )
    )
    connection.execute(
        release_terms.update().where(release_terms.c.terms_id == announcement.terms_id).values(applied_at=now)
    )


def cancel(connection: Connection, terms_id: int, now: datetime) -> None:
    """Note that a change will not take effect."""
    connection.execute(release_terms.update().where(release_terms.c.terms_id == terms_id).values(cancelled_at=now))


def hubs_not_on_version(connection: Connection, release: Release, *, after: str, limit: int) -> list[str]:
    """CHF ids of the release's model in its regions that do not run its version, ascending, beginning after one."""
    sought = {
        "manufacturer": release.firmware.manufacturer,
        "model": release.firmware.model,
        "version": release.firmware.version,
        "regions": members(sorted(release.regions)),
        "after": after,
        "at_most": limit,
    }
    return list(connection.scalars(_NOT_ON_VERSION, sought))


def _of(row: Row[Any]) -> Announcement:
    return Announcement(
        row.terms_id,
        row.release_id,
        Terms(Obligation(row.obligation), Management(row.management), row.comply_by),
        row.consultation_reference,
        row.consultation_date,
        row.announced_at,
        row.effective_at,
        row.applied_at,
        row.cancelled_at,
        row.told_up_to or "",
    )
