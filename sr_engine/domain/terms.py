"""The terms of a release: whether its upgrades are compulsory and who manages them, and how terms may change.

Section 5 of the domain description, Releases and Decisions and attempts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum


class Obligation(StrEnum):
    """Whether Suppliers may do without the upgrade."""

    VOLUNTARY = "Voluntary"
    MANDATORY = "Mandatory"


class Management(StrEnum):
    """Who says when hubs are upgraded."""

    SUPPLIER_MANAGED = "SupplierManaged"
    DCC_MANAGED = "DCCManaged"


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for a release."""

    obligation: Obligation
    management: Management
    comply_by: datetime | None
    """By when every hub is to be upgraded; only where the processor plans by itself."""

    @property
    def compulsory(self) -> bool:
        """True if a time comes in which the processor plans hubs by itself, whatever Suppliers answer."""
        return self.obligation is Obligation.MANDATORY or self.management is Management.DCC_MANAGED

    def compulsory_from(self, effective_at: datetime, lead: timedelta) -> datetime | None:
        """When that time begins: as the terms take effect where the DCC manages, else `lead` before ComplyBy."""
        if not self.compulsory or self.comply_by is None:
            return None
        if self.management is Management.DCC_MANAGED:
            return effective_at
        return max(effective_at, self.comply_by - lead)

    def in_words(self) -> str:
        """For people and the audit trail."""
        by = "" if self.comply_by is None else f", ComplyBy {self.comply_by:%Y-%m-%dT%H:%MZ}"
        return f"{self.obligation}, {self.management}{by}"


@dataclass(frozen=True, slots=True)
class Announced:
    """A change of terms as the operator wants to announce it."""

    terms: Terms
    effective_at: datetime
    consultation_reference: str
    consultation_date: date


def terms_refusal(announced: Announced, current: Terms, *, now: datetime, notice: timedelta) -> str | None:
    """Say why a change of terms cannot be announced at `now`, and what would be possible; None if it can."""
    terms, effective_at = announced.terms, announced.effective_at
    if not announced.consultation_reference.strip():
        return "name the consultation that the change rests on: its reference is empty"
    if announced.consultation_date >= now.date():
        return (
            f"the consultation of {announced.consultation_date:%Y-%m-%d} does not lie in the past: a change is "
            "announced after it"
        )
    earliest = now + notice
    if effective_at < earliest:
        return (
            f"{effective_at:%Y-%m-%dT%H:%M:%SZ} is too early: the notice period is {notice.days} days, so the change "
            f"can take effect at {earliest:%Y-%m-%dT%H:%M:%SZ} at the earliest"
        )
    if terms.compulsory and terms.comply_by is None:
        return "a release that is Mandatory or DCCManaged needs a ComplyBy: by when every hub is to be upgraded"
    if not terms.compulsory and terms.comply_by is not None:
        return "a release that is Voluntary and SupplierManaged has no ComplyBy: leave it out"
    if terms.comply_by is not None and terms.comply_by <= effective_at:
        return (
            f"ComplyBy {terms.comply_by:%Y-%m-%dT%H:%M:%SZ} must be later than {effective_at:%Y-%m-%dT%H:%M:%SZ}, when "
            "the change takes effect"
        )
    if terms == current:
        return f"nothing would change: the release is {current.in_words()} already"
    return None
