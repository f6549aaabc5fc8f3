"""Changing the obligation or the management of a release: announced after consultation, compared, cancelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection

from sr_engine.configuration import Compulsion, Region
from sr_engine.delivery.alerts import Alerts
from sr_engine.domain.terms import Announced, Management, Obligation, Terms, terms_refusal
from sr_engine.domain.upgrades import Release
from sr_engine.messages.model import Firmware, Period
from sr_engine.operations.releases import find
from sr_engine.regions.calendar import periods_available
from sr_engine.regions.compulsion import tell_of_terms
from sr_engine.store import audit
from sr_engine.store import terms as store
from sr_engine.store.compulsion import Standing, standings
from sr_engine.store.terms import Announcement
from sr_engine.store.units_of_work import UnitOfWork

_CONSENTED = (Standing.SCHEDULED, Standing.APPROVED)
_NOT_CONSENTED = (
    Standing.EXCLUSION_CONFIRMED,
    Standing.COMPELLED,
    Standing.DECLINED,
    Standing.AWAITING,
    Standing.NOT_SCHEDULED,
)


class TermsRefused(Exception):
    """The terms cannot be changed as asked; the text says why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an operator wants changed; what is None stays as it is in force."""

    obligation: Obligation | None
    management: Management | None
    comply_by: datetime | None
    effective_at: datetime | None
    """None: as early as the notice period allows."""
    consultation_reference: str
    consultation_date: date


@dataclass(frozen=True, slots=True)
class ReleaseTerms:
    """The terms of a release, and every change ever announced, newest first."""

    release: Release
    in_force: Terms
    announcements: tuple[Announcement, ...]


@dataclass(frozen=True, slots=True)
class RegimeInRegion:
    """What one regime would mean in a region."""

    regime: str
    region: str
    planned: int
    """Hubs that would be listed, if nothing changes: by agreement, or because the processor plans them."""
    without_consent: int
    """Those of them that a responsible Supplier has not agreed to upgrade."""
    not_planned: int
    """Hubs that would keep their firmware until somebody decides."""
    nights_needed: int
    """For the planned hubs, at the region's hubs per night."""
    nights_left: int | None
    """From when the regime plans until ComplyBy; None where there is no such time."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Where the remaining hubs of a release stand, and what each regime would make of them."""

    release: Release
    comply_by: datetime
    standings: Mapping[str, Mapping[Standing, int]]
    """By region; hubs with the firmware, or that it cannot be installed on, are left out."""
    regimes: tuple[RegimeInRegion, ...]


def announce(
    unit_of_work: UnitOfWork, *, firmware: Firmware, wanted: Wanted, policy: Compulsion, alerts: Alerts
) -> Announcement:
    """Announce a change of terms, and tell each responsible Supplier which of its hubs it concerns.

    Raises TermsRefused: one change at a time, after consultation, with the policy's notice. Raises ReleaseRefused for
    an unknown release.
    """
    connection, now = unit_of_work.connection, unit_of_work.now
    release = _open_release(connection, firmware)
    before = store.pending(connection, release.release_id)
    if before is not None:
        raise TermsRefused(
            f"a change to {before.terms.in_words()} is announced for {before.effective_at:%Y-%m-%dT%H:%M:%SZ}: cancel "
            "it first, or wait until it has taken effect"
        )
    current = store.terms_of(release)
    announced = _announced(wanted, current, now, policy)
    if announced.terms.compulsory and announced.terms.comply_by is None:
        raise TermsRefused(
            "a release that is Mandatory or DCCManaged needs a ComplyBy: say by --comply-by when every hub is to be "
            "upgraded"
        )
    refusal = terms_refusal(announced, current, now=now, notice=policy.notice)
    if refusal is not None:
        raise TermsRefused(refusal)
    terms_id = store.announce(connection, release.release_id, announced, now)
    _tell_all(unit_of_work, alerts, release, f"terms {terms_id} announced")
    detail = (
        f"{announced.terms.in_words()} from {announced.effective_at:%Y-%m-%dT%H:%MZ}; was {current.in_words()}; "
        f"consultation {announced.consultation_reference} of {announced.consultation_date:%Y-%m-%d}"
    )
    _record(unit_of_work, "terms announced", detail, release)
    return next(one for one in store.of_release(connection, release.release_id) if one.terms_id == terms_id)


def cancel(unit_of_work: UnitOfWork, *, firmware: Firmware, alerts: Alerts) -> Announcement:
    """Take back the announced change before it takes effect; who was told of it is told again.

    Raises TermsRefused where there is none, ReleaseRefused for an unknown release.
    """
    connection, now = unit_of_work.connection, unit_of_work.now
    release = find(connection, firmware)
    pending = store.pending(connection, release.release_id)
    if pending is None:
        raise TermsRefused("no change of this release's terms is announced")
    if pending.effective_at <= now:
        raise TermsRefused(
            f"the change took effect at {pending.effective_at:%Y-%m-%dT%H:%M:%SZ}: announce another to go back"
        )
    store.cancel(connection, pending.terms_id, now)
    _tell_all(unit_of_work, alerts, release, f"terms {pending.terms_id} cancelled")
    _record(unit_of_work, "terms cancelled", f"not {pending.terms.in_words()}", release)
    return pending


