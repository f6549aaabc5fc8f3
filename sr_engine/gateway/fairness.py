"""Whose request is next: each User has a share of its own, and a burst waits behind itself (FACTS RQ28, CP8).

What a message claims about its originator decides the order of the work and never authority.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import IntEnum, auto
from operator import itemgetter

from sr_engine.rates import Rate

HEAD_BYTES = 4096
"""Where the RequestID of a message is looked for."""

OTHERS = "others"
"""The one share of all who claim to be nobody that is known here."""

ARRIVING = 16
"""So many times as many as are in flight may be here of which it is not known whose they are: each holds no more than
its first HEAD_BYTES."""

_RESERVED = 4
"""Of so many places, one is kept for whoever has none."""

_ORIGINATOR = re.compile(rb"<(?:[\w.-]+:)?RequestID\s*>\s*([0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){7}):")


def claimed_originator(head: bytes) -> str | None:
    """The originator that the first bytes of a message name, in canonical form; None if they name none."""
    found = _ORIGINATOR.search(head, 0, HEAD_BYTES)
    return None if found is None else found[1].decode("ascii").upper()


@dataclass(frozen=True, slots=True)
class Shares:
    """How much is taken at a time, altogether and of each (`policy.toml`, `[overload]`; `users.toml`)."""

    requests_in_flight: int
    worked_on_at_once: int
    operating_threshold_per_second: int
    allocation_per_second: int
    """Of every share that has none of its own."""
    allocations: Mapping[str, int]
    """By share; a share that is not named here is that of OTHERS."""


class Places:
    """So many places, of which those who have some already leave a quarter to those who have none."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._kept = number // _RESERVED
        self._held: Counter[str] = Counter()

    def free_for(self, name: str) -> bool:
        """Whether there is a place for one more of that name."""
        return self._free > (self._kept if name in self._held else 0)

    def held(self, name: str) -> int:
        """How many places that name has."""
        return self._held[name]

    def take(self, name: str) -> None:
        """Take a place that is free."""
        self._free -= 1
        self._held[name] += 1

    def give_back(self, name: str) -> None:
        """Give a place back that was taken."""
        self._free += 1
        self._held[name] -= 1
        if not self._held[name]:
            del self._held[name]


class _Share:
    """What one User has here."""

    __slots__ = ("name", "present", "rate", "reading", "waiting")

    def __init__(self, name: str, allocation: int, now: float) -> None:
        self.name = name
        self.rate = Rate(allocation, now)
        self.reading: dict[Visit, None] = {}
        """Oldest first."""
        self.waiting: deque[Visit] = deque()
        self.present = 0


class _Stage(IntEnum):
    ARRIVING = 0
    """Whose it is has not been read."""
    READING = auto()
    WAITING = auto()
    WORKED_ON = auto()
    GONE = auto()


class Visit:
    """One request on its way through a Gate: claim, wait for its turn, leave."""

    __slots__ = ("_gate", "on_giving_way", "origin", "share", "stage", "turn_comes")

    def __init__(self, gate: Gate, origin: str) -> None:
        self._gate = gate
        self.origin = origin
        """The address that it comes from."""
        self.on_giving_way: Callable[[], None] | None = None
        """Called if it gives way before its turn is waited for: nothing more of it need be read."""
        self.stage = _Stage.ARRIVING
        self.share: _Share | None = None
        self.turn_comes: asyncio.Future[bool] | None = None

    @property
    def claimed(self) -> bool:
        """Whether it is known whose it is."""
        return self.share is not None

    def claim(self, name: str) -> bool:
        """Say, once, whose it is; False if there is no place for it, or no more, and it must leave."""
        return self._gate.claim(self, name)

    @property
    def gave_way(self) -> bool:
        """Whether it has left, though nobody had it leave."""
        return self.stage is _Stage.GONE

    async def turn(self) -> bool:
        """Wait until it is to be worked on; False if it had to give way instead, and must leave."""
        return await self._gate.turn(self)

    def leave(self) -> None:
        """Give back whatever it holds; the second time nothing."""
        self._gate.leave(self)


