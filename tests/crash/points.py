"""Where a process may be killed: the names of the points, and which process comes by which.

A point stands right before or right after something that another can see: a commit, an answer, a message. On
PostgreSQL there are further ones at which not the process dies but the database server.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

BEFORE_COMMIT, AFTER_COMMIT = "before commit", "after commit"
BEFORE_ANSWER, AFTER_ANSWER = "before answer", "after answer"
BEFORE_SENDING, ON_ITS_WAY, TAKEN = "before sending", "on its way", "taken, not recorded"
IN_TRANSACTION, ANSWER_LOST = "in the transaction", "committed, unheard"
ANYWHERE = "anywhere"
"""At no point of its own: at some moment."""
SERVER_ANYWHERE = "server stopped, anywhere"

_OF_GATEWAY = ("request", "held request", "answer left", "acknowledgement", "report", "alerts queued", "portion")
_OF_WORKER = (
    *("lists cut", "night done", "missed", "held request carried out", "delivery recorded", "alerts queued"),
    *("lease claimed", "lease renewed"),
)
_ANSWERED = ("request", "held request", "message of a CSP")
_SENT = ("list", "alert", "response")
_SERVER_STOPS = (
    *("request", "report", "alerts queued", "portion", "lists cut", "delivery recorded", "held request carried out"),
)

GATEWAY, WORKER = "gateway", "worker"
MOST_PASSES = 4
LONGEST_LIFE = {GATEWAY: 2.5, WORKER: 0.0}
"""Seconds of work, at most, before passes count: what happens seldom goes on meanwhile, and there is load."""
REACHED_WITHIN_SECONDS, RARE_WITHIN_SECONDS = 6.0, 12.0
AGAIN_AFTER = 2
"""Plans that come before one that was missed."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point; `stops_server`: it is the database server that is stopped, as `pg_ctl stop -m immediate` does."""

    what: str
    where: str
    stops_server: bool = False

    def __str__(self) -> str:
        return f"{'server stopped, ' if self.stops_server else ''}{self.what}: {self.where}"


def _points(whats: Sequence[str], wheres: Sequence[str], *, stops_server: bool = False) -> list[Point]:
    return [Point(what, where, stops_server) for what in whats for where in wheres]


_COMMIT = (BEFORE_COMMIT, AFTER_COMMIT)
_KILLED = {
    GATEWAY: _points(_OF_GATEWAY, _COMMIT) + _points(_ANSWERED, (BEFORE_ANSWER, AFTER_ANSWER)),
    WORKER: _points(_OF_WORKER, _COMMIT) + _points(_SENT, (BEFORE_SENDING, ON_ITS_WAY, TAKEN)),
}
_STOPPED = _points(_SERVER_STOPS, (IN_TRANSACTION, BEFORE_COMMIT, ANSWER_LOST), stops_server=True)
RARE = frozenset(
    {"lists cut", "night done", "missed", "acknowledgement", "report", "message of a CSP", "list", "lease claimed"}
)
"""What is met so seldom that the first time has to do."""


def points_of(role: str, *, with_server: bool) -> list[Point]:
    """All points that a process of this role comes by."""
    mine = list(_KILLED[role])
    if with_server:
        names = _OF_GATEWAY if role == GATEWAY else _OF_WORKER
        mine += [one for one in _STOPPED if one.what in names]
    return mine


def all_points(*, with_server: bool) -> list[str]:
    """The rows of the table, in order."""
    found = dict.fromkeys(
        str(point) for role in (GATEWAY, WORKER) for point in points_of(role, with_server=with_server)
    )
    return [*found, ANYWHERE, *([SERVER_ANYWHERE] if with_server else [])]


@dataclass(frozen=True, slots=True)
class Plan:
    """Where one process is to be killed, or to stop the server, and at which pass."""

    point: Point
    at_pass: int
    after_seconds: float = 0.0
    """Passes before do not count."""

    @property
    def seconds(self) -> float:
        """How long to wait for it: a process that has not come by its point by then is killed where it is."""
        return RARE_WITHIN_SECONDS if self.point.what in RARE else REACHED_WITHIN_SECONDS


class Plans:
    """One plan after the other for ever: every point comes before any comes again; the same for a seed.

    A point that was not reached in its time comes again soon, and is then passed once only.
    """

    def __init__(
        self, role: str, seed: int, *, with_server: bool, quick: bool = False, only: Sequence[str] = ()
    ) -> None:
        """`quick`: no process is spared, and what a gateway comes by seldom is left out.

        `only` says parts of the names of the points that are wanted; a role that has none of them has all its points.
        """
        self._chance = random.Random(f"{seed} {role}")
        mine = points_of(role, with_server=with_server)
        mine = [one for one in mine if any(name in str(one) for name in only)] or mine
        self._points = [one for one in mine if not quick or role == WORKER or one.what not in RARE]
        self._longest = 0.0 if quick else LONGEST_LIFE[role]
        self._next: list[Plan] = []

    def next(self) -> Plan:
        if not self._next:
            self._chance.shuffle(self._points)
            self._next = [
                Plan(
                    one,
                    1 if one.what in RARE else self._chance.randint(1, MOST_PASSES),
                    0.0 if one.what in RARE else self._chance.uniform(0, self._longest),
                )
                for one in self._points
            ]
        return self._next.pop()

    def missed(self, plan: Plan) -> None:
        """It was not reached."""
        self._next.insert(max(0, len(self._next) - AGAIN_AFTER), Plan(plan.point, 1))
