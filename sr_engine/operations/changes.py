"""What has changed for one Supplier: every change in the order of commits, as far as it was the Supplier's to see.

Made of the audit trail when it is read, by who was responsible for a hub at the time of each record: nothing is written
for it, nothing can be missed, and after a change of Supplier neither sees what is the other's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from sr_engine.configuration import UserDirectory
from sr_engine.domain.eligibility import Applicant
from sr_engine.domain.states import AttemptState
from sr_engine.operations.registrations import SUPPLIER_CAME, SUPPLIER_LEFT
from sr_engine.store import changes, inventory, registrations
from sr_engine.store.changes import ALL_OF_IT, Position, Pruned, Record

__all__ = ["Change", "ChangeKind", "Changes", "Position", "Pruned", "SupplierChanges"]

RECORDS_AT_ONCE = 1_000
HUBS_AT_ONCE = 20_000
"""Read for one answer, at most."""

_ANSWER = "answer"
_EXCLUSION_SET, _EXCLUSION_LIFTED = "exclusion set", "exclusion lifted"
_OF_RELEASE = {
    "release opened": "Opened",
    "release amended": "Amended",
    "release closed": "Closed",
    "release withdrawn": "Withdrawn",
    "halted": "Halted",
    "resumed": "Resumed",
    "gate opened": "GateOpened",
    "terms announced": "TermsAnnounced",
    "terms cancelled": "TermsCancelled",
    "terms in force": "TermsInForce",
}
"""What is recorded of releases, and how it is told."""


class ChangeKind(StrEnum):
    """What a change is one of."""

    UPGRADE = "upgrade"
    """The attempt at a hub has gone to another state."""
    ANSWER = "answer"
    """The Supplier has answered to a release for a hub, by whatever face."""
    EXCLUSION = "exclusion"
    """The Supplier keeps a hub out, or no more."""
    RESPONSIBILITY = "responsibility"
    """The Supplier has come to a hub, or has left it."""
    RELEASE = "release"
    """Something was done with a release."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change, as its Supplier may see it."""

    position: Position
    at: datetime
    kind: ChangeKind
    what: str
    """The state, the answer, Excluded or Included, Began or Ended, or what was done with the release."""
    hub_id: str | None = None
    release_id: str | None = None
    attempt: int | None = None
    """As this Supplier counts."""


@dataclass(frozen=True, slots=True)
class SupplierChanges:
    """The next changes, and up to where all has been read."""

    changes: tuple[Change, ...]
    position: Position
    more: bool
    """There may be others already."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Reads changes for Suppliers."""

    users: UserDirectory

    def read(
        self,
        connection: Connection,
        viewer: Applicant,
        after: Position,
        limit: int,
        kinds: Collection[ChangeKind] | None = None,
    ) -> SupplierChanges:
        """The next changes after a place, at most `limit`; raises Pruned."""
        records = changes.records(connection, after, RECORDS_AT_ONCE)
        more = len(records) == RECORDS_AT_ONCE
        taken: list[Record] = []
        hubs = 0
        for record in records:
            if taken and hubs + len(record.hubs) > HUBS_AT_ONCE:
                more = True
                break
            taken.append(record)
            hubs += len(record.hubs)
        visible = _Visible.of(connection, viewer, taken)
        own = frozenset(f"user:{user.eui}" for user in self.users.users_of(viewer.organisation))
        found: list[Change] = []
        reached = after
        for record in taken:
            start = after.offset if record.audit_id == after.audit_id else 0
            for change in _of_record(record, _Who(viewer.organisation, own), visible, start):
                if kinds is not None and change.kind not in kinds:
                    continue
                if len(found) == limit:
                    return SupplierChanges(tuple(found), found[-1].position, more=True)
                found.append(change)
            reached = Position(record.audit_id, ALL_OF_IT)
        return SupplierChanges(tuple(found), max(reached, after), more)


@dataclass(frozen=True, slots=True)
class _Who:
    """For whom changes are read, and as whom it stands in the trail."""

    organisation: str
    actors: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Visible:
    """By record, the hubs that were the Supplier's then; and by release and hub, the attempts it does not see."""

    hubs: Mapping[int, Collection[str]]
    hidden: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(cls, connection: Connection, viewer: Applicant, records: Collection[Record]) -> _Visible:
        named = {hub_id for one in records for hub_id in one.hubs}
        maybe = changes.may_be_of(connection, viewer.organisation, named) if named else set()
        by_moment: dict[datetime, set[str]] = {}
        for record in records:
            by_moment.setdefault(record.at, set()).update(maybe.intersection(record.hubs))
        mine = {
            at: {
                hub_id
                for hub_id, hub in inventory.hubs(connection, sorted(some), at, with_han=False).items()
                if hub.is_responsible(viewer.organisation, viewer.roles)
            }
            for at, some in by_moment.items()
            if some
        }
        hidden = {
            release_id: {
                hub_id: one.attempts_before
                for hub_id, one in registrations.arrivals_of(
                    connection, sorted(maybe), release_id, viewer.organisation
                ).items()
            }
            for release_id in {one.release_id for one in records if one.release_id is not None}
            if maybe
        }
        return cls({one.audit_id: mine.get(one.at, set()) for one in records}, hidden)


def _of_record(record: Record, who: _Who, visible: _Visible, start: int) -> Iterator[Change]:
    told = _OF_RELEASE.get(record.action)
    if told is not None and record.release_id is not None:
        if start < 1:
            yield Change(
                Position(record.audit_id, 1), record.at, ChangeKind.RELEASE, told, release_id=record.release_id
            )
        return
    said = _said(record, who)
    if said is None:
        return
    kind, what = said
    mine = visible.hubs[record.audit_id]
    hidden = visible.hidden.get(record.release_id or "", {})
    for number, hub_id in enumerate(record.hubs[start:], start + 1):
        # Whoever has left is not responsible any more when that is recorded.
        if hub_id not in mine and what != "Ended":
            continue
        attempt = None
        if kind is ChangeKind.UPGRADE and record.attempt_number is not None:
            attempt = record.attempt_number - hidden.get(hub_id, 0)
            if attempt < 1:
                continue
        yield Change(Position(record.audit_id, number), record.at, kind, what, hub_id, record.release_id, attempt)


def _said(record: Record, who: _Who) -> tuple[ChangeKind, str] | None:
    """What a record says to one Supplier of hubs that are its own; None: nothing."""
    if record.attempt_number is not None and record.to_state is not None:
        if record.from_state == record.to_state:
            return None
        state = AttemptState(record.to_state)
        return ChangeKind.UPGRADE, (AttemptState.CANCELLED if state is AttemptState.VOIDED else state).value
    whose = record.detail.partition(",")[0]
    if record.action == _ANSWER and record.actor in who.actors:
        return ChangeKind.ANSWER, record.to_state or ""
    if whose != who.organisation:
        return None
    match record.action:
        case action if action == SUPPLIER_CAME:
            return ChangeKind.RESPONSIBILITY, "Began"
        case action if action == SUPPLIER_LEFT:
            return ChangeKind.RESPONSIBILITY, "Ended"
        case action if action == _EXCLUSION_SET:
            return ChangeKind.EXCLUSION, "Excluded"
        case action if action == _EXCLUSION_LIFTED:
            return ChangeKind.EXCLUSION, "Included"
        case _:
            return None
