"""Service levels: what is measured, for a region and a month, and when one is breached (section 5, Region triggers).

One definition for all, which `regions.toml` gives the limits to:

* acknowledgement: from when the CSP first had an upgrade list, posted or fetched, to its acknowledgement of all of it;
  a list counts in the month in which the CSP had it;
* completion: of the hubs that stood on a list and whose window ended in the month, how many were activated by then, and
  whether the CSP had told their outcome within the limit after it. The night itself is the window of a hub that the
  processor planned by itself;
* alert: from the CSP's report on a hub's outcome to the moment the alert to the last of its Suppliers was queued, and
  to that at which the last of them took it; a hub counts in the month of the report.

A hub counts once in each, with its newest attempt at a release in the month; a report that says nothing new is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from fractions import Fraction


class Measure(StrEnum):
    """What a limit is set for."""

    ACKNOWLEDGEMENT = "acknowledgement"
    COMPLETION = "completion"
    ALERT = "alert"


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month, in UTC."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Month:
        """The month that `2026-11` names; raises ValueError for anything else."""
        try:
            first = date.fromisoformat(f"{text}-01")
        except ValueError:
            raise ValueError(f"{text!r} is not a month, such as 2026-11") from None
        return cls(first.year, first.month)

    @classmethod
    def of(cls, at: datetime) -> Month:
        """The month that a moment lies in."""
        moment = at.astimezone(UTC)
        return cls(moment.year, moment.month)

    @property
    def start(self) -> datetime:
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first moment of the next month."""
        return datetime(self.year + self.number // 12, self.number % 12 + 1, 1, tzinfo=UTC)

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"


@dataclass(frozen=True, slots=True)
class Timing:
    """How long something took, and how often that was too long."""

    within: int
    late: int
    overdue: int
    """Not done yet, although the limit has passed."""
    waiting: int
    """Not done yet, and still in time; not judged."""
    median: timedelta | None = None
    percentile_95: timedelta | None = None
    longest: timedelta | None = None

    @property
    def breaches(self) -> int:
        return self.late + self.overdue

    @property
    def share(self) -> Fraction | None:
        """Of what can be judged, the part that was done within the limit; None if there is nothing to judge."""
        judged = self.within + self.breaches
        return Fraction(self.within, judged) if judged else None


@dataclass(frozen=True, slots=True)
class Completion:
    """What became of the listed hubs whose window has ended."""

    in_night: int
    """Activated in the night they were listed for."""
    in_window: int
    """Activated after it, in their window."""
    later: int
    """Activated after their window."""
    failed: int
    missed: int
    under_way: int
    """Without an outcome, and not yet given up."""
    breaches: int
    """Of all these, those whose outcome was not told within the limit."""

    @property
    def hubs(self) -> int:
        return self.in_night + self.in_window + self.later + self.failed + self.missed + self.under_way

    @property
    def done_in_window(self) -> int:
        return self.in_night + self.in_window

    @property
    def share(self) -> Fraction | None:
        """The part that was activated by the end of its window; None if there is no hub."""
        return Fraction(self.done_in_window, self.hubs) if self.hubs else None


@dataclass(frozen=True, slots=True)
class Levels:
    """All that is measured in a region for a month."""

    acknowledgement: Timing
    completion: Completion
    alert_queued: Timing
    alert_delivered: Timing
    """Without a limit: it depends on the Supplier's receiver."""


def timing(seconds: Mapping[int, int], limit: timedelta | None, *, overdue: int = 0, waiting: int = 0) -> Timing:
    """Sum up how long things took: how many took how many seconds, rounded up. Without a limit nothing is late."""
    total = sum(seconds.values())
    most = None if limit is None else int(limit.total_seconds())
    within = total if most is None else sum(count for took, count in seconds.items() if took <= most)
    return Timing(
        within,
        total - within,
        overdue,
        waiting,
        _percentile(seconds, total, 50),
        _percentile(seconds, total, 95),
        _percentile(seconds, total, 100),
    )


def _percentile(seconds: Mapping[int, int], total: int, percent: int) -> timedelta | None:
    """The least time within which so many per cent were done (nearest rank)."""
    wanted = -(-total * percent // 100)
    counted = 0
    for took, count in sorted(seconds.items()):
        counted += count
        if counted >= wanted:
            return timedelta(seconds=took)
    return None
