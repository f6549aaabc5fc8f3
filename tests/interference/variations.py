"""What is varied: all about the other Suppliers that is none of THIS Supplier's business.

THIS Supplier is the same in every world. OTHER is the other side of its homes; NEXT is whoever takes homes over.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from sr_engine.instance import SupplierSeed
from tests.world import A


class Party(Enum):
    """A Supplier, whatever its name in a world."""

    THIS = "this"
    OTHER = "other"
    NEXT = "next"


THIS, OTHER, NEXT = Party


class Traffic(StrEnum):
    """When the others do what has nothing to do with THIS Supplier's homes: around each request of it."""

    NONE = "none"
    BEFORE = "before"
    AFTER = "after"


class Cause(StrEnum):
    """Why a hub cannot be had; to THIS Supplier they are all one."""

    EXCLUDED = "the other side excludes it for good"
    EXCLUDED_FOR_A_WHILE = "the other side excludes it for longer than the window"
    QUIET = "the other side changes: quiet days"
    PILOT = "THIS Supplier's share of the pilot is used up"
    CAPACITY = "hubs of others fill the night"


class Ending(StrEnum):
    """How an answer of the other side came to be Pending again; to THIS Supplier they are all one."""

    DELETED = "it deletes its schedule"
    REPLACED = "it replaces its schedule by one for another hub"
    LEFT = "it is no longer responsible"


class Past(StrEnum):
    """What the Supplier had done that THIS Supplier takes a home over from."""

    NOTHING = "it never answered"
    APPROVED = "it approved"
    DECLINED = "it declined"
    DEFERRED = "it deferred"
    SCHEDULED = "its schedule stood until the last day"
    DELETED = "it had scheduled and deleted"
    FAILED = "it had an upgrade that failed"
    MISSED = "it had an upgrade of which nothing was heard"


class Future(StrEnum):
    """What happens to a home after THIS Supplier has left it."""

    NOTHING = "nobody answers"
    SCHEDULED = "the successor schedules it"
    DECLINED = "the successor and the other side decline"
    UPGRADED = "it is scheduled, listed and upgraded"
    EXCLUDED = "the successor excludes it"


@dataclass(frozen=True, slots=True)
class Home:
    """Who supplies one home; None for no meter."""

    electricity: Party | None
    gas: Party | None
    region: str = "Central"


@dataclass(frozen=True, slots=True)
class Variation:
    """All that THIS Supplier must not be able to tell."""

    other: SupplierSeed
    next: SupplierSeed
    two_users: bool = False
    """OTHER sends and receives by one User for electricity and another for gas."""
    duis_version: str = "5.4"
    """What the others' systems understand."""
    first_counter: int = 1000
    """The counter in the others' first RequestIDs."""
    portfolio: int = 0
    """How many homes the others have between them that are none of THIS Supplier's."""
    longer_lists: int = 0
    """How many of those stand in each of the others' requests."""
    traffic: Traffic = Traffic.NONE
    cause: Cause = Cause.EXCLUDED
    ending: Ending = Ending.DELETED
    past: Past = Past.NOTHING
    future: Future = Future.NOTHING

    @property
    def for_gas(self) -> SupplierSeed:
        """OTHER's second User, if it has two."""
        head, last = self.other.eui[:-2], int(self.other.eui[-2:], 16)
        return SupplierSeed(f"{self.other.name}-gas", f"{head}{last ^ 1:02X}", f"{self.other.receiving_url}/gas")

    @property
    def cast(self) -> tuple[SupplierSeed, ...]:
        """Everybody who has a key."""
        return (A, self.other, self.for_gas, self.next)
