"""Doing something only to see what would come of it: the transaction is taken back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from sr_engine.domain.upgrades import Hub
from sr_engine.store import inventory, rehearsal
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import UnitOfWork

T = TypeVar("T")

NOTHING = "nothing"
"""What a hub comes from that had no attempt, or whose Supplier had not answered."""
LISTABLE = "may be listed"
NOT_LISTABLE = "kept off lists"
NO_SUPPLIER = "none"


@dataclass(frozen=True, slots=True)
class HubChange:
    """How many hubs of a region would change in the same way; a hub counts under each of its Suppliers' roles."""

    region: str
    role: str
    """IS, GS, or `none` for a hub without a Supplier."""
    before: str
    after: str
    hubs: int


@dataclass(frozen=True, slots=True)
class Rehearsed(Generic[T]):
    """What an operation returned before it was taken back, and what it would have changed."""

    result: T
    changes: tuple[HubChange, ...]
    """Attempts and answers, by region, role, before and after."""
    listing: tuple[HubChange, ...]
    """Hubs that are Scheduled and may be listed no more, or now may, for gates, halts, exclusions and releases."""


class _TakenBack(Exception, Generic[T]):
    def __init__(self, rehearsed: Rehearsed[T]) -> None:
        super().__init__("the transaction was a rehearsal")
        self.rehearsed = rehearsed


def rehearse(transactions: Transactions, work: Callable[[UnitOfWork], T]) -> Rehearsed[T]:
    """Run `work` in a transaction that is rolled back; raises what it raises."""

    def run(unit_of_work: UnitOfWork) -> None:
        connection, now = unit_of_work.connection, unit_of_work.now
        last = rehearsal.last_record(connection)
        listable = rehearsal.hubs_that_may_be_listed(connection, now)
        result = work(unit_of_work)
        listable_after = rehearsal.hubs_that_may_be_listed(connection, now)
        moves = [(before or NOTHING, after, hubs) for before, after, hubs in rehearsal.changed_since(connection, last)]
        moved = {hub_id for _, _, hubs in moves for hub_id in hubs}
        # What changes its state is said above; here only what stays as it is.
        listing = [
            (LISTABLE, NOT_LISTABLE, (listable - listable_after) - moved),
            (NOT_LISTABLE, LISTABLE, (listable_after - listable) - moved),
        ]
        known = inventory.hubs(connection, moved | (listable ^ listable_after), now, with_han=False)
        raise _TakenBack(Rehearsed(result, tuple(_count(moves, known)), tuple(_count(listing, known))))

    try:
        transactions.run_now(run)
    except _TakenBack as taken_back:
        rehearsed: Rehearsed[T] = taken_back.rehearsed
        return rehearsed
    raise AssertionError("a rehearsal always ends by being taken back")


def _count(moves: Iterable[tuple[str, str, Iterable[str]]], known: dict[str, Hub]) -> Iterator[HubChange]:
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for before, after, hub_ids in moves:
        for hub_id in hub_ids:
            hub = known.get(hub_id)
            region = "Unknown" if hub is None or hub.region is None else hub.region
            for role in _roles(hub):
                counts[region, role, before, after] += 1
    for key, hubs in sorted(counts.items()):
        yield HubChange(*key, hubs)


def _roles(hub: Hub | None) -> list[str]:
    if hub is None or not hub.responsible:
        return [NO_SUPPLIER]
    return [role for role, organisation in (("IS", hub.electricity), ("GS", hub.gas)) if organisation is not None]
