"""Certificates that matter to the processor, and how long each is still good for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from signing import Authority, Certificate, Trust
from sr_engine.configuration import Region, UserDirectory


class Validity(StrEnum):
    """How a certificate stands at some time, worst first."""

    EXPIRED = "expired"
    EXPIRING = "expiring"
    NOT_YET = "not valid yet"
    VALID = "valid"


@dataclass(frozen=True, slots=True)
class CertificateLine:
    """A certificate, or a revocation list that has to be renewed as one."""

    whose: str
    """In words: a User and its organisation, the CSP of a region, this processor, an issuing authority."""
    eui: str | None
    role: str | None
    serial: int | None
    issuer: str
    not_before: datetime
    not_after: datetime
    validity: Validity

    def days_left(self, now: datetime) -> int:
        """Whole days until it ends; below 0 once it has."""
        return (self.not_after - now) // timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Certificates:
    """Lists the certificates of an instance."""

    trust: Trust
    own: Certificate
    """The one with which the processor signs."""
    users: UserDirectory
    regions: Mapping[str, Region]

    def lines(self, now: datetime, soon: timedelta) -> list[CertificateLine]:
        """Every certificate and revocation list, what ends first first; one that has less left than `soon` expires."""
        found = [self._of(one, now, soon) for one in {self.own, *self.trust.certificates}]
        found += [_of_authority(one, now, soon) for one in self.trust.authorities]
        for revoked in self.trust.revocation_lists:
            # A list is renewed by each new one, which is due when it ends.
            validity = Validity.EXPIRED if now > revoked.next_update else Validity.VALID
            whose, issuer = "revocation list", str(revoked.issuer)
            span = (revoked.this_update, revoked.next_update)
            found.append(CertificateLine(whose, None, None, None, issuer, *span, validity))
        return sorted(found, key=lambda line: (line.not_after, line.whose, line.serial or 0))

    def without(self, now: datetime, roles: Collection[str]) -> list[str]:
        """EUIs of Users that have no certificate in one of these roles that is valid: nothing of theirs is taken."""
        wanted = {role.upper() for role in roles}
        able = {one.eui for one in self.trust.certificates if one.role.upper() in wanted and one.is_valid(now)}
        return [user.eui for user in self.users.users() if user.eui not in able]

    def _of(self, one: Certificate, now: datetime, soon: timedelta) -> CertificateLine:
        span = (one.not_before, one.not_after)
        return CertificateLine(
            self._whose(one), one.eui, one.role, one.serial, str(one.issuer), *span, _validity(*span, now, soon)
        )

    def _whose(self, one: Certificate) -> str:
        if one.eui == self.own.eui:
            return "this processor" if one == self.own else "this processor, by another certificate"
        user = self.users.by_eui(one.eui)
        if user is not None:
            return f"User of {user.organisation_id}"
        regions = [name for name, region in self.regions.items() if region.csp_eui == one.eui]
        return f"CSP of {', '.join(regions)}" if regions else "nobody that is known here"


def _of_authority(one: Authority, now: datetime, soon: timedelta) -> CertificateLine:
    span = (one.not_before, one.not_after)
    whose, issuer = f"authority {one.subject}", str(one.subject)
    return CertificateLine(whose, None, None, one.serial, issuer, *span, _validity(*span, now, soon))


def _validity(not_before: datetime, not_after: datetime, now: datetime, soon: timedelta) -> Validity:
    if now > not_after:
        return Validity.EXPIRED
    if now < not_before:
        return Validity.NOT_YET
    return Validity.EXPIRING if now > not_after - soon else Validity.VALID


def to_be_renewed(lines: Iterable[CertificateLine]) -> list[CertificateLine]:
    """Those that have expired, or will soon, unless whoever has one has another in its role that lasts longer."""
    known = list(lines)
    good = {(line.eui, line.role) for line in known if line.validity is Validity.VALID and line.eui is not None}
    ending = (Validity.EXPIRED, Validity.EXPIRING)
    return [line for line in known if line.validity in ending and (line.eui, line.role) not in good]