def show(connection: Connection, firmware: Firmware) -> ReleaseTerms:
    """The terms of a release. Raises ReleaseRefused for an unknown one."""
    release = find(connection, firmware)
    return ReleaseTerms(release, store.terms_of(release), tuple(store.of_release(connection, release.release_id)))


def compare(
    connection: Connection,
    *,
    firmware: Firmware,
    regions: Mapping[str, Region],
    policy: Compulsion,
    now: datetime,
    comply_by: datetime | None = None,
    effective_at: datetime | None = None,
) -> Comparison:
    """What would differ under each regime, from where hubs stand now.

    Without `comply_by`, that of the release, in force or announced; without `effective_at`, as early as a change
    announced now could take effect, or now for terms that are in force. Raises TermsRefused where there is no ComplyBy,
    or one that could not be announced, ReleaseRefused for an unknown release.
    """
    release = _open_release(connection, firmware)
    current = store.terms_of(release)
    pending = store.pending(connection, release.release_id)
    announced = None if pending is None else pending.terms.comply_by
    comply_by = comply_by or release.comply_by or announced
    if comply_by is None:
        raise TermsRefused("the release has no ComplyBy: name the one to compare with by --comply-by")
    if comply_by <= now:
        raise TermsRefused(f"ComplyBy {comply_by:%Y-%m-%dT%H:%M:%SZ} has passed: name a later one by --comply-by")
    if effective_at is not None and comply_by <= effective_at:
        raise TermsRefused(
            f"ComplyBy {comply_by:%Y-%m-%dT%H:%M:%SZ} must be later than {effective_at:%Y-%m-%dT%H:%M:%SZ}, when the "
            "change would take effect: name other times by --comply-by and --effective"
        )
    counted = standings(connection, release, now)
    found: list[RegimeInRegion] = []
    regimes = [
        Terms(Obligation.VOLUNTARY, Management.SUPPLIER_MANAGED, None),
        Terms(Obligation.MANDATORY, Management.SUPPLIER_MANAGED, comply_by),
        Terms(Obligation.VOLUNTARY, Management.DCC_MANAGED, comply_by),
    ]
    for terms in regimes:
        name = terms.management.value if terms.management is Management.DCC_MANAGED else terms.obligation.value
        in_force = terms.obligation is current.obligation and terms.management is current.management
        since = effective_at or (now if in_force else now + policy.notice)
        begins = terms.compulsory_from(since, policy.lead)
        for region, counts in counted.items():
            window = None if begins is None else Period(max(begins, now), comply_by)
            found.append(_regime(name, regions[region], counts, window, now))
    return Comparison(release, comply_by, counted, tuple(found))


def _regime(
    name: str, region: Region, counts: Mapping[Standing, int], window: Period | None, now: datetime
) -> RegimeInRegion:
    consented = sum(counts.get(one, 0) for one in _CONSENTED)
    without = sum(counts.get(one, 0) for one in _NOT_CONSENTED)
    excluded = counts.get(Standing.EXCLUDED, 0)
    if window is None:
        # Approved by all is not scheduled yet: somebody has to name a window.
        planned = counts.get(Standing.SCHEDULED, 0)
        not_planned, without = consented - planned + without + excluded, 0
        nights_left = None
    else:
        planned, not_planned = consented + without, excluded
        nights_left = sum(1 for _ in periods_available(region, window, now)) if window.start < window.end else 0
    return RegimeInRegion(
        name, region.name, planned, without, not_planned, -(-planned // region.hubs_per_night), nights_left
    )


def _announced(wanted: Wanted, current: Terms, now: datetime, policy: Compulsion) -> Announced:
    terms = Terms(wanted.obligation or current.obligation, wanted.management or current.management, wanted.comply_by)
    if terms.compulsory and terms.comply_by is None:
        terms = Terms(terms.obligation, terms.management, current.comply_by)
    effective_at = wanted.effective_at or now + policy.notice
    return Announced(terms, effective_at, wanted.consultation_reference, wanted.consultation_date)


def _tell_all(unit_of_work: UnitOfWork, alerts: Alerts, release: Release, occurrence: str) -> None:
    after: str | None = ""
    while after is not None:
        after = tell_of_terms(unit_of_work, alerts, release, occurrence, after=after)


def _open_release(connection: Connection, firmware: Firmware) -> Release:
    release = find(connection, firmware)
    if release.status != "Open":
        raise TermsRefused(f"the release is {release.status.lower()}: its terms are changed no more")
    return release


def _record(unit_of_work: UnitOfWork, action: str, detail: str, release: Release) -> None:
    entry = audit.Entry(unit_of_work.now, "operator", action, detail, None, release.release_id)
    audit.record(unit_of_work.connection, [entry])