class Gate:
    """Lets requests in, share by share in turn, and turns away who takes more than its own when others want theirs.

    * While the whole is below its operating threshold everybody may take more than its allocation.
    * Above it, a share that has used its allocation of the last second up is refused.
    * Beside others, whoever is over its allocation has a quarter of the places in work: the others wait for less then.
    * However slowly its bodies come, a share leaves a quarter of the places to others; within it, the newest of the
      address that has most of them gives way to one from another.
    * With every place taken, the newest in the longest queue gives way, one over its allocation before one within.
    * Where nobody waits that could, the newest of the bodies that are still coming does, of whoever has most of them.
    * Of what comes so slowly that it is not known whose it is, the oldest gives way, of the address that has most.
    """

    def __init__(self, shares: Shares, monotonic: Callable[[], float]) -> None:
        """`monotonic` tells the time in seconds."""
        self._rules = shares
        self._monotonic = monotonic
        self._rate = Rate(shares.operating_threshold_per_second, monotonic())
        self._shares: dict[str, _Share] = {}
        self._forgotten_at = monotonic()
        self._places = Places(shares.worked_on_at_once)
        self._kept = shares.requests_in_flight // _RESERVED
        self._arriving: dict[Visit, None] = {}
        """Oldest first."""
        self._placed = 0
        """Requests of which it is known whose they are."""
        # Shares with requests waiting, the next one to be served first.
        self._ring: dict[_Share, None] = {}

    def arrive(self, origin: str) -> Visit:
        """A request of which nothing has been read, from an address; somebody else may give way to it."""
        if len(self._arriving) >= ARRIVING * self._rules.requests_in_flight:
            ((most, _),) = Counter(visit.origin for visit in self._arriving).most_common(1)
            self._give_way(next(visit for visit in self._arriving if visit.origin == most))
        visit = Visit(self, origin)
        self._arriving[visit] = None
        return visit

    @property
    def remembered(self) -> Collection[str]:
        """The names of shares that something is kept for."""
        return self._shares.keys()

    def claim(self, visit: Visit, name: str) -> bool:
        if visit.stage is not _Stage.ARRIVING:
            return False
        now = self._monotonic()
        share = self._share(name, now)
        over = share.rate.used_up(now)
        if over and self._rate.used_up(now):
            return False
        # What is worked on cannot be asked to give way, and what is being read gives way to other shares only.
        settled = share.present - len(share.waiting)
        full = settled and settled >= self._rules.requests_in_flight - self._kept
        if full and not self._make_room_within(share, visit.origin):
            return False
        if self._placed >= self._rules.requests_in_flight and not self._make_room(share, over=over, now=now):
            return False
        share.rate.count(now)
        self._rate.count(now)
        del self._arriving[visit]
        self._placed += 1
        share.present += 1
        share.reading[visit] = None
        visit.share, visit.stage = share, _Stage.READING
        return True

    async def turn(self, visit: Visit) -> bool:
        share = visit.share
        if share is None or visit.stage in {_Stage.WAITING, _Stage.WORKED_ON}:
            raise RuntimeError("a request waits for its turn once, after it is known whose it is")
        if visit.stage is _Stage.GONE:
            return False
        del share.reading[visit]
        if not share.waiting and self._may_work(share):
            self._work_on(visit, share)
            return True
        visit.turn_comes = asyncio.get_running_loop().create_future()
        share.waiting.append(visit)
        self._ring.setdefault(share)
        visit.stage = _Stage.WAITING
        self._serve()
        return await visit.turn_comes

    def leave(self, visit: Visit) -> None:
        share, stage = visit.share, visit.stage
        if stage is _Stage.GONE:
            return
        visit.stage = _Stage.GONE
        if share is None:
            del self._arriving[visit]
            return
        self._placed -= 1
        share.present -= 1
        if stage is _Stage.READING:
            del share.reading[visit]
        elif stage is _Stage.WAITING:
            self._take_out(visit, share)
        elif stage is _Stage.WORKED_ON:
            self._places.give_back(share.name)
            self._serve()

    def _serve(self) -> None:
        """Have as many worked on as there are places, one of each share in turn."""
        while (share := next((one for one in self._ring if self._may_work(one)), None)) is not None:
            visit = share.waiting[0]
            # Its turn comes again after that of all others.
            del self._ring[share]
            self._ring[share] = None
            if visit.turn_comes is None or visit.turn_comes.done():
                self.leave(visit)  # its caller has gone away
                continue
            self._take_out(visit, share)
            self._work_on(visit, share)
            visit.turn_comes.set_result(True)

    def _may_work(self, share: _Share) -> bool:
        """Whether one more of a share may be worked on; for a burst that is in the way of others, fewer at a time."""
        if not self._places.free_for(share.name):
            return False
        few = max(1, self._rules.worked_on_at_once // _RESERVED)
        if self._places.held(share.name) < few or len(self._shares) == 1:
            return True
        return not share.rate.used_up(self._monotonic())

    def _make_room(self, share: _Share, *, over: bool, now: float) -> bool:
        """Have somebody give way who has more than the newcomer's share would have; False if nobody has.

        That is, more waiting; and if nobody has, more of which the body is still to come.
        """

        def excess(one: _Share) -> tuple[bool, int]:
            return one.rate.used_up(now), len(one.waiting)

        longest = max(self._ring, key=excess, default=None)
        if longest is not None and excess(longest) > (over, len(share.waiting) + 1):
            self._give_way(longest.waiting[-1])
            return True
        slowest = max(self._shares.values(), key=lambda one: len(one.reading))
        if len(slowest.reading) > len(share.reading) + 1:
            self._give_way(next(reversed(slowest.reading)))
            return True
        return False

    def _make_room_within(self, share: _Share, origin: str) -> bool:
        """Have the newest body give way that still comes from the address with most of them; False if none is above.

        Whose a body is was only claimed: somebody else may keep a User's places taken with bodies that never end.
        """
        reading = Counter(one.origin for one in share.reading)
        most, number = max(reading.items(), key=itemgetter(1), default=("", 0))
        if number <= reading[origin] + 1:
            return False
        self._give_way(next(one for one in reversed(share.reading) if one.origin == most))
        return True

    def _give_way(self, visit: Visit) -> None:
        self.leave(visit)
        if visit.turn_comes is None:
            if visit.on_giving_way is not None:
                visit.on_giving_way()
        elif not visit.turn_comes.done():
            visit.turn_comes.set_result(False)

    def _share(self, name: str, now: float) -> _Share:
        if name not in self._rules.allocations:
            name = OTHERS
        if now - self._forgotten_at >= 1:
            self._forgotten_at = now
            idle = [one.name for one in self._shares.values() if not one.present and not one.rate.level(now)]
            for each in idle:
                del self._shares[each]
        share = self._shares.get(name)
        if share is None:
            allocation = self._rules.allocations.get(name, self._rules.allocation_per_second)
            share = self._shares[name] = _Share(name, allocation, now)
        return share

    def _work_on(self, visit: Visit, share: _Share) -> None:
        self._places.take(share.name)
        visit.stage = _Stage.WORKED_ON

    def _take_out(self, visit: Visit, share: _Share) -> None:
        share.waiting.remove(visit)
        if not share.waiting:
            del self._ring[share]
