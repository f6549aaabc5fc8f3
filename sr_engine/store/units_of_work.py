"""What is done in one business transaction, and what those that run such units of work can rely on and be asked for.

`transactions` runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event
from typing import Generic, Protocol, TypeVar

from sqlalchemy import Connection

from sr_engine.value_objects import value_object

T = TypeVar("T")
N = TypeVar("N")


@dataclass(frozen=True, slots=True)
class UnitOfWork:
    """One business transaction: the connection to work through, and the time it happens at."""

    connection: Connection
    now: datetime
    to_follow: Event = field(default_factory=Event, repr=False, compare=False)
    """Set by work that leaves something to be done once it is committed."""
    to_carry_out: Event = field(default_factory=Event, repr=False, compare=False)
    """Set by work whose changes are kept to be carried out, once it is committed."""
    once_committed: list[Callable[[], None]] = field(default_factory=list, repr=False, compare=False)
    """What work has the process remember once it is committed: nothing of what is taken back, and done again.

    None of them may fail.
    """


Work = Callable[[UnitOfWork], T]
ReadAhead = Callable[[UnitOfWork, Sequence[N]], None]
"""Reads what several units of work need, before the first of them runs."""


@value_object
class Foreseen(Generic[N]):
    """What a unit of work will need, and who can read it for all that run together: the same object for all."""

    needs: N
    read: ReadAhead[N]


@dataclass(frozen=True, slots=True)
class Taken:
    """A part of what transactions have left to be done, prepared as far as it can be beside them."""

    write: Work[None]
    let_go: Callable[[], None]
    """To be called once it is written, or will not be: another may have what was kept for it."""
    more: bool = False
    """There was something else to be done, which another may take meanwhile."""
    beside: bool = False
    """It may be written while another transaction writes, where the database can do that.

    So it records nothing in the audit trail, and nothing that it writes decides what others do. It may raise
    QueuesBusy, and is then written as others are.
    """


class FollowUp(Protocol):
    """Knows what transactions have left to be done."""

    def take(self, *, whoever_is_at_it: bool = False) -> Taken | None:
        """Prepare a part of it, and keep others from the same; None if nothing is left that nobody is at.

        Also what somebody else is at if `whoever_is_at_it`; what both have done is then done once.
        """


class Keeping(Protocol):
    """Knows what was decided and is still to be carried out; before that nobody may see the hubs that it concerns."""

    def are_left(self, connection: Connection) -> bool:
        """True if anything is."""

    def are_many(self, connection: Connection) -> bool:
        """True if so much is that no more should be added."""

    def carry_out_of(self, unit_of_work: UnitOfWork, device_ids: Collection[str], at_most: int) -> bool:
        """Carry out all that concerns hubs, given by the canonical ids of CHF or GPF.

        False, and nothing was done, if that is more than so many portions.
        """

    def carry_out_next(self, unit_of_work: UnitOfWork) -> bool:
        """Carry out a portion of what was decided first; False if there was nothing."""


class Runs(Protocol):
    """Whatever runs units of work: `Transactions`, or something that adds a condition to each."""

    async def run(self, work: Work[T], *, heavy: bool = False, hubs: Collection[str] | None = None) -> T:
        """Return what `work` returned, once it is committed; raises what it raised, or what the commit did.

        `hubs` are the canonical ids, of CHF or GPF, of all that it may see or change anything of; None: any.
        """


NO_HUBS: Collection[str] = ()
"""Of work that has nothing to do with what was decided about hubs."""
